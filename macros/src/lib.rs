//! The attributes and derives of `vitalsign`: tokens in, tokens out.
//!
//! `stack` gathers the attributes of one item, `args` reads what was written, `lower` applies the rules, `expand` writes the
//! code. Use them through the crate `vitalsign`, whose pages show what becomes of them.

#![allow(
    clippy::single_match_else,
    reason = "where one arm is the rule and the other the rest, both stand as arms"
)]

#[macro_use]
mod paths;
#[macro_use]
mod args;
mod derive;
mod diag;
mod expand;
mod lower;
mod model;
mod stack;
mod tokens;

use args::table::Attr;
use proc_macro::TokenStream;
use stack::{Gathered, Stack};

/// Opens a span around each call of a function.
///
/// The span is one of `tracing`'s, becomes an OpenTelemetry span, and knows how the call ended: `ok`, `error`, `panic` or
/// `cancelled`. No argument is recorded unless asked for. On an `impl`, `trait` or `mod` block it holds for every function in it;
/// `#[vitalsign(skip)]` leaves one out.
///
/// # Options
///
#[doc = traced_options!()]
///
/// # Options of `db(…)`
///
#[doc = db_options!()]
///
/// # Examples
///
/// ```
/// # use std::{io, path::Path};
/// use futures_util::stream::{self, Stream, StreamExt};
/// use vitalsign::trace::SpanContext;
/// use vitalsign::traced;
/// # struct Message { text: &'static str, sent_by: Option<SpanContext> }
/// # mod telemetry { pub use vitalsign; }
///
/// #[traced(kind = server, fields(order.id = %id, email = hash(email)), err(level = "warn"))]
/// async fn place_order(id: u64, email: &str) -> Result<u64, io::Error> {
///     if email.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(id) }
/// }
///
/// #[traced(args, skip(body), ret, level = "debug", name = "store file", target = "files")]
/// fn store(path: &Path, body: &[u8]) -> io::Result<u64> {
///     Ok(body.len() as u64)
/// }
///
/// #[traced(root, link = message.sent_by.clone(), when = !message.text.is_empty())]
/// fn handle(message: &Message) {}
///
/// #[traced(parent = caller, error_if = Option::is_none)]
/// fn find(caller: Option<SpanContext>, id: u64) -> Option<u64> {
///     (id < 10).then_some(id)
/// }
///
/// #[traced(stream, fields(%table))]
/// fn rows(table: &str) -> impl Stream<Item = Result<u8, io::Error>> + use<> {
///     stream::iter([Ok(1), Ok(2)])
/// }
///
/// #[traced(db(system = "postgresql", namespace = "shop", query = sql))]
/// async fn customers(sql: &str) -> Result<Vec<u8>, io::Error> {
///     Ok(vec![])
/// }
///
/// #[traced(db(system = "redis", operation = "GET", collection = "sessions"))]
/// async fn session(id: u64) -> Option<u64> {
///     Some(id)
/// }
///
/// #[traced(crate = telemetry::vitalsign, ok_if = |code| *code < 2)]
/// fn run(command: &str) -> u8 {
///     2
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let capture = vitalsign::testing::capture();
/// let _ = place_order(7, "").await;
/// assert_eq!(capture.span("place_order").attribute("order.id"), Some("7"));
/// assert_eq!(capture.span("place_order").outcome(), "error");
///
/// store(Path::new("a"), b"xyz").unwrap();
/// assert_eq!(capture.span("store file").attribute("path"), Some("\"a\""));
/// assert_eq!(capture.span("store file").attribute("body"), None);
///
/// handle(&Message { text: "", sent_by: None });
/// assert!(capture.spans().iter().all(|span| span.name != "handle"));
///
/// find(None, 11);
/// run("false");
/// assert_eq!(capture.span("find").outcome(), "error");
/// assert_eq!(capture.span("run").outcome(), "error");
///
/// assert_eq!(rows("orders").count().await, 2);
/// assert_eq!(capture.span("rows").attribute("stream.items"), Some("2"));
///
/// customers("SELECT name FROM customers WHERE id = 7").await.unwrap();
/// session(1).await;
/// assert_eq!(capture.span("SELECT customers").attribute("db.query.text"), Some("SELECT name FROM customers WHERE id = ?"));
/// assert_eq!(capture.span("GET sessions").attribute("db.system.name"), Some("redis"));
/// # }
/// ```
#[proc_macro_attribute]
pub fn traced(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fused(Stack::one(Attr::Traced, arguments.into()), item)
}

