//! What one check says: up, degraded or down, with a message and details.

use super::text::Bounded;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display};
use std::ops::Deref;

/// Up, degraded or down. Ordered from good to bad, so the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Health {
    /// All is well.
    #[default]
    Up,
    /// It serves, with less than it should: a probe answers 200.
    Degraded,
    /// It cannot serve: a probe answers 503.
    Down,
}

impl Health {
    /// `up`, `degraded` or `down`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fact beside the status: a number of rows, a version, a flag.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(Cow<'static, str>),
}

macro_rules! detail {
    ($($from:ty => |$value:ident| $to:expr),* $(,)?) => {$(
        impl From<$from> for Detail {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}
detail! {
    bool => |v| Self::Bool(v),
    i64 => |v| Self::Int(v),
    i32 => |v| Self::Int(v.into()),
    u32 => |v| Self::Int(v.into()),
    u64 => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    usize => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    f64 => |v| Self::Float(v),
    &'static str => |v| Self::Text(v.into()),
    String => |v| Self::Text(v.into()),
}

/// What a check answers.
///
/// Message and details are shown to trusted callers of a probe only; passwords in addresses are masked and long texts cut.
///
/// # Examples
/// ```
/// use vitalsign::HealthStatus;
/// use vitalsign::health::Health;
///
/// let status = HealthStatus::degraded("replica lags").with("lag_seconds", 12);
/// assert_eq!(status.health(), Health::Degraded);
/// assert_eq!(status.message(), Some("replica lags"));
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
#[must_use = "a status says nothing until it is returned"]
pub struct HealthStatus {
    pub(crate) health: Health,
    pub(crate) message: Option<Cow<'static, str>>,
    pub(crate) details: Vec<(Cow<'static, str>, Detail)>,
}

impl HealthStatus {
    const fn new(health: Health) -> Self {
        Self {
            health,
            message: None,
            details: Vec::new(),
        }
    }

    /// All is well.
    pub const fn up() -> Self {
        Self::new(Health::Up)
    }

    /// It serves, with less than it should.
    pub fn degraded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Health::Degraded).because(message)
    }

    /// It cannot serve.
    pub fn down(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Health::Down).because(message)
    }

    /// Down, with the error's message and those of its sources.
    pub fn error(error: &(dyn Error + '_)) -> Self {
        Self::down(chain(error))
    }

    /// The same with another message.
    pub fn because(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The same with one more detail.
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Detail>) -> Self {
        self.details.push((key.into(), value.into()));
        self
    }

    /// Up, degraded or down.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Why.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The facts beside it.
    pub fn details(&self) -> impl Iterator<Item = (&str, &Detail)> {
        self.details.iter().map(|(key, value)| (&**key, value))
    }
}

impl From<Health> for HealthStatus {
    fn from(health: Health) -> Self {
        Self::new(health)
    }
}

/// The message of an error and of its sources, bounded: an error of ten megabytes is never built.
fn chain(error: &(dyn Error + '_)) -> String {
    let mut text = Bounded::default();
    text.push(&error);
    let mut source = error.source();
    while let Some(error) = source {
        let mut next = Bounded::default();
        next.push(&error);
        // Many errors already end with their source's message.
        if !text.as_str().ends_with(next.as_str()) {
            text.push(&": ");
            text.push(&next.as_str());
        }
        if text.is_full() {
            break;
        }
        source = error.source();
    }
    text.into_string()
}

/// What a check may return: `()`, `bool`, [`HealthStatus`], [`Health`], or a `Result` of one of these.
#[diagnostic::on_unimplemented(
    message = "a health check cannot return `{Self}`",
    label = "not a health status",
    note = "return `()`, `bool`, `Result<(), E>`, `HealthStatus` or `Result<HealthStatus, E>`"
)]
pub trait CheckResult {
    /// As a status.
    fn status(&self) -> HealthStatus;
}

impl CheckResult for () {
    fn status(&self) -> HealthStatus {
        HealthStatus::up()
    }
}

impl CheckResult for bool {
    fn status(&self) -> HealthStatus {
        if *self {
            HealthStatus::up()
        } else {
            HealthStatus::down("the check returned false")
        }
    }
}

impl CheckResult for Health {
    fn status(&self) -> HealthStatus {
        (*self).into()
    }
}

impl CheckResult for HealthStatus {
    fn status(&self) -> HealthStatus {
        self.clone()
    }
}

impl<T: CheckResult, E: Display> CheckResult for Result<T, E> {
    fn status(&self) -> HealthStatus {
        match self {
            Ok(value) => value.status(),
            Err(error) => displayed(error),
        }
    }
}

fn displayed(error: &dyn Display) -> HealthStatus {
    let mut text = Bounded::default();
    text.push(error);
    HealthStatus::down(text.into_string())
}

/// A check's returned value, asked what it means without specialization: `(&&&&Returned(&value)).health_status()` takes the
/// first of the traits below that the value's type satisfies.
#[derive(Debug)]
pub struct Returned<'a, R>(pub &'a R);

