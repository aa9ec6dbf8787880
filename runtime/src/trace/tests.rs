//! The store and its fronts, read back through the decoder of `opentelemetry-proto`.

#![allow(
    clippy::needless_borrow,
    clippy::unchecked_time_subtraction,
    reason = "written as the macros write; clocks that only go on"
)]

use super::event::EventSink;
use super::pipeline::{EncodedSpans, Pipeline, SpanSink, TraceSetup, scoped};
use super::sampler::{Ratio, Root, Sampler};
use super::{SpanContext, SpanId, TraceFlags, TraceId, stats};
use crate::__private as p;
use crate::export::otlp::traces::request;
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::Site;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, dispatcher};

/// Keeps what it is given.
#[derive(Default)]
struct Kept {
    batches: Mutex<Vec<EncodedSpans>>,
    lines: Mutex<Vec<(String, Option<SpanContext>)>>,
}

impl SpanSink for Kept {
    fn spans(&self, batch: EncodedSpans) {
        self.batches.lock().unwrap().push(batch);
    }
}

impl EventSink for Kept {
    fn interest(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>, context: Option<&SpanContext>) {
        let line = (event.metadata().name().to_owned(), context.cloned());
        self.lines.lock().unwrap().push(line);
    }

    fn error(&self, site: &'static Site, error: &ErrorRef<'_>, context: Option<&SpanContext>) {
        let shown = match error.value {
            ErrorValue::Std(error) => error.to_string(),
            ErrorValue::Display(error) => error.to_string(),
            ErrorValue::Debug(error, _) => format!("{error:?}"),
            ErrorValue::Opaque(name) => name.to_owned(),
        };
        let line = (format!("error in {}: {shown}", site.def.function), context.cloned());
        self.lines.lock().unwrap().push(line);
    }
}

/// A pipeline of its own for one test.
struct Traced {
    kept: Arc<Kept>,
    pipeline: Pipeline,
    dispatch: Dispatch,
}

/// The switch is the process's: while any test needs it, it is on.
fn switch_on() {
    crate::switch::set(true);
}

impl Traced {
    fn new(change: impl FnOnce(&mut TraceSetup)) -> Self {
        switch_on();
        let kept = Arc::new(Kept::default());
        let mut setup = TraceSetup::new(kept.clone(), kept.clone());
        change(&mut setup);
        let (pipeline, dispatch) = scoped(setup).unwrap();
        Self {
            kept,
            pipeline,
            dispatch,
        }
    }

    fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        dispatcher::with_default(&self.dispatch, f)
    }

    fn spans(&self) -> Vec<(String, Span)> {
        assert!(self.pipeline.flush(Instant::now() + Duration::from_secs(20)));
        let mut spans = Vec::new();
        for batch in self.kept.batches.lock().unwrap().iter() {
            let bytes = request(b"", &batch.bytes);
            let request = ExportTraceServiceRequest::decode(&*bytes).unwrap();
            assert_eq!(request.resource_spans.len(), 1);
            let mut count = 0;
            for scope in request
                .resource_spans
                .into_iter()
                .flat_map(|resource| resource.scope_spans)
            {
                let name = scope.scope.unwrap().name;
                count += scope.spans.len() as u64;
                spans.extend(scope.spans.into_iter().map(|span| (name.clone(), span)));
            }
            assert_eq!(count, batch.count);
        }
        spans.sort_by_key(|(_, span)| (span.start_time_unix_nano, std::cmp::Reverse(span.end_time_unix_nano)));
        spans
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let mut named = spans.into_iter().filter(|(_, span)| span.name == name);
        let (_, span) = named.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(named.next().is_none(), "one span {name}");
        span
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(String, Option<SpanContext>)>> {
        self.kept.lines.lock().unwrap()
    }
}

fn value(span: &Span, key: &str) -> Option<Value> {
    let mut of_key = span.attributes.iter().filter(|attribute| attribute.key == key);
    let value = of_key.next()?.value.clone()?.value;
    assert!(of_key.next().is_none(), "{key} stands once");
    value
}

