//! The static of one annotated function.
//!
//! A macro writes it whole, in constant context: what the function is called and where it stands ([`Def`]), what it records
//! ([`SpanDef`], [`CounterDef`], [`TimerDef`]), and the slots where the runtime keeps what it resolved for this function once.
//! All sites of a program stand in one link-time list, so the catalogue and the zeros of /metrics are known before the
//! first call.

use crate::metrics::label::{ErrorLabelType, LabelType, Limit};
use crate::metrics::{CounterSlot, TimerSlot};
use crate::operation::OperationDef;
use crate::trace::active::SpanSlot;
use std::sync::OnceLock;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata};

/// The link-time list of every annotated function in the program, dependencies included.
#[linkme::distributed_slice]
#[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
pub static SITES: [Site];

/// One annotated function: its description, and what the runtime resolves for it once.
///
/// A plain literal without calls: constant evaluation of a builder, times every annotated function, is time a user waits for.
pub struct Site {
    /// What the attributes say.
    pub def: Def,
    /// What the runtime keeps.
    pub slots: Slots,
}

/// What the runtime resolved for one site.
pub struct Slots {
    known: OnceLock<&'static Known>,
    pub(crate) span: SpanSlot,
    pub(crate) counter: CounterSlot,
    pub(crate) timer: TimerSlot,
}

impl Slots {
    /// [`Slots::new`], evaluated once for all functions.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "each static takes a copy of its own"
    )]
    pub const NEW: Self = Self::new();

    /// Nothing resolved yet.
    pub const fn new() -> Self {
        Self {
            known: OnceLock::new(),
            span: SpanSlot::new(),
            counter: CounterSlot::new(),
            timer: TimerSlot::new(),
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

/// A site as `tracing` knows it: metadata and call site point at each other, so they live for ever once made.
struct Known {
    site: &'static Site,
    meta: OnceLock<Metadata<'static>>,
}

impl Callsite for Known {
    fn set_interest(&self, interest: Interest) {
        self.site.slots.span.set_interest(interest);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.meta.get_or_init(|| unreachable!("made with the call site"))
    }
}

impl Site {
    /// The metadata of this function's span, made on first use and kept.
    pub(crate) fn metadata(&'static self) -> &'static Metadata<'static> {
        self.known()
            .meta
            .get_or_init(|| unreachable!("made with the call site"))
    }

    /// The call site `tracing` knows this function's span by.
    pub(crate) fn callsite(&'static self) -> &'static dyn Callsite {
        self.known()
    }

    /// The kind of this function's span.
    #[inline]
    pub(crate) fn span_kind(&'static self) -> SpanKind {
        self.def.span.as_ref().map_or(SpanKind::Internal, |span| span.kind)
    }

    fn known(&'static self) -> &'static Known {
        self.slots.known.get_or_init(|| {
            let def = &self.def;
            let known: &'static Known = Box::leak(Box::new(Known {
                site: self,
                meta: OnceLock::new(),
            }));
            let (name, target, level, fields) = match &def.span {
                Some(span) => (span.name, span.target, span.level, span.fields),
                None => (def.function, None, Level::INFO, &[] as &[&str]),
            };
            // Behind the user's, whose values are given by position.
            let fields = match def.operation() {
                Some(operation) => Box::leak([fields, operation.keys()].concat().into_boxed_slice()),
                None => fields,
            };
            let fields = FieldSet::new(fields, Identifier(known));
            let (file, line, module) = (Some(def.file), Some(def.line), Some(def.module));
            let target = target.unwrap_or(def.module);
            let meta = Metadata::new(name, target, level, file, line, module, fields, Kind::SPAN);
            known.meta.get_or_init(|| meta);
            known
        })
    }
}

/// What the attributes say of one function.
pub struct Def {
    /// `place_order`, or `Type::place_order` in an annotated block: the `function` label.
    pub function: &'static str,
    /// `module_path!()`.
    pub module: &'static str,
    /// `file!()`.
    pub file: &'static str,
    /// `line!()`.
    pub line: u32,
    /// Its calls can be cancelled.
    pub asynchronous: bool,
    /// Its return type is spelled `Result`, so `error` is to be expected among the outcomes.
    pub fallible: bool,
    /// The span it opens.
    pub span: Option<SpanDef>,
    /// How it counts.
    pub counter: Option<CounterDef>,
    /// How it is timed.
    pub timer: Option<TimerDef>,
}

impl Def {
    /// What this function's call is besides a call.
    pub(crate) fn operation(&self) -> Option<&OperationDef> {
        self.span.as_ref()?.operation.as_ref()
    }
}

#[cfg(test)]
impl Def {
    /// A function that records nothing, for a test to say what it does.
    pub(crate) const fn bare(function: &'static str) -> Self {
        Self {
            function,
            module: "shop",
            file: "shop.rs",
            line: 1,
            asynchronous: false,
            fallible: false,
            span: None,
            counter: None,
            timer: None,
        }
    }
}

/// `SpanKind` of OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SpanKind {
    /// Neither end of a remote call.
    #[default]
    Internal,
    /// Handles a request from outside.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

/// How a span shows an error it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrMode {
    /// By the error's type: message and sources where it has them.
    Auto,
    /// Its `Debug` text, asked for by `err(debug)`.
    Debug,
    /// Status and `error.type` only.
    Off,
}

