//! One span of the `opentelemetry` API, in our store.

use crate::clock;
use crate::export::otlp::traces;
use crate::trace::body::{self, Key, Scalar};
use crate::trace::context::SpanContext;
use crate::trace::finished::STATUS_OK;
use crate::trace::live::Live;
use crate::trace::pipeline::Shared;
use crate::trace::slab::Handle;
use crate::trace::store::{self, SLAB};
use crate::trace::visit::{self, Fields};
use opentelemetry::trace::{self as api, Status};
use opentelemetry::{Array, KeyValue, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A span made by [`Tracer`](super::Tracer). Dropping it ends it.
#[derive(Debug)]
pub struct Span {
    context: api::SpanContext,
    recorded: Option<Recorded>,
}

/// What a recorded span knows of itself.
struct Recorded {
    handle: Handle,
    shared: Arc<Shared>,
    /// When it began, where that was said; nanoseconds since the Unix epoch.
    start: u64,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.fmt(f)
    }
}

/// Open spans of the API by their ids: a context holds them behind a type of its own.
type Shard = Mutex<HashMap<u64, Handle>>;

fn shard(span: u64) -> MutexGuard<'static, HashMap<u64, Handle>> {
    static OPEN: OnceLock<[Shard; 16]> = OnceLock::new();
    let shards = OPEN.get_or_init(Default::default);
    shards[span as usize % shards.len()]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// The place in the store of an open span of the API.
pub(crate) fn handle_of(span: u64) -> Option<Handle> {
    shard(span).get(&span).copied()
}