fn text(span: &Span, key: &str) -> Option<String> {
    match value(span, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

/// A site, as the macros write it.
macro_rules! site {
    ($name:literal $(, $key:ident: $value:expr)*) => {{
        static SITE: p::Site = p::Site {
            def: p::Def {
                function: $name,
                module: module_path!(),
                file: file!(),
                line: line!(),
                asynchronous: false,
                fallible: false,
                span: Some(p::SpanDef {
                    name: $name,
                    $($key: $value,)*
                    ..p::SpanDef::DEFAULT
                }),
                counter: None,
                timer: None,
            },
            slots: p::Slots::new(),
        };
        &SITE
    }};
}

const SPAN: u8 = crate::call::signals::SPAN;
const SAID: u8 = crate::call::signals::SAID;

/// What an annotated plain function does.
fn call<R>(site: &'static Site, body: impl FnOnce() -> R, settle: impl FnOnce(&R, &mut p::Settle<'_>)) -> R {
    let mut call = p::Call::<SPAN>::idle(site);
    call.entered();
    let ret = body();
    call.finish(&ret, settle);
    ret
}

fn plain<R>(site: &'static Site, body: impl FnOnce() -> R) -> R {
    call(site, body, |_, _| ())
}

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
fn attributes_of_every_type() {
    struct Shown;
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown")
        }
    }
    impl fmt::Debug for Shown {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("a line from inside a field");
            let _inner = tracing::info_span!("from inside a field").entered();
            panic!("in a field");
        }
    }
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let error = std::io::Error::other("broken");
        let error: &(dyn std::error::Error + 'static) = &error;
        let span = tracing::info_span!(
            "all",
            yes = true,
            small = -3_i64,
            large = u64::MAX,
            huge = i128::MIN,
            real = 0.25,
            text = "text",
            owned = String::from("owned"),
            shown = %Shown,
            panics = ?Shown,
            error,
            bytes = b"\x00\xff".as_slice(),
            again = 1
        );
        span.record("again", 2);
    });
    let span = traced.span("all");
    assert_eq!(value(&span, "yes"), Some(Value::BoolValue(true)));
    assert_eq!(value(&span, "small"), Some(Value::IntValue(-3)));
    assert_eq!(text(&span, "large").unwrap(), u64::MAX.to_string());
    assert_eq!(text(&span, "huge").unwrap(), i128::MIN.to_string());
    assert_eq!(value(&span, "real"), Some(Value::DoubleValue(0.25)));
    assert_eq!(text(&span, "text").unwrap(), "text");
    assert_eq!(text(&span, "owned").unwrap(), "owned");
    assert_eq!(text(&span, "shown").unwrap(), "shown");
    assert_eq!(text(&span, "panics").unwrap(), "<panicked while formatting>");
    assert_eq!(text(&span, "error").unwrap(), "broken");
    assert_eq!(value(&span, "bytes"), Some(Value::BytesValue(vec![0, 255])));
    assert_eq!(value(&span, "again"), Some(Value::IntValue(2)), "the later one holds");
    assert!(traced.lines().is_empty());
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn otel_names_are_heard() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        tracing::info_span!(
            "a",
            otel.name = "GET /x",
            otel.kind = "SERVER",
            otel.status_code = "ERROR",
            otel.status_description = "no"
        )
        .in_scope(|| ());
        tracing::info_span!("b", otel.kind = "client", otel.status_code = "ok", otel.other = 1).in_scope(|| ());
    });
    let a = traced.span("GET /x");
    assert_eq!(a.kind, 2);
    let status = a.status.unwrap();
    assert_eq!((status.code, &*status.message), (2, "no"));
    let b = traced.span("b");
    assert_eq!((b.kind, b.status.as_ref().unwrap().code), (3, 1));
    assert_eq!(value(&b, "otel.other"), Some(Value::IntValue(1)));
    assert_eq!(value(&b, "otel.kind"), None);
}

