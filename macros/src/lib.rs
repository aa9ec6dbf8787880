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
/// ```ignore
/// #[traced(kind = server, fields(order.id = %id, email = hash(email)), err(level = "warn"))]
/// async fn place_order(db: &Db, id: OrderId, email: &str) -> Result<Receipt, OrderError> { todo!() }
///
/// #[traced(args, skip(body), ret, level = "debug", name = "store file", target = "files")]
/// fn store(path: &Path, body: &[u8]) -> io::Result<u64> { todo!() }
///
/// #[traced(root, link = message.context(), when = !message.is_empty())]
/// fn handle(message: &Message) { todo!() }
///
/// #[traced(parent = request, error_if = Option::is_none)]
/// fn find(request: &Request) -> Option<User> { todo!() }
///
/// #[traced(stream, fields(%table))]
/// fn rows(table: &str) -> impl Stream<Item = Result<Row, DbError>> { todo!() }
///
/// #[traced(db(system = "postgresql", namespace = "shop", query = sql))]
/// async fn rows(sql: &str) -> Result<Vec<Row>, sqlx::Error> { todo!() }
///
/// #[traced(db(system = "redis", operation = "GET", collection = "sessions"))]
/// async fn session(id: SessionId) -> redis::RedisResult<Session> { todo!() }
///
/// #[traced(crate = telemetry::vitalsign, ok_if = |code| *code < 2)]
/// fn run(command: &Command) -> u8 { todo!() }
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
/// ```ignore
/// #[counted(name = "orders.placed", help = "Orders placed.", labels(channel = channel), in_flight)]
/// async fn place_order(channel: Channel) -> Result<Receipt, OrderError> { todo!() }
///
/// #[counted(name = "rows.read", unit = "{row}", by = |rows| rows.len(), outcome = off, ok_if = |rows| rows.is_empty())]
/// fn read(table: Table) -> Vec<Row> { todo!() }
///
/// #[counted(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: UserId) -> Option<User> { todo!() }
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
/// ```ignore
/// #[timed(name = "orders.latency", buckets = [0.01, 0.1, 1.0], busy, exemplars = off)]
/// async fn place_order(channel: Channel) -> Result<Receipt, OrderError> { todo!() }
///
/// #[timed(exponential(0.001, 2.0, 12), labels(table: Table = table), help = "Time to read a table.")]
/// fn read(table: Table) -> Vec<Row> { todo!() }
///
/// #[timed(native, ok_if = |code| *code < 2)]
/// fn run(command: &Command) -> u8 { todo!() }
///
/// #[timed(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: UserId) -> Option<User> { todo!() }
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
/// ```ignore
/// #[observed(name = "checkout", traced(kind = server), counted(in_flight), timed(native))]
/// async fn checkout(cart: Cart) -> Result<Receipt, CheckoutError> { todo!() }
///
/// #[observed(job = "send_mail")]
/// async fn send_mail(job: Job<Mail>) -> Result<(), MailError> { todo!() }
///
/// #[observed(job(name = "resize", system = "rabbitmq", queue = "images", message = delivery.headers))]
/// async fn resize(delivery: Delivery) -> Result<(), ImageError> { todo!() }
///
/// #[observed(ok_if = |code| *code < 2)]
/// fn run(command: &Command) -> u8 { todo!() }
///
/// #[observed(crate = telemetry::vitalsign, error_if = Option::is_none)]
/// fn find(id: UserId) -> Option<User> { todo!() }
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
/// ```ignore
/// #[health_check(readiness, startup, name = "orders-db", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
/// async fn database() -> Result<(), sqlx::Error> { todo!() }
///
/// #[health_check(liveness, cache = "1s", critical = false, blocking)]
/// fn disk_is_writable() -> bool { todo!() }
///
/// #[health_check(crate = telemetry::vitalsign)]
/// fn enough_memory() -> bool { todo!() }
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
/// ```ignore
/// #[health_check]
/// impl Store {
///     #[check(readiness, name = "ping", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
///     async fn ping(&self) -> Result<(), StoreError> { todo!() }
///
///     #[check(liveness, startup, critical = false, cache = "1s", blocking)]
///     fn has_space(&self) -> bool { todo!() }
/// }
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
/// ```ignore
/// #[derive(HealthCheck)]
/// struct Backends {
///     #[health(readiness, startup, timeout = "2s", interval = "10s", failures = 3, successes = 2)]
///     db: SqlitePool,
///     #[health(liveness, name = "mail", critical = false, check = ping, cache = "1s", blocking)]
///     mailer: Mailer,
///     #[health(skip)]
///     config: Config,
/// }
/// ```
#[proc_macro_derive(HealthCheck, attributes(health))]
pub fn derive_health_check(input: TokenStream) -> TokenStream {
    derive::health_check::derive(input.into()).into()
}

/// The variants of an enum as the values of a label, in `snake_case`.
///
/// # Examples
///
/// ```ignore
/// #[derive(LabelValue)]
/// #[label(rename_all = "kebab-case")]
/// enum Channel {
///     Web,
///     #[label(rename = "app")]
///     MobileApp,
/// }
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
/// ```ignore
/// #[derive(ErrorLabel)]
/// enum OrderError {
///     #[label(outcome = "ok")]
///     NotFound,
///     #[label(rename = "Database")]
///     Db(sqlx::Error),
/// }
/// ```
#[proc_macro_derive(ErrorLabel, attributes(label))]
pub fn derive_error_label(input: TokenStream) -> TokenStream {
    derive::error_label::derive(input.into()).into()
}
