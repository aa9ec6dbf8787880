//! The ways to a span: attributes, `tracing`, the API by hand, the layer, baggage.

use super::*;
use std::future::Future as _;
use std::task::{Context, Waker};

#[test]
fn a_tree_of_both_fronts() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        plain(site!("outer"), || {
            let middle = tracing::info_span!("middle", a = 1, b = "two", c = tracing::field::Empty);
            let _entered = middle.enter();
            middle.record("c", 2.5);
            plain(site!("inner"), || ());
        });
    });
    let spans = traced.spans();
    let names: Vec<&str> = spans.iter().map(|(_, span)| &*span.name).collect();
    assert_eq!(names, ["outer", "middle", "inner"]);
    let [outer, middle, inner] = [0, 1, 2].map(|n: usize| &spans[n].1);
    assert_eq!(outer.parent_span_id, b"");
    assert_eq!(middle.parent_span_id, outer.span_id);
    assert_eq!(inner.parent_span_id, middle.span_id);
    assert!(
        spans
            .iter()
            .all(|(_, span)| span.trace_id == outer.trace_id && span.trace_id.len() == 16)
    );
    assert!(outer.start_time_unix_nano <= middle.start_time_unix_nano);
    assert!(outer.end_time_unix_nano >= middle.end_time_unix_nano);
    assert_eq!(outer.kind, 1);
    assert_eq!(outer.flags, 0x103, "sampled, random, known not to be remote");
    assert_eq!(outer.status, None);
    assert_eq!(spans[0].0, module_path!());
    assert_eq!(value(middle, "a"), Some(Value::IntValue(1)));
    assert_eq!(text(middle, "b").unwrap(), "two");
    assert_eq!(value(middle, "c"), Some(Value::DoubleValue(2.5)));
    assert_eq!(
        text(outer, "code.function.name").unwrap(),
        concat!(module_path!(), "::outer")
    );
    assert_eq!(text(outer, "code.file.path").unwrap(), file!());
    assert!(matches!(value(middle, "code.line.number"), Some(Value::IntValue(n)) if n > 0));
}

#[test]
fn links_and_parents() {
    let traced = Traced::new(|_| ());
    let remote = SpanContext {
        trace_state: Some("a=b".into()),
        ..remote(TraceFlags::SAMPLED)
    };
    traced.run(|| {
        let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("child of remote"));
        call.begin();
        call.parent(&remote);
        call.link(|link| link(remote.clone()));
        call.enter();
        let mut inner = p::Call::<{ SPAN | SAID }>::idle(site!("a root inside"));
        inner.begin();
        inner.root();
        inner.enter();
        inner.finish(&(), |(), _| ());
        call.finish(&(), |(), _| ());
        let a = tracing::info_span!("a");
        let b = tracing::info_span!(parent: &a, "b");
        b.follows_from(&a);
    });
    let child = traced.span("child of remote");
    assert_eq!(child.trace_id, remote.trace_id.0.to_be_bytes());
    assert_eq!(child.parent_span_id, remote.span_id.0.to_be_bytes());
    assert_eq!(child.trace_state, "a=b");
    assert_eq!(
        child.flags, 0x301,
        "the parent is remote; the random bit is the parent's"
    );
    let link = &child.links[0];
    assert_eq!((&*link.trace_state, link.flags), ("a=b", 0x301));
    assert_eq!(link.span_id, remote.span_id.0.to_be_bytes());
    let inside = traced.span("a root inside");
    assert!(inside.parent_span_id.is_empty() && inside.trace_id != child.trace_id);
    let (a, b) = (traced.span("a"), traced.span("b"));
    assert_eq!(b.parent_span_id, a.span_id);
    assert_eq!((&b.links[0].span_id, b.links[0].flags), (&a.span_id, 0x103));
}