#[test]
fn links_and_parents() {
    let traced = Traced::new(|_| ());
    let remote = SpanContext {
        trace_id: TraceId(0x0102),
        span_id: SpanId(0x0304),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        trace_state: Some("a=b".into()),
        ..SpanContext::default()
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

#[derive(Debug)]
struct Outer(std::num::ParseIntError);
impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}
impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn wrong() -> Result<u32, Outer> {
    call(
        site!("top"),
        || {
            call(
                site!("deep"),
                || "x".parse::<u32>(),
                |ret, s| {
                    use p::probe::*;
                    (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
                },
            )
            .map_err(Outer)
        },
        |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        },
    )
}

#[test]
fn an_error_is_told_where_it_surfaced() {
    let traced = Traced::new(|_| ());
    traced.run(|| wrong().unwrap_err());
    let (top, deep) = (traced.span("top"), traced.span("deep"));
    let message = "invalid digit found in string";
    assert_eq!(deep.status.as_ref().unwrap().code, 2);
    assert_eq!(deep.status.as_ref().unwrap().message, message);
    assert_eq!(text(&deep, "error.type").unwrap(), "core::num::error::ParseIntError");
    assert_eq!(text(&deep, "outcome").unwrap(), "error");
    let event = &deep.events[0];
    assert_eq!(event.name, "exception");
    assert!(event.time_unix_nano >= deep.start_time_unix_nano && event.time_unix_nano <= deep.end_time_unix_nano);
    let keys: Vec<&str> = event.attributes.iter().map(|attribute| &*attribute.key).collect();
    assert_eq!(keys, ["exception.type", "exception.message"]);
    assert_eq!(top.status.as_ref().unwrap().code, 2);
    assert!(text(&top, "error.type").unwrap().ends_with("Outer"));
    assert!(top.events.is_empty(), "passed on");
    let lines = traced.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].0, format!("error in deep: {message}"));
    assert_eq!(lines[0].1.as_ref().unwrap().span_id.0.to_be_bytes(), *deep.span_id);
}

#[test]
fn an_unrecorded_error_is_told_once_too() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    traced.run(|| wrong().unwrap_err());
    assert!(traced.spans().is_empty());
    assert_eq!(traced.lines().len(), 1);
}

#[test]
fn a_panic_says_what_and_where() {
    let traced = Traced::new(|_| ());
    let caught = traced.run(|| {
        std::panic::catch_unwind(|| plain(site!("above"), || plain(site!("below"), || panic!("gone {}", "wrong"))))
    });
    assert!(caught.is_err());
    let (above, below) = (traced.span("above"), traced.span("below"));
    for span in [&above, &below] {
        assert_eq!(span.status.as_ref().unwrap().message, "gone wrong");
        assert_eq!(text(span, "outcome").unwrap(), "panic");
        assert_eq!(text(span, "error.type").unwrap(), "panic");
    }
    assert!(above.events.is_empty());
    let event = &below.events[0];
    assert_eq!(event.attributes.len(), 3);
    assert!(
        matches!(&event.attributes[2].value.as_ref().unwrap().value, Some(Value::StringValue(at)) if at.contains(file!()))
    );
    assert!(traced.run(super::current).is_none(), "the stack is empty again");
}

#[test]
fn a_sampled_out_parent_keeps_its_children_out() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let (outer, inner, spawned) = traced.run(|| {
        plain(site!("out"), || {
            let outer = super::current().unwrap();
            let here = tracing::Span::current();
            assert!(!here.is_none(), "a spawned task can be put under it");
            let dispatch = traced.dispatch.clone();
            let spawned = std::thread::spawn(move || {
                dispatcher::with_default(&dispatch, || {
                    here.in_scope(|| plain(site!("spawned"), || super::current().unwrap()))
                })
            });
            let inner = tracing::info_span!("in").in_scope(|| super::current().unwrap());
            (outer, inner, spawned.join().unwrap())
        })
    });
    assert!(!outer.is_sampled() && !inner.is_sampled() && !spawned.is_sampled());
    assert!(outer.trace_id == inner.trace_id && outer.trace_id == spawned.trace_id);
    assert!(outer.span_id != inner.span_id && inner.span_id.is_valid());
    assert!(traced.spans().is_empty());
}

