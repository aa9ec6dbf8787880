//! The static of one annotated function.
//!
//! A macro writes it whole, in constant context: what the function is called and where it stands ([`Def`]), what it records
//! ([`SpanDef`], [`CounterDef`], [`TimerDef`]), and the slots where the runtime keeps what it resolved for this function once.
//! All sites of a program stand in one link-time list, so the catalogue and the zeros of /metrics are known before the
//! first call.

use crate::metrics::label::{LabelType, Limit};
use crate::metrics::{CounterSlot, TimerSlot};
use crate::trace::active::SpanSlot;
use tracing_core::callsite::{DefaultCallsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::{Kind, Level, Metadata};

/// The link-time list of every annotated function in the program, dependencies included.
#[linkme::distributed_slice]
#[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
pub static SITES: [Site];

/// One annotated function: its constant description, and the state that is resolved for it once.
///
/// The description stands apart from the state so that the compiler sees it as constant: what a function does not record
/// leaves no branch in it.
pub struct Site {
    pub(crate) def: Def,
    pub(crate) state: &'static SiteState,
}

/// The slots of one site: what the runtime resolved for it, and its call site as `tracing` knows it.
pub struct SiteState {
    pub(crate) meta: Metadata<'static>,
    pub(crate) callsite: DefaultCallsite,
    pub(crate) span: SpanSlot,
    pub(crate) counter: CounterSlot,
    pub(crate) timer: TimerSlot,
}

impl Site {
    /// A site and its state point at each other.
    pub const fn new(def: Def, state: &'static SiteState) -> Self {
        Self { def, state }
    }
}

impl SiteState {
    /// The state of that site.
    pub const fn new(site: &'static Site) -> Self {
        let def = &site.def;
        let (name, target, level, fields) = match &def.span {
            Some(span) => (span.name, span.target, span.level, span.fields),
            None => (def.function, None, Level::INFO, &[] as &[&str]),
        };
        let target = match target {
            Some(target) => target,
            None => def.module,
        };
        Self {
            meta: Metadata::new(
                name,
                target,
                level,
                Some(def.file),
                Some(def.line),
                Some(def.module),
                FieldSet::new(fields, Identifier(&site.state.callsite)),
                Kind::SPAN,
            ),
            callsite: DefaultCallsite::new(&site.state.meta),
            span: SpanSlot::new(),
            counter: CounterSlot::new(),
            timer: TimerSlot::new(),
        }
    }
}

/// What the attributes say of one function.
pub struct Def {
    /// `place_order`, or `Type::place_order` in an annotated block: the `function` label.
    pub(crate) function: &'static str,
    pub(crate) module: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// Its calls can be cancelled.
    pub(crate) asynchronous: bool,
    /// Its return type is spelled `Result`, so `error` is to be expected among the outcomes.
    pub(crate) fallible: bool,
    pub(crate) span: Option<SpanDef>,
    pub(crate) counter: Option<CounterDef>,
    pub(crate) timer: Option<TimerDef>,
}

impl Def {
    /// A function that records nothing yet.
    pub const fn new(function: &'static str, module: &'static str, file: &'static str, line: u32) -> Self {
        Self {
            function,
            module,
            file,
            line,
            asynchronous: false,
            fallible: false,
            span: None,
            counter: None,
            timer: None,
        }
    }

    /// `cancelled` is among its outcomes.
    #[must_use]
    pub const fn asynchronous(mut self) -> Self {
        self.asynchronous = true;
        self
    }

    /// `error` is among its outcomes.
    #[must_use]
    pub const fn fallible(mut self) -> Self {
        self.fallible = true;
        self
    }

    /// It opens a span.
    #[must_use]
    pub const fn traced(mut self, span: SpanDef) -> Self {
        self.span = Some(span);
        self
    }

    /// It counts its calls.
    #[must_use]
    pub const fn counted(mut self, counter: CounterDef) -> Self {
        self.counter = Some(counter);
        self
    }

    /// It measures its duration.
    #[must_use]
    pub const fn timed(mut self, timer: TimerDef) -> Self {
        self.timer = Some(timer);
        self
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
    pub(crate) name: &'static str,
    pub(crate) target: Option<&'static str>,
    pub(crate) level: Level,
    pub(crate) kind: SpanKind,
    pub(crate) fields: &'static [&'static str],
    pub(crate) err: ErrMode,
    pub(crate) err_level: Level,
}

impl SpanDef {
    /// A span of that name at level info.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            target: None,
            level: Level::INFO,
            kind: SpanKind::Internal,
            fields: &[],
            err: ErrMode::Auto,
            err_level: Level::ERROR,
        }
    }

    /// The target, where it is not the module's path.
    #[must_use]
    pub const fn target(mut self, target: &'static str) -> Self {
        self.target = Some(target);
        self
    }

    /// The level.
    #[must_use]
    pub const fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// The names of the fields, in the order in which their values are given to [`crate::__private::Call::fields`].
    #[must_use]
    pub const fn fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    /// How errors are shown.
    #[must_use]
    pub const fn err(mut self, mode: ErrMode) -> Self {
        self.err = mode;
        self
    }

    /// The level of the log line where an error first surfaces.
    #[must_use]
    pub const fn err_level(mut self, level: Level) -> Self {
        self.err_level = level;
        self
    }
}

