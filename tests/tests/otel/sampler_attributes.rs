//! `sampler_with_attributes`: a sampler of the program's own that goes by attributes, of every kind of span.

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use vitalsign::traced;

/// Keeps what says `keep = true`.
#[derive(Clone, Debug)]
struct ByAttribute;

impl ShouldSample for ByAttribute {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        SamplingResult {
            decision: if attributes.contains(&KeyValue::new("keep", true))
                || attributes.contains(&KeyValue::new("db.operation.name", "SELECT"))
            {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: vec![KeyValue::new("attributes", attributes.len() as i64)],
            trace_state: TraceState::NONE,
        }
    }
}

fn sampled() -> bool {
    vitalsign::current().context().expect("ids").is_sampled()
}

#[traced(fields(keep = keep, text = "x"))]
fn plain(keep: bool) {
    assert_eq!(sampled(), keep);
    without();
}

#[traced]
fn without() {
    assert!(!sampled());
}

#[traced(fields(keep))]
async fn asynchronous(keep: bool) {
    assert_eq!(sampled(), keep);
    tokio::task::yield_now().await;
    assert_eq!(sampled(), keep);
    plain(keep);
}

#[traced(fields(keep))]
fn future(keep: bool) -> impl Future<Output = ()> {
    async move { assert_eq!(sampled(), keep) }
}

#[traced(db(system = "postgresql", operation = "SELECT"))]
fn select() {
    assert!(sampled());
}

#[traced(db(system = "postgresql", operation = "SELECT"))]
async fn select_later() {
    assert!(sampled());
}

#[traced(db(system = "postgresql", operation = "DELETE"))]
fn delete() {
    assert!(!sampled());
}

#[traced(db(system = "postgresql", operation = "DELETE"))]
async fn delete_later() {
    assert!(!sampled());
}

#[traced(fields(keep = broken()))]
fn field_panics() {}

fn broken() -> bool {
    panic!("as asked")
}

#[tokio::test]
async fn it_decides_by_them() {
    tests::own_process!();
    let live = tests::live::installed("none", |builder| builder.sampler_with_attributes(ByAttribute));
    for keep in [false, true] {
        plain(keep);
        asynchronous(keep).await;
        future(keep).await;
        tracing::info_span!("of tracing", keep).in_scope(|| assert_eq!(sampled(), keep));
        let span = global::tracer("test")
            .span_builder("of the api")
            .with_attributes([KeyValue::new("keep", keep)]);
        global::tracer("test").in_span_with_builder(span, |_| assert_eq!(sampled(), keep));
    }
    select();
    select_later().await;
    delete();
    delete_later().await;
    assert!(std::panic::catch_unwind(field_panics).is_err());
    live.flush();
    live.receiver.trace("of the api", 1);
    let spans = live.receiver.spans();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "SELECT",
            "SELECT",
            "asynchronous",
            "future",
            "of the api",
            "of tracing",
            "plain",
            "plain"
        ]
    );
    for span in &spans {
        if span.name == "SELECT" {
            assert_eq!(span.attributes["attributes"], "2", "system and operation");
            continue;
        }
        let expected = if span.name == "plain" { "2" } else { "1" };
        assert_eq!(span.attributes["attributes"], expected, "{}", span.name);
        assert_eq!(span.attributes["keep"], "true");
    }
}

#[traced(fields(keep = true))]
fn unheard() {
    assert!(!sampled(), "its attributes come after the layer's span");
}

#[test]
fn under_the_layer_it_decides_by_those_of_tracing() {
    use tracing_subscriber::layer::SubscriberExt as _;
    tests::own_process!();
    let registry = tracing_subscriber::registry().with(vitalsign::layer());
    tracing::subscriber::set_global_default(registry).expect("the first subscriber");
    let live = tests::live::installed("none", |builder| builder.sampler_with_attributes(ByAttribute));
    for keep in [false, true] {
        let span = tracing::info_span!("under the layer", keep, text = "x");
        span.in_scope(|| {
            assert_eq!(sampled(), keep);
            tracing::info_span!("below").in_scope(|| assert!(!sampled()));
            unheard();
        });
    }
    live.flush();
    live.receiver.trace("under the layer", 1);
    let spans = live.receiver.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attributes["attributes"], "2");
    assert_eq!(spans[0].attributes["keep"], "true");
}
