//! Ten thousand threads that come and go: no count is lost, and memory stays flat.

#![forbid(unsafe_code)]

use tests::page;

#[vitalsign::counted(name = "short.calls")]
#[vitalsign::timed(name = "short.times")]
fn call() {}

fn generation(threads: usize) {
    for _ in 0..threads / 50 {
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| (0..3).for_each(|_| call()));
            }
        });
    }
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand() {
    tests::own_process!();
    let vitals = vitalsign::builder().admin("127.0.0.1:0").install().unwrap();
    generation(1000);
    let before = resident();
    generation(9000);
    let grown = resident().saturating_sub(before);
    // A stripe of the two takes 256 bytes: for nine thousand threads that were 2.3 MB, and the stacks they left far more.
    assert!(grown < 1 << 20, "{grown} bytes more");
    let page = page::get(&format!("http://{}/metrics", vitals.admin_addr().unwrap()));
    assert_eq!(page.sum("short_calls_total", &[]), 30_000.0);
    assert_eq!(page.sum("short_times_seconds_count", &[]), 30_000.0);
}
