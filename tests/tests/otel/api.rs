//! Spans of the `opentelemetry` API, of `tracing` and of `#[traced]` are one tree, read back by a decoder that is not ours.

use opentelemetry::trace::{
    FutureExt as _, Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, Value, global};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1 as proto;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::live::live;
use tracing::Instrument as _;
use vitalsign::traced;

fn tracer() -> global::BoxedTracer {
    global::tracer("otel_api")
}

fn seven() {
    tracing::info_span!("seven").in_scope(|| ());
}

fn six() {
    tracer().in_span("six", |_| seven());
}

#[traced]
fn five() {
    six();
    tracing::info_span!("beside six").in_scope(|| ());
}

fn four() {
    tracer().in_span("four", |_| five());
}

fn three() {
    tracing::info_span!("three").in_scope(|| {
        four();
        tracer().in_span("beside four", |_| ());
    });
}

fn two() {
    tracer().in_span("two", |_| {
        three();
        beside_three();
    });
}

#[traced(name = "beside three")]
fn beside_three() {}

#[traced]
fn one() {
    two();
    beside_three();
}

#[test]
fn seven_deep() {
    let live = live();
    one();
    assert_eq!(
        live.outline("one", 11),
        "one\n  two\n    three\n      four\n        five\n          six\n            seven\n          beside six\n      \
         beside four\n    beside three\n  beside three\n"
    );
}

async fn nap() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn async_seven() {
    nap().await;
    tracer().start("async seven").end();
}

#[tracing::instrument(name = "async six")]
async fn async_six() {
    nap().await;
    async_seven().await;
}

async fn async_five() {
    let span = tracer().start("async five");
    async {
        nap().await;
        async_six().await;
        nap().await;
    }
    .with_context(Context::current_with_span(span))
    .await;
}

#[traced(name = "async four")]
async fn async_four() {
    nap().await;
    async_five().await;
    nap().await;
    tracing::info_span!("beside async five").in_scope(|| ());
}

async fn async_three() {
    let span = tracer().start("async three");
    let context = Context::current_with_span(span);
    async {
        nap().await;
        async_four().await;
    }
    .with_context(context)
    .await;
}

