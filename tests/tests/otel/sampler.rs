//! Samplers written for `opentelemetry_sdk`: asked for every span, whoever makes it, before any attribute is evaluated. And errors on
//! their way up, through spans that are sampled and through spans that are not.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::live::Live;
use vitalsign::{ErrorLabel, traced};

fn live() -> &'static Live {
    static LIVE: LazyLock<Live> =
        LazyLock::new(|| tests::live::installed("console", |builder| builder.sampler(ByName)));
    &LIVE
}

static EVALUATED: AtomicUsize = AtomicUsize::new(0);

fn evaluated(text: &str) -> &str {
    EVALUATED.fetch_add(1, Ordering::Relaxed);
    text
}

/// By name; children as their parents.
#[derive(Clone, Debug)]
struct ByName;

impl ShouldSample for ByName {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        assert!(attributes.is_empty(), "nothing is evaluated yet");
        assert!(name != "panics", "on purpose");
        tracing::info_span!("of the sampler").in_scope(|| ());
        let parent = parent
            .filter(|cx| cx.has_active_span())
            .map(|cx| cx.span().span_context().clone());
        let kept = parent
            .as_ref()
            .map_or(name.starts_with("kept"), opentelemetry::trace::SpanContext::is_sampled);
        let state = parent.map(|parent| parent.trace_state().clone()).unwrap_or_default();
        SamplingResult {
            decision: if kept {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: vec![
                KeyValue::new("sampler.kind", format!("{kind:?}")),
                KeyValue::new("sampler.links", links.len() as i64),
            ],
            trace_state: state.insert("sampler", name.replace(' ', "-")).expect("a state"),
        }
    }
}

#[traced(name = "kept root", kind = server, fields(which = evaluated("kept root")))]
fn kept_root() {
    child();
    tracing::info_span!("child of tracing", which = evaluated("tracing")).in_scope(|| ());
    global::tracer("test").in_span("child of the api", |_| ());
}

#[traced(name = "child", fields(which = evaluated("child")))]
fn child() {}

#[traced(name = "kept task", link = vitalsign::current(), fields(which = evaluated("task")))]
async fn kept_task() {
    child();
}

#[traced(name = "dropped root", fields(which = evaluated("dropped root")))]
fn dropped_root() {
    child();
    assert!(!vitalsign::current().context().expect("ids").is_sampled());
}

#[traced(name = "panics")]
fn panics() {}

#[tokio::test]
async fn it_decides_before_anything_is_evaluated() {
    tests::own_process!();
    let live = live();
    dropped_root();
    tracing::info_span!("dropped of tracing").in_scope(child);
    assert_eq!(EVALUATED.load(Ordering::Relaxed), 0);
    kept_root();
    assert_eq!(EVALUATED.load(Ordering::Relaxed), 3);
    kept_task().await;
    panics();
    live.flush();
    let trace = live.receiver.trace("kept root", 4);
    assert_eq!(
        trace.outline(),
        "kept root\n  child\n  child of tracing\n  child of the api\n"
    );
    let task = live.receiver.trace("kept task", 2);
    let alone = live.receiver.trace("panics", 1);
    assert_eq!((trace.spans.len(), task.spans.len(), alone.spans.len()), (4, 2, 1));
    let spans = live.receiver.spans();
    assert!(spans.iter().all(|span| !span.name.starts_with("dropped")), "{spans:#?}");
    let root = trace.span("kept root");
    assert_eq!(
        (
            root.attributes["sampler.kind"].as_str(),
            root.attributes["which"].as_str()
        ),
        ("Server", "kept root")
    );
    let received = live.receiver.received();
    let state = |name: &str| {
        let all = received.traces.iter().flat_map(|request| &request.resource_spans);
        let mut all = all
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans);
        all.find(|span| span.name == name)
            .expect("the span")
            .trace_state
            .clone()
    };
    assert_eq!(state("kept root"), "sampler=kept-root");
    assert_eq!(state("child of the api"), "sampler=child-of-the-api");
}

#[derive(Debug, ErrorLabel)]
enum Refused {
    OutOfStock,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing is left")
    }
}

impl std::error::Error for Refused {}

/// An error that says whose it is, so that tests beside each other find their own lines.
#[derive(Debug)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken", self.0)
    }
}

impl std::error::Error for Broken {}

fn lines_of(message: &str) -> Vec<serde_json::Value> {
    let mut lines = live().lines();
    lines.retain(|line| line["message"].as_str().is_some_and(|text| text.contains(message)));
    lines
}

