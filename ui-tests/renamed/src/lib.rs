//! Annotated functions as a strict user writes them: edition 2021, a renamed dependency, every lint that is not about style of
//! documentation.

#![deny(warnings)]
#![warn(clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use telemetry::{counted, health_check, observed, timed, traced, ErrorLabel, HealthCheck, LabelValue};

/// A channel of sale.
#[derive(LabelValue, Clone, Copy, Debug)]
#[label(crate = telemetry)]
pub enum Channel {
    /// In a browser.
    Web,
    /// On a phone.
    App,
}

/// What can go wrong.
#[derive(ErrorLabel, Debug)]
#[label(crate = telemetry)]
pub enum Error {
    /// Nothing of that name.
    #[label(outcome = "ok")]
    NotFound,
    /// Not a number.
    Number(std::num::ParseIntError),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrong")
    }
}

impl std::error::Error for Error {}

impl From<std::num::ParseIntError> for Error {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::Number(error)
    }
}

/// Places an order.
///
/// # Errors
///
/// The number is none.
#[traced(crate = telemetry, fields(channel = ?channel, %text, later), ret(debug))]
#[counted(labels(channel = channel, kind = limit(text, 5)), in_flight, by = 2)]
#[timed(buckets = [0.1, 1.0], busy)]
pub async fn place(mut total: u32, text: &str, channel: Channel) -> Result<u32, Error> {
    total += text.parse::<u32>()?;
    std::future::ready(()).await;
    if total == 0 {
        return Err(Error::NotFound);
    }
    Ok(total)
}

/// Adds.
///
/// # Errors
///
/// The number is none.
#[observed(crate = telemetry, traced(args))]
pub fn add(total: u32, text: &str, (a, _): (u32, String), _unused: Vec<u8>) -> Result<u32, Error> {
    let n: u32 = text.parse()?;
    Ok(total + n + a)
}

/// Borrows.
#[observed(crate = telemetry)]
pub async fn borrows<'a>(map: &'a std::collections::BTreeMap<String, String>, key: &str) -> Option<&'a String> {
    map.get(key)
}

/// Shows.
#[observed(crate = telemetry, traced(fields(other)))]
pub async fn shows(value: impl std::fmt::Display, other: &str) -> String {
    std::future::ready(()).await;
    format!("{value}{other}")
}

/// Boxed.
#[observed(crate = telemetry)]
pub fn boxed(n: &u8) -> std::pin::Pin<Box<dyn std::future::Future<Output = u8> + Send + '_>> {
    Box::pin(async move { *n })
}

/// Hidden.
#[observed(crate = telemetry)]
pub fn hidden(n: u8) -> impl Iterator<Item = u8> {
    0..n
}

/// Never.
///
/// # Panics
///
/// Always.
#[observed(crate = telemetry)]
pub fn never(text: &str) -> ! {
    panic!("{text}")
}

/// Never, later.
///
/// # Panics
///
/// Always.
#[observed(crate = telemetry)]
pub async fn never_later(text: String) -> ! {
    std::future::ready(()).await;
    panic!("{text}")
}

/// A store.
pub struct Store(Vec<u8>);

#[observed(crate = telemetry)]
impl Store {
    /// A new one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds.
    pub fn push(&mut self, n: u8) -> &mut Self {
        self.0.push(n);
        self
    }

    /// All of them.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }

    /// The first.
    pub async fn first(&self) -> Option<&u8> {
        std::future::ready(()).await;
        self.0.first()
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

#[health_check(crate = telemetry)]
impl Store {
    #[check(timeout = "2s")]
    async fn has_some(&self) -> bool {
        std::future::ready(!self.0.is_empty()).await
    }
}

/// What this service needs.
#[derive(HealthCheck)]
#[health(crate = telemetry)]
pub struct Backends {
    /// The store.
    #[health(readiness, critical = false)]
    pub store: Store,
}

/// Is there any memory?
#[health_check(crate = telemetry, liveness)]
#[must_use]
pub fn memory() -> bool {
    true
}

/// Items first, behind arguments that are bound again.
#[observed(crate = telemetry, traced(args))]
#[must_use]
pub fn items_first(mut text: String, _unused: u8) -> String {
    use std::fmt::Write as _;
    const TIMES: usize = 2;
    fn twice(n: usize) -> usize {
        n * TIMES
    }
    let _ = write!(text, "{}", twice(text.len()));
    text
}

/// The same, later.
#[observed(crate = telemetry, traced(args))]
pub async fn items_first_later(mut text: String, _unused: u8) -> String {
    use std::fmt::Write as _;
    let _ = write!(text, "{}", text.len());
    std::future::ready(()).await;
    text
}

impl Store {
    /// Where it was asked.
    ///
    /// # Errors
    ///
    /// There is none.
    #[observed(crate = telemetry)]
    #[track_caller]
    pub fn located(&self, n: Option<usize>) -> Option<&'static std::panic::Location<'static>> {
        let first = self.0.get(n?)?;
        if *first == 0 {
            return None;
        }
        Some(std::panic::Location::caller())
    }
}

/// What is expected of a function stays expected, or is allowed where nothing looks into generated code any more.
pub mod expectations {
    use telemetry::{observed, traced};

    /// Clippy passes over functions that a macro wrote.
    #[observed(crate = telemetry)]
    #[expect(
        clippy::needless_return,
        clippy::needless_pass_by_value,
        reason = "as it was written"
    )]
    pub fn returns(list: Vec<u8>) -> usize {
        return list.len();
    }

    /// The option reads what nothing else does.
    #[traced(crate = telemetry, args)]
    #[expect(unused_variables)]
    pub async fn reads(text: &str, list: Vec<u8>) {
        std::future::ready(()).await;
    }

    /// The same of one argument.
    #[traced(crate = telemetry, fields(text))]
    pub fn reads_one(#[expect(unused_variables)] text: &str) {}

    /// What rustc finds, it finds.
    #[observed(crate = telemetry)]
    #[expect(unused_variables, unused_mut)]
    pub fn finds(mut value: u8) -> u8 {
        return 1;
    }

    #[traced(crate = telemetry)]
    #[expect(dead_code)]
    fn nobody_calls() {}
}

/// Captures arguments that say they are not used.
///
/// # Errors
/// Never.
#[traced(crate = telemetry, args)]
#[counted(crate = telemetry, by = 2)]
pub async fn unused_and_captured(_left: String, (_part, rest): (String, u8)) -> Result<u8, Error> {
    std::future::ready(Ok(rest)).await
}