/// Whoever asked for the whole trace gets it, whatever makes the spans; the flag is none of W3C's.
#[test]
fn debug_goes_along() {
    let traced = Traced::new(|_| ());
    let remote = remote(TraceFlags::SAMPLED.with(TraceFlags::DEBUG));
    let current = || crate::trace::hand::current().context().expect("a span");
    traced.run(|| {
        let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("outer"));
        call.begin();
        call.parent(&remote);
        call.link(|link| link(remote.clone()));
        call.enter();
        assert!(current().flags.is_debug());
        plain(site!("middle"), || {
            assert!(current().flags.is_debug());
            tracing::info_span!("inner").in_scope(|| {
                assert!(current().flags.is_debug());
                let parent = crate::trace::propagate::traceparent(&current());
                assert!(parent.ends_with("-01"), "{parent}");
            });
        });
        call.finish(&(), |(), _| ());
        plain(site!("another"), || assert!(!current().flags.is_debug()));
    });
    assert_eq!(traced.span("outer").flags, 0x301);
    assert_eq!(traced.span("outer").links[0].flags, 0x301);
    assert_eq!(traced.span("middle").flags, 0x101);
    assert_eq!(traced.span("inner").flags, 0x101);
}

#[test]
fn by_hand() {
    use crate::trace::{SpanExt as _, Status};
    let traced = Traced::new(|_| ());
    let remote = remote(TraceFlags::SAMPLED);
    let unsampled = SpanContext {
        flags: TraceFlags::default(),
        ..remote.clone()
    };
    traced.run(|| {
        let span = tracing::info_span!("moved");
        let before = span.context().unwrap();
        span.set_parent(&remote);
        span.set_attribute("dynamic", "yes");
        span.add_link(&before);
        span.set_status(Status::Ok);
        span.set_status(Status::Error("too late".into()));
        assert_eq!(span.context().unwrap().span_id, before.span_id);
        span.in_scope(|| plain(site!("below moved"), || ()));
        let out = tracing::info_span!("moved out");
        out.set_parent(&unsampled);
        assert!(!out.context().unwrap().is_sampled());
        drop(out);
        let by_hand = || {
            let current = crate::trace::hand::current();
            assert!(current.is_recording());
            let error = "x".parse::<u8>().unwrap_err();
            current.record_error(&error);
            current.event("cache.miss", [("key", "k".into()), ("n", 2.into())]);
            current.link(&remote);
            Err::<(), _>(error)
        };
        let _ = call(site!("hand"), by_hand, |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        });
        let links = [remote.clone(), remote.clone()];
        let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("linked"));
        call.begin();
        let links = p::Links::new(links.iter());
        call.link(|each| {
            use p::probe::*;
            (&&links).vitalsign_link(each);
        });
        let link = p::Links::new(&remote);
        call.link(|each| {
            use p::probe::*;
            (&&link).vitalsign_link(each);
        });
        call.enter();
        call.finish(&(), |(), _| ());
    });
    let moved = traced.span("moved");
    assert_eq!(moved.trace_id, remote.trace_id.0.to_be_bytes());
    assert_eq!(moved.parent_span_id, remote.span_id.0.to_be_bytes());
    assert_eq!(text(&moved, "dynamic").unwrap(), "yes");
    assert_eq!(moved.links.len(), 1);
    assert_eq!(moved.status.as_ref().unwrap().code, 1);
    assert_eq!(traced.span("below moved").parent_span_id, moved.span_id);
    let hand = traced.span("hand");
    let events: Vec<&str> = hand.events.iter().map(|event| &*event.name).collect();
    assert_eq!(
        events,
        ["exception", "cache.miss"],
        "the returned error is the same one"
    );
    assert_eq!(text(&hand, "error.type").unwrap(), "core::num::error::ParseIntError");
    assert_eq!(hand.links.len(), 1);
    assert_eq!(traced.span("linked").links.len(), 3);
    assert_eq!(traced.spans().len(), 4);
}

#[test]
fn what_begins_under_a_span_after_it_was_moved_follows_it() {
    use crate::trace::SpanExt as _;
    let baggage = |name| crate::trace::Baggage::default().with(name, "1");
    let of = |root| Traced::new(|setup| setup.sampler = Sampler::ParentBased(root));
    for traced in [of(Root::AlwaysOn), of(Root::AlwaysOff)] {
        let parent = SpanContext {
            baggage: baggage("moved"),
            ..remote(TraceFlags::SAMPLED)
        };
        traced.run(|| {
            let moved = tracing::info_span!("moved").entered();
            let own = baggage("own");
            own.run(|| {
                moved.set_parent(&parent);
                tracing::info_span!("child").in_scope(|| assert_eq!(crate::current().baggage(), own));
            });
            assert_eq!(crate::current().baggage(), parent.baggage);
            plain(site!("call"), || ());
            moved.set_parent(&remote(TraceFlags::default()));
            plain(site!("not sampled"), || ());
        });
        assert!(!crate::trace::stack::any_sampled());
        let (child, call) = (traced.span("child"), traced.span("call"));
        for child in [&child, &call] {
            assert_eq!(child.trace_id, parent.trace_id.0.to_be_bytes());
        }
        assert_eq!(child.parent_span_id, call.parent_span_id);
        assert_eq!(traced.spans().len(), 2);
    }
}