#[test]
fn a_ratio_says_its_threshold_on_what_it_kept() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::Ratio(Ratio::new(0.5))));
    let kept = traced.run(|| {
        let mut kept = 0;
        for _ in 0..64 {
            plain(site!("root"), || {
                let root = super::current().unwrap();
                kept += usize::from(root.is_sampled());
                assert_eq!(root.trace_id.0 >> 55 & 1 == 1, root.is_sampled(), "by the low 56 bits");
                plain(site!("child"), || {
                    let state = super::current().unwrap().trace_state;
                    assert_eq!(state.as_deref(), root.is_sampled().then_some("ot=th:8"));
                });
            });
            tracing::info_span!("of tracing").in_scope(|| {
                let root = super::current().unwrap();
                kept += usize::from(root.is_sampled());
                assert_eq!(root.trace_id.0 >> 55 & 1 == 1, root.is_sampled(), "drawn once");
                assert_eq!(root.trace_state.as_deref(), root.is_sampled().then_some("ot=th:8"));
            });
        }
        kept
    });
    let spans = traced.spans();
    assert!(kept > 0 && spans.len() >= kept, "{kept} of 128");
    assert!(spans.iter().all(|(_, span)| span.trace_state == "ot=th:8"));
}

#[test]
fn limits_hold_and_drops_are_counted() {
    let traced = Traced::new(|setup| {
        setup.limits.attributes = 2;
        setup.limits.events = 1;
        setup.limits.links = 1;
        setup.limits.value_length = 3;
        setup.span_events = true;
    });
    traced.run(|| {
        let other = tracing::info_span!("other");
        let span = tracing::info_span!("limited", a = "äöüß", b = ?"long", c = 3, d = 4);
        span.follows_from(&other);
        span.follows_from(&other);
        span.in_scope(|| {
            tracing::info!(n = 1, "first");
            tracing::info!("second");
        });
    });
    let span = traced.span("limited");
    assert_eq!(text(&span, "a").unwrap(), "äöü");
    assert_eq!(text(&span, "b").unwrap(), "\"lo");
    assert_eq!(span.dropped_attributes_count, 2);
    assert_eq!((span.events.len(), span.dropped_events_count), (1, 1));
    assert_eq!(span.events[0].name, "first");
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 1));
}

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
        assert_eq!(super::current().unwrap().span_id, context(&b).span_id);
        drop(entered_b);
        assert!(super::current().is_none());
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

fn context(span: &tracing::Span) -> SpanContext {
    let id = span.id().unwrap();
    let handle = super::subscriber::handle(&id).unwrap();
    super::store::ids_of(handle).unwrap().context()
}

fn is_passed(span: &tracing::Span) -> bool {
    super::passed::is_passed(super::subscriber::named(&span.id().unwrap()).unwrap())
}

/// A caller that sent headers.
fn caller(sampled: bool, trace_state: Option<&str>) -> SpanContext {
    SpanContext {
        trace_id: TraceId(77 << 64 | 5),
        span_id: SpanId(9),
        flags: TraceFlags(if sampled { 3 } else { 2 }),
        is_remote: true,
        trace_state: trace_state.map(Into::into),
        ..SpanContext::default()
    }
}