/// Shows a value as what a body holds.
pub(super) fn scalar<R>(value: &Value, longest: u32, with: impl FnOnce(Scalar<'_>) -> R) -> R {
    match value {
        Value::Bool(value) => with(Scalar::Bool(*value)),
        Value::I64(value) => with(Scalar::I64(*value)),
        Value::F64(value) => with(Scalar::F64(*value)),
        Value::String(value) => with(Scalar::Text(value.as_str())),
        Value::Array(array) => {
            let mut out = Vec::new();
            let mut each = |value: Scalar<'_>| traces::array_value(&mut out, value);
            match array {
                Array::Bool(values) => values.iter().for_each(|value| each(Scalar::Bool(*value))),
                Array::I64(values) => values.iter().for_each(|value| each(Scalar::I64(*value))),
                Array::F64(values) => values.iter().for_each(|value| each(Scalar::F64(*value))),
                Array::String(values) => {
                    for value in values {
                        each(Scalar::Text(visit::truncated(value.as_str(), longest)));
                    }
                }
                other => return with(Scalar::Text(&other.to_string())),
            }
            with(Scalar::Array(&out))
        }
        other => with(Scalar::Text(&other.to_string())),
    }
}

/// Appends attributes, and returns how many did not fit.
fn attributes(out: &mut Vec<u8>, attributes: &[KeyValue], room: u32, longest: u32) -> u32 {
    let mut fields = Fields {
        out,
        by_index: false,
        room,
        dropped: 0,
        written: 0,
        longest,
    };
    for attribute in attributes {
        scalar(&attribute.value, longest, |value| {
            fields.named(Key::Name(attribute.key.as_str()), value);
        });
    }
    fields.dropped
}

/// Links and attributes of a span to be, for the sampler.
pub(super) fn told(builder: &api::SpanBuilder) -> (Vec<SpanContext>, Vec<u8>) {
    let links = builder.links.iter().flatten();
    let mut out = Vec::new();
    attributes(
        &mut out,
        builder.attributes.as_deref().unwrap_or_default(),
        u32::MAX,
        u32::MAX,
    );
    (links.map(|link| (&link.span_context).into()).collect(), out)
}

/// A time as the rest of the trace tells it. The system's clock and ours part over the days, and what the API calls now is read
/// from the former: a time that was now a moment ago is told by ours, any other as it was given.
fn nanos(time: SystemTime) -> u64 {
    const MOMENT: Duration = Duration::from_millis(1);
    match SystemTime::now().duration_since(time) {
        Ok(ago) if ago < MOMENT => clock::unix_nanos(clock::now()).saturating_sub(ago.as_nanos() as u64),
        _ => time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64,
    }
}

impl Span {
    /// Present for its ids only.
    pub(super) fn unrecorded(context: Option<&SpanContext>) -> Self {
        Self {
            context: context.map_or(api::SpanContext::NONE, Into::into),
            recorded: None,
        }
    }

    /// A span that was just opened, with what its builder says.
    pub(super) fn opened(
        context: &SpanContext,
        handle: Handle,
        shared: &Arc<Shared>,
        builder: api::SpanBuilder,
    ) -> Self {
        let start = builder.start_time.map_or(0, nanos);
        let mut span = Self {
            context: context.into(),
            recorded: Some(Recorded {
                handle,
                shared: Arc::clone(shared),
                start,
            }),
        };
        shard(context.span_id.0).insert(context.span_id.0, handle);
        api::Span::update_name(&mut span, builder.name);
        for attribute in builder.attributes.into_iter().flatten() {
            api::Span::set_attribute(&mut span, attribute);
        }
        for link in builder.links.into_iter().flatten() {
            api::Span::add_link(&mut span, link.span_context, link.attributes);
        }
        for event in builder.events.into_iter().flatten() {
            api::Span::add_event_with_timestamp(&mut span, event.name, event.timestamp, event.attributes);
        }
        span
    }

    fn change(&self, change: impl FnOnce(&mut Live, &Shared)) {
        if let Some(recorded) = &self.recorded {
            SLAB.with(recorded.handle, |live| {
                if live.fixed.recorded {
                    change(live, &recorded.shared);
                }
            });
        }
    }
}

impl api::Span for Span {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes_: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        if self.recorded.is_none() {
            return;
        }
        let (name, at) = (name.into(), nanos(timestamp));
        self.change(|live, shared| {
            if !live.takes_event() {
                return;
            }
            live.events_left -= 1;
            body::event_at(&mut live.body, at, &name);
            let room = shared.limits.attributes_per_event;
            let dropped = attributes(&mut live.body, &attributes_, room, live.longest);
            body::end(&mut live.body, dropped);
        });
    }

    fn span_context(&self) -> &api::SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.recorded
            .as_ref()
            .is_some_and(|recorded| store::is_recording(recorded.handle))
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.change(|live, _| {
            scalar(&attribute.value, live.longest, |value| {
                live.set(attribute.key.as_str(), value);
            });
        });
    }

    fn set_status(&mut self, status: Status) {
        self.change(|live, _| match status {
            Status::Unset => {}
            Status::Ok => live.fixed.status = STATUS_OK,
            Status::Error { description } => live.fail(Some(&description)),
        });
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if self.recorded.is_some() {
            let name = new_name.into();
            self.change(|live, _| live.say(body::NAME, &name));
        }
    }

    fn add_link(&mut self, span_context: api::SpanContext, attributes_: Vec<KeyValue>) {
        if self.recorded.is_none() {
            return;
        }
        let context = SpanContext::from(&span_context);
        self.change(|live, shared| {
            if live.links_left == 0 {
                live.fixed.dropped_links += 1;
                return;
            }
            live.links_left -= 1;
            body::link(&mut live.body, &context);
            let room = shared.limits.attributes_per_link;
            let dropped = attributes(&mut live.body, &attributes_, room, live.longest);
            body::end(&mut live.body, dropped);
        });
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        let Some(Recorded { handle, start, .. }) = self.recorded.take() else {
            return;
        };
        let span = u64::from_be_bytes(self.context.span_id().to_bytes());
        shard(span).remove(&span);
        let end = nanos(timestamp);
        store::close(handle, |live| {
            let began = if start == 0 {
                clock::unix_nanos(live.fixed.start)
            } else {
                start
            };
            // For whoever goes by the head, as the rules of tail sampling do: how long it took.
            let took = end.saturating_sub(began) as f64 / 1e9 * clock::ticks_per_second();
            live.fixed.end = live.fixed.start.saturating_add(took as u64).max(1);
            body::times(&mut live.body, start, end);
        });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.recorded.is_some() {
            api::Span::end_with_timestamp(self, SystemTime::now());
        }
    }
}
