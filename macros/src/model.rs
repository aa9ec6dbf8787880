//! What an annotated item comes to: defaults applied, rules kept, nonsense not expressible.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Expr, LitStr, Pat, Type};

use crate::args::{Level, Show};
use crate::paths::Root;
use crate::tokens::Function;

/// A function with everything its attributes say of it.
pub(crate) struct Instrumented {
    pub(crate) root: Root,
    pub(crate) function: Function,
    /// `place_order`, or `Type::place_order` in a block.
    pub(crate) name: String,
    pub(crate) flow: Flow,
    /// The arguments that move into the body, in order.
    pub(crate) rebinds: Vec<Rebind>,
    pub(crate) receiver: Receiver,
    /// The arguments that what is said before the body reads parts of.
    pub(crate) apart: Vec<Apart>,
    /// The return type is spelled `Result`.
    pub(crate) fallible: bool,
    /// What it returns, where that is a `Result` that a static can name and only its type decides on the outcome.
    pub(crate) result: Option<Type>,
    pub(crate) span: Option<SpanModel>,
    pub(crate) counter: Option<Counter>,
    pub(crate) timer: Option<Timer>,
    pub(crate) verdict: Verdict,
    /// The arguments that options read once the body is done, where they do.
    pub(crate) late: Vec<Ident>,
}

/// How control goes through the function.
pub(crate) enum Flow {
    /// A plain function. `maybe_future`: its type could be a boxed future by another name.
    Sync { run: Run, maybe_future: bool },
    /// `-> !`
    Diverges,
    /// `async fn`, rewritten to return the wrapper. `tied`: to `impl Fn…`, by which closures in the body are typed.
    Async { tied: Option<Tie> },
    /// `async fn` that stays one: what stands below or on it asks for the word.
    AsyncKept { tied: Option<Tie> },
    /// `async fn() -> !`
    AsyncDiverges,
    /// The last expression is an `async` block, perhaps in `Box::pin`.
    FutureInside(Tail),
    /// `-> impl Future` by other means.
    FutureOutside(Run),
    /// `stream`: the returned stream is wrapped, and boxed again where its type is no `impl`.
    Stream { boxed: bool },
}

/// Where the body of a plain function runs. A closure takes its `return` and `?`, but is not told the caller's location, which
/// `#[track_caller]` asks for.
pub(crate) enum Run {
    Closure,
    /// In a closure that a bound tells what it returns: the `impl Fn…` of the return type, by which closures in the body are typed.
    Tied(Tie),
    /// Where it stands: it cannot leave early.
    InPlace(Option<Tie>),
    /// Where it stands, in a block that it leaves instead of the function: the rewritten body.
    Labelled(TokenStream, Option<Tie>),
    /// In a function of its own, inside, that is `#[track_caller]` too.
    Hoisted(Box<syn::Signature>),
    /// In a method of its own, beside this one.
    Beside(Box<syn::Signature>),
}

/// A function that the returned value passes, for closures in it to be typed by the bound of `-> impl Fn…`.
pub(crate) struct Tie {
    pub(crate) params: TokenStream,
    pub(crate) clause: TokenStream,
    /// What the parameters are at the call.
    pub(crate) given: TokenStream,
    pub(crate) returned: TokenStream,
}

/// A body that ends in an `async` block.
pub(crate) struct Tail {
    /// What stands before the block: statements, and `Box::pin` where it is boxed.
    pub(crate) before: TokenStream,
    /// The block stands in the parentheses of `Box::pin`.
    pub(crate) boxed: Option<Span>,
    /// `async [move] {…}`
    pub(crate) block: TokenStream,
}

/// An argument that is bound again inside the body, as rustc's own lowering of `async fn` does.
pub(crate) struct Rebind {
    pub(crate) attrs: Vec<syn::Attribute>,
    pub(crate) pattern: Pat,
    /// What the signature calls it.
    pub(crate) source: Ident,
    /// The names that the pattern binds.
    pub(crate) names: Vec<Ident>,
    /// The pattern is more than the name in the signature.
    pub(crate) hidden: bool,
}

/// An argument that is a pattern, taken apart by reference.
pub(crate) struct Apart {
    /// The conditions under which it is there.
    pub(crate) cfg: Vec<syn::Attribute>,
    /// The pattern, to match a reference.
    pub(crate) pattern: Pat,
    /// What the signature calls it.
    pub(crate) source: Ident,
    /// The names it binds, and how many references each is more than in the body.
    pub(crate) names: Vec<(Ident, usize)>,
}

/// How the function takes `self`.
pub(crate) enum Receiver {
    /// Not at all, or by reference: nothing to keep.
    None,
    /// By value: it has to live in the body even if the body does not name it.
    Owned(syn::Token![self]),
}

/// What decides between ok and error.
pub(crate) enum Verdict {
    /// The type of the returned value.
    ByType,
    OkIf(Expr),
    ErrorIf(Expr),
}

