//! One statement on its way.

use super::duration::{Key, Name, Summary, duration};
use super::statement::{Shown, show};
use crate::clock;
use crate::metrics::dynamic::Sample;
use crate::outcome::CallOutcome;
use crate::site::{Def, Site, Slots, SpanDef, SpanKind};
use crate::trace::SpanContext;
use crate::trace::active::ActiveSpan;
use crate::trace::body::Scalar;
use std::borrow::Cow;
use std::sync::Arc;

static SITE: Site = Site {
    def: Def {
        // No function of the user's.
        function: "",
        module: "vitalsign::db",
        file: "",
        line: 0,
        asynchronous: true,
        fallible: true,
        span: Some(SpanDef {
            name: "db",
            kind: SpanKind::Client,
            fields: &[
                "otel.name",
                "otel.kind",
                "db.system.name",
                "db.namespace",
                "db.query.text",
                "db.query.summary",
                "db.operation.name",
                "db.collection.name",
                "server.address",
                "server.port",
                "db.response.status_code",
                "db.response.returned_rows",
                "error.type",
            ],
            ..SpanDef::DEFAULT
        }),
        counter: None,
        timer: None,
    },
    slots: Slots::new(),
};

/// The database that a pool speaks to.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) system: &'static str,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) address: Option<Arc<str>>,
    pub(super) port: Option<u16>,
}

impl Target {
    pub(super) fn of(driver: &str) -> Self {
        Self {
            system: match driver {
                "PostgreSQL" => "postgresql",
                "MySQL" => "mysql",
                "SQLite" => "sqlite",
                _ => "other_sql",
            },
            ..Self::default()
        }
    }

    fn shown(&self, statement: &str) -> Shown {
        show(self.system, statement)
    }
}

/// From sending a statement to its last row.
pub(super) struct Operation {
    span: ActiveSpan,
    start: u64,
    key: Key,
    rows: Option<u64>,
    open: bool,
    /// What ran in it has unwound.
    panicked: bool,
}

impl Operation {
    pub(super) fn begin(statement: &str, target: &Target) -> Self {
        let start = clock::now();
        let shown = target.shown(statement);
        let mut span = ActiveSpan::default();
        span.open(&SITE, start, None);
        if span.recording() {
            describe(&mut span, &shown, target);
        }
        Self {
            span,
            start,
            key: Key {
                system: target.system,
                summary: Summary::of(&shown.summary),
                namespace: target.namespace.clone().map(Name::Shared),
                address: target.address.clone(),
                port: target.port,
                ..Key::default()
            },
            rows: None,
            open: true,
            panicked: false,
        }
    }

    pub(super) fn context(&self) -> Option<SpanContext> {
        self.span.context()
    }

    pub(super) fn enter(&mut self) -> Entered<'_> {
        self.span.enter(&SITE);
        Entered {
            span: &self.span,
            panicked: &mut self.panicked,
        }
    }

    /// A row came.
    pub(super) fn row(&mut self) {
        *self.rows.get_or_insert(0) += 1;
    }

    /// The database, or the way to it, said no.
    pub(super) fn failed(mut self, error: &sqlx::Error) {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .map(Cow::into_owned);
        let kind: Cow<'static, str> = match (&code, error) {
            (Some(code), _) => code.clone().into(),
            (None, sqlx::Error::RowNotFound) => "row_not_found".into(),
            (None, sqlx::Error::PoolTimedOut) => "pool_timed_out".into(),
            (None, sqlx::Error::PoolClosed) => "pool_closed".into(),
            (None, sqlx::Error::Io(_)) => "io".into(),
            (None, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }) => "decode".into(),
            (None, _) => "_OTHER".into(),
        };
        if let Some(code) = &code {
            self.span.add("db.response.status_code", Scalar::Text(code));
        }
        self.span.add("error.type", Scalar::Text(&kind));
        self.key.error = Some(kind);
        self.end(CallOutcome::Error);
    }

    /// It came to its end, or nobody wanted further rows.
    pub(super) fn done(mut self) {
        self.end(CallOutcome::Ok);
    }

    fn end(&mut self, outcome: CallOutcome) {
        self.open = false;
        let end = clock::now();
        if let Some(rows) = self.rows {
            self.span.add("db.response.returned_rows", Scalar::I64(rows as i64));
        }
        duration().record(&self.key, Sample::duration(self.start, end, self.span.exemplar()));
        self.span.close(end, outcome);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.open {
            self.end(if self.panicked || std::thread::panicking() {
                CallOutcome::Panic
            } else {
                CallOutcome::Cancelled
            });
        }
    }
}

/// The statement's span is current while this lives.
pub(super) struct Entered<'a> {
    span: &'a ActiveSpan,
    panicked: &'a mut bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // Noted here and now, since who catches it may drop the statement long after.
        if std::thread::panicking() {
            *self.panicked = true;
        }
        self.span.exit();
    }
}

fn describe(span: &mut ActiveSpan, shown: &Shown, target: &Target) {
    fn given(text: &str) -> Option<Scalar<'_>> {
        (!text.is_empty()).then(|| text.into())
    }
    span.plain_fields(
        &SITE,
        &[
            given(&shown.summary).or(Some(target.system.into())),
            Some("client".into()),
            Some(target.system.into()),
            target.namespace.as_deref().map(Into::into),
            given(&shown.text),
            given(&shown.summary),
            given(&shown.operation),
            shown.collection.as_deref().map(Into::into),
            target.address.as_deref().map(Into::into),
            target.port.map(Into::into),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_was_caught_before_it_is_dropped_is_a_panic() {
        let capture = crate::testing::capture();
        let mut operation = Operation::begin("SELECT 1", &Target::of("SQLite"));
        let poll = std::panic::AssertUnwindSafe(|| {
            let _entered = operation.enter();
            panic!("in the driver");
        });
        assert!(std::panic::catch_unwind(poll).is_err());
        drop(operation);
        assert_eq!(capture.spans()[0].outcome(), "panic");
    }

    #[test]
    fn of_a_driver_whose_quotes_are_not_known_nothing_is_shown() {
        for (driver, expected) in [("PostgreSQL", "SELECT \"secret\""), ("MySQL", "SELECT ?"), ("Any", "")] {
            assert_eq!(Target::of(driver).shown("SELECT \"secret\"").text, expected, "{driver}");
        }
    }
}