/// Counts the calls of a function by outcome.
///
/// Without a name the calls stand in the family `function_calls_total{function, module, outcome}`; a named family has its own
/// labels and `outcome`. Labels are bounded by construction: a constant, a `LabelValue`, or `limit(expr, 50)`.
///
/// # Options
///
#[doc = counted_options!()]
///
/// # Examples
///
/// ```
/// use vitalsign::{counted, LabelValue};
/// # mod telemetry { pub use vitalsign; }
///
/// #[derive(Clone, Copy, LabelValue)]
/// enum Channel { Web, Phone }
///
/// #[counted(name = "orders.placed", help = "Orders placed.", labels(channel = channel), in_flight)]
/// async fn place_order(channel: Channel) -> Result<u64, String> {
///     match channel { Channel::Web => Ok(1), Channel::Phone => Err("nobody answers".to_owned()) }
/// }
///
/// #[counted(name = "rows.read", unit = "{row}", by = |rows| rows.len(), outcome = off, ok_if = |rows| rows.is_empty())]
/// fn read(table: &str) -> Vec<u8> {
///     vec![1, 2, 3]
/// }
///
/// #[counted(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: u64) -> Option<u64> {
///     None
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let capture = vitalsign::testing::capture();
/// let _ = place_order(Channel::Web).await;
/// let _ = place_order(Channel::Phone).await;
/// assert_eq!(capture.count("orders.placed", &[("channel", "web"), ("outcome", "ok")]), 1.0);
/// assert_eq!(capture.count("orders.placed", &[("channel", "phone"), ("outcome", "error")]), 1.0);
///
/// read("orders");
/// assert_eq!(capture.count("rows.read", &[]), 3.0);
///
/// find(1);
/// assert_eq!(capture.count("function.calls", &[("function", "find"), ("outcome", "error")]), 1.0);
/// # }
/// ```
#[proc_macro_attribute]
pub fn counted(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fused(Stack::one(Attr::Counted, arguments.into()), item)
}

/// Measures how long the calls of a function take, in seconds, by outcome.
///
/// # Options
///
#[doc = timed_options!()]
///
/// # Examples
///
/// ```
/// use vitalsign::{timed, LabelValue};
/// # mod telemetry { pub use vitalsign; }
///
/// #[derive(Clone, Copy, LabelValue)]
/// enum Table { Orders, Items }
///
/// #[timed(name = "orders.latency", buckets = [0.01, 0.1, 1.0], busy, exemplars = off)]
/// async fn place_order(id: u64) -> Result<u64, String> {
///     Ok(id)
/// }
///
/// #[timed(exponential(0.001, 2.0, 12), labels(table: Table = table), help = "Time to read a table.", name = "table.read")]
/// fn read(table: Table) -> Vec<u8> {
///     vec![1, 2, 3]
/// }
///
/// #[timed(native, name = "command.run", ok_if = |code| *code < 2)]
/// fn run(command: &str) -> u8 {
///     2
/// }
///
/// #[timed(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: u64) -> Option<u64> {
///     None
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let capture = vitalsign::testing::capture();
/// let _ = place_order(1).await;
/// read(Table::Items);
/// run("false");
/// find(1);
/// assert_eq!(capture.samples("orders.latency")[0].label("outcome"), Some("ok"));
/// assert_eq!(capture.samples("table.read")[0].label("table"), Some("items"));
/// assert_eq!(capture.samples("command.run")[0].label("outcome"), Some("error"));
/// assert_eq!(capture.samples("function.duration")[0].label("function"), Some("find"));
/// # let _ = Table::Orders;
/// # }
/// ```
#[proc_macro_attribute]
pub fn timed(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fused(Stack::one(Attr::Timed, arguments.into()), item)
}