#[cfg(feature = "logs")]
#[test]
fn the_layer_over_a_registry() {
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    /// Another layer, which sees what its own filter says whatever ours says.
    struct Other(Arc<Mutex<Vec<&'static str>>>);
    impl<S: tracing_core::Subscriber> Layer<S> for Other {
        fn on_new_span(
            &self,
            attributes: &tracing_core::span::Attributes<'_>,
            _: &tracing_core::span::Id,
            _: Context<'_, S>,
        ) {
            self.0.lock().unwrap().push(attributes.metadata().name());
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let registry = tracing_subscriber::registry()
        .with(crate::trace::layer::layer())
        .with(Other(seen.clone()));
    let dispatch = Dispatch::new(registry);
    assert!(crate::trace::layer::is_layered());
    let traced = Traced::new(|setup| setup.filter = "info".into());
    dispatcher::with_default(&dispatch, || {
        tracing::info_span!("before init").in_scope(|| assert!(crate::trace::current().is_none()));
    });
    let shared = crate::trace::drain::pipeline(traced.pipeline.id()).unwrap();
    assert!(crate::trace::layer::connect(&shared));
    let remote = SpanContext {
        trace_id: TraceId(77),
        span_id: SpanId(78),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        ..SpanContext::default()
    };
    dispatcher::with_default(&dispatch, || {
        let outer = tracing::info_span!("outer layered", n = 1);
        outer.in_scope(|| {
            tracing::debug_span!("not for us").in_scope(|| {
                let mut call = p::Call::<SPAN>::idle(site!("annotated", fields: &["f"], kind: p::SpanKind::Client));
                call.begin();
                assert!(call.open());
                call.fields(&[&5_u32 as &dyn p::Value]);
                call.enter();
                tracing::info_span!("inner layered").in_scope(|| ());
                call.finish(&Err::<(), _>("no"), |ret, s| {
                    use p::probe::*;
                    (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
                });
            });
            let mut call = p::Call::<{ SPAN | SAID }>::idle(site!("under remote"));
            call.begin();
            call.parent(&remote);
            call.enter();
            call.finish(&(), |(), _| ());
        });
        assert!(crate::trace::current().is_none());
        for parent in [&remote, &SpanContext::default()] {
            let span = tracing::info_span!("closed while it is current");
            crate::trace::SpanExt::set_parent(&span, parent);
            let id = span.id().unwrap();
            dispatch.enter(&id);
            drop(span);
            tracing::info_span!("in it").in_scope(|| ());
            dispatch.exit(&id);
            assert!(crate::trace::current().is_none());
        }
    });
    assert!(seen.lock().unwrap().contains(&"not for us"), "our filter is ours alone");
    assert_eq!(traced.spans().len(), 8);
    let (outer, annotated) = (traced.span("outer layered"), traced.span("annotated"));
    assert_eq!(value(&outer, "n"), Some(Value::IntValue(1)));
    assert_eq!(annotated.parent_span_id, outer.span_id);
    assert_eq!(annotated.kind, 3);
    assert_eq!(value(&annotated, "f"), Some(Value::IntValue(5)));
    assert_eq!(text(&annotated, "outcome").unwrap(), "error");
    assert_eq!(annotated.status.as_ref().unwrap().message, "no");
    assert_eq!(traced.span("inner layered").parent_span_id, annotated.span_id);
    assert_eq!(traced.span("under remote").trace_id, remote.trace_id.0.to_be_bytes());
    registries_are_apart(&traced, &dispatch);
}

/// Each registry counts its spans for itself: the same id is another span in each.
#[cfg(feature = "logs")]
fn registries_are_apart(traced: &Traced, dispatch: &Dispatch) {
    use crate::SpanExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    let second = Dispatch::new(tracing_subscriber::registry().with(crate::trace::layer::layer()));
    let spans =
        [dispatch, &second].map(|dispatch| dispatcher::with_default(dispatch, || tracing::info_span!("one of two")));
    assert_ne!(spans[0].context(), spans[1].context());
    drop(spans);

    let layered = dispatcher::with_default(dispatch, || tracing::info_span!("beside a stranger"));
    let stranger = Dispatch::new(tracing_subscriber::registry());
    dispatcher::with_default(&stranger, || {
        let mut call = p::Call::<SPAN>::idle(site!("a stranger's", kind: p::SpanKind::Client));
        call.begin();
        call.enter();
        call.finish(&Err::<(), _>("a stranger's"), |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        });
    });
    drop(layered);
    let span = traced.span("beside a stranger");
    assert_eq!((span.kind, &span.status), (1, &None));

    let (behind, _handle) = tracing_subscriber::reload::Layer::new(crate::trace::layer::layer());
    dispatcher::with_default(&Dispatch::new(tracing_subscriber::registry().with(behind)), || {
        let mut call = p::Call::<SPAN>::idle(site!("behind reload", kind: p::SpanKind::Client));
        call.begin();
        call.enter();
        call.finish(&(), |(), _| ());
    });
    assert_eq!(traced.span("behind reload").kind, 3);
}

/// Members that the tests about it show; one list, for it is the process's.
const SHOWN: &str = "shown.tenant,shown.other,otel.name,otel.status_code,outcome,code.file.path";

#[test]
fn baggage_is_handed_on_and_shown_where_it_is_asked_for() {
    crate::trace::baggage::show(SHOWN);
    let traced = Traced::new(|_| ());
    let headers = std::collections::HashMap::from([(
        "baggage".to_owned(),
        "shown.tenant=acme,hidden=1,shown.other=x".to_owned(),
    )]);
    let sent = traced.run(|| {
        let outer = tracing::info_span!("outer", shown.other = "own");
        crate::SpanExt::set_parent(&outer, &headers);
        let _outer = outer.entered();
        let baggage = crate::current().baggage().without("hidden").with("added", "yes");
        baggage.run(|| {
            let inner = tracing::info_span!("inner").entered();
            let task = crate::in_context(async {
                let mut sent = std::collections::HashMap::<String, String>::new();
                crate::current().inject(&mut sent);
                sent
            });
            drop(inner);
            std::thread::spawn(move || block_on(task)).join().unwrap()
        })
    });
    assert_eq!(sent["baggage"], "shown.tenant=acme,shown.other=x,added=yes");
    let (outer, inner) = (traced.span("outer"), traced.span("inner"));
    assert!(outer.parent_span_id.is_empty(), "baggage alone begins a trace");
    assert_eq!(inner.parent_span_id, outer.span_id);
    assert_eq!(text(&outer, "shown.tenant").as_deref(), Some("acme"));
    assert_eq!(
        text(&outer, "shown.other").as_deref(),
        Some("own"),
        "the span's own word holds"
    );
    assert_eq!(text(&inner, "shown.other").as_deref(), Some("x"));
    assert_eq!((value(&outer, "hidden"), value(&inner, "added")), (None, None));
}

#[test]
fn what_a_future_drops_is_under_what_it_was_taken_along_with() {
    struct RollBack;
    impl Drop for RollBack {
        fn drop(&mut self) {
            tracing::info_span!("rolled back").in_scope(|| ());
        }
    }
    crate::trace::baggage::show(SHOWN);
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let hanging = || async {
            let _roll_back = RollBack;
            std::future::pending::<()>().await;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let outer = tracing::info_span!("outer").entered();
        let mut task = Box::pin(crate::in_context(hanging()));
        drop(outer);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        drop(task);
        let baggage = crate::trace::Baggage::parse("shown.tenant=acme");
        let mut task = Box::pin(baggage.follow(hanging()));
        assert!(task.as_mut().poll(&mut cx).is_pending());
        drop(task);
    });
    let spans = traced.spans();
    let [outer, in_context, with_baggage] = [0, 1, 2].map(|n: usize| &spans[n].1);
    assert_eq!(in_context.parent_span_id, outer.span_id);
    assert_eq!(text(with_baggage, "shown.tenant").as_deref(), Some("acme"));
}

#[test]
fn baggage_has_no_say_in_what_is_told_of_a_span_itself() {
    crate::trace::baggage::show(SHOWN);
    let traced = Traced::new(|_| ());
    let stranger = "otel.name=x,otel.status_code=ERROR,outcome=x,code.file.path=x,shown.tenant=acme";
    traced.run(|| {
        crate::trace::Baggage::parse(stranger).run(|| tracing::info_span!("told").in_scope(|| ()));
    });
    let told = traced.span("told");
    assert!(told.status.is_none());
    assert_eq!(text(&told, "shown.tenant").as_deref(), Some("acme"));
    assert_eq!(value(&told, "outcome"), None);
    assert_eq!(text(&told, "code.file.path").as_deref(), Some(file!()));
}

#[test]
fn baggage_without_a_span_reaches_the_first_one_and_ends_with_its_closure() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let baggage = crate::trace::Baggage::default().with("lonely", "1");
        let seen = baggage.run(|| {
            let root = tracing::info_span!(parent: None, "root").entered();
            let seen = crate::current().baggage();
            drop(root);
            crate::current()
                .baggage()
                .without("lonely")
                .run(|| assert!(crate::current().baggage().is_empty()));
            seen
        });
        assert_eq!(seen, baggage);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| baggage.run(|| panic!("in baggage"))));
        assert!(caught.is_err());
        assert!(crate::current().baggage().is_empty());
    });
}

