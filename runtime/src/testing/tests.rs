//! A capture sees its own test's work and nobody else's. The functions are written as the attributes expand them.
#![allow(
    clippy::float_cmp,
    clippy::needless_borrow,
    reason = "whole numbers; the borrows choose the impl"
)]

use super::*;
use crate::__private as p;
use crate::metrics::label::LabelType;
use crate::site::LabelSource;

const DEF: p::Def = p::Def {
    asynchronous: true,
    fallible: true,
    ..p::Def::bare("place_order")
};

async fn place_order(n: u32, gift: bool) -> Result<u32, std::fmt::Error> {
    static GIFT: LabelType = LabelType::of::<bool>();
    static LABELS: [p::LabelDef; 1] = [p::LabelDef {
        key: "gift",
        source: LabelSource::Entry(Some(&GIFT)),
    }];
    static SITE: p::Site = p::Site {
        def: p::Def {
            span: Some(p::SpanDef {
                name: "place_order",
                fields: &["n"],
                ..p::SpanDef::DEFAULT
            }),
            counter: Some(p::CounterDef {
                name: Some("orders.placed"),
                labels: &LABELS,
                ..p::CounterDef::DEFAULT
            }),
            timer: Some(p::TimerDef::DEFAULT),
            ..DEF
        },
        slots: p::Slots::new(),
    };
    p::future::<7, _, _, _>(
        &SITE,
        move |call| {
            if call.on() {
                if call.open() {
                    call.fields(&[&n as &dyn p::Value]);
                }
                call.count_labels(p::labels(&(p::label(&gift),)));
            }
            async move {
                tracing::info!(n, "placing");
                tokio::task::yield_now().await;
                if n == 0 { Err(std::fmt::Error) } else { Ok(n) }
            }
        },
        |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        },
    )
    .await
}

#[tokio::test]
async fn everything_one_test_did() {
    let capture = capture();
    place_order(2, true).await.unwrap();
    let span = tracing::info_span!("outer", who = "ada");
    let _ = tracing::Instrument::instrument(place_order(0, false), span).await;
    assert_eq!(
        capture.tree(),
        "place_order\nouter\n└ place_order  error: an error occurred when formatting an argument\n"
    );
    assert_eq!(capture.span("outer").attribute("who"), Some("ada"));
    let spans = capture.spans();
    assert_eq!(spans[0].attribute("n"), Some("2"));
    assert_eq!((spans[0].status, spans[0].outcome()), (Status::Unset, "ok"));
    assert_eq!((spans[2].status, spans[2].outcome()), (Status::Error, "error"));
    assert_eq!(spans[2].parent_id, Some(spans[1].span_id));
    assert_eq!(capture.count("orders.placed", &[]), 2.0);
    assert_eq!(
        capture.count("orders.placed", &[("gift", "true"), ("outcome", "ok")]),
        1.0
    );
    assert_eq!(
        capture.count("orders.placed", &[("gift", "true"), ("outcome", "error")]),
        0.0
    );
    assert_eq!(capture.increments()[1].label("gift"), Some("false"));
    let samples = capture.samples("function.duration");
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].label("function"), Some("place_order"));
    assert_eq!(samples[1].label("outcome"), Some("error"));
    assert!(samples[0].duration < Duration::from_secs(5));
    let lines = capture.lines();
    assert_eq!((lines[0].message.as_str(), lines[0].field("n")), ("placing", Some("2")));
    assert_eq!(lines[0].span_id, Some(spans[0].span_id));
    let error = lines.iter().find(|line| line.level == Level::ERROR).unwrap();
    assert_eq!(error.field("function"), Some("place_order"));
    assert_eq!(error.trace_id, Some(spans[2].trace_id));
}

#[test]
fn tests_beside_each_other_do_not_meet() {
    let threads: Vec<_> = (1..=8_u32)
        .map(|n| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let capture = capture();
                runtime.block_on(async {
                    for _ in 0..n {
                        tokio::spawn(place_order(n, false)).await.unwrap().unwrap();
                    }
                });
                assert_eq!(capture.count("orders.placed", &[]), f64::from(n));
                assert_eq!(capture.spans().len(), n as usize);
                assert!(
                    capture
                        .spans()
                        .iter()
                        .all(|span| span.attribute("n") == Some(&n.to_string()))
                );
                assert_eq!(capture.lines().len(), n as usize);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_task_is_seen_on_any_thread() {
    let capture = capture();
    let tasks: Vec<_> = (0..20)
        .map(|_| tokio::spawn(capture.follow(place_order(1, false))))
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(capture.spans().len(), 20);
    assert_eq!(capture.count("orders.placed", &[]), 20.0);
}

#[test]
fn a_cancelled_call() {
    let capture = capture();
    let mut future = Box::pin(place_order(1, false));
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
            .is_pending()
    );
    drop(future);
    assert_eq!(capture.span("place_order").outcome(), "cancelled");
    assert_eq!(capture.count("orders.placed", &[("outcome", "cancelled")]), 1.0);
    assert_eq!(capture.tree(), "place_order  error: cancelled\n");
}

fn heat() {
    static SITE: p::Site = p::Site {
        def: p::Def {
            counter: Some(p::CounterDef {
                name: Some("kettles.heated"),
                ..p::CounterDef::DEFAULT
            }),
            ..DEF
        },
        slots: p::Slots::new(),
    };
    p::Brief::<1>::begin(&SITE).succeeded();
}

#[test]
fn what_counted_before_is_captured_too() {
    let count = |capture: &Capture| capture.count("kettles.heated", &[("outcome", "ok")]);
    crate::switch::set(true);
    (0..3).for_each(|_| heat());
    for _ in 0..3 {
        let capture = capture();
        heat();
        assert_eq!(count(&capture), 1.0);
        drop(capture);
        (0..3).for_each(|_| heat());
    }
    // While tests beside this one capture, none goes straight; then each time.
    let capture = capture();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..1000).for_each(|_| heat()));
        (0..1000).for_each(|_| heat());
    });
    assert_eq!(count(&capture), 1000.0);
}
