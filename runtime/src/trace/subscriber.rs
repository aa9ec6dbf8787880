//! The `tracing` subscriber that fills the store: every span of the program, whoever's macro made it.

use super::body;
use super::chosen::{self, Given};
use super::context::SpanContext;
use super::draft;
use super::local::{self, Ids};
use super::modes;
use super::otel;
use super::passed::{self, Opened};
use super::pipeline::Shared;
use super::slab::Handle;
use super::store::{self, ParentRef, SLAB, Start};
use super::timing;
use super::visit::{self, Fields};
#[cfg(feature = "logs")]
use crate::here::here;
use crate::site::SpanKind;
use std::sync::Arc;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

/// The subscriber of one pipeline.
pub(crate) struct Recorder {
    pub(crate) shared: Arc<Shared>,
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    #[inline(never)]
    fn new_span_otherwise(&self, attributes: &Attributes<'_>) -> Id {
        if !attributes.is_contextual() || modes::any() || local::is_away() {
            return self.new_span_apart(attributes);
        }
        match passed::open_usual(&self.shared, attributes.metadata()) {
            Opened::Passed(handle) => Id::from_non_zero_u64(handle.get()),
            Opened::Root(handle) => {
                draft::keep(&self.shared, handle, attributes);
                Id::from_non_zero_u64(handle.get())
            }
            Opened::Ask { low } => self.new_span_asked(attributes, low),
        }
    }

    #[inline(never)]
    fn new_span_asked(&self, attributes: &Attributes<'_>, low: u64) -> Id {
        id(open_apart(&self.shared, attributes, ParentRef::Current, low))
    }

    #[inline(never)]
    fn new_span_apart(&self, attributes: &Attributes<'_>) -> Id {
        if local::is_turned_away() {
            return nowhere();
        }
        id(open(&self.shared, attributes, Self::parent_of(attributes)))
    }