const JOB: u8 = SPAN | SAID | crate::call::signals::OPERATION;

/// A job that was sent by this span, begun and not ended.
fn job(sender: &SpanContext) -> p::Call<JOB> {
    const DEF: p::JobDef = p::JobDef {
        name: "resize",
        system: "redis",
        queue: "images",
    };
    let mut call = p::Call::<JOB>::idle(site!("resize", operation: Some(p::OperationDef::Job(DEF))));
    call.begin();
    call.message(|delivery| p::message(sender, delivery));
    call.enter();
    call
}

#[test]
fn a_job_under_baggage_alone_hangs_under_its_sender() {
    let traced = Traced::new(|_| ());
    let sender = remote(TraceFlags::SAMPLED);
    traced.run(|| {
        let worker = crate::trace::Baggage::default().with("worker", "1");
        worker.run(|| job(&sender).finish(&(), |(), _| ()));
    });
    let (_, span) = &traced.spans()[0];
    assert_eq!(span.trace_id, sender.trace_id.0.to_be_bytes());
    assert_eq!(span.parent_span_id, sender.span_id.0.to_be_bytes());
}

#[test]
fn a_job_whose_future_stands_behind_an_alias_hangs_under_its_sender() {
    let traced = Traced::new(|_| ());
    let sender = remote(TraceFlags::SAMPLED);
    let future =
        traced.run(|| p::future_prepared::<JOB, _, _>(job(&sender).defer(), std::future::ready(()), |(), _| ()));
    traced.run(|| plain(site!("who polls it"), || block_on(future)));
    let polled = traced.span("who polls it");
    let spans = traced.spans();
    let (_, span) = spans.iter().find(|(_, span)| span.span_id != polled.span_id).unwrap();
    assert_eq!(span.trace_id, sender.trace_id.0.to_be_bytes());
    assert_eq!(span.parent_span_id, sender.span_id.0.to_be_bytes());
}

#[test]
fn a_call_that_is_moved_stays_so_behind_a_wait() {
    use crate::SpanExt as _;
    let traced = Traced::new(|_| ());
    let caller = SpanContext {
        trace_id: TraceId(77),
        span_id: SpanId(78),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        ..SpanContext::default()
    };
    let work = || async {
        tracing::Span::current().set_parent(&caller);
        tracing::info_span!("before").in_scope(|| ());
        let mut waited = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut waited, true) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        tracing::info_span!("behind").in_scope(|| ());
    };
    traced.run(|| {
        let mut future = Box::pin(p::future::<SPAN, _, _, _>(site!("moved"), |_| work(), |(), _| ()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        assert!(future.as_mut().poll(&mut cx).is_ready());
    });
    let moved = traced.span("moved");
    assert_eq!(moved.parent_span_id, caller.span_id.0.to_be_bytes());
    for name in ["before", "behind"] {
        let span = traced.span(name);
        assert_eq!(
            (&span.trace_id, &span.parent_span_id),
            (&moved.trace_id, &moved.span_id),
            "{name}"
        );
    }
}
