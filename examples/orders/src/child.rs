//! The second process: this program again, as `inventory`. It lives as long as the pipe on its standard input, so it ends with
//! its parent, however that ends.

use crate::Fallible;
use crate::receiver::Receiver;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

const ANNOUNCEMENT: &str = "inventory listens on ";

pub(crate) struct Inventory {
    child: Child,
    /// `http://HOST:PORT`.
    pub(crate) address: String,
    /// The same of its admin server.
    pub(crate) admin: Option<String>,
}

/// Starts it with a service name and an admin port of its own, and waits for its address.
pub(crate) async fn start_inventory(receiver: &Receiver) -> Fallible<Inventory> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("inventory")
        .env("OTEL_SERVICE_NAME", "inventory")
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.traces_endpoint())
        .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        .env("VITALSIGN_ADMIN", admin_address())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the inventory has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = lines.next_line().await?.ok_or("the inventory ended before it began")?;
        if let Some(addresses) = line.strip_prefix(ANNOUNCEMENT) {
            let mut addresses = addresses.split(' ').map(str::to_owned);
            let (address, admin) = (addresses.next().unwrap_or_default(), addresses.next());
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    println!("{line}");
                }
            });
            return Ok(Inventory { child, address, admin });
        }
        println!("{line}");
    }
}

impl Inventory {
    /// Closes the pipe and waits for it to flush and go.
    pub(crate) async fn end(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

/// The port after the shop's default, or a free one.
fn admin_address() -> String {
    let usual = "127.0.0.1:9465";
    let free = std::net::TcpListener::bind(usual).is_ok();
    if free { usual } else { "127.0.0.1:0" }.to_owned()
}

/// Said by the inventory to its parent.
pub(crate) fn announce(address: SocketAddr, admin: Option<SocketAddr>) {
    let admin = admin.map(|admin| format!(" http://{admin}")).unwrap_or_default();
    println!("{ANNOUNCEMENT}http://{address}{admin}");
}

/// The parent has closed the pipe, or is gone.
pub(crate) async fn abandoned() {
    let mut nothing = [0];
    while tokio::io::stdin().read(&mut nothing).await.is_ok_and(|read| read > 0) {}
}