#[traced(name = "async one")]
async fn async_one() {
    async {
        nap().await;
        tokio::join!(async_three(), async_three());
        nap().await;
        tracer().start("beside async three").end();
    }
    .instrument(tracing::info_span!("async two"))
    .await;
    tracer().start("beside async two").end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn seven_deep_across_await() {
    let live = live();
    tokio::spawn(async_one()).await.expect("the task");
    let branch = "    async three\n      async four\n        async five\n          async six\n            async seven\n        \
                  beside async five\n";
    assert_eq!(
        live.outline("async one", 16),
        format!("async one\n  async two\n{branch}{branch}    beside async three\n  beside async two\n")
    );
}

#[traced(name = "spawns")]
async fn spawns() {
    let span = tracer().start("attached");
    let guard = Context::current_with_span(span).attach();
    let task = vitalsign::spawn(async {
        nap().await;
        beside_three();
        Context::current().span().set_attribute(KeyValue::new("by", "the task"));
        vitalsign::current().set("ours", 1);
    });
    drop(guard);
    let other = vitalsign::spawn(async { beside_three() });
    task.await.expect("the task");
    other.await.expect("the task");
}

#[tokio::test]
async fn what_is_attached_goes_along() {
    let live = live();
    spawns().await;
    assert_eq!(
        live.outline("spawns", 4),
        "spawns\n  attached\n    beside three\n  beside three\n"
    );
    let trace = live.receiver.trace("spawns", 4);
    let attached = trace.spans.iter().find(|span| span.name == "attached").expect("it");
    assert_eq!(
        (attached.attributes["by"].as_str(), attached.attributes["ours"].as_str()),
        ("the task", "1")
    );
}

#[traced(name = "named parents")]
fn named_parents() {
    let outer = Context::current_with_span(tracer().start("outer"));
    tracer().in_span("inner", |_| {
        tracer().start_with_context("under outer", &outer).end();
        tracer().start("under inner").end();
    });
    let remote = SpanContext::new(
        TraceId::from(0xabcu128),
        SpanId::from(0xdefu64),
        TraceFlags::SAMPLED,
        true,
        "a=b".parse::<TraceState>().expect("a state"),
    );
    let _guard = Context::new().with_remote_span_context(remote).attach();
    under_remote();
}

#[traced(name = "under remote")]
fn under_remote() {
    let mut span = tracer().start_with_context("a root", &Context::new());
    assert_ne!(span.span_context().trace_id(), TraceId::from(0xabcu128));
    span.end();
}

#[test]
fn a_context_that_is_named_is_obeyed() {
    let live = live();
    named_parents();
    assert_eq!(
        live.outline("named parents", 5),
        "named parents\n  outer\n    under outer\n  inner\n    under inner\n"
    );
    live.outline("a root", 1);
    let spans = live.receiver.spans();
    let under = spans.iter().find(|span| span.name == "under remote").expect("it");
    assert_eq!(
        (under.trace_id.len(), under.parent_id.as_str()),
        (32, "0000000000000def")
    );
    assert_eq!(under.flags & 0x300, 0x300, "the parent is remote");
    let root = spans.iter().find(|span| span.name == "a root").expect("it");
    assert_eq!(root.parent_id, "");
}

fn raw(name: &str) -> (proto::Span, proto::ScopeSpans) {
    live().outline(name, 1);
    let received = live().receiver.received();
    received
        .traces
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .find_map(|scope| {
            let span = scope.spans.iter().find(|span| span.name == name)?;
            Some((span.clone(), scope.clone()))
        })
        .expect("the span")
}

#[test]
fn everything_a_span_says_arrives() {
    live();
    let at = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
    let scope = InstrumentationScope::builder("rich")
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.40.0")
        .with_attributes([KeyValue::new("library", true)])
        .build();
    let linked = SpanContext::new(
        TraceId::from(7u128),
        SpanId::from(8u64),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let tracer = global::tracer_with_scope(scope);
    let mut span = tracer
        .span_builder("to be renamed")
        .with_kind(SpanKind::Producer)
        .with_start_time(at(1_000_000_000_123_456_789))
        .with_attributes([KeyValue::new("first", 1), KeyValue::new("twice", "old")])
        .with_links(vec![Link::new(
            linked.clone(),
            vec![KeyValue::new("why", "builder")],
            0,
        )])
        .start(&tracer);
    assert!(span.is_recording() && span.span_context().is_sampled());
    span.set_attribute(KeyValue::new("twice", "new"));
    span.set_attribute(KeyValue::new("float", 0.5));
    span.set_attribute(KeyValue::new(
        "texts",
        Value::Array(Array::String(vec!["a".into(), "b".into()])),
    ));
    span.set_attribute(KeyValue::new("numbers", Value::Array(Array::I64(vec![1, -2]))));
    span.add_event_with_timestamp("happened", at(1_000_000_000_123_456_790), vec![KeyValue::new("n", 3)]);
    span.add_link(linked, vec![]);
    span.record_error(&std::io::Error::other("told"));
    span.set_status(Status::error("it broke"));
    span.set_status(Status::Unset);
    span.update_name("rich span");
    span.end_with_timestamp(at(1_000_000_001_000_000_000));
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("late", 1));
    span.end();

    let (span, scope) = raw("rich span");
    let described = scope.scope.expect("a scope");
    assert_eq!((described.name.as_str(), described.version.as_str()), ("rich", "1.2.3"));
    assert_eq!(described.attributes[0].key, "library");
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.40.0");
    assert_eq!(span.kind(), proto::span::SpanKind::Producer);
    assert_eq!(span.start_time_unix_nano, 1_000_000_000_123_456_789);
    assert_eq!(span.end_time_unix_nano, 1_000_000_001_000_000_000);
    let attributes: HashMap<_, _> = span
        .attributes
        .iter()
        .map(|pair| {
            (
                pair.key.as_str(),
                pair.value.clone().and_then(|value| value.value).expect("a value"),
            )
        })
        .collect();
    assert_eq!(attributes.len(), span.attributes.len(), "no key stands twice");
    assert_eq!(attributes["first"], Any::IntValue(1));
    assert_eq!(attributes["twice"], Any::StringValue("new".into()));
    assert_eq!(attributes["float"], Any::DoubleValue(0.5));
    let Any::ArrayValue(texts) = &attributes["texts"] else {
        panic!("{attributes:?}")
    };
    let texts: Vec<_> = texts
        .values
        .iter()
        .map(|value| value.value.clone().expect("one"))
        .collect();
    assert_eq!(texts, [Any::StringValue("a".into()), Any::StringValue("b".into())]);
    let Any::ArrayValue(numbers) = &attributes["numbers"] else {
        panic!("{attributes:?}")
    };
    assert_eq!(numbers.values[1].value, Some(Any::IntValue(-2)));
    assert!(!attributes.contains_key("late") && !attributes.contains_key("otel.name"));
    assert_eq!(span.events[0].name, "happened");
    assert_eq!(span.events[0].time_unix_nano, 1_000_000_000_123_456_790);
    assert_eq!(span.events[0].attributes[0].key, "n");
    assert_eq!(span.events[1].name, "exception");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos() as u64;
    assert!(now.abs_diff(span.events[1].time_unix_nano) < 60_000_000_000);
    assert_eq!(span.links.len(), 2);
    assert_eq!(span.links[0].attributes[0].key, "why");
    let status = span.status.expect("a status");
    assert_eq!((status.message.as_str(), status.code), ("it broke", 2));
}

#[test]
fn limits_hold_and_drops_are_told() {
    live();
    let mut span = tracer().start("over the limits");
    for n in 0..200 {
        span.set_attribute(KeyValue::new(format!("a{n}"), n));
        span.add_event("e", vec![]);
        span.add_link(SpanContext::NONE, vec![]);
    }
    span.add_event("late", vec![]);
    span.end();
    let (span, _) = raw("over the limits");
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (128, 72));
    assert_eq!((span.events.len(), span.dropped_events_count), (128, 73));
    assert_eq!((span.links.len(), span.dropped_links_count), (128, 72));
}

