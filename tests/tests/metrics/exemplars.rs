//! Exemplars under tail sampling: each names a trace that was kept.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::time::Duration;
use tests::http;
use tests::otlp::Receiver;

#[vitalsign::observed(name = "root")]
fn root(ok: bool) -> Result<(), std::fmt::Error> {
    inner();
    if ok { Ok(()) } else { Err(std::fmt::Error) }
}

vitalsign::metrics! {
    /// Sizes.
    static SIZES: Histogram = "sizes", unit = "By", buckets = [10.0, 100.0];
    /// Weights.
    static WEIGHTS: Counter<f64> = "weights", unit = "g";
}

/// Counts and has no span of its own.
#[vitalsign::counted(name = "items", by = amount, labels(heavy = heavy))]
fn item(amount: u32, heavy: bool) {}

/// Has no span of its own.
#[vitalsign::timed(name = "inner")]
fn inner() {
    SIZES.observe(50.0);
    WEIGHTS.add(2.5);
    item(3, true);
}

#[test]
fn none_of_a_trace_that_was_dropped() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = crate::pushing(&receiver)
        .variable("VITALSIGN_TAIL", "errors")
        .install()
        .unwrap();
    let page = format!("http://{}/metrics", vitals.admin_addr().unwrap());
    let exemplars = || -> Vec<(String, String, String)> {
        assert!(vitals.flush(Duration::from_secs(10)));
        let accept = [("Accept", "application/openmetrics-text;version=1.0.0")];
        let page = http::get_with(&page, &accept).unwrap().text();
        page.lines()
            .filter_map(|line| {
                let (sample, exemplar) = line.split_once(" # ")?;
                let id = exemplar.split('"').nth(1)?;
                let name = sample.split(['{', ' ']).next()?;
                Some((name.to_owned(), id.to_owned(), exemplar.split(' ').nth(1)?.to_owned()))
            })
            .collect()
    };
    root(true).unwrap();
    assert_eq!(exemplars(), []);
    // A bucket takes an example each quarter of a second.
    for ok in [false, true, true] {
        std::thread::sleep(Duration::from_millis(300));
        let _ = root(ok);
    }
    let shown = exemplars();
    let kept: HashSet<String> = receiver.spans().iter().map(|span| span.trace_id.clone()).collect();
    assert_eq!(kept.len(), 1);
    let names: HashSet<&str> = shown.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        HashSet::from([
            "root_calls_total",
            "root_duration_seconds_bucket",
            "items_total",
            "weights_grams_total",
            "inner_seconds_bucket",
            "sizes_bytes_bucket"
        ]),
        "{shown:?}"
    );
    assert!(shown.iter().all(|(_, id, _)| kept.contains(id)), "{shown:?} {kept:?}");
    // What it counted then, not all it counts.
    let value = |of: &str| {
        shown
            .iter()
            .find(|(name, ..)| name == of)
            .map(|(.., value)| value.as_str())
    };
    assert_eq!(value("root_calls_total"), Some("1.0"), "{shown:?}");
    assert_eq!(value("items_total"), Some("3.0"), "{shown:?}");
    assert_eq!(value("weights_grams_total"), Some("2.5"), "{shown:?}");
}