#[test]
fn what_is_sampled_out_has_one_trace_wherever_it_goes() {
    use super::SpanExt as _;
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let (root, held) = traced.run(|| {
        let root = tracing::info_span!("root", n = tracing::field::Empty);
        assert!(is_passed(&root), "it takes no slot of the slab");
        let known = context(&root);
        assert!(known.is_valid() && !known.is_sampled());
        let other = tracing::info_span!("other");
        assert_ne!(context(&other).trace_id, known.trace_id);
        root.record("n", 1);
        root.follows_from(&other);
        root.set_attribute("k", "v");
        let child = tracing::info_span!(parent: &root, "child");
        let held = root.in_scope(|| {
            assert_eq!(super::current().unwrap(), known, "the same whoever asks");
            assert_eq!(tracing::Span::current(), root);
            let below = plain(site!("below"), || {
                let inner = tracing::info_span!("inner");
                assert!(is_passed(&inner));
                assert_eq!(super::current().unwrap().trace_id, known.trace_id);
                inner
            });
            assert_eq!(super::current().unwrap(), known);
            below
        });
        for span in [&child, &held] {
            assert_eq!(context(span).trace_id, known.trace_id);
            assert_ne!(context(span).span_id, known.span_id);
        }
        let (dispatch, clone, expected) = (traced.dispatch.clone(), root.clone(), known.clone());
        drop(root);
        let root = std::thread::spawn(move || {
            dispatcher::with_default(&dispatch, || {
                let again = clone.clone();
                drop(clone);
                again.in_scope(|| {
                    assert_eq!(super::current().unwrap(), expected);
                    let here = tracing::info_span!("elsewhere");
                    assert_eq!(context(&here).trace_id, expected.trace_id);
                });
                again
            })
        })
        .join()
        .unwrap();
        assert_eq!(context(&root), known);
        assert!(super::current().is_none(), "the stack is empty again");
        (root, held)
    });
    let handle = super::subscriber::handle(&root.id().unwrap()).unwrap();
    drop(root);
    assert!(super::store::ids_of(handle).is_none(), "closed with the last");
    assert!(!context(&held).is_sampled(), "which its child outlives");
    drop(held);
    assert!(traced.spans().is_empty());
}

#[test]
fn what_is_sampled_out_is_current_however_deep_and_left_in_any_order() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let before = stats().sampled_out;
    traced.run(|| {
        // More than are entered without a look at the stack.
        let mut spans = vec![tracing::info_span!("root")];
        let mut entered = vec![spans[0].clone().entered()];
        for _ in 0..40 {
            let span = tracing::info_span!("below");
            assert!(is_passed(&span));
            entered.push(span.clone().entered());
            spans.push(span);
        }
        let known: Vec<_> = spans.iter().map(context).collect();
        assert!(known.iter().all(|context| context.trace_id == known[0].trace_id));
        assert_eq!(super::current().unwrap(), known[40]);
        entered.remove(39).exit();
        assert_eq!(super::current().unwrap(), known[40]);
        entered.pop();
        assert_eq!(super::current().unwrap(), known[38]);
        let last = tracing::info_span!("last");
        let inner = last.clone().entered();
        let first = entered.remove(0);
        drop((first, inner));
        assert_eq!(super::current().unwrap(), known[38]);
        drop(entered);
        assert!(super::current().is_none());
        assert_eq!(spans.iter().map(context).collect::<Vec<_>>(), known);
    });
    assert!(stats().sampled_out >= before + 42);
}

#[test]
fn what_is_closed_while_it_is_current_stays_so_until_it_is_left() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    traced.run(|| {
        let outer = tracing::info_span!("outer");
        let trace = context(&outer).trace_id;
        let entered = outer.enter();
        let inner = tracing::info_span!("inner");
        let id = inner.id().unwrap();
        traced.dispatch.enter(&id);
        drop(inner);
        let other = tracing::info_span!("in its slot, perhaps");
        let now = super::current().unwrap();
        assert!(now.is_valid() && now.span_id != context(&outer).span_id && now.span_id != context(&other).span_id);
        traced.dispatch.exit(&id);
        assert_eq!(super::current().unwrap(), context(&outer));
        drop(entered);
        assert_eq!(context(&outer).trace_id, trace);
    });
}

