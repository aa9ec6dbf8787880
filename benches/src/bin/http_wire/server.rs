//! The servers, each a process of its own.

use super::cores::Cores;
use super::load::{Connection, Load, REQUEST};
use axum::Router;
use axum::routing::get;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// Becomes a server where the arguments say so, until its standard input ends.
pub fn served_if_asked() -> Result<bool, Failure> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("bare"), _) => serve(router(Duration::ZERO))?,
        (Some("spinning"), Some(nanoseconds)) => serve(router(Duration::from_nanos(nanoseconds.parse()?)))?,
        #[cfg(feature = "http-peers")]
        (Some("peers"), _) => {
            benches::http_peers::otel();
            benches::http_peers::recorder();
            serve(
                router(Duration::ZERO)
                    .layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default())
                    .layer(axum_prometheus::PrometheusMetricLayer::new()),
            )?;
            println!("{} spans", benches::http_peers::exported());
        }
        (Some("layered" | "unsampled"), Some(collector)) => {
            let vitals = vitalsign::builder()
                .service_name("orders")
                .otlp_endpoint(collector)
                .admin("127.0.0.1:0")
                .install()?;
            serve(router(Duration::ZERO).layer(vitalsign::http::layer().access_line(false)))?;
            drop(vitals);
            let spans = vitalsign::diagnostics();
            println!("{} spans handed over, {} dropped", spans.delivered, spans.dropped_ring);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Its handler spins for so long.
fn router(spin: Duration) -> Router {
    let order = move || async move {
        if !spin.is_zero() {
            let start = Instant::now();
            while start.elapsed() < spin {
                std::hint::spin_loop();
            }
        }
        "an order"
    };
    Router::new().route("/orders/{id}", get(order))
}

/// As `#[tokio::main]` runs it: as many workers as there are cores to run on.
fn serve(router: Router) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening {}", listener.local_addr()?);
        let (say_ended, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            say_ended.send(())
        });
        tokio::select! {
            result = axum::serve(listener, router) => result?,
            _ = ended => {}
        }
        Ok(())
    })
}

pub struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    /// The length of an answer: all are alike.
    pub answer: usize,
    pub sent: u64,
    pub free: Vec<Connection>,
    pub busy: Vec<Connection>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// `told`: what this kind wants to know besides where the collector is.
    pub fn start(kind: &str, told: Option<u64>, cores: &Cores, load: &mut Load) -> Result<Self, Failure> {
        let told = match told {
            Some(told) => told.to_string(),
            None => format!("http://{}", load.collector.address()?),
        };
        let mut command = cores.server()?;
        if kind == "unsampled" {
            command.env("OTEL_TRACES_SAMPLER", "always_off");
        }
        let mut child = command
            .arg(kind)
            .arg(told)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("its output")?);
        let address = loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                return Err(format!("the {kind} server ended").into());
            }
            if let Some(address) = line.trim().strip_prefix("listening ") {
                break address.to_owned();
            }
        };
        let answer = answer(&address)?;
        Ok(Self {
            child,
            output,
            answer,
            sent: 1,
            free: Connection::all(&address)?,
            busy: Vec::new(),
        })
    }

    /// Nanoseconds that its threads have run so far, by their names.
    pub fn ran(&self) -> BTreeMap<String, u64> {
        let mut ran = BTreeMap::new();
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        for thread in threads.into_iter().flatten().flatten() {
            let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let run = read("schedstat").split(' ').next().and_then(|first| first.parse().ok());
            *ran.entry(read("comm").trim().to_owned()).or_default() += run.unwrap_or(0);
        }
        ran
    }

    /// Ends it; what it says last.
    pub fn end(mut self, load: &mut Load) -> Result<String, Failure> {
        drop(self.child.stdin.take());
        // Its last spans want to be taken.
        while self.child.try_wait()?.is_none() {
            load.collector.look()?;
        }
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        Ok(said.lines().last().unwrap_or_default().to_owned())
    }
}

/// How long its answers are.
fn answer(address: &str) -> Result<usize, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(REQUEST)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut answer = Vec::new();
    // Until it is silent.
    let _ = stream.read_to_end(&mut answer);
    if !answer.starts_with(b"HTTP/1.1 200") || !answer.ends_with(b"an order") {
        return Err(String::from_utf8_lossy(&answer).into_owned().into());
    }
    Ok(answer.len())
}
