//! A program that logs in every way there is: for the tests of lines. `logs_program exit` leaves by `std::process::exit`, `logs_program keep`
//! never drops what `init()` returned, `logs_program after` says something after its end.

use std::time::Duration;

#[derive(Debug)]
struct Declined(std::io::Error);

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("card declined")
    }
}

impl std::error::Error for Declined {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[vitalsign::traced]
async fn place_order(id: u64) -> Result<u64, Declined> {
    tracing::info!(order.id = id, gift = true, password = "hunter2", "placing");
    log::warn!("from the log crate");
    tokio::time::sleep(Duration::from_millis(1)).await;
    if id == 0 {
        return Err(Declined(std::io::Error::other("no funds")));
    }
    Ok(id)
}

#[vitalsign::traced]
fn breaks() {
    panic!("it broke");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vitals = vitalsign::init()?;
    match std::env::args().nth(1).as_deref() {
        Some("exit") => {
            tracing::error!("last words");
            std::process::exit(3);
        }
        Some("keep") => {
            std::mem::forget(vitals);
            tracing::error!("last words");
            return Ok(());
        }
        _ => {}
    }
    vitalsign::scope! { tenant = "acme" }
        .follow(async {
            let _ = place_order(7).await;
            let _ = place_order(0).await;
        })
        .await;
    tracing::debug!("not seen");
    if let Some(logs) = vitals.logs() {
        logs.set_filter("debug")?;
    }
    tracing::debug!(nan = f64::NAN, text = "a\"b\\c\n\u{1}\u{2028}", "seen");
    let _ = std::thread::spawn(breaks).join();
    vitals.shutdown().await?;
    if std::env::args().nth(1).as_deref() == Some("after") {
        tracing::error!("last words");
    }
    Ok(())
}