#[test]
fn what_is_sampled_out_in_another_pipeline_is_no_parent() {
    let outer = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let inner = Traced::new(|_| ());
    outer.run(|| {
        tracing::info_span!("not recorded").in_scope(|| inner.run(|| tracing::info_span!("recorded").in_scope(|| ())));
    });
    assert!(outer.spans().is_empty());
    assert!(inner.span("recorded").parent_span_id.is_empty());
}

#[test]
fn what_is_sampled_out_outlives_its_thread() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    let span = || {
        let dispatch = traced.dispatch.clone();
        let made = std::thread::spawn(move || dispatcher::with_default(&dispatch, || tracing::info_span!("left")));
        made.join().unwrap()
    };
    let first = span();
    let known = context(&first);
    let others: Vec<_> = (0..4).map(|_| span()).collect();
    for other in &others {
        assert!(is_passed(other) && other.id() != first.id());
        assert_ne!(context(other).trace_id, known.trace_id);
    }
    drop(others);
    assert_eq!(context(&first), known);
}

#[test]
fn more_sampled_out_spans_than_a_table_has_slots() {
    let traced = Traced::new(|setup| setup.sampler = Sampler::AlwaysOff);
    traced.run(|| {
        for _ in 0..3 {
            let open: Vec<_> = (0..300).map(|_| tracing::info_span!("open")).collect();
            assert!(is_passed(&open[0]) && !is_passed(&open[299]));
            let mut ids: Vec<_> = open.iter().map(|span| context(span).span_id.0).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 300);
            // Dropped by others, the slots are found again.
            std::thread::spawn(move || drop(open)).join().unwrap();
        }
    });
    assert!(traced.spans().is_empty());
}

#[test]
fn a_parent_that_comes_later_decides_anew() {
    use super::SpanExt as _;
    let traced = Traced::new(|setup| setup.sampler = Sampler::ParentBased(Root::AlwaysOff));
    let held = traced.run(|| {
        let span = tracing::info_span!("request", n = tracing::field::Empty);
        assert!(is_passed(&span));
        let before = context(&span);
        let entered = span.clone().entered();
        span.set_parent(&caller(true, Some("a=b")));
        drop(entered);
        assert!(super::current().is_none(), "left by the name it was entered by");
        let now = context(&span);
        assert_eq!(
            (now.trace_id, now.span_id),
            (caller(true, None).trace_id, before.span_id)
        );
        assert!(now.is_sampled() && now.trace_state.as_deref() == Some("a=b"));
        span.record("n", 7);
        span.in_scope(|| drop(tracing::info_span!("below")));
        let unsampled = tracing::info_span!("unsampled");
        unsampled.set_parent(&caller(false, Some("a=b")));
        unsampled.in_scope(|| {
            let inner = tracing::info_span!("carries the state");
            assert_eq!(context(&inner).trace_state.as_deref(), Some("a=b"));
            assert!(!context(&inner).is_sampled());
        });
        span
    });
    assert_eq!(traced.spans().len(), 1, "open still");
    std::thread::spawn(move || drop(held)).join().unwrap();
    let (request, below) = (traced.span("request"), traced.span("below"));
    assert_eq!(request.parent_span_id, 9_u64.to_be_bytes());
    assert_eq!(below.parent_span_id, request.span_id);
    assert_eq!(request.attributes.iter().filter(|a| a.key == "n").count(), 1);
    assert_eq!(traced.spans().len(), 2);
}

/// A call with two fields.
fn with_fields<R>(site: &'static Site, fields: [&dyn p::Value; 2], body: impl FnOnce() -> R) -> R {
    let mut call = p::Call::<{ SPAN | SAID }>::idle(site);
    call.begin();
    if call.open() {
        call.fields(&fields);
    }
    call.enter();
    let ret = body();
    call.finish(&ret, |_, _| ());
    ret
}

