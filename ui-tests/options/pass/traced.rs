//! Every option of `traced`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use futures_util::stream::{self, Stream, StreamExt as _};
use std::pin::Pin;
use vitalsign::trace::SpanContext;
use vitalsign::traced;

#[derive(Debug)]
struct User {
    id: u64,
    id_text: String,
    email: String,
    password: String,
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.id)
    }
}

struct Opaque;

#[traced(name = "named", target = "elsewhere", level = "debug", kind = server)]
fn named() {}

#[traced(level = tracing::Level::WARN, kind = internal, crate = ::vitalsign)]
fn leveled() {}

#[traced(kind = client)]
fn client() {}

#[traced(kind = producer)]
fn producer() {}

#[traced(kind = consumer)]
fn consumer() {}

#[traced(fields(
    n,
    %user,
    ?user.email,
    user.id,
    app.user = %user.id,
    debug = ?user,
    sum = n + 1,
    text = "literal",
    "quoted.key" = n,
    type = 1,
    later,
    hash(user.password),
    user.secret = redact(user.password),
    start = truncate(user.email, 3),
    email.len = len(user.email),
    len(user.id_text),
    token = plain(n),
))]
fn fields(n: u64, user: &User) -> u64 {
    n + user.id
}

#[traced(fields(a, ?rest, name = %name))]
async fn fields_of_patterns((a, rest): (u8, Vec<u8>), User { email: name, .. }: User) -> usize {
    usize::from(a) + rest.len() + name.len()
}

#[traced(fields(only_recorded = %_id))]
fn only_recorded(_id: u64) {}

#[traced(args)]
fn all_arguments(n: u8, text: &str, list: Vec<u8>, opaque: Opaque, (a, b): (u8, u8)) -> usize {
    let Opaque = opaque;
    usize::from(n + a + b) + text.len() + list.len()
}

#[traced(args, skip(password, list), fields(n = n + 1))]
async fn most_arguments(n: u8, password: &str, list: Vec<u8>) -> usize {
    usize::from(n) + password.len() + list.len()
}

#[traced(ret)]
fn native() -> Result<u8, String> {
    Ok(1)
}

#[traced(ret(display))]
async fn display() -> u8 {
    1
}

#[traced(ret(debug))]
fn debug() -> Result<Option<u8>, std::fmt::Error> {
    Ok(None)
}

#[traced(ret)]
fn opaque() -> Opaque {
    Opaque
}

#[traced(err(debug))]
fn error_by_debug() -> Result<(), Vec<u8>> {
    Err(vec![])
}

#[traced(err(off))]
fn error_off() -> Result<(), String> {
    Err(String::new())
}

#[traced(err(level = "warn"))]
async fn error_level() -> Result<(), String> {
    Err(String::new())
}

#[traced(err(debug, level = Level::INFO))]
fn error_both() -> Result<(), String> {
    Err(String::new())
}

#[traced(parent = parent)]
fn child(parent: &Option<SpanContext>) -> bool {
    parent.is_some()
}

#[traced(root)]
fn root() {}

#[traced(link = link.clone())]
async fn linked(link: &SpanContext) -> bool {
    let _ = link;
    true
}

#[traced(when = n > 1, args)]
fn when(n: u8) -> u8 {
    n
}

#[traced(ok_if = |n| *n == 0)]
fn ok_if() -> u8 {
    1
}

#[traced(error_if = Option::is_none)]
async fn error_if(n: u8) -> Option<u8> {
    (n > 0).then_some(n)
}

#[traced(fields(n, %later), args, ret)]
fn future(n: u8, later: String) -> std::pin::Pin<Box<dyn Future<Output = u8> + Send>> {
    let m = n + later.len() as u8;
    Box::pin(async move { m })
}

#[traced(stream, fields(n, %later))]
fn stream(n: u8, later: String) -> impl Stream<Item = Result<u8, String>> {
    let more = later.len() as u8;
    stream::iter((0..n + more).map(Ok))
}

#[traced(stream, error_if = |item| *item > 9)]
fn boxed_stream<'a>(items: &'a [u8]) -> Pin<Box<dyn Stream<Item = u8> + Send + 'a>> {
    Box::pin(stream::iter(items.iter().copied()))
}

#[traced(stream)]
fn stream_of_futures() -> impl Stream<Item = impl Future<Output = u8>> {
    stream::iter([std::future::ready(1)])
}

#[traced(stream)]
fn stream_by_another_name(items: &[u8]) -> stream::BoxStream<'_, u8> {
    if items.is_empty() {
        return Box::pin(stream::empty());
    }
    Box::pin(stream::iter(items.iter().copied()))
}

struct Service {
    id: u8,
}

#[traced(fields(%self.id, me = self.id))]
impl Service {
    fn by_reference(&self) -> u8 {
        self.id
    }
    async fn by_value(self) -> u8 {
        self.id
    }
    async fn exclusive(&mut self) -> &mut u8 {
        &mut self.id
    }
}

struct Refused;

impl vitalsign::db::Code for Refused {
    fn status_code(&self) -> Option<String> {
        Some("57014".to_owned())
    }
}

#[traced(db(system = "postgresql", namespace = "shop", query = sql))]
async fn query(sql: String) -> Result<usize, Refused> {
    if sql.is_empty() { Err(Refused) } else { Ok(sql.len()) }
}

#[traced(db(system = "sqlite", query = format!("PRAGMA {name}")), kind = internal, name = "pragma", fields(name))]
fn pragma(name: &str) -> std::io::Result<usize> {
    Ok(name.len())
}

#[traced(db(system = "redis", operation = "GET", collection = "sessions"))]
fn session() {}

#[traced(db(system = "mongodb"))]
impl User {
    fn find(&self) -> u64 {
        self.id
    }
}

fn user() -> User {
    User { id: 1, id_text: "1".into(), email: "a@b".into(), password: "x".into() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    named();
    leveled();
    client();
    producer();
    consumer();
    assert_eq!(fields(1, &user()), 2);
    assert_eq!(fields_of_patterns((1, vec![1]), user()).await, 5);
    only_recorded(1);
    assert_eq!(all_arguments(1, "x", vec![], Opaque, (1, 1)), 4);
    assert_eq!(most_arguments(1, "x", vec![]).await, 2);
    assert_eq!(native(), Ok(1));
    assert_eq!(display().await, 1);
    assert_eq!(debug(), Ok(None));
    opaque();
    assert!(error_by_debug().is_err() && error_off().is_err() && error_both().is_err());
    assert!(error_level().await.is_err());
    assert!(!child(&None));
    root();
    assert_eq!(when(1), 1);
    assert_eq!(ok_if(), 1);
    assert_eq!(error_if(0).await, None);
    assert_eq!(future(1, "x".into()).await, 2);
    assert_eq!(stream(1, "x".into()).count().await, 2);
    assert_eq!(boxed_stream(&[1, 2]).collect::<Vec<_>>().await, [1, 2]);
    assert_eq!(stream_of_futures().count().await, 1);
    assert_eq!(stream_by_another_name(&[1]).count().await, 1);
    assert_eq!(Service { id: 1 }.by_reference(), 1);
    assert_eq!(*Service { id: 1 }.exclusive().await, 1);
    assert_eq!(Service { id: 1 }.by_value().await, 1);
    let _ = linked;
    assert_eq!(query("SELECT 1".to_owned()).await.ok(), Some(8));
    assert!(query(String::new()).await.is_err());
    assert_eq!(pragma("user").ok(), Some(4));
    session();
    assert_eq!(user().find(), 1);
}
