//! The probes of the example service as an orchestrator sees them through its life: up, its database corrupted, its neighbour
//! silent, draining.

use std::process::Command;
use std::time::{Duration, Instant};
use tests::http::{self, Response};
use tests::process::{Process, build};
use tests::server::Folder;
use tests::wait_for;

const LIMIT: Duration = Duration::from_secs(30);
/// A kubelet's time-out, and some for a busy machine.
const KUBELET: Duration = Duration::from_millis(1500);

struct Orders {
    process: Process,
    admin: String,
}

impl Orders {
    fn get(&self, path: &str) -> Response {
        let start = Instant::now();
        let answer = http::get(&format!("{}{path}", self.admin)).unwrap();
        assert!(start.elapsed() < KUBELET, "{path} took {:?}", start.elapsed());
        answer
    }

    /// Live, ready, started.
    fn state(&self) -> (u16, u16, u16) {
        (
            self.get("/livez").status,
            self.get("/readyz").status,
            self.get("/startupz").status,
        )
    }

    #[track_caller]
    fn until(&self, state: (u16, u16, u16)) {
        wait_for(&format!("{state:?}"), LIMIT, || (self.state() == state).then_some(()));
    }
}

#[test]
fn a_life() {
    let folder = Folder::new();
    let file = folder.path().join("orders.db");
    let mut command = Command::new(build("orders"));
    command.args(["--quiet", "--port", "0", "--database"]).arg(&file);
    command
        .env("VITALSIGN_ADMIN", "127.0.0.1:0")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env_remove("RUST_LOG");
    let process = Process::start(&mut command);
    let admin = process.line("the admin address", LIMIT, |line| {
        let url = line
            .split_whitespace()
            .find(|word| line.trim_start().starts_with("orders ") && word.ends_with("/metrics"))?;
        url.strip_suffix("/metrics").map(str::to_owned)
    });
    let mut orders = Orders { process, admin };
    orders.until((200, 200, 200));
    let text = orders.get("/readyz?verbose").text();
    for check in ["shop.store", "shop.stock"] {
        assert!(text.contains(&format!("[+]{check} ok")), "{text}");
        assert_eq!(orders.get(&format!("/readyz/{check}")).status, 200);
    }

    // A database that is down takes the pod out of the Service; restarting it would not help.
    let sound = std::fs::read(&file).unwrap();
    std::fs::write(&file, vec![0x5a; sound.len()]).unwrap();
    orders.until((200, 503, 200));
    assert!(
        orders.get("/readyz").text().contains("[-]shop.store failed: "),
        "{}",
        orders.get("/readyz").text()
    );
    let excluded = orders.get("/readyz?verbose&exclude=shop.store");
    assert_eq!(excluded.status, 200, "{}", excluded.text());
    std::fs::write(&file, sound).unwrap();
    orders.until((200, 200, 200));

    // Without its neighbour it still shows orders.
    let inventory = child_of(orders.process.id());
    signal("-STOP", inventory);
    wait_for("the silent inventory to be noticed", LIMIT, || {
        let answer = orders.get("/readyz?verbose");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().contains("[+]shop.stock ok: degraded").then_some(())
    });
    signal("-CONT", inventory);
    wait_for("the inventory to be back", LIMIT, || {
        (!orders.get("/readyz?verbose").text().contains("degraded")).then_some(())
    });

    // Draining: live, so that nobody kills it, and not ready, so that nobody sends it more.
    signal("-TERM", orders.process.id());
    orders.until((200, 503, 200));
    assert!(orders.get("/readyz").text().contains("[-]lifecycle failed: draining"));
    let status = orders.process.terminate(LIMIT);
    assert!(status.success(), "{status}");
    let lines = orders.process.lines().join("\n");
    for line in ["health check is down", "health check is up", "health check is degraded"] {
        assert!(lines.contains(line), "{line} in\n{lines}");
    }
}

fn signal(name: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn child_of(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let of_main = children.split_whitespace().next().map(str::to_owned);
    // The one that started it may be another thread than the first.
    let any = || {
        std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .flatten()
            .find_map(|task| {
                let children = std::fs::read_to_string(task.path().join("children")).ok()?;
                children.split_whitespace().next().map(str::to_owned)
            })
    };
    of_main.or_else(any).expect("the inventory").parse().unwrap()
}