#[test]
fn fields_stay_with_their_calls() {
    /// Asks for the current span by a handle while it is being formatted.
    struct Asks;
    impl fmt::Debug for Asks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", super::hand::current().is_recording())
        }
    }
    let traced = Traced::new(|setup| setup.limits.attributes = 2);
    traced.run(|| {
        for n in 0..3_u32 {
            with_fields(site!("outer", fields: &["n", "of"]), [&n, &"outer"], || {
                with_fields(site!("inner", fields: &["n", "of"]), [&n, &"inner"], || {
                    if n == 1 {
                        super::hand::current().set("one too many", 1);
                    }
                });
                plain(site!("bare"), || ());
            });
        }
        with_fields(
            site!("asked", fields: &["n", "asks"]),
            [&7_u32, &tracing_core::field::debug(Asks)],
            || (),
        );
        let mut early = p::Call::<{ SPAN | SAID }>::idle(site!("early", fields: &["n"]));
        early.begin();
        assert!(early.open());
        early.fields(&[&1_u32 as &dyn p::Value]);
        early.enter();
        with_fields(site!("late", fields: &["n", "of"]), [&2_u32, &"late"], || {
            early.finish(&(), |(), _| ()); // out of order
        });
        assert!(super::current().is_none());
    });
    let spans = traced.spans();
    for (of, dropped) in [("outer", [0; 3]), ("inner", [0, 1, 0])] {
        let named: Vec<_> = spans.iter().filter(|(_, span)| span.name == of).collect();
        assert_eq!(named.len(), 3);
        for (n, (_, span)) in named.iter().enumerate() {
            assert_eq!(value(span, "n"), Some(Value::IntValue(n as i64)));
            assert_eq!(text(span, "of").unwrap(), of);
            assert_eq!(span.dropped_attributes_count, dropped[n]);
        }
    }
    for (_, bare) in spans.iter().filter(|(_, span)| span.name == "bare") {
        assert_eq!(value(bare, "n"), None, "nobody else's");
    }
    assert_eq!(value(&traced.span("asked"), "n"), Some(Value::IntValue(7)));
    assert!(text(&traced.span("asked"), "asks").is_some());
    assert_eq!(value(&traced.span("early"), "n"), Some(Value::IntValue(1)));
    assert_eq!(value(&traced.span("late"), "n"), Some(Value::IntValue(2)));
    assert_eq!(text(&traced.span("late"), "of").unwrap(), "late");
}

#[test]
fn fields_beyond_the_limit_are_counted() {
    let traced = Traced::new(|setup| setup.limits.attributes = 1);
    traced.run(|| with_fields(site!("many", fields: &["a", "b"]), [&1_u32, &2_u32], || ()));
    let span = traced.span("many");
    assert_eq!(value(&span, "a"), Some(Value::IntValue(1)));
    assert_eq!((value(&span, "b"), span.dropped_attributes_count), (None, 1));
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
fn fields_of_a_call() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let mut call = p::Call::<SPAN>::idle(site!("with fields", fields: &["n", "s"], kind: p::SpanKind::Producer));
        call.begin();
        assert!(call.open());
        call.fields(&[&7_u32 as &dyn p::Value, &"seven"]);
        call.enter();
        call.finish(&8_u8, |ret, s| {
            if s.recording() {
                s.ret(ret);
            }
        });
    });
    let span = traced.span("with fields");
    assert_eq!(span.kind, 4);
    assert_eq!(value(&span, "n"), Some(Value::IntValue(7)));
    assert_eq!(text(&span, "s").unwrap(), "seven");
    assert_eq!(value(&span, "return"), Some(Value::IntValue(8)));
}

#[test]
fn after_shutdown_no_span_begins() {
    let traced = Traced::new(|_| ());
    traced.run(|| plain(site!("before"), || ()));
    assert!(traced.pipeline.shutdown(Instant::now() + Duration::from_secs(20)));
    traced.run(|| plain(site!("after"), || assert!(super::current().is_none())));
    assert_eq!(traced.spans().len(), 1);
}

