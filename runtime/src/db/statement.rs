//! A function that is one statement: `#[traced(db(…))]`.

use super::duration::{Key, Name, Summary, duration};
pub(crate) use super::sql::Shown;
use super::sql::{self, Dialect};
use crate::call::SpanOf;
use crate::metrics::dynamic::Sample;
use crate::operation::{DbDef, Described, Kept};
use crate::trace::SpanContext;
use crate::trace::body::Scalar;
use crate::trace::propagate::traceparent;
use std::borrow::Cow;

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

/// The statement with the span that is current here in a comment behind it (sqlcommenter's `traceparent`), so that the server's own
/// logs lead to the trace. Where there is no span, and where the statement has a comment already, it stays as it is.
///
/// Each statement is then another one to the server: do not prepare it.
///
/// # Examples
///
/// ```
/// use vitalsign::db::comment;
///
/// #[vitalsign::traced(db(system = "postgresql", query = sql))]
/// fn run(sql: &str) -> String {
///     // what goes to the server
///     comment(sql).into_owned()
/// }
///
/// let _capture = vitalsign::testing::capture();
/// assert!(run("SELECT 1").starts_with("SELECT 1 /*traceparent='00-"));
/// assert_eq!(comment("SELECT 1"), "SELECT 1");
/// ```
pub fn comment(sql: &str) -> Cow<'_, str> {
    crate::trace::current().map_or(Cow::Borrowed(sql), |context| commented(sql, &context))
}

/// Specification of sqlcommenter: one comment at the end, none where there is one already.
pub(super) fn commented<'a>(sql: &'a str, context: &SpanContext) -> Cow<'a, str> {
    if sql.contains("/*") || !context.is_valid() {
        return Cow::Borrowed(sql);
    }
    let text = sql.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';');
    // Behind a comment that ends with its line it would be part of that.
    let gap = if text
        .lines()
        .next_back()
        .is_some_and(|line| line.contains("--") || line.contains('#'))
    {
        "\n"
    } else {
        " "
    };
    format!("{text}{gap}/*traceparent='{}'*/", traceparent(context)).into()
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

/// What is measured of it. What the attribute does not say, the statement may.
pub(crate) fn described(db: &DbDef) -> Described {
    let mut labels = vec![
        ("db.collection.name", db.collection),
        ("db.namespace", db.namespace),
        ("db.operation.name", db.operation),
    ];
    labels.retain(|(_, value)| value.is_some());
    labels.extend([
        ("db.query.summary", None),
        ("db.system.name", Some(db.system)),
        ("error.type", None),
    ]);
    duration().described(labels)
}

pub(crate) fn end(db: &DbDef, kept: Kept, error: Option<&'static str>, took: Sample) {
    let key = Key {
        system: db.system,
        operation: db.operation,
        collection: db.collection,
        summary: Summary(kept),
        namespace: db.namespace.map(Name::Static),
        error: error.map(Into::into),
        ..Key::default()
    };
    duration().record(&key, took);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SpanId, TraceFlags, TraceId};

    #[test]
    fn the_comment_stands_once_and_behind_everything() {
        let context = SpanContext {
            trace_id: TraceId(1),
            span_id: SpanId(2),
            flags: TraceFlags::SAMPLED,
            ..SpanContext::default()
        };
        let parent = "/*traceparent='00-00000000000000000000000000000001-0000000000000002-01'*/";
        for (sql, expected) in [
            ("SELECT 1; ", format!("SELECT 1 {parent}")),
            ("SELECT 1 ; ;\n", format!("SELECT 1 {parent}")),
            // To PostgreSQL part of the name.
            ("SELECT a\u{a0}", format!("SELECT a\u{a0} {parent}")),
            ("SELECT 1 -- one\rFROM t", format!("SELECT 1 -- one\rFROM t\n{parent}")),
            ("SELECT 1 -- one", format!("SELECT 1 -- one\n{parent}")),
            ("SELECT /* all */ 1", "SELECT /* all */ 1".to_owned()),
        ] {
            assert_eq!(commented(sql, &context), expected);
        }
        assert_eq!(commented("SELECT 1", &SpanContext::default()), "SELECT 1");
    }
}
