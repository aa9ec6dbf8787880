//! Buckets that no macro can judge are refused by `init()`, naming the metric and the place.

#![forbid(unsafe_code)]

const HIGHEST: f64 = f64::INFINITY;

#[vitalsign::timed(name = "bad.buckets", buckets = [0.1, HIGHEST])]
fn timed() {}

#[test]
fn init_refuses() {
    timed();
    let refused = vitalsign::builder().admin("off").install().unwrap_err().to_string();
    assert!(
        refused.contains("metric `bad.buckets`: a bucket bound is not a finite number")
            && refused.contains("metrics_bad_buckets.rs:8"),
        "{refused}"
    );
}
