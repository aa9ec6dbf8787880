//! A function that is one statement: `#[traced(db(…))]`.

use super::duration::{Key, Name, Summary, duration};
pub(crate) use super::sql::Shown;
use super::sql::{self, Dialect};
use crate::call::SpanOf;
use crate::operation::{DbDef, Kept};
use crate::trace::body::Scalar;
use crate::trace::{SpanId, TraceId};

/// Attributes of the span, the last two where the database refused.
pub(crate) const KEYS: &[&str] = &[
    "otel.name",
    "db.system.name",
    "db.namespace",
    "db.operation.name",
    "db.collection.name",
    "db.query.text",
    "db.query.summary",
    "db.response.status_code",
    "error.type",
];

/// An error that may carry the code with which a database refused.
///
/// Where the error of a function under `#[traced(db(…))]` has one, it is `db.response.status_code` and, as the semantic
/// conventions ask, `error.type` on span and metric.
///
/// # Examples
///
/// ```
/// struct Refused(u16);
///
/// impl vitalsign::db::Code for Refused {
///     fn status_code(&self) -> Option<String> {
///         Some(self.0.to_string())
///     }
/// }
///
/// #[vitalsign::traced(db(system = "mysql", operation = "KILL"))]
/// fn kill() -> Result<(), Refused> {
///     Err(Refused(1094))
/// }
/// # assert!(kill().is_err());
/// ```
pub trait Code {
    /// `SQLSTATE`, or the database's own number; `None` where it did not get so far.
    fn status_code(&self) -> Option<String>;
}

#[cfg(feature = "db-sqlx")]
impl Code for sqlx::Error {
    fn status_code(&self) -> Option<String> {
        self.as_database_error()?.code().map(std::borrow::Cow::into_owned)
    }
}

/// A statement as it may be shown. How a system quotes has to be known for that: of any other nothing is shown.
pub(crate) fn show(system: &str, statement: &str) -> Shown {
    Dialect::of(system).map_or_else(Shown::default, |dialect| sql::show(statement, dialect))
}

pub(crate) fn kept(shown: &Shown) -> Kept {
    Summary::of(&shown.summary).0
}

/// What the attribute says goes before what the statement does.
pub(crate) fn describe(db: &DbDef, span: SpanOf<'_>, shown: Option<&Shown>) {
    if !span.recording() {
        return;
    }
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let operation = shown.and_then(|shown| given(&shown.operation));
    let collection = shown.and_then(|shown| shown.collection.clone());
    let text = shown.and_then(|shown| given(&shown.text));
    let summary = shown.and_then(|shown| given(&shown.summary));
    for (key, value) in [
        ("otel.name", summary.as_deref().filter(|_| !db.named)),
        ("db.system.name", Some(db.system)),
        ("db.namespace", db.namespace),
        ("db.operation.name", db.operation.or(operation.as_deref())),
        ("db.collection.name", db.collection.or(collection.as_deref())),
        ("db.query.text", text.as_deref()),
        ("db.query.summary", summary.as_deref()),
    ] {
        if let Some(value) = value {
            span.add(key, Scalar::Text(value));
        }
    }
}

pub(crate) fn end(
    db: &DbDef,
    kept: Kept,
    error: Option<&'static str>,
    seconds: f64,
    exemplar: Option<(TraceId, SpanId)>,
) {
    let key = Key {
        system: db.system,
        operation: db.operation,
        collection: db.collection,
        summary: Summary(kept),
        namespace: db.namespace.map(Name::Static),
        error: error.map(Into::into),
        ..Key::default()
    };
    duration().record(&key, seconds, exemplar);
}