/// All three at once: [`macro@traced`], [`macro@counted`] and [`macro@timed`].
///
/// # Options
///
#[doc = observed_options!()]
///
/// # Options of `job(…)`
///
/// The sender's context, the time of sending and the attempt come from the arguments that are a `vitalsign::jobs::Message`, as
/// `vitalsign::jobs::Job` is; that module's page says what is recorded.
///
#[doc = job_options!()]
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use vitalsign::{jobs::Job, observed};
/// # mod telemetry { pub use vitalsign; }
///
/// #[observed(name = "checkout", traced(kind = server), counted(in_flight), timed(native))]
/// async fn checkout(items: u32) -> Result<u32, String> {
///     if items == 0 { Err("an empty cart".to_owned()) } else { Ok(items) }
/// }
///
/// #[observed(job = "send_mail")]
/// async fn send_mail(job: Job<String>) -> Result<usize, String> {
///     Ok(job.len())
/// }
///
/// #[observed(job(name = "resize", system = "rabbitmq", queue = "images", message = headers))]
/// async fn resize(headers: &HashMap<String, String>) {}
///
/// #[observed(ok_if = |code| *code < most)]
/// fn run(command: &str, most: u8) -> u8 {
///     2
/// }
///
/// #[observed(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: u64) -> Option<u64> {
///     None
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let capture = vitalsign::testing::capture();
/// let _ = checkout(0).await;
/// run("true", 3);
/// find(1);
/// assert_eq!(capture.tree(), "checkout  error: an empty cart\nrun\nfind  error: error_if\n");
/// assert_eq!(capture.count("checkout.calls", &[("outcome", "error")]), 1.0);
/// assert_eq!(capture.samples("checkout.duration").len(), 1);
///
/// let _ = send_mail(Job::new("a@b.c".to_owned())).await;
/// resize(&HashMap::new()).await;
/// assert!(capture.span("process send_mail").attribute("messaging.operation.name").is_some());
/// assert_eq!(capture.span("process images").attribute("messaging.system"), Some("rabbitmq"));
/// # }
/// ```
#[proc_macro_attribute]
pub fn observed(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fused(Stack::one(Attr::Observed, arguments.into()), item)
}

/// Carries the arguments of attributes that hopped over a sibling. Generated code only.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn carried(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fused(Stack::carried(arguments.into()), item)
}

/// One definition of `metrics!`, with its errors where they belong. Generated code only.
#[doc(hidden)]
#[proc_macro]
pub fn definition(input: TokenStream) -> TokenStream {
    lower::declared::definition(input.into()).into()
}

/// What `metrics!` cannot read. Generated code only.
#[doc(hidden)]
#[proc_macro]
pub fn no_metric(input: TokenStream) -> TokenStream {
    lower::declared::wrong(input.into()).into()
}

fn fused(stack: Stack, item: TokenStream) -> TokenStream {
    match stack::gather(stack, item.into()) {
        Gathered::Hop(tokens) => tokens,
        Gathered::Whole(stack, item) => expand::item(&stack, &item),
    }
    .into()
}

/// `#[vitalsign(skip)]` on a function in an annotated block leaves it out.
///
/// The block takes it away; standing anywhere else it is an error.
#[proc_macro_attribute]
pub fn vitalsign(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::alone(&item.into()).into()
}

/// A health check: a function without arguments, or with [`check`](macro@check) the methods of an `impl` block.
///
/// It may return `()`, `bool`, `Result<(), E>`, `HealthStatus` or `Result<HealthStatus, E>`. A function is registered at link time; an
/// `impl` block becomes a `HealthCheck` of its type.
///
/// # Options
///
#[doc = health_check_options!()]
///
/// # Examples
///
/// ```
/// use vitalsign::{health_check, HealthStatus};
/// # mod telemetry { pub use vitalsign; }
/// # async fn connect() -> Result<(), std::io::Error> { Ok(()) }
///
/// #[health_check(readiness, startup, name = "orders-db", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
/// async fn database() -> Result<(), std::io::Error> {
///     connect().await
/// }
///
/// #[health_check(liveness, cache = "1s", critical = false, blocking)]
/// fn disk_is_writable() -> bool {
///     std::fs::metadata(std::env::temp_dir()).is_ok_and(|folder| !folder.permissions().readonly())
/// }
///
/// #[health_check(crate = telemetry::vitalsign)]
/// fn enough_memory() -> HealthStatus {
///     HealthStatus::up()
/// }
/// # fn main() {
/// // They stay functions.
/// assert!(disk_is_writable());
/// assert_eq!(enough_memory(), HealthStatus::up());
/// # }
/// ```
#[proc_macro_attribute]
pub fn health_check(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::health::health_check(arguments.into(), item.into()).into()
}

