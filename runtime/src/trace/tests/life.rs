//! Spans across threads and out of order, forged ids, bodies of every length.

use super::*;
use crate::trace::{SpanExt as _, drain, local, store};
use std::sync::atomic::Ordering;

#[test]
fn the_filter_decides_what_exists() {
    let traced = Traced::new(|setup| setup.filter = "warn,vitalsign=debug".into());
    traced.run(|| {
        tracing::debug_span!("seen").in_scope(|| ());
        tracing::trace_span!("unseen").in_scope(|| plain(site!("below"), || ()));
        plain(site!("elsewhere", target: Some("other")), || ());
        plain(site!("traced too deep", level: p::Level::TRACE), || ());
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(names, ["seen", "below"]);
}

#[test]
fn clones_threads_and_odd_orders() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let a = tracing::info_span!("a");
        let b = tracing::info_span!("b");
        let (entered_a, entered_b) = (a.clone().entered(), b.clone().entered());
        drop(entered_a); // out of order
        assert_eq!(crate::trace::current().unwrap().span_id, context(&b).span_id);
        drop(entered_b);
        assert!(crate::trace::current().is_none());
        let elsewhere = a.clone();
        drop(a);
        std::thread::spawn(move || drop(elsewhere)).join().unwrap();
        let held = plain(site!("held"), tracing::Span::current);
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
    });
    assert_eq!(traced.spans().len(), 3);
    let held = traced.span("held");
    let nanos = held.end_time_unix_nano - held.start_time_unix_nano;
    assert!(nanos < 4_000_000, "it ended when the call did: {nanos}");
}

#[test]
fn a_span_that_has_ended_stays_as_it_was() {
    let traced = Traced::new(|_| ());
    let (held, current) = traced.run(|| plain(site!("ended"), || (tracing::Span::current(), crate::current())));
    assert!(!current.is_recording());
    let before = current.context();
    current.set("late", 1);
    current.event("late", []);
    current.link(&remote(TraceFlags::SAMPLED));
    current.set_status(crate::trace::Status::Error("late".into()));
    current.record_error(&std::io::Error::other("late"));
    held.set_attribute("late", 1);
    held.set_parent(&remote(TraceFlags::SAMPLED));
    assert_eq!(held.context(), before);
    drop(held);
    let span = traced.span("ended");
    assert_eq!(
        (value(&span, "late"), value(&span, "error.type"), &span.status),
        (None, None, &None)
    );
    assert_eq!(
        (span.events.len(), span.links.len(), span.dropped_attributes_count),
        (0, 0, 0)
    );
}