#[traced(name = "with baggage")]
fn inner_baggage() -> String {
    let mut headers = HashMap::<String, String>::new();
    vitalsign::current().baggage().with("user", "7").run(|| {
        tracer().in_span("within", |_| {
            global::get_text_map_propagator(|propagator| propagator.inject(&mut headers));
        });
    });
    headers.remove("baggage").expect("baggage")
}

#[traced(name = "injects")]
fn injects() -> (
    HashMap<String, String>,
    HashMap<String, String>,
    HashMap<String, String>,
) {
    let inject = |context: &Context| {
        let mut headers = HashMap::<String, String>::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(context, &mut headers));
        headers
    };
    let ours = inject(&Context::current());
    let (attached, named) = tracer().in_span("injects more", |outer| {
        let attached = inject(&Context::current());
        (attached, tracer().in_span("innermost", |_| inject(&outer)))
    });
    (ours, attached, named)
}

#[test]
fn headers_name_what_is_current() {
    let live = live();
    let (ours, attached, named) = injects();
    live.flush();
    let trace = live.receiver.trace("injects", 3);
    let id = |name: &str| {
        let span = trace.spans.iter().find(|span| span.name == name).expect("it");
        format!("00-{}-{}-03", span.trace_id, span.span_id)
    };
    assert_eq!(ours["traceparent"], id("injects"));
    assert_eq!(attached["traceparent"], id("injects more"));
    assert_eq!(
        named["traceparent"],
        id("injects more"),
        "a context that is named is obeyed"
    );

    let mut ours = ours;
    ours.insert("baggage".to_owned(), "tenant=acme;ttl=1".to_owned());
    let extracted = global::get_text_map_propagator(|propagator| propagator.extract(&ours));
    let parent = extracted.span().span_context().clone();
    assert!(parent.is_remote());
    let _guard = extracted.attach();
    assert_eq!(
        vitalsign::current().span_id().map(|id| id.to_string()),
        Some(parent.span_id().to_string())
    );
    // Its baggage travels both ways.
    assert_eq!(vitalsign::current().baggage().get("tenant"), Some("acme"));
    assert_eq!(inner_baggage(), "tenant=acme;ttl=1,user=7");
    global::get_text_map_propagator(|propagator| {
        assert!(propagator.fields().any(|field| field == "traceparent"));
    });
}

/// Baggage without any span, of either side, is on both.
#[test]
fn baggage_alone_joins_both_ways() {
    use opentelemetry::KeyValue;
    use opentelemetry::baggage::BaggageExt as _;
    live();
    let guard = Context::current()
        .with_baggage([KeyValue::new("tenant", "acme")])
        .attach();
    assert_eq!(vitalsign::current().baggage().get("tenant"), Some("acme"));
    let mut headers = HashMap::<String, String>::new();
    vitalsign::current().inject(&mut headers);
    assert_eq!(headers["baggage"], "tenant=acme");
    assert!(!headers.contains_key("traceparent"));
    tracing::info_span!("under its baggage").in_scope(|| {
        let mut headers = HashMap::<String, String>::new();
        vitalsign::current().inject(&mut headers);
        assert_eq!(headers["baggage"], "tenant=acme");
        assert!(headers.contains_key("traceparent"));
    });
    drop(guard);
    assert!(vitalsign::current().baggage().is_empty());
    vitalsign::current().baggage().with("user", "7").run(|| {
        let mut headers = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject(&mut headers));
        assert_eq!(headers["baggage"], "user=7");
    });
}

#[test]
fn threads_end_in_any_order() {
    live();
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            // Looks at the context, which may be gone already, while the thread's own state is being taken down.
            beside_three();
            tracing::info_span!("late").in_scope(beside_three);
        }
    }
    thread_local! {
        static LATE: Late = const { Late };
    }
    for first in [true, false] {
        std::thread::spawn(move || {
            if first {
                LATE.with(|_| ());
            }
            let guard = Context::current_with_span(tracer().start("ends with its thread")).attach();
            beside_three();
            LATE.with(|_| ());
            std::mem::forget(guard);
        })
        .join()
        .expect("the thread ends");
    }
}

/// Takes a parent that the API gave.
#[traced(name = "under a context", parent = parent)]
fn under(parent: &Context) {}

#[test]
fn a_context_is_a_parent() {
    let live = live();
    let parent = Context::new().with_span(tracer().start("the context's"));
    under(&parent);
    drop(parent);
    assert_eq!(live.outline("the context's", 2), "the context's\n  under a context\n");
}
