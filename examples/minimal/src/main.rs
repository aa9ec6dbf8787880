//! The README's program.

use vitalsign::{LabelValue, counted, health_check, timed, traced};

#[derive(Clone, Copy, Debug, LabelValue)]
enum Size {
    Small,
    Large,
}

/// Coffees brewed.
#[traced(fields(coffee.size = ?size))]
#[counted(name = "coffees.brewed", labels(size = size))]
#[timed]
async fn brew(size: Size, beans: u32) -> Result<u32, String> {
    tracing::info!(beans, "grinding");
    beans.checked_sub(18).ok_or_else(|| String::from("out of beans"))
}

#[health_check(liveness, readiness)]
fn water() -> bool {
    true
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vitals = vitalsign::init()?;
    let left = brew(Size::Small, 40).await?;
    let _ = brew(Size::Large, left - 18).await;
    vitals.shutdown().await?;
    Ok(())
}