#[traced(name = "kept order")]
fn order() -> Result<(), Refused> {
    Err(Refused::OutOfStock)
}

#[test]
fn an_exception_has_the_name_of_its_type_and_the_error_its_label() {
    tests::own_process!();
    live();
    assert!(order().is_err());
    live().flush();
    let trace = live().receiver.trace("kept order", 1);
    let span = trace.span("kept order");
    assert_eq!(span.attribute("error.type"), "OutOfStock");
    let [(name, exception)] = &span.events[..] else {
        panic!("{:#?}", span.events);
    };
    assert_eq!(name, "exception");
    assert_eq!(exception["exception.type"], concat!(module_path!(), "::Refused"));
    assert_eq!(exception["exception.message"], "nothing is left");
    let [line] = &lines_of("nothing is left")[..] else {
        panic!("one line");
    };
    assert_eq!(
        (&line["error.type"], &line["exception.type"]),
        (&"OutOfStock".into(), &concat!(module_path!(), "::Refused").into())
    );
}

#[traced(name = "kept behind", err(debug))]
fn behind() -> Result<(), Box<dyn std::error::Error>> {
    Err(Box::new(Broken("the box")))
}

#[test]
fn of_an_error_that_may_be_any_the_type_is_not_said() {
    tests::own_process!();
    live();
    assert!(behind().is_err());
    live().flush();
    let span = live().receiver.trace("kept behind", 1).span("kept behind").clone();
    assert_eq!(span.attribute("error.type"), "_OTHER");
    assert!(!span.events[0].1.contains_key("exception.type"), "{:#?}", span.events);
    assert_eq!(span.events[0].1["exception.message"], "Broken(\"the box\")");
}

#[traced(name = "kept by debug", err(debug))]
fn by_debug(whose: &'static str) -> Result<(), Broken> {
    Err(Broken(whose))
}

#[traced(name = "kept by display")]
fn by_display() -> Result<(), Broken> {
    by_debug("debug first")
}

#[traced(name = "kept by debug again", err(debug))]
fn by_debug_again() -> Result<(), Box<dyn std::error::Error>> {
    kept_plain().map_err(Into::into)
}

#[traced(name = "kept plain")]
fn kept_plain() -> Result<(), Broken> {
    Err(Broken("display first"))
}

#[test]
fn an_error_is_told_once_however_it_is_shown() {
    tests::own_process!();
    live();
    assert!(by_display().is_err() && by_debug_again().is_err());
    live().flush();
    for (root, leaf, whose) in [
        ("kept by display", "kept by debug", "debug first"),
        ("kept by debug again", "kept plain", "display first"),
    ] {
        let trace = live().receiver.trace(root, 2);
        assert_eq!(trace.span(leaf).events.len(), 1, "{leaf}");
        assert_eq!(trace.span(root).events.len(), 0, "{root} passes it on");
        assert_eq!(trace.span(root).status, tests::span::StatusCode::Error);
        assert_eq!(lines_of(whose).len(), 1, "{whose}");
    }
}

#[traced(name = "dropped deep")]
fn deep(whose: &'static str) -> Result<(), Broken> {
    Err(Broken(whose))
}

#[traced(name = "dropped middle", err(debug))]
fn middle() -> Result<(), Broken> {
    deep("plain")
}

#[traced(name = "dropped top")]
fn top() -> Result<(), Broken> {
    middle()
}

#[traced(name = "dropped retries")]
fn retries() {
    for _ in 0..3 {
        let _ = deep("every attempt");
    }
}

#[traced(name = "dropped task")]
async fn task() -> Result<(), Broken> {
    tokio::task::yield_now().await;
    deep("a task")
}

/// Keeps the error while others run, and wakes up on whichever thread.
#[traced(name = "dropped around")]
async fn around() -> Result<(), Broken> {
    let error = vitalsign::spawn(task()).await.expect("the task");
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_under_spans_that_are_not_sampled_is_told_once_wherever_it_goes() {
    tests::own_process!();
    live();
    assert!(top().is_err());
    retries();
    let many: Vec<_> = (0..20).map(|_| tokio::spawn(around())).collect();
    for one in many {
        assert!(one.await.expect("the task").is_err());
    }
    assert_eq!(lines_of("plain is broken").len(), 1);
    assert_eq!(lines_of("every attempt is broken").len(), 3, "each surfaced anew");
    assert_eq!(lines_of("a task is broken").len(), 20, "each of the calls once");
}