#[test]
fn by_hand() {
    use super::{SpanExt as _, Status};
    let traced = Traced::new(|_| ());
    let remote = SpanContext {
        trace_id: TraceId(5),
        span_id: SpanId(6),
        flags: TraceFlags::SAMPLED,
        is_remote: true,
        ..SpanContext::default()
    };
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
            let current = super::hand::current();
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
fn tail_rules_keep_and_discard_whole_traces() {
    let traced = Traced::new(|setup| setup.tail = Some("errors,slow=20ms".parse().unwrap()));
    let before = stats().discarded_tail;
    traced.run(|| {
        plain(site!("fast root"), || plain(site!("fast child"), || ()));
        plain(site!("slow root"), || {
            plain(site!("quick child"), || ());
            std::thread::sleep(Duration::from_millis(25));
        });
        plain(site!("failed root"), || {
            tracing::info_span!("failed child", otel.status_code = "ERROR").in_scope(|| ());
            let _ = wrong();
        });
        let late = plain(site!("root before its child"), || tracing::info_span!("late child"));
        drop(late);
        std::mem::forget(tracing::info_span!("never ends").entered());
        plain(site!("below what never ends"), || wrong().unwrap_err());
    });
    let names: Vec<String> = traced.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(
        names,
        ["slow root", "quick child", "failed root", "failed child", "top", "deep"]
    );
    assert!(stats().discarded_tail >= before + 4);
    assert!(traced.pipeline.shutdown(Instant::now() + Duration::from_secs(20)));
    assert_eq!(
        traced.spans().len(),
        9,
        "at the end what waits is decided on what is known"
    );
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
        .with(super::layer::layer())
        .with(Other(seen.clone()));
    let dispatch = Dispatch::new(registry);
    assert!(super::layer::is_layered());
    let traced = Traced::new(|setup| setup.filter = "info".into());
    dispatcher::with_default(&dispatch, || {
        tracing::info_span!("before init").in_scope(|| assert!(super::current().is_none()));
    });
    let shared = super::drain::pipeline(traced.pipeline.id()).unwrap();
    assert!(super::layer::connect(&shared));
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
        assert!(super::current().is_none());
    });
    assert!(seen.lock().unwrap().contains(&"not for us"), "our filter is ours alone");
    assert_eq!(traced.spans().len(), 4);
    let (outer, annotated) = (traced.span("outer layered"), traced.span("annotated"));
    assert_eq!(value(&outer, "n"), Some(Value::IntValue(1)));
    assert_eq!(annotated.parent_span_id, outer.span_id);
    assert_eq!(annotated.kind, 3);
    assert_eq!(value(&annotated, "f"), Some(Value::IntValue(5)));
    assert_eq!(text(&annotated, "outcome").unwrap(), "error");
    assert_eq!(annotated.status.as_ref().unwrap().message, "no");
    assert_eq!(traced.span("inner layered").parent_span_id, annotated.span_id);
    assert_eq!(traced.span("under remote").trace_id, remote.trace_id.0.to_be_bytes());
}

/// Members that the tests about it show; one list, for it is the process's.
const SHOWN: &str = "shown.tenant,shown.other";

#[test]
fn baggage_is_handed_on_and_shown_where_it_is_asked_for() {
    super::baggage::show(SHOWN);
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
fn baggage_without_a_span_reaches_the_first_one_and_ends_with_its_closure() {
    let traced = Traced::new(|_| ());
    traced.run(|| {
        let baggage = super::Baggage::default().with("lonely", "1");
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

/// A future that is ready at once, or never.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("not ready"),
    }
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
    let largest = batches.iter().map(|batch| batch.bytes.len()).max();
    assert!(largest.is_some_and(|bytes| bytes < 4 << 20), "{largest:?}");
}
