//! The ready-made checks against the real things: killed, stopped, brought back.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::server::{self, Folder};
use tests::{free_port, wait_for};
use vitalsign::health::checks::{ChannelLevel, DiskSpace, Heartbeat, Http, Tcp};
use vitalsign::health::{CheckOptions, Engine, Health, Probe};
use vitalsign::{HealthCheck, HealthStatus};

const PATIENCE: Duration = Duration::from_secs(20);
/// Short, so that the states of a server are seen soon.
const OPTIONS: CheckOptions = CheckOptions::new()
    .cache(Duration::from_millis(50))
    .timeout(Duration::from_millis(500));

/// Probes until the check is in that state; each probe must answer as a kubelet wants it.
async fn until(engine: &Engine, health: Health) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let start = Instant::now();
        let report = engine.probe(Probe::Ready).await;
        // The deadline, and some for a machine that builds beside.
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        if report.health() == health {
            return;
        }
        assert!(Instant::now() < deadline, "not {health} but {report:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What happens to the server behind a check.
trait Server {
    fn start(&mut self);
    fn stop(&mut self);
    fn pause(&self);
    fn resume(&self);
}

async fn lives_through(engine: &Engine, server: &mut impl Server) {
    until(engine, Health::Up).await;
    server.pause();
    until(engine, Health::Down).await;
    server.resume();
    until(engine, Health::Up).await;
    server.stop();
    until(engine, Health::Down).await;
    server.start();
    until(engine, Health::Up).await;
}

fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    assert!(Command::new("kill").arg(name).args(pids).status().unwrap().success());
}