/// The `#[traced]` part of a site.
pub struct SpanDef {
    /// Its name.
    pub name: &'static str,
    /// The target, where it is not the module's path.
    pub target: Option<&'static str>,
    /// The level.
    pub level: Level,
    /// The kind.
    pub kind: SpanKind,
    /// The names of the fields, in the order in which their values are given.
    pub fields: &'static [&'static str],
    /// How errors are shown.
    pub err: ErrMode,
    /// The level of the log line where an error first surfaces.
    pub err_level: Level,
    /// `db(…)` or `job`.
    pub operation: Option<OperationDef>,
}

impl SpanDef {
    /// The defaults, under a name that every expansion replaces.
    pub const DEFAULT: Self = Self {
        name: "",
        target: None,
        level: Level::INFO,
        kind: SpanKind::Internal,
        fields: &[],
        err: ErrMode::Auto,
        err_level: Level::ERROR,
        operation: None,
    };
}

/// One label of a family.
#[derive(Clone, Copy)]
pub struct LabelDef {
    /// The label's name.
    pub key: &'static str,
    /// Where its values come from.
    pub source: LabelSource,
}

/// Where a label's value comes from.
#[derive(Clone, Copy)]
pub enum LabelSource {
    /// The same for every call.
    Const(&'static str),
    /// From the arguments; the type where it can be named, so that the series stand at zero.
    Entry(Option<&'static LabelType>),
    /// From the returned value, `none` on panic and cancellation.
    Returned(Option<&'static LabelType>),
    /// The first values get a series, the rest share `other`.
    Limited(&'static Limit),
    /// The same, from the returned value.
    ReturnedLimited(&'static Limit),
}

/// The `#[counted]` part of a site.
#[expect(clippy::struct_excessive_bools, reason = "options, each on or off by itself")]
pub struct CounterDef {
    /// `None`: the default family, `function.calls`.
    pub name: Option<&'static str>,
    /// The help text.
    pub help: &'static str,
    /// The help was written as an option; a doc comment is only a default.
    pub explicit_help: bool,
    /// The unit, in UCUM.
    pub unit: &'static str,
    /// The labels, in the order written.
    pub labels: &'static [LabelDef],
    /// Whether there is an `outcome` label.
    pub outcome: bool,
    /// Also a gauge of the calls under way.
    pub in_flight: bool,
    /// The histogram of the same function counts the same calls under the same labels of theirs, so the function does not say
    /// `COUNT`, and whoever scrapes reads the histogram.
    pub by_timer: bool,
    /// The names of the errors that the function returns, where their type has some and can be named without a call.
    pub errors: Option<&'static ErrorLabelType>,
}

impl CounterDef {
    /// The default family.
    pub const DEFAULT: Self = Self {
        name: None,
        help: "",
        explicit_help: false,
        unit: "{call}",
        labels: &[],
        outcome: true,
        in_flight: false,
        by_timer: false,
        errors: None,
    };
}

/// The buckets of a histogram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Buckets {
    /// Those of the HTTP semantic conventions.
    Default,
    /// Upper bounds, in seconds.
    Classic(&'static [f64]),
    /// `count` bounds from `start`, each `factor` times the one before.
    Exponential {
        /// The first bound.
        start: f64,
        /// From one bound to the next.
        factor: f64,
        /// How many.
        count: u32,
    },
    /// Prometheus native, OTLP exponential.
    Native,
}

/// The `#[timed]` part of a site.
pub struct TimerDef {
    /// `None`: the default family, `function.duration`.
    pub name: Option<&'static str>,
    /// The help text.
    pub help: &'static str,
    /// The help was written as an option; a doc comment is only a default.
    pub explicit_help: bool,
    /// The labels, in the order written.
    pub labels: &'static [LabelDef],
    /// The buckets.
    pub buckets: Buckets,
    /// Only the time spent being polled.
    pub busy: bool,
    /// Whether sampled calls leave exemplars.
    pub exemplars: bool,
}

impl TimerDef {
    /// The default family.
    pub const DEFAULT: Self = Self {
        name: None,
        help: "",
        explicit_help: false,
        labels: &[],
        buckets: Buckets::Default,
        busy: false,
        exemplars: true,
    };
}