/// One label of a family.
#[derive(Clone, Copy)]
pub struct LabelDef {
    pub(crate) key: &'static str,
    pub(crate) source: LabelSource,
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

impl LabelDef {
    /// A label and its source.
    pub const fn new(key: &'static str, source: LabelSource) -> Self {
        Self { key, source }
    }
}

/// The `#[counted]` part of a site.
pub struct CounterDef {
    /// `None`: the default family, `function.calls`.
    pub(crate) name: Option<&'static str>,
    pub(crate) help: &'static str,
    /// The help was written as an option; a doc comment is only a default.
    pub(crate) explicit_help: bool,
    pub(crate) unit: &'static str,
    pub(crate) labels: &'static [LabelDef],
    pub(crate) outcome: bool,
    pub(crate) in_flight: bool,
}

impl CounterDef {
    /// The default family.
    pub const fn new() -> Self {
        Self {
            name: None,
            help: "",
            explicit_help: false,
            unit: "{call}",
            labels: &[],
            outcome: true,
            in_flight: false,
        }
    }

    /// A family of its own.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Help from the doc comment.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Help written as an option.
    #[must_use]
    pub const fn explicit_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self.explicit_help = true;
        self
    }

    /// The unit, in UCUM.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The labels, in the order written.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [LabelDef]) -> Self {
        self.labels = labels;
        self
    }

    /// No `outcome` label.
    #[must_use]
    pub const fn no_outcome(mut self) -> Self {
        self.outcome = false;
        self
    }

    /// Also a gauge of the calls under way.
    #[must_use]
    pub const fn in_flight(mut self) -> Self {
        self.in_flight = true;
        self
    }
}

impl Default for CounterDef {
    fn default() -> Self {
        Self::new()
    }
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
    pub(crate) name: Option<&'static str>,
    pub(crate) help: &'static str,
    pub(crate) explicit_help: bool,
    pub(crate) labels: &'static [LabelDef],
    pub(crate) buckets: Buckets,
    /// Only the time spent being polled.
    pub(crate) busy: bool,
    pub(crate) exemplars: bool,
}

impl TimerDef {
    /// The default family.
    pub const fn new() -> Self {
        Self {
            name: None,
            help: "",
            explicit_help: false,
            labels: &[],
            buckets: Buckets::Default,
            busy: false,
            exemplars: true,
        }
    }

    /// A family of its own.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Help from the doc comment.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Help written as an option.
    #[must_use]
    pub const fn explicit_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self.explicit_help = true;
        self
    }

    /// The labels, in the order written.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [LabelDef]) -> Self {
        self.labels = labels;
        self
    }

    /// The buckets.
    #[must_use]
    pub const fn buckets(mut self, buckets: Buckets) -> Self {
        self.buckets = buckets;
        self
    }

    /// Only the time spent being polled.
    #[must_use]
    pub const fn busy(mut self) -> Self {
        self.busy = true;
        self
    }

    /// No exemplars.
    #[must_use]
    pub const fn no_exemplars(mut self) -> Self {
        self.exemplars = false;
        self
    }
}

impl Default for TimerDef {
    fn default() -> Self {
        Self::new()
    }
}