struct Redis {
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Server for Redis {
    fn start(&mut self) {
        let program = server::find("redis-server").unwrap();
        let mut command = Command::new(program);
        let port = self.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        wait_for("redis", PATIENCE, || std::net::TcpStream::connect(address).ok());
    }
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
    fn pause(&self) {
        signal("-STOP", &[self.child.as_ref().unwrap().id()]);
    }
    fn resume(&self) {
        signal("-CONT", &[self.child.as_ref().unwrap().id()]);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    if server::find("redis-server").is_none() {
        return;
    }
    let mut redis = Redis {
        folder: Folder::new(),
        port: free_port(),
        child: None,
    };
    redis.start();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).unwrap();
    let engine = Engine::new();
    engine.register_with("client", OPTIONS, client.clone()).unwrap().keep();
    let settings = redis::aio::ConnectionManagerConfig::new().set_max_delay(Duration::from_millis(200));
    let manager = client.get_connection_manager_with_config(settings).await.unwrap();
    engine.register_with("manager", OPTIONS, manager).unwrap().keep();
    lives_through(&engine, &mut redis).await;
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(connection.check().await, HealthStatus::up());
    redis.stop();
    assert_eq!(connection.check().await.health(), Health::Down);
}

struct Postgres {
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// `PostgreSQL` refuses to run as root.
    fn command(program: &str) -> Command {
        let mut command = Command::new(server::find(program).unwrap());
        if let Some((uid, gid)) = server::user_of("postgres") {
            command.uid(uid).gid(gid);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        command
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn new() -> Self {
        let folder = Folder::new();
        if let Some((uid, gid)) = server::user_of("postgres") {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let this = Self {
            folder,
            port: free_port(),
            child: None,
        };
        let mut initdb = Self::command("initdb");
        initdb
            .args(["--auth=trust", "--username=app", "--no-sync", "-D"])
            .arg(this.data());
        assert!(initdb.status().unwrap().success(), "initdb");
        this
    }

    /// The server and its children: each connection is a process.
    fn processes(&self) -> Vec<u32> {
        let main = self.child.as_ref().unwrap().id();
        let mut found = vec![main];
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
            if status.lines().any(|line| {
                line.strip_prefix("PPid:")
                    .is_some_and(|ppid| ppid.trim() == main.to_string())
            }) {
                found.push(pid);
            }
        }
        found
    }
}

impl Server for Postgres {
    fn start(&mut self) {
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
        let mut command = Self::command("postgres");
        let port = self.port.to_string();
        command.args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"]);
        command.arg(self.folder.path()).arg("-D").arg(self.data());
        self.child = Some(command.spawn().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        wait_for("postgres", PATIENCE, || std::net::TcpStream::connect(address).ok());
    }
    fn stop(&mut self) {
        if self.child.is_none() {
            return;
        }
        signal("-KILL", &self.processes());
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
    fn pause(&self) {
        signal("-STOP", &self.processes());
    }
    fn resume(&self) {
        signal("-CONT", &self.processes());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    if server::find("postgres").is_none() || server::find("initdb").is_none() {
        return;
    }
    let mut postgres = Postgres::new();
    postgres.start();
    let address = format!("postgres://app:hunter2@127.0.0.1:{}/postgres", postgres.port);
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(2)
        .connect_lazy(&address)
        .unwrap();
    let engine = Engine::new();
    engine.register_with("db", OPTIONS, pool).unwrap().keep();
    lives_through(&engine, &mut postgres).await;
    postgres.stop();
    until(&engine, Health::Down).await;
    let report = engine.probe(Probe::Ready).await;
    let text = report.text(true, true);
    assert!(
        text.starts_with("[-]db failed: ") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file_that_is_corrupted() {
    let folder = Folder::new();
    let file = folder.path().join("orders.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO orders (name) VALUES ('a')")
        .execute(&pool)
        .await
        .unwrap();
    let engine = Engine::new();
    engine.register_with("db", OPTIONS, pool).unwrap().keep();
    until(&engine, Health::Up).await;
    let sound = std::fs::read(&file).unwrap();
    std::fs::write(&file, vec![0x5a; sound.len()]).unwrap();
    until(&engine, Health::Down).await;
    std::fs::write(&file, sound).unwrap();
    until(&engine, Health::Up).await;
}

struct Listener {
    address: SocketAddr,
    open: Option<tokio::task::JoinHandle<()>>,
    status: axum::http::StatusCode,
}

impl Listener {
    fn start(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let status = self.status;
        let router = axum::Router::new().fallback(move || async move { status });
        self.open = Some(tokio::spawn(async move {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router)
                .await
                .unwrap();
        }));
    }
    async fn stop(&mut self) {
        if let Some(task) = self.open.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_and_http() {
    let mut listener = Listener {
        address: SocketAddr::from(([127, 0, 0, 1], free_port())),
        open: None,
        status: axum::http::StatusCode::OK,
    };
    let engine = Engine::new();
    let address = listener.address;
    engine
        .register_with("tcp", OPTIONS, Tcp::new(address.to_string()))
        .unwrap()
        .keep();
    let url = format!("http://{address}/livez?x=1");
    engine
        .register_with("http", OPTIONS, Http::get(&url).unwrap())
        .unwrap()
        .keep();
    until(&engine, Health::Down).await;
    listener.start();
    until(&engine, Health::Up).await;
    listener.stop().await;
    listener.status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
    listener.start();
    until(&engine, Health::Down).await;
    let report = engine.probe(Probe::Ready).await;
    assert_eq!(report.check("tcp").unwrap().health(), Health::Up);
    assert!(
        report.check("http").unwrap().message().unwrap().contains("503"),
        "{report:?}"
    );
    listener.stop().await;
    for bad in ["ftp://x", "nonsense", "http://"] {
        assert!(Http::get(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_silent_server_is_down_by_its_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let engine = Engine::new();
    engine
        .register_with("http", OPTIONS, Http::get(&url).unwrap())
        .unwrap()
        .keep();
    let report = engine.probe(Probe::Ready).await;
    assert_eq!(report.check("http").unwrap().message(), Some("timed out after 500ms"));
}

#[tokio::test]
async fn a_disk() {
    let disk = DiskSpace::new(Path::new("/")).down_below(1).degraded_below(1);
    assert_eq!(disk.check().await.health(), Health::Up);
    assert_eq!(
        disk.clone().degraded_below(u64::MAX).check().await.health(),
        Health::Degraded
    );
    assert_eq!(disk.clone().down_below(u64::MAX).check().await.health(), Health::Down);
    assert_eq!(DiskSpace::new("/no/such/folder").check().await.health(), Health::Down);
}

/// The real thing where the machine lets us: a file system of 4 MiB that is filled.
#[tokio::test]
async fn a_full_disk() {
    let folder = Folder::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no file system may be mounted here");
        return;
    }
    let disk = DiskSpace::new(folder.path())
        .down_below(1 << 20)
        .degraded_below(3 << 20);
    let fill = |bytes| std::fs::write(folder.path().join("x"), vec![0_u8; bytes]).unwrap();
    let mut seen = vec![disk.check().await.health()];
    for bytes in [2 << 20, 7 << 19] {
        fill(bytes);
        seen.push(disk.check().await.health());
    }
    assert!(Command::new("umount").arg(folder.path()).status().unwrap().success());
    assert_eq!(seen, [Health::Up, Health::Degraded, Health::Down]);
}

#[tokio::test]
async fn a_heart() {
    let heart = Heartbeat::new(Duration::from_millis(100));
    let task = tokio::spawn({
        let heart = heart.clone();
        async move {
            loop {
                heart.beat();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let engine = Engine::new();
    engine
        .register_with("worker", OPTIONS.liveness(), heart)
        .unwrap()
        .keep();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(engine.probe(Probe::Live).await.is_ok());
    task.abort();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let report = engine.probe(Probe::Live).await;
    assert!(
        report
            .check("worker")
            .unwrap()
            .message()
            .unwrap()
            .starts_with("no heartbeat for "),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_channel() {
    use Health::{Degraded, Down, Up};
    let (sender, receiver) = tokio::sync::mpsc::channel(10);
    let level = ChannelLevel::new(&sender);
    let mut seen = vec![level.check().await.health()];
    for n in 0..10 {
        sender.try_send(n).unwrap();
        seen.push(level.check().await.health());
    }
    assert_eq!(seen, [Up, Up, Up, Up, Up, Up, Up, Up, Degraded, Degraded, Down]);
    drop(receiver);
    assert_eq!(level.check().await.message(), Some("the receiver is gone"));
    drop(sender);
    assert_eq!(level.check().await.message(), Some("all senders are gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grpc_health_protocol() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let engine = Engine::new();
    let (sender, receiver) = tokio::sync::mpsc::channel::<u8>(1);
    engine
        .register_with("queue", OPTIONS, ChannelLevel::new(&sender))
        .unwrap()
        .keep();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let service = vitalsign::health::grpc::service_for(&engine);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve(address));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = loop {
        match endpoint.connect().await {
            Ok(channel) => break HealthClient::new(channel),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let check = async |client: &mut HealthClient<_>, service| {
        client
            .check(ask(service))
            .await
            .map(|answer| answer.into_inner().status())
    };
    for service in ["", "readiness", "liveness", "startup", "queue"] {
        assert_eq!(
            check(&mut client, service).await.unwrap(),
            ServingStatus::Serving,
            "{service}"
        );
    }
    assert_eq!(
        check(&mut client, "nobody").await.unwrap_err().code(),
        tonic::Code::NotFound
    );
    let mut watched = client.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(
        watched.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    drop(receiver);
    assert_eq!(
        watched.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert_eq!(check(&mut client, "").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(check(&mut client, "liveness").await.unwrap(), ServingStatus::Serving);
    let mut unknown = client.watch(ask("nobody")).await.unwrap().into_inner();
    assert_eq!(
        unknown.message().await.unwrap().unwrap().status(),
        ServingStatus::ServiceUnknown
    );
}