/// A method that is a check of its `impl` block, which is marked [`#[health_check]`](macro@health_check).
///
/// # Options
///
#[doc = check_options!()]
///
/// # Examples
///
/// ```
/// use vitalsign::{health_check, HealthCheck, HealthStatus};
///
/// struct Store { items: Vec<u8> }
///
/// #[health_check]
/// impl Store {
///     #[check(readiness, name = "ping", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
///     async fn ping(&self) -> Result<(), String> {
///         Ok(())
///     }
///
///     #[check(liveness, startup, critical = false, cache = "1s", blocking)]
///     fn has_space(&self) -> bool {
///         self.items.len() < 100
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // `vitals.register_health("store", store)` makes them `store.ping` and `store.has_space`.
/// assert_eq!(Store { items: vec![] }.check().await, HealthStatus::up());
/// # }
/// ```
#[proc_macro_attribute]
pub fn check(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::health::check_alone(arguments.into(), &item.into()).into()
}

/// A struct whose fields are health checks.
///
/// Each field says `#[health(…)]`: its type is a `HealthCheck`, or `check = path` names an `async fn(&Field)`.
///
/// # Options
///
#[doc = health_options!()]
///
/// # Examples
///
/// ```
/// use vitalsign::{HealthCheck, HealthStatus};
/// # struct Pool; struct Mailer; struct Config;
/// # impl HealthCheck for Pool { async fn check(&self) -> HealthStatus { HealthStatus::up() } }
///
/// #[derive(HealthCheck)]
/// struct Backends {
///     #[health(readiness, startup, timeout = "2s", interval = "10s", failures = 3, successes = 2)]
///     db: Pool,
///     #[health(liveness, name = "mail", critical = false, check = ping, cache = "1s", blocking)]
///     mailer: Mailer,
///     #[health(skip)]
///     config: Config,
/// }
///
/// fn ping(mailer: &Mailer) -> Result<(), std::io::Error> {
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let backends = Backends { db: Pool, mailer: Mailer, config: Config };
/// assert_eq!(backends.check().await, HealthStatus::up());
/// # let _ = backends.config;
/// # }
/// ```
#[proc_macro_derive(HealthCheck, attributes(health))]
pub fn derive_health_check(input: TokenStream) -> TokenStream {
    derive::health_check::derive(input.into()).into()
}

/// The variants of an enum as the values of a label, in `snake_case`.
///
/// # Examples
///
/// ```
/// use vitalsign::LabelValue;
///
/// #[derive(LabelValue)]
/// #[label(rename_all = "kebab-case")]
/// enum Channel {
///     Web,
///     Telephone,
///     #[label(rename = "app")]
///     MobileApp,
/// }
///
/// let names: Vec<_> = (0..Channel::LEN).map(Channel::value).collect();
/// assert_eq!(names, ["web", "telephone", "app"]);
/// assert_eq!(Channel::MobileApp.index(), 2);
/// # let _ = (Channel::Web, Channel::Telephone);
/// ```
#[proc_macro_derive(LabelValue, attributes(label))]
pub fn derive_label_value(input: TokenStream) -> TokenStream {
    derive::label_value::derive(input.into()).into()
}

/// The variants of an error enum as the label `error_type`, by their names.
///
/// `#[label(outcome = "ok")]` on a variant says that it is no failure.
///
/// # Examples
///
/// ```
/// use vitalsign::{counted, ErrorLabel};
///
/// #[derive(Debug, ErrorLabel)]
/// enum OrderError {
///     #[label(outcome = "ok")]
///     NotFound,
///     #[label(rename = "Database")]
///     Db(std::io::Error),
/// }
///
/// #[counted(name = "orders.read")]
/// fn read(id: u64) -> Result<u64, OrderError> {
///     match id {
///         0 => Err(OrderError::NotFound),
///         1 => Err(OrderError::Db(std::io::ErrorKind::TimedOut.into())),
///         id => Ok(id),
///     }
/// }
///
/// let capture = vitalsign::testing::capture();
/// let _ = (read(0), read(1));
/// assert_eq!(capture.count("orders.read", &[("outcome", "ok")]), 1.0);
/// assert_eq!(capture.count("orders.read", &[("outcome", "error"), ("error.type", "Database")]), 1.0);
/// ```
#[proc_macro_derive(ErrorLabel, attributes(label))]
pub fn derive_error_label(input: TokenStream) -> TokenStream {
    derive::error_label::derive(input.into()).into()
}