macro_rules! level {
    ($(#[$doc:meta])* $trait:ident for $self:ty, [$($generics:tt)*], |$ret:ident| $body:expr) => {
        $(#[$doc])*
        pub trait $trait {
            /// As a status.
            fn health_status(&self) -> HealthStatus;
        }
        impl<$($generics)*> $trait for $self {
            fn health_status(&self) -> HealthStatus {
                let $ret = self.0;
                $body
            }
        }
    };
}

level! {
    /// A `Result` whose error is an [`Error`]: its sources are shown too.
    ReturnedStd for &&&&Returned<'_, Result<T, E>>, [T: CheckResult, E: Error], |ret| match ret {
        Ok(value) => value.status(),
        Err(error) => HealthStatus::error(error),
    }
}
level! {
    /// A `Result` whose error derefs to one: `Box<dyn Error>`, `anyhow::Error`.
    ReturnedDeref for &&&Returned<'_, Result<T, E>>, [T: CheckResult, E: Deref<Target: Error>], |ret| match ret {
        Ok(value) => value.status(),
        Err(error) => HealthStatus::error(&&**error),
    }
}
level! {
    /// A `Result` whose error can be displayed.
    ReturnedDisplay for &&Returned<'_, Result<T, E>>, [T: CheckResult, E: Display], |ret| match ret {
        Ok(value) => value.status(),
        Err(error) => displayed(error),
    }
}
level! {
    /// Any other `Result`: the error's type is all that can be said.
    ReturnedOpaque for &Returned<'_, Result<T, E>>, [T: CheckResult, E], |ret| match ret {
        Ok(value) => value.status(),
        Err(_) => HealthStatus::down(std::any::type_name::<E>()),
    }
}
/// Everything else that a check may return. The bound stands on the method, so that what is no health status is told by name.
pub trait ReturnedPlain<R> {
    /// As a status.
    fn health_status(&self) -> HealthStatus
    where
        R: CheckResult;
}
impl<R> ReturnedPlain<R> for Returned<'_, R> {
    fn health_status(&self) -> HealthStatus
    where
        R: CheckResult,
    {
        self.0.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    macro_rules! status {
        ($value:expr) => {{
            let value = $value;
            (&&&&Returned(&value)).health_status()
        }};
    }

    #[test]
    fn every_return_type_is_understood() {
        struct Opaque;
        assert_eq!(status!(()), HealthStatus::up());
        assert_eq!(status!(true), HealthStatus::up());
        assert_eq!(status!(false).health(), Health::Down);
        assert_eq!(status!(Ok::<_, String>(())), HealthStatus::up());
        assert_eq!(status!(Ok::<_, Opaque>(true)), HealthStatus::up());
        assert_eq!(
            status!(Err::<HealthStatus, _>("gone".to_owned())),
            HealthStatus::down("gone")
        );
        assert!(status!(Err::<(), _>(Opaque)).message().unwrap().ends_with("Opaque"));
        let io = || Outer(std::io::Error::other("disk on fire"));
        assert_eq!(status!(Err::<(), _>(io())).message(), Some("cannot read: disk on fire"));
        assert_eq!(
            status!(Err::<(), Box<dyn Error + Send + Sync>>(Box::new(io()))).message(),
            Some("cannot read: disk on fire")
        );
        assert_eq!(
            status!(Ok::<_, std::io::Error>(HealthStatus::degraded("slow"))).health(),
            Health::Degraded
        );
    }

    #[test]
    fn ten_megabytes_of_error_are_never_built() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("all work and no play ")?;
                }
            }
        }
        assert!(status!(Err::<(), _>(Endless)).message().unwrap().len() <= Bounded::LIMIT);
    }
}
