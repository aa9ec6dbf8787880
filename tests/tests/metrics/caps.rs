//! The total cap on series: nothing grows beyond it, and what is dropped is counted to the last call.

#![forbid(unsafe_code)]

use tests::page;

#[vitalsign::counted(name = "flood.calls", labels(user = limit(user, 10_000)))]
fn call(user: u32) {}

#[vitalsign::timed(name = "flood.times", labels(user = limit(user, 10_000)))]
fn time(user: u32) {}

#[test]
fn the_last_guard() {
    tests::own_process!();
    const CAP: usize = 300;
    const CALLS: u32 = 5000;
    let vitals = vitalsign::builder()
        .admin("127.0.0.1:0")
        .metric_series(CAP)
        .install()
        .unwrap();
    for user in 0..CALLS {
        call(user);
        time(user);
    }
    let page = page::get(&format!("http://{}/metrics", vitals.admin_addr().unwrap()));
    let series = page.value("vitalsign_metrics_series", &[]).unwrap();
    assert!((200.0..=CAP as f64).contains(&series), "{series}");
    let kept = page.sum("flood_calls_total", &[]) + page.sum("flood_times_seconds_count", &[]);
    let dropped = page
        .value("vitalsign_metrics_dropped_total", &[("reason", "series_limit")])
        .unwrap();
    assert!(dropped > 0.0);
    assert_eq!(kept + dropped, f64::from(2 * CALLS));
}