    fn parent_of(attributes: &Attributes<'_>) -> ParentRef<'static> {
        if attributes.is_root() {
            ParentRef::Root
        } else {
            match attributes.parent().and_then(handle) {
                Some(handle) => ParentRef::Local(handle),
                None => ParentRef::Current,
            }
        }
    }
}

/// Where what is said of a span belongs.
#[inline]
pub(crate) fn handle(id: &Id) -> Option<Handle> {
    named(id).map(passed::resolved)
}

/// The place that an id names.
#[inline]
pub(crate) fn named(id: &Id) -> Option<Handle> {
    Handle::from_u64(id.into_u64())
}

fn id(opened: Option<Handle>) -> Id {
    opened.map_or_else(nowhere, |handle| Id::from_non_zero_u64(handle.get()))
}

/// An id that leads nowhere: for what is made while a field is being formatted, or on a thread that ends.
pub(crate) fn nowhere() -> Id {
    Id::from_u64(u64::MAX)
}

impl Subscriber for Recorder {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() {
            self.shared.events.interest(metadata)
        } else if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_event() {
            self.shared.events.enabled(metadata)
        } else {
            self.shared.filter.enabled(metadata) && !self.shared.is_closed()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // `None` from the events means any level.
        Some(self.shared.events.max_level_hint()?.max(self.shared.filter.max_level()))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        match passed::open_below(&self.shared, attributes) {
            Some(handle) => Id::from_non_zero_u64(handle.get()),
            None => self.new_span_otherwise(attributes),
        }
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(handle) = handle(span)
            && !local::is_turned_away()
        {
            store::attributes(handle, true, true, |fields| values.record(fields));
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        if let (Some(span), Some(follows)) = (handle(span), handle(follows))
            && let Some(ids) = store::ids_of(follows)
        {
            store::link(span, &ids.context());
        }
    }

    fn event(&self, event: &Event<'_>) {
        if local::is_turned_away() {
            return;
        }
        let current = current_of(event, self.shared.span_events, handle);
        told(&self.shared, event, current.as_ref(), true);
    }

    fn enter(&self, span: &Id) {
        if let Some(handle) = named(span) {
            enter(handle);
        }
    }

    fn exit(&self, span: &Id) {
        if let Some(handle) = named(span) {
            leave(handle);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(handle) = named(id) {
            if passed::is_passed(handle) {
                passed::retain(handle);
            } else {
                SLAB.retain(handle);
            }
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        named(&id).is_some_and(close)
    }

    fn current_span(&self) -> Current {
        current_span(self.shared.id)
    }
}

/// Where the `opentelemetry` crates log.
pub(crate) const API: &str = "opentelemetry";

/// The span that an event belongs to; `by_handle`: its place in the store too.
pub(crate) fn current_of(
    event: &Event<'_>,
    by_handle: bool,
    handle: impl FnOnce(&Id) -> Option<Handle>,
) -> Option<(SpanContext, Option<Handle>)> {
    if event.is_root() {
        return None;
    }
    if let Some(parent) = event.parent() {
        return handle(parent).and_then(|handle| Some((store::ids_of(handle)?.context(), Some(handle))));
    }
    local::with(|local| {
        if event.metadata().target().starts_with(API) {
            // Said while a context is being attached, which must not be looked at meanwhile.
            local.top().map(|frame| (frame.ids().context(), frame.handle))
        } else {
            store::current_in(local, by_handle)
        }
    })
    .flatten()
}

/// Hands an event to its span, where spans want them, and to the logs, where those do.
pub(crate) fn told(shared: &Shared, event: &Event<'_>, current: Option<&(SpanContext, Option<Handle>)>, logged: bool) {
    if shared.span_events
        && let Some((_, Some(handle))) = current
    {
        span_event(*handle, event, shared.limits.attributes_per_event);
    }
    if logged {
        shared.events.event(event, current.map(|(context, _)| context));
    }
}

/// Opens a span of `tracing`, recorded or not.
pub(crate) fn open(shared: &Shared, attributes: &Attributes<'_>, parent: ParentRef<'_>) -> Option<Handle> {
    match passed::open(shared, attributes.metadata(), parent) {
        Opened::Passed(handle) => Some(handle),
        Opened::Root(handle) => {
            draft::keep(shared, handle, attributes);
            Some(handle)
        }
        Opened::Ask { low } => open_apart(shared, attributes, parent, low),
    }
}

/// The same of one that more has to be known of.
fn open_apart(shared: &Shared, attributes: &Attributes<'_>, parent: ParentRef<'_>, low: u64) -> Option<Handle> {
    let start = Start {
        meta: attributes.metadata(),
        site: None,
        kind: SpanKind::Internal,
        parent,
        ticks: 0,
        low,
    };
    chosen::ask(
        shared,
        &start,
        start.meta.name(),
        &[],
        &Given::Fields(&|fields| attributes.record(fields)),
    );
    let (handle, recorded, is_root) = local::with(|local| {
        let is_root = match parent {
            ParentRef::Root => true,
            ParentRef::Current => local.top().is_none(),
            ParentRef::Context(_) | ParentRef::Local(_) => false,
        };
        let mut ids = Ids::default();
        match store::start(shared, local, &start, &mut ids) {
            Some(handle) => Some((handle, true, is_root)),
            None => Some((store::name(local, start.meta, &ids)?, false, is_root)),
        }
    })
    .flatten()?;
    if recorded && !attributes.values().is_empty() {
        store::attributes(handle, true, false, |fields| attributes.record(fields));
    } else if !recorded && is_root {
        draft::keep(shared, handle, attributes);
    }
    Some(handle)
}

/// Makes the span that `tracing` names so current on this thread.
#[inline]
pub(crate) fn enter(named: Handle) {
    if !passed::enter_own(named) {
        enter_otherwise(named);
    }
}

#[inline(never)]
fn enter_otherwise(named: Handle) {
    if !passed::is_passed(named) || !passed::enter(named) {
        enter_known(named);
    }
}

fn enter_known(named: Handle) {
    let handle = passed::resolved(named);
    if let Some((ids, Some(meta))) = SLAB.with(handle, |live| (live.ids.clone(), live.fixed.meta)) {
        local::with(|local| {
            local.stack.push_copy(&ids, Some(handle), meta);
        });
        otel::entered(&ids);
        timing::entered(handle);
    }
}

/// Takes the innermost frame of that span off this thread's stack.
#[inline]
pub(crate) fn leave(handle: Handle) {
    if !passed::leave_own(handle) {
        leave_otherwise(handle);
    }
}

#[inline(never)]
fn leave_otherwise(handle: Handle) {
    if !passed::is_passed(handle) || !passed::leave(handle) {
        leave_known(handle);
    }
}

fn leave_known(handle: Handle) {
    timing::left(handle);
    match local::with(|local| local.stack.leave(handle, &mut local.rng)) {
        Some(Some(span)) => otel::left(span),
        _ if passed::is_passed(handle) => {
            if let Some(handle) = passed::forwarded(handle) {
                leave_known(handle);
            }
        }
        _ => {}
    }
}

/// The same of a span that closes, which hardly ever is current.
#[cfg(feature = "logs")]
pub(crate) fn leave_closing(handle: Handle) {
    // A look at the stack would move there what is passed over and entered, for the sake of what hardly ever is.
    if !passed::leave_own(handle) && here(|here| here.passed.is_settled()) {
        leave_known(handle);
    }
}

/// One reference to the span less; true where it was the last.
#[inline]
pub(crate) fn close(named: Handle) -> bool {
    match passed::release_own(named) {
        Some(last) => last,
        None => close_otherwise(named),
    }
}

#[inline(never)]
fn close_otherwise(named: Handle) -> bool {
    if passed::is_passed(named) {
        passed::release(named)
    } else {
        store::close(named, |_| ())
    }
}

/// The innermost span as `tracing` sees it: with a place in the slab from now on, so that it can be named.
fn current_span(pipeline: u32) -> Current {
    local::with(|local| {
        let (Some(at), Some(frame)) = (local.stack.last(), local.stack.peek()) else {
            return Current::none();
        };
        if frame.pipeline() != pipeline {
            return Current::none();
        }
        match (store::settle(local, at), local.top().and_then(|frame| frame.metadata())) {
            (Some(handle), Some(meta)) => Current::new(Id::from_non_zero_u64(handle.get()), meta),
            _ => Current::none(),
        }
    })
    .unwrap_or_else(Current::none)
}

/// A `tracing` event as an event of its span: its message is the name.
pub(crate) fn span_event(handle: Handle, event: &Event<'_>, room: u32) {
    let mut message = Message(String::new());
    local::formatted(|_| event.record(&mut message), |(), _, _| ());
    let name = if message.0.is_empty() {
        event.metadata().name()
    } else {
        &message.0
    };
    store::line(
        handle,
        name,
        |fields: &mut Fields<'_>| {
            fields.named(
                body::Key::Name("level"),
                body::Scalar::Text(event.metadata().level().as_str()),
            );
            fields.named(body::Key::Name("target"), body::Scalar::Text(event.metadata().target()));
            event.record(&mut WithoutMessage(fields));
        },
        room,
    );
}

/// The text of an event's message.
struct Message(String);

impl tracing_core::field::Visit for Message {
    fn record_str(&mut self, field: &tracing_core::Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &tracing_core::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let mut text = Vec::new();
            if !visit::append(&mut text, format_args!("{value:?}")) {
                text = visit::PANICKED.into();
            }
            self.0 = String::from_utf8_lossy(&text).into_owned();
        }
    }
}

/// The other fields.
struct WithoutMessage<'a, 'b>(&'a mut Fields<'b>);

macro_rules! pass_on {
    ($($method:ident($type:ty);)*) => {$(
        fn $method(&mut self, field: &tracing_core::Field, value: $type) {
            if field.name() != "message" {
                self.0.$method(field, value);
            }
        }
    )*};
}

impl tracing_core::field::Visit for WithoutMessage<'_, '_> {
    pass_on! {
        record_f64(f64);
        record_i64(i64);
        record_u64(u64);
        record_i128(i128);
        record_u128(u128);
        record_bool(bool);
        record_str(&str);
        record_bytes(&[u8]);
        record_error(&(dyn std::error::Error + 'static));
        record_debug(&dyn std::fmt::Debug);
    }
}
