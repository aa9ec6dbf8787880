//! The store and its fronts, read back through the decoder of `opentelemetry-proto`.

#![allow(
    clippy::needless_borrow,
    clippy::unchecked_time_subtraction,
    reason = "written as the macros write; clocks that only go on"
)]

use crate::__private as p;
use crate::export::otlp::traces::request;
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::Site;
use crate::trace::event::EventSink;
use crate::trace::pipeline::{EncodedSpans, Pipeline, SpanSink, TraceSetup, scoped};
use crate::trace::sampler::{Ratio, Root, Sampler};
use crate::trace::{SpanContext, SpanId, TraceFlags, TraceId, stats};
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
            let bytes = request(b"", &batch.scopes);
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

mod errors;
mod fields;
mod fronts;
mod life;
mod sampled_out;

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

/// Of another process.
fn remote(flags: TraceFlags) -> SpanContext {
    SpanContext {
        trace_id: TraceId(0x0102),
        span_id: SpanId(0x0304),
        flags,
        is_remote: true,
        ..SpanContext::default()
    }
}

fn context(span: &tracing::Span) -> SpanContext {
    let id = span.id().unwrap();
    let handle = crate::trace::subscriber::handle(&id).unwrap();
    crate::trace::store::ids_of(handle).unwrap().context()
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