#[test]
fn forged_ids_do_no_harm() {
    let traced = Traced::new(|_| ());
    let live = traced.run(|| tracing::info_span!("live"));
    let id = live.id().unwrap().into_u64();
    let tagged = 1 << 31;
    for forged in [
        1,
        u64::MAX,
        id + 1,
        id ^ (1 << 40),
        id + (1 << 32),
        tagged,
        tagged | 2 << 32,
        tagged | 1 << 32 | 4095 << 7,
        tagged | 1 << 32 | 0x7fff_ffff,
    ] {
        let forged = tracing_core::span::Id::from_u64(forged);
        traced.dispatch.enter(&forged);
        traced.dispatch.exit(&forged);
        let cloned = traced.dispatch.clone_span(&forged);
        traced.dispatch.try_close(cloned);
        traced.dispatch.try_close(forged);
    }
    drop(live);
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn nothing_is_lost_between_threads() {
    let traced = Traced::new(|_| ());
    let before = stats().dropped_ring;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let dispatch = traced.dispatch.clone();
            std::thread::spawn(move || {
                dispatcher::with_default(&dispatch, || {
                    for n in 0..500 {
                        plain(site!("root"), || tracing::info_span!("child", n).in_scope(|| ()));
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let lost = stats().dropped_ring - before;
    assert_eq!(traced.spans().len() as u64 + lost, 4000);
    assert_eq!(lost, 0);
}

/// So many more spans have begun on this thread than ended on it.
fn open_here() -> i64 {
    let open = local::with(|local| {
        let counters = local.counters();
        counters.started.get() as i64 - counters.ended.get() as i64
    });
    open.unwrap()
}

#[test]
fn a_span_that_many_threads_move_begins_and_ends_once() {
    let traced = Traced::new(|_| ());
    for _ in 0..50 {
        let before = open_here();
        let span = traced.run(|| tracing::info_span!("moved"));
        let moves = |flags: [TraceFlags; 2]| {
            for flags in flags.into_iter().cycle().take(100) {
                span.set_parent(&remote(flags));
            }
            open_here()
        };
        let open = std::thread::scope(|scope| {
            let (on, off) = (TraceFlags::SAMPLED, TraceFlags::default());
            let threads = [[on, off], [off, on], [on, on]].map(|flags| scope.spawn(move || moves(flags)));
            threads.map(|thread| thread.join().unwrap()).iter().sum::<i64>()
        });
        drop(span);
        assert_eq!(open_here() + open, before);
    }
}

#[test]
fn a_span_that_ends_out_of_its_thread_s_reach_is_counted() {
    let traced = Traced::new(|_| ());
    let apart = || drain::ENDED_APART.load(Ordering::Relaxed);
    let before = apart();
    let span = traced.run(|| tracing::info_span!("orphan"));
    let handle = crate::trace::subscriber::handle(&span.id().unwrap()).unwrap();
    local::with(|_| store::close(handle, |_| ()));
    assert!(apart() > before);
    traced.span("orphan");
}

#[test]
fn a_slot_that_a_thread_leaves_behind_is_empty() {
    let traced = Traced::new(|_| ());
    let on_a_thread = |f: fn()| {
        let dispatch = traced.dispatch.clone();
        let thread = std::thread::spawn(move || dispatcher::with_default(&dispatch, f));
        thread.join().unwrap();
    };
    on_a_thread(|| {
        let mut call = p::Call::<SPAN>::idle(site!("left"));
        call.entered();
        crate::current().set("secret", "of another");
        std::mem::forget(call);
    });
    // As many as a thread takes slots for, and so that one, too.
    on_a_thread(|| drop([(); 64].map(|()| tracing::info_span!("next"))));
    let spans = traced.spans();
    assert_eq!(spans.len(), 64);
    assert!(spans.iter().all(|(_, span)| value(span, "secret").is_none()));
}

#[test]
fn a_long_body_goes_around_the_ring() {
    let traced = Traced::new(|_| ());
    let long = "x".repeat(1 << 20);
    traced.run(|| tracing::info_span!("long", long = &*long).in_scope(|| ()));
    assert_eq!(text(&traced.span("long"), "long").unwrap(), long);
}

#[tokio::test]
async fn a_dropped_future_is_cancelled() {
    let traced = Traced::new(|_| ());
    let future = p::future::<SPAN, _, _, _>(site!("cancelled"), |_| std::future::pending::<()>(), |(), _| ());
    {
        let mut future = std::pin::pin!(future);
        let _guard = dispatcher::set_default(&traced.dispatch);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
        assert!(polled);
    }
    let span = traced.span("cancelled");
    assert_eq!(text(&span, "outcome").unwrap(), "cancelled");
    assert_eq!(span.status, None, "an intended cancellation is no error");
}

#[test]
fn after_shutdown_no_span_begins() {
    let traced = Traced::new(|_| ());
    traced.run(|| plain(site!("before"), || ()));
    assert!(traced.pipeline.shutdown(Instant::now() + Duration::from_secs(20)));
    traced.run(|| plain(site!("after"), || assert!(crate::trace::current().is_none())));
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn after_shutdown_no_span_of_tracing_begins() {
    let traced = Traced::new(|_| ());
    let work = |name: &'static str| {
        traced.run(|| tracing::info_span!("a task", name).in_scope(|| crate::trace::current().is_some()))
    };
    assert!(work("before"));
    assert!(traced.pipeline.shutdown(Instant::now() + Duration::from_secs(20)));
    assert!(!work("after"));
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn a_batch_of_large_spans_is_bounded_in_bytes() {
    let traced = Traced::new(|_| ());
    let body = "x".repeat(700 * 1024);
    for _ in 0..3 {
        traced.run(|| {
            for _ in 0..6 {
                tracing::info_span!("large", body).in_scope(|| ());
            }
        });
    }
    assert_eq!(traced.spans().len(), 18);
    let batches = traced.kept.batches.lock().unwrap();
    let largest = batches.iter().map(|batch| batch.scopes.len()).max();
    assert!(largest.is_some_and(|bytes| bytes < 4 << 20), "{largest:?}");
}
