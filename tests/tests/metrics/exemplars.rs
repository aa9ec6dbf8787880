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
}

/// Has no span of its own.
#[vitalsign::timed(name = "inner")]
fn inner() {
    SIZES.observe(50.0);
}

#[test]
fn none_of_a_trace_that_was_dropped() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .admin("127.0.0.1:0")
        .otlp_endpoint(receiver.http())
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        .variable("VITALSIGN_TAIL", "errors")
        .install()
        .unwrap();
    let page = format!("http://{}/metrics", vitals.admin_addr().unwrap());
    let exemplars = || -> Vec<(String, String)> {
        assert!(vitals.flush(Duration::from_secs(10)));
        let accept = [("Accept", "application/openmetrics-text;version=1.0.0")];
        let page = http::get_with(&page, &accept).unwrap().text();
        page.lines()
            .filter_map(|line| {
                let (sample, exemplar) = line.split_once(" # ")?;
                let id = exemplar.split('"').nth(1)?;
                Some((sample.split('{').next()?.to_owned(), id.to_owned()))
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
    let names: HashSet<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        HashSet::from([
            "root_duration_seconds_bucket",
            "inner_seconds_bucket",
            "sizes_bytes_bucket"
        ]),
        "{shown:?}"
    );
    assert!(shown.iter().all(|(_, id)| kept.contains(id)), "{shown:?} {kept:?}");
}
