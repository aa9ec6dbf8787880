//! The span of one call, as the call sees it.

use super::body::{Item, Items, Key, Scalar};
use super::chosen::{self, Given};
use super::context::{SpanContext, SpanId, TraceId};
use super::drain;
use super::errors;
use super::live::Live;
use super::local::{self, Ids};
use super::modes;
use super::otel;
use super::passing;
use super::pipeline::{self, Shared};
use super::slab::Handle;
use super::store::{self, ParentRef, SLAB, Start};
use super::timing;
use super::visit::Fields;
use crate::operation::Said;
use crate::outcome::CallOutcome;
use crate::probe::ErrorRef;
use crate::site::Site;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tracing_core::callsite::{self, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::{Callsite, Dispatch, Interest, Kind, Level, Metadata, dispatcher};

/// What is remembered of a site: the answer of our filter, and whose answer it was; and what all subscribers there are want of it.
pub struct SpanSlot {
    answer: AtomicU64,
    interest: AtomicU8,
}

const UNREGISTERED: u8 = 0;
const NEVER: u8 = 1;
const SOMETIMES: u8 = 2;
const ALWAYS: u8 = 3;
/// [`NEVER`], and the filter of the process's pipeline has said so, too. That alone is not to be relied on: `tracing` may have asked
/// only who was current on the thread that came first.
const OFF: u8 = 4;

impl SpanSlot {
    pub(crate) const fn new() -> Self {
        Self {
            answer: AtomicU64::new(0),
            interest: AtomicU8::new(UNREGISTERED),
        }
    }

    /// Whether the pipeline's filter lets the site's spans exist.
    #[inline]
    pub(crate) fn enabled(&self, site: &'static Site, shared: &Shared) -> bool {
        let whose = u64::from(shared.id) << 1;
        let answer = self.answer.load(Ordering::Relaxed);
        if answer & !1 == whose {
            return answer & 1 == 1;
        }
        let enabled = shared.filter.enabled(site.metadata());
        self.answer.store(whose | u64::from(enabled), Ordering::Relaxed);
        enabled
    }

    /// No span of the site exists, whoever is current: its calls need not ask. Until [`set_interest`](Self::set_interest) is told otherwise,
    /// as `tracing` does when a subscriber is added.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "this load is the whole cost of a call at a level that is off"
    )]
    pub(crate) fn is_off(&self) -> bool {
        self.interest.load(Ordering::Relaxed) == OFF
    }

    /// No span came of a call: later ones are spared the question, where the answer would be the same for each.
    #[cold]
    #[inline(never)]
    pub(crate) fn found_off(&self, site: &'static Site) {
        if pipeline::of_process().is_none_or(|shared| self.enabled(site, shared)) {
            return;
        }
        if self.interest.load(Ordering::Relaxed) == UNREGISTERED {
            callsite::register(site.callsite());
        }
        let _ = self
            .interest
            .compare_exchange(NEVER, OFF, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What the dispatcher thinks of the site's call site.
    #[expect(clippy::needless_pass_by_value, reason = "the signature of `Callsite::set_interest`")]
    pub(crate) fn set_interest(&self, interest: Interest) {
        let interest = if interest.is_never() {
            NEVER
        } else if interest.is_always() {
            ALWAYS
        } else {
            SOMETIMES
        };
        self.interest.store(interest, Ordering::Relaxed);
    }

    /// Whether a subscriber that is not ours wants the site's span now.
    fn wanted(&self, site: &'static Site, dispatch: &Dispatch) -> bool {
        if self.interest.load(Ordering::Relaxed) == UNREGISTERED {
            callsite::register(site.callsite());
        }
        match self.interest.load(Ordering::Relaxed) {
            NEVER | OFF => false,
            ALWAYS => true,
            _ => dispatch.enabled(site.metadata()),
        }
    }
}

/// Where a new span hangs.
#[derive(Clone, Debug, Default)]
pub(crate) enum Parent {
    /// Under what is current.
    #[default]
    Current,
    /// A new trace.
    Root,
    /// Under this span, of this process or another.
    Of(SpanContext),
}

/// What was said of a span before it opened.
#[derive(Default)]
pub(crate) struct SpanOptions {
    pub(crate) parent: Parent,
    pub(crate) links: Vec<SpanContext>,
    /// What was said of the operation that the call is.
    pub(crate) operation: Option<Said>,
    held: Vec<u8>,
}

impl SpanOptions {
    /// Of a span under this one, of this process or another.
    #[cfg(feature = "tower")]
    pub(crate) fn under(context: SpanContext) -> Self {
        Self {
            parent: Parent::Of(context),
            ..Self::default()
        }
    }

    /// It does not hang under what is current.
    pub(crate) fn says_parent(&self) -> bool {
        !matches!(self.parent, Parent::Current)
    }

    /// Keeps the values of fields until the span opens: they were asked for before its first poll.
    pub(crate) fn hold(&mut self, site: &'static Site, values: &[&dyn Value]) {
        let mut fields = Fields {
            out: &mut self.held,
            by_index: true,
            room: u32::MAX,
            dropped: 0,
            written: 0,
            longest: u32::MAX,
        };
        local::guarded(|| record(site, values, &mut fields));
    }
}

pub(super) fn record(site: &'static Site, values: &[&dyn Value], fields: &mut Fields<'_>) {
    for (field, value) in site.metadata().fields().iter().zip(values) {
        value.record(&field, fields);
    }
}

/// The span of one call: recorded, or present for its ids only, or another subscriber's, or none.
#[derive(Default)]
pub(crate) struct ActiveSpan {
    /// Span id 0: none of ours.
    ids: Ids,
    /// None when it is not recorded.
    handle: Option<Handle>,
    /// Another subscriber is current on this thread: an ordinary `tracing` span of the site.
    foreign: Option<Box<tracing::Span>>,
}

impl ActiveSpan {
    /// A span of ours, recorded where there is a handle.
    pub(crate) fn of(ids: Ids, handle: Option<Handle>) -> Self {
        Self {
            ids,
            handle,
            foreign: None,
        }
    }

    /// Asks filter and sampler, and opens the span in place. `start` is 0 when no one has read the clock yet.
    pub(crate) fn open(&mut self, site: &'static Site, start: u64, options: Option<&SpanOptions>) {
        if local::is_turned_away() {
            return;
        }
        let passed = passing::ids(options.map(|options| &options.parent));
        dispatcher::get_default(|dispatch| match pipeline::of(dispatch) {
            Some(shared) => self.open_ours(site, shared, start, options),
            None => self.open_foreign(site, dispatch, options),
        });
        if let Some(ids) = passed {
            self.ids = ids;
        } else if !self.is_ours() && !self.is_foreign() {
            site.slots.span.found_off(site);
        }
    }

    #[inline]
    fn open_ours(&mut self, site: &'static Site, shared: &Shared, ticks: u64, options: Option<&SpanOptions>) {
        if shared.is_closed() || !site.slots.span.enabled(site, shared) {
            return;
        }
        let start = Start {
            meta: site.metadata(),
            site: Some(site),
            kind: site.span_kind(),
            parent: match options.map(|options| &options.parent) {
                None | Some(Parent::Current) => ParentRef::Current,
                Some(Parent::Root) => ParentRef::Root,
                Some(Parent::Of(context)) => ParentRef::Context(context),
            },
            ticks,
            low: 0,
        };
        if shared.sampler.is_custom() {
            chosen(shared, &start, options);
        }
        let ids = &mut self.ids;
        self.handle = local::with(|local| store::start(shared, local, &start, ids)).flatten();
        if let (Some(handle), Some(options)) = (self.handle, options) {
            said(handle, options);
        }
    }

    #[cold]
    fn timed(&self) {
        if let Some(handle) = self.handle {
            timing::entered(handle);
        }
    }

    /// Under a subscriber that is not ours; it may have our layer, which then knows the span.
    #[cold]
    pub(crate) fn open_foreign(&mut self, site: &'static Site, dispatch: &Dispatch, options: Option<&SpanOptions>) {
        #[cfg(feature = "logs")]
        {
            let (span, place) = super::layer::making(|| foreign(site, dispatch, options));
            self.foreign = span;
            if let Some(place) = place {
                self.layered(site, super::passed::resolved(place), options);
            }
        }
        #[cfg(not(feature = "logs"))]
        {
            self.foreign = foreign(site, dispatch, options);
        }
    }

    #[cfg(feature = "logs")]
    fn layered(&mut self, site: &'static Site, handle: Handle, options: Option<&SpanOptions>) {
        if let (Some(Parent::Of(context)), Some(shared)) =
            (options.map(|options| &options.parent), super::layer::pipeline())
        {
            store::set_parent(shared, handle, Some(context));
        }
        for context in options.iter().flat_map(|options| &options.links) {
            store::link(handle, context);
        }
        let handle = super::passed::resolved(handle);
        let known = SLAB.with(handle, |live| {
            live.fixed.site = Some(site);
            live.fixed.kind = site.span_kind();
            self.ids = live.ids.clone();
            self.handle = live.fixed.recorded.then_some(handle);
        });
        if known.is_none()
            && let Some(ids) = store::ids_of(handle)
        {
            self.ids = ids;
        }
    }

    /// One of ours, recorded or not.
    #[inline]
    fn is_ours(&self) -> bool {
        self.ids.span != 0
    }

    /// Another subscriber's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// Entered and left by us, and not by another subscriber.
    #[inline]
    fn is_direct(&self) -> bool {
        self.is_ours() && self.foreign.is_none()
    }

    /// Attributes given to this span are kept.
    #[inline]
    pub(crate) fn recording(&self) -> bool {
        self.handle.is_some() || self.foreign.is_some()
    }

    /// Makes it current on this thread.
    #[inline]
    pub(crate) fn enter(&mut self, site: &'static Site) {
        if self.is_direct() {
            if store::has_moved() {
                self.follow();
            }
            local::with(|local| {
                local.stack.push_copy(&self.ids, self.handle, site.metadata());
            });
            if modes::any() {
                otel::entered(&self.ids);
                self.timed();
            }
        } else if let Some(span) = &self.foreign {
            span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
            passing::enter(&self.ids, site.metadata());
        }
    }

    /// Its identity, which `set_parent` may have changed since.
    #[cold]
    fn follow(&mut self) {
        if let Some(ids) = self.handle.and_then(store::ids_of) {
            self.ids = ids;
        }
    }

    /// Ends what `enter` began, on the same thread.
    #[inline]
    pub(crate) fn exit(&self) {
        if self.is_direct() {
            if let Some(handle) = self.handle
                && modes::any()
            {
                timing::left(handle);
            }
            local::leave_span(self.ids.span);
        } else if let Some(span) = &self.foreign {
            passing::leave(&self.ids);
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
    }

    /// Values for the site's fields, by position.
    pub(crate) fn fields(&mut self, site: &'static Site, values: &[&dyn Value]) {
        if !self.fields_elsewhere(site, values)
            && let Some(handle) = self.handle
        {
            let decided = record_fields(handle, site, values);
            self.decided(decided);
        }
    }

    /// The same of values that no user code shows.
    #[cfg(any(feature = "tower", feature = "actix-web", feature = "db-sqlx"))]
    pub(crate) fn plain_fields(&mut self, site: &'static Site, values: &[Option<Scalar<'_>>]) {
        let given = || {
            values
                .iter()
                .enumerate()
                .filter_map(|(at, value)| Some((at, (*value)?)))
        };
        if let Some(span) = &self.foreign {
            for (at, value) in given() {
                if let Some(field) = site.metadata().fields().iter().nth(at) {
                    record_on(span, &field, value);
                }
            }
        } else if let Some(handle) = self.handle {
            store::plain(handle, true, |fields| {
                given().for_each(|(at, value)| fields.placed(site, at, value));
            });
            self.decided(chosen::fields(handle));
        }
    }

    /// The same, by their places, behind what is kept under that number; false where that is to be said as all else is.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn common_fields(
        &self,
        common: u32,
        site: &'static Site,
        values: &[(usize, Option<Scalar<'_>>)],
    ) -> bool {
        // Other subscribers, and samplers of the program's own, read attributes.
        let Some(handle) = self.handle.filter(|_| self.foreign.is_none() && !chosen::is_late()) else {
            return false;
        };
        store::begin_common(handle, common, values.len() as u32, |fields| {
            for (at, value) in values {
                if let Some(value) = value {
                    fields.placed(site, *at, *value);
                }
            }
        })
    }

    /// A sampler of the program's own may have decided by the fields.
    #[inline]
    fn decided(&mut self, ids: Option<Ids>) {
        if let Some(ids) = ids {
            self.ids = ids;
        }
    }

    /// The same under another subscriber; false where there is none.
    fn fields_elsewhere(&self, site: &'static Site, values: &[&dyn Value]) -> bool {
        let Some(span) = &self.foreign else { return false };
        for (field, value) in site.metadata().fields().iter().zip(values) {
            span.record(&field, *value);
        }
        true
    }

    /// Another attribute, whose name was not given before.
    pub(crate) fn add(&self, key: &str, value: Scalar<'_>) {
        if let Some(handle) = self.handle {
            store::plain(handle, false, |fields| fields.named(Key::Name(key), value));
        } else if let Some(span) = &self.foreign {
            record_on(span, key, value);
        }
    }

    /// An attribute in place of one that may have been given before.
    #[cold]
    pub(crate) fn replace(&self, key: &str, value: &str) {
        if let Some(handle) = self.handle {
            store::set(handle, key, Scalar::Text(value));
        } else if let Some(span) = &self.foreign {
            span.record(key, value);
        }
    }

    /// Several texts as one attribute; another subscriber gets them joined.
    #[cfg(feature = "tower")]
    pub(crate) fn add_texts(&self, key: &str, values: &[std::borrow::Cow<'_, str>]) {
        if let Some(handle) = self.handle {
            let values = values.iter().map(|value| &**value);
            store::plain(handle, false, |fields| fields.texts(Key::Name(key), values));
        } else {
            self.add(key, Scalar::Text(&values.join(", ")));
        }
    }

    /// The returned value, as the attribute `return`.
    pub(crate) fn returned(&self, value: &dyn Value) {
        if let Some(handle) = self.handle {
            record_returned(handle, value);
        }
    }

    /// Status Error, `error.type`, and where it first surfaced the exception and its log line.
    pub(crate) fn error(&self, site: &'static Site, error: &ErrorRef<'_>) {
        if self.is_ours() {
            errors::record(site, &self.ids, self.handle, error);
        }
    }

    /// Ends it. On panic the message and place that the hook kept are recorded.
    #[inline]
    pub(crate) fn close(&mut self, end: u64, outcome: CallOutcome) {
        if outcome == CallOutcome::Panic && self.is_ours() {
            errors::panicked(&self.ids, self.handle);
        }
        if let Some(handle) = self.handle.take() {
            let settle = |live: &mut Live| live.ended(end, outcome);
            // Of one whose fields never came, because one of them panicked, the sampler is asked now.
            chosen::fields(handle);
            if self.foreign.is_none() {
                store::close(handle, settle);
            } else {
                SLAB.with(handle, settle);
            }
        }
        // Nothing is left to drop afterwards.
        self.ids.span = 0;
        self.ids.carried = None;
        self.foreign = None;
    }

    /// Its life begins only now; `anew`: under what is current now. One that was not recorded when its fields could be read, and
    /// is now, has none.
    #[cold]
    pub(crate) fn begins(&mut self, site: &'static Site, ticks: u64, anew: bool) {
        let now = if anew { store::current() } else { None };
        match self.handle {
            Some(handle) => {
                let parent = SLAB.with(handle, |live| {
                    live.fixed.start = ticks;
                    live.fixed.parent
                });
                if anew && parent != Some(now.as_ref().map_or(0, |context| context.span_id.0)) {
                    self.moves(handle, now.as_ref());
                }
            }
            None if anew && self.is_direct() => {
                *self = Self::default();
                self.open(site, ticks, None);
            }
            None => {}
        }
    }

    /// Another parent, or none: the sampler is asked again.
    fn moves(&mut self, handle: Handle, parent: Option<&SpanContext>) {
        let Some(shared) = drain::pipeline(self.ids.pipeline()) else {
            return;
        };
        store::set_parent(&shared, handle, parent);
        let Some((ids, recorded)) = SLAB.with(handle, |live| (live.ids.clone(), live.fixed.recorded)) else {
            return;
        };
        self.ids = ids;
        if !recorded && self.foreign.is_none() {
            self.handle = None;
            store::close(handle, |_| ());
        }
    }

    /// There was no call: nothing leaves.
    #[cold]
    pub(crate) fn discard(&mut self) {
        if let Some(handle) = self.handle.take() {
            store::discard(handle);
        }
    }

    /// Its ids, recorded or not, for those who pass them on.
    #[cfg(any(feature = "tower", feature = "db-sqlx"))]
    pub(crate) fn context(&self) -> Option<SpanContext> {
        self.is_ours().then(|| self.ids.context())
    }

    /// Its ids when it is sampled, else those of the sampled span current on this thread.
    pub(crate) fn exemplar(&self) -> Option<(TraceId, SpanId)> {
        if self.is_ours() && self.ids.flags().is_sampled() {
            return Some((self.ids.trace(), SpanId(self.ids.span)));
        }
        sampled()
    }
}

/// The span current on this thread, where it is sampled.
pub(crate) fn sampled() -> Option<(TraceId, SpanId)> {
    local::with(|local| {
        if let Some(context) = otel::newer(local) {
            return context.is_sampled().then_some((context.trace_id, context.span_id));
        }
        let ids = local.top()?.ids();
        ids.flags().is_sampled().then(|| (ids.trace(), SpanId(ids.span)))
    })
    .flatten()
}

/// Values for the site's fields, by position. The span's identity, where that may be another by them.
pub(crate) fn record_fields(handle: Handle, site: &'static Site, values: &[&dyn Value]) -> Option<Ids> {
    store::attributes(handle, true, false, |fields| record(site, values, fields));
    chosen::fields(handle)
}

/// Asks a sampler of the program's own about the span of a call.
#[cold]
pub(crate) fn chosen(shared: &Shared, start: &Start<'_>, options: Option<&SpanOptions>) {
    let (links, given) = match options {
        Some(options) if !options.held.is_empty() => (&options.links[..], Given::Body(&options.held)),
        Some(options) => (&options.links[..], Given::Later),
        None => (&[][..], Given::Later),
    };
    chosen::ask(shared, start, start.meta.name(), links, &given);
}

/// The returned value, as the attribute `return`.
pub(crate) fn record_returned(handle: Handle, value: &dyn Value) {
    store::attributes(handle, false, true, |fields| {
        for field in RETURN.fields() {
            value.record(&field, fields);
        }
    });
}

/// Links and values that were given before the span opened.
#[cold]
pub(crate) fn said(handle: Handle, options: &SpanOptions) {
    if options.links.is_empty() && options.held.is_empty() {
        return;
    }
    for context in &options.links {
        store::link(handle, context);
    }
    SLAB.with(handle, |live| {
        let names = live.fixed.meta.map(Metadata::fields);
        live.write(true, |fields| {
            for item in Items(&options.held).texts() {
                if let Item::Attribute(key, value) = item {
                    fields.held(key, names, value);
                }
            }
        });
    });
}

/// A span of the subscriber that is current and not ours.
#[cold]
fn foreign(site: &'static Site, dispatch: &Dispatch, options: Option<&SpanOptions>) -> Option<Box<tracing::Span>> {
    if !site.slots.span.wanted(site, dispatch) {
        return None;
    }
    let meta = site.metadata();
    let fields = meta.fields();
    let empty: Vec<Option<&dyn Value>> = vec![None; fields.len()];
    let none = fields.value_set_all(&empty);
    let span = if matches!(
        options,
        Some(SpanOptions {
            parent: Parent::Root,
            ..
        })
    ) {
        tracing::Span::new_root_with(meta, &none, dispatch)
    } else {
        tracing::Span::new_with(meta, &none, dispatch)
    };
    for item in Items(options.map_or(&[], |options| &options.held)).texts() {
        if let Item::Attribute(Key::Index(index), value) = item
            && let Some(field) = fields.iter().nth(index.into())
        {
            record_on(&span, &field, value);
        }
    }
    Some(Box::new(span))
}

/// A value on a span of another subscriber.
#[cold]
fn record_on(span: &tracing::Span, field: &(impl tracing::field::AsField + ?Sized), value: Scalar<'_>) {
    match value {
        Scalar::Bool(value) => span.record(field, value),
        Scalar::I64(value) => span.record(field, value),
        Scalar::F64(value) => span.record(field, value),
        Scalar::Text(value) => span.record(field, value),
        Scalar::Bytes(value) | Scalar::Array(value) => span.record(field, value),
    };
}

/// The field `return` belongs to no site's list; it has this one.
static RETURN: Metadata<'static> = Metadata::new(
    "return",
    "vitalsign",
    Level::INFO,
    None,
    None,
    None,
    FieldSet::new(&["return"], Identifier(&ReturnCallsite)),
    Kind::SPAN,
);

struct ReturnCallsite;

impl Callsite for ReturnCallsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &RETURN
    }
}
