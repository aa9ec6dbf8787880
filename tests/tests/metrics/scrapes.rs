//! Thousands of parallel scrapes with hostile headers, and a gathering that hangs: answered or refused, alive, no count lost.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests::{http, page};
use vitalsign::Vitals;

vitalsign::metrics! {
    /// Answers when it is let.
    static SLOW: ObservableGauge = "slow.gauge";
}

#[vitalsign::counted(name = "scrapes.calls")]
#[vitalsign::timed(name = "scrapes.times")]
fn call() {}

fn vitals() -> (&'static Vitals, String) {
    static VITALS: OnceLock<Vitals> = OnceLock::new();
    let vitals = VITALS.get_or_init(|| vitalsign::builder().admin("127.0.0.1:0").install().unwrap());
    (vitals, format!("http://{}/metrics", vitals.admin_addr().unwrap()))
}

const ACCEPTS: [&str; 10] = [
    "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.9",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=1e9",
    "*/*;q=-1,;;;,,=",
    "text/plain;q=nan, */*;q=inf",
    "\u{ff}\u{fe}\u{1}",
    "application/openmetrics-text;version=99.99.99;escaping=values",
    ";q=;q=;q=\"\\\"",
    "text/html",
    "",
];

#[test]
fn thousands_at_once() {
    tests::own_process!();
    let (_, url) = vitals();
    let long = "a/b;q=0.1,".repeat(1500);
    let done = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let answers: Vec<Vec<u16>> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                call();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        let scrapers: Vec<_> = (0..100)
            .map(|n| {
                let (url, long) = (&url, &long);
                scope.spawn(move || {
                    (0..30)
                        .map(|round| {
                            let accept = *ACCEPTS.get((n + round) % 11).unwrap_or(&long.as_str());
                            let headers = [("Accept", accept), ("Accept-Encoding", "gzip;q=0, br, *;q=x")];
                            // A head that is refused may be cut off before it is read to its end.
                            let Ok(response) = http::get_with(url, &headers) else {
                                return 0;
                            };
                            if response.status == 200 && accept.contains("version=1.0.0; charset") {
                                assert!(response.text().ends_with("# EOF\n"));
                            }
                            response.status
                        })
                        .collect()
                })
            })
            .collect();
        let answers = scrapers.into_iter().map(|scraper| scraper.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        answers
    });
    let count = |status| answers.iter().flatten().filter(|&&answer| answer == status).count();
    let (good, busy, refused) = (count(200), count(503), count(400) + count(431) + count(0));
    assert_eq!(good + busy + refused, 3000);
    assert!(good > 0 && refused <= 3000 / 11 * 2 + 300, "{good} {busy} {refused}");
    let page = page::get(&url);
    let called = calls.load(Ordering::Relaxed) as f64;
    assert_eq!(page.sum("scrapes_calls_total", &[]), called);
    assert_eq!(page.sum("scrapes_times_seconds_count", &[]), called);
}

#[test]
fn a_callback_that_hangs() {
    tests::own_process!();
    let (_, url) = vitals();
    static HANGS: AtomicBool = AtomicBool::new(true);
    SLOW.observe(|| {
        while HANGS.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        7.0
    });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..20).map(|_| scope.spawn(|| http::get(&url).unwrap())).collect();
        scrapers.into_iter().map(|scraper| scraper.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 503));
    let said = |words: &str| answers.iter().filter(|answer| answer.text().contains(words)).count();
    assert!(said("took too long") > 0 && said("at the same time") > 0);
    HANGS.store(false, Ordering::Relaxed);
    // The places are given back as each gathering ends.
    let page = loop {
        let answer = http::get(&url).unwrap();
        if answer.status == 200 {
            break page::parse(&answer.text());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert_eq!(page.value("slow_gauge", &[]), Some(7.0));
}