pub(crate) struct SpanModel {
    pub(crate) name: LitStr,
    pub(crate) target: Option<LitStr>,
    pub(crate) level: Option<Level>,
    /// The variant of `SpanKind`.
    pub(crate) kind: Option<Ident>,
    pub(crate) fields: Vec<FieldModel>,
    pub(crate) ret: Option<Show>,
    pub(crate) err: ErrMode,
    pub(crate) err_level: Option<Level>,
    pub(crate) parent: ParentModel,
    pub(crate) link: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) operation: Option<OperationModel>,
}

/// What the call is besides a call.
pub(crate) enum OperationModel {
    Db(DbModel),
    Job(JobModel),
}

pub(crate) struct DbModel {
    pub(crate) system: LitStr,
    pub(crate) operation: Option<LitStr>,
    pub(crate) collection: Option<LitStr>,
    pub(crate) namespace: Option<LitStr>,
    pub(crate) query: Option<Expr>,
    /// The span has a name of its own, which the statement's summary does not replace.
    pub(crate) named: bool,
}

pub(crate) struct JobModel {
    pub(crate) name: LitStr,
    pub(crate) system: Option<LitStr>,
    pub(crate) queue: LitStr,
    pub(crate) messages: Messages,
}

/// Where a job's message is.
pub(crate) enum Messages {
    /// Any of the arguments whose type is one.
    Among(Vec<Given>),
    Of(Expr),
}

/// An argument as an expression.
pub(crate) struct Given {
    /// The conditions under which it is there.
    pub(crate) cfg: Vec<syn::Attribute>,
    pub(crate) value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrMode {
    Auto,
    Debug,
    Off,
}

pub(crate) enum ParentModel {
    Current,
    Root,
    Of(Expr),
}

pub(crate) struct FieldModel {
    /// The conditions under which it is there: those of its argument.
    pub(crate) cfg: Vec<syn::Attribute>,
    pub(crate) key: LitStr,
    pub(crate) capture: Capture,
}

/// How a field gets its value.
pub(crate) enum Capture {
    /// A key alone: recorded later.
    Empty,
    Value(Show, Expr),
    /// By what the argument's type has: native, else Debug, else the type's name.
    Arg(Expr),
    Hash(Expr),
    Redact(Expr),
    Truncate(Expr, Expr),
    Len(Expr),
}

pub(crate) struct Counter {
    pub(crate) family: Family,
    pub(crate) by: Option<Expr>,
    pub(crate) unit: Option<LitStr>,
    pub(crate) in_flight: bool,
    pub(crate) outcome: bool,
}

pub(crate) struct Timer {
    pub(crate) family: Family,
    pub(crate) buckets: Buckets,
    pub(crate) busy: bool,
    pub(crate) exemplars: bool,
}

/// What counters and histograms share.
pub(crate) struct Family {
    /// `None`: the default family.
    pub(crate) name: Option<LitStr>,
    pub(crate) help: Help,
    pub(crate) labels: Vec<LabelModel>,
}

pub(crate) enum Help {
    None,
    /// The first line of the doc comment: a default.
    Doc(String),
    Explicit(LitStr),
}

pub(crate) enum Buckets {
    Default,
    Classic(Vec<TokenStream>),
    Exponential(Box<[Expr; 3]>),
    Native,
}

pub(crate) struct LabelModel {
    pub(crate) key: LitStr,
    pub(crate) source: Source,
}

/// Where a label's value comes from.
pub(crate) enum Source {
    /// A `&'static str` in constant context.
    Const(TokenStream),
    Entry(Expr, LabelType),
    Returned(Expr, LabelType),
    /// A bounded set of values, kept in the static of that name.
    Limited {
        at: Moment,
        value: Expr,
        max: u32,
        store: Ident,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Entry,
    Return,
}

/// The type of a label as far as a static can name it.
#[allow(clippy::large_enum_variant, reason = "a handful, for as long as an expansion takes")]
pub(crate) enum LabelType {
    Unknown,
    Named(Type),
    /// That of an expression over these arguments.
    Of(Vec<(Ident, Type)>),
}

/// One health check as far as its attribute says it.
pub(crate) struct CheckModel {
    pub(crate) name: Option<LitStr>,
    /// The function that checks a field.
    pub(crate) check: Option<syn::Path>,
    pub(crate) said: Vec<CheckOption>,
}

/// One call on the runtime's `CheckOptions`, whose methods are called as the options are.
#[derive(Clone)]
pub(crate) enum CheckOption {
    Flag(&'static str),
    Duration(&'static str, u64),
    Bool(&'static str, syn::LitBool),
    Count(&'static str, syn::LitInt),
}

impl CheckOption {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Flag(name) | Self::Duration(name, _) | Self::Bool(name, _) | Self::Count(name, _) => name,
        }
    }
}
