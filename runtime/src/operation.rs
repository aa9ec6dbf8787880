//! What a call is besides a call: a statement on a database, or one attempt at a job.
//!
//! Each has attributes and a metric of the semantic conventions, fed by the call's own two clock readings and its outcome. What
//! has to be known of it at the end fits into the room that the call's state leaves.

use crate::call::SpanOf;
use crate::db::statement::{self, Code, Shown};
use crate::jobs::measure;
use crate::jobs::{Delivery, Message};
use crate::metrics::dynamic::Sample;
use crate::metrics::label::Limit;
use crate::outcome::CallOutcome;
use crate::switch;
use crate::trace::active::{Parent, SpanOptions};

/// `db(…)` or `job` of one function.
pub enum OperationDef {
    /// `db(…)`.
    Db(DbDef),
    /// `job`.
    Job(JobDef),
}

/// The constant part of `db(…)`.
pub struct DbDef {
    /// `db.system.name`
    pub system: &'static str,
    /// `db.operation.name`
    pub operation: Option<&'static str>,
    /// `db.collection.name`
    pub collection: Option<&'static str>,
    /// `db.namespace`
    pub namespace: Option<&'static str>,
    /// The span has a name of its own, which the statement's summary does not replace.
    pub named: bool,
}

/// The constant part of `job`.
pub struct JobDef {
    /// `job.name`
    pub name: &'static str,
    /// `messaging.system`
    pub system: &'static str,
    /// `messaging.destination.name`
    pub queue: &'static str,
}

/// A family of metrics, as the catalogue shows it. A label without a value takes it from the call.
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) labels: Vec<(&'static str, Option<&'static str>)>,
    pub(crate) bounds: Option<Vec<f64>>,
}

/// What was said of it before it began.
pub(crate) enum Said {
    /// `db(query = …)`
    Statement(Shown),
    /// The message of a job.
    Delivery(Box<Delivery>),
}

impl Said {
    /// Nothing where the call is no statement.
    pub(crate) fn statement(operation: Option<&'static OperationDef>, statement: &str) -> Option<Self> {
        match operation {
            Some(OperationDef::Db(db)) => Some(Self::Statement(statement::show(db.system, statement))),
            _ => None,
        }
    }

    pub(crate) fn message(read: impl FnOnce(&mut Delivery)) -> Self {
        let mut delivery = Box::<Delivery>::default();
        read(&mut delivery);
        Self::Delivery(delivery)
    }
}

/// What is kept until the end: of a statement its summary, of a job which attempt it is. 0 is neither.
pub(crate) type Kept = u16;

/// The type of the error that a call ended with, among those that were seen of such operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ErrorKind(u16);

/// Types of errors with series of their own; the rest share `other`.
pub(crate) static DB_ERRORS: Limit = Limit::new(500);
/// The same of jobs.
pub(crate) static JOB_ERRORS: Limit = Limit::new(500);

/// Some span is current here. Baggage alone is none.
fn is_under_a_span() -> bool {
    crate::trace::current().is_some_and(|current| current.is_valid())
}

impl OperationDef {
    fn errors(&self) -> &'static Limit {
        match self {
            Self::Db(_) => &DB_ERRORS,
            Self::Job(_) => &JOB_ERRORS,
        }
    }

    pub(crate) fn error_kind(&self, error_type: &str) -> ErrorKind {
        ErrorKind(self.errors().index(error_type) as u16)
    }

    fn error_type(&self, kind: ErrorKind) -> &'static str {
        self.errors().value(kind.0.into()).unwrap_or("_OTHER")
    }

    /// The names of the attributes that may be added to the span, for subscribers that ask beforehand.
    pub(crate) fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Db(_) => statement::KEYS,
            Self::Job(_) => measure::KEYS,
        }
    }

    /// What is measured of it.
    pub(crate) fn described(&self) -> Vec<Described> {
        match self {
            Self::Db(db) => vec![statement::described(db)],
            Self::Job(job) => measure::described(job),
        }
    }

    /// The call begins. A job's span hangs under its sender where nothing else is current, and is linked to it in any case.
    pub(crate) fn begin(&self, options: Option<&mut SpanOptions>) -> (Kept, Option<Said>) {
        let mut options = options;
        let said = options.as_mut().and_then(|options| options.operation.take());
        let kept = match (self, &said) {
            (Self::Db(_), Some(Said::Statement(shown))) => statement::kept(shown),
            (Self::Db(_), _) => 0,
            (Self::Job(job), said) => {
                let delivery = match said {
                    Some(Said::Delivery(delivery)) => Some(&**delivery),
                    _ => None,
                };
                if let (Some(options), Some(sender)) = (options, delivery.and_then(|delivery| delivery.context.clone()))
                {
                    if matches!(options.parent, Parent::Current) && !is_under_a_span() {
                        options.parent = Parent::Of(sender.clone());
                    }
                    options.links.push(sender);
                }
                if switch::passing() {
                    0
                } else {
                    measure::begin(job, delivery)
                }
            }
        };
        (kept, said)
    }

    /// Its attributes, once the span is open.
    pub(crate) fn describe(&self, span: SpanOf<'_>, said: Option<&Said>) {
        match (self, said) {
            (Self::Db(db), Some(Said::Statement(shown))) => statement::describe(db, span, Some(shown)),
            (Self::Db(db), _) => statement::describe(db, span, None),
            (Self::Job(job), Some(Said::Delivery(delivery))) => measure::describe(job, span, Some(delivery)),
            (Self::Job(job), _) => measure::describe(job, span, None),
        }
    }

    /// What it returned is a future: it begins again at the first poll of that.
    pub(crate) fn under_way(&self, by: i64) {
        if let Self::Job(job) = self
            && !switch::passing()
        {
            measure::under_way(job, by);
        }
    }

    /// The call has ended.
    pub(crate) fn end(&self, kept: Kept, outcome: CallOutcome, error: Option<ErrorKind>, took: Sample) {
        let error = match (outcome, error) {
            (CallOutcome::Ok, _) => None,
            (_, Some(error)) => Some(self.error_type(error)),
            (CallOutcome::Panic, None) => Some("panic"),
            (CallOutcome::Cancelled, None) => Some("cancelled"),
            (CallOutcome::Error, None) => Some("_OTHER"),
        };
        match self {
            // Whoever stops waiting for a database has not seen it fail.
            Self::Db(db) => {
                let error = error.filter(|_| outcome != CallOutcome::Cancelled);
                statement::end(db, kept, error, took);
            }
            Self::Job(job) => measure::end(job, kept, outcome, error, took),
        }
    }
}

/// An argument that may be the message of a job: `(&&&&Carried(&x)).vitalsign_carry(delivery)` asks it, if its type is one.
pub struct Carried<'a, T: ?Sized>(pub &'a T);

/// [`Carried`] of a [`Message`].
pub trait CarriedMessage {
    /// Says what the message says, where nothing was said before.
    fn vitalsign_carry(&self, delivery: &mut Delivery);
}
impl<T: Message + ?Sized> CarriedMessage for &&&Carried<'_, T> {
    fn vitalsign_carry(&self, delivery: &mut Delivery) {
        delivery.of(self.0);
    }
}

/// [`Carried`] of a reference to a [`Message`].
pub trait CarriedReference {
    /// Says what the message says, where nothing was said before.
    fn vitalsign_carry(&self, delivery: &mut Delivery);
}
impl<T: Message + ?Sized> CarriedReference for &&Carried<'_, &T> {
    fn vitalsign_carry(&self, delivery: &mut Delivery) {
        delivery.of(*self.0);
    }
}

/// [`Carried`] of a mutable reference to a [`Message`].
pub trait CarriedMutable {
    /// Says what the message says, where nothing was said before.
    fn vitalsign_carry(&self, delivery: &mut Delivery);
}
impl<T: Message + ?Sized> CarriedMutable for &Carried<'_, &mut T> {
    fn vitalsign_carry(&self, delivery: &mut Delivery) {
        delivery.of(&**self.0);
    }
}

/// [`Carried`] of anything else.
pub trait CarriedNothing {
    /// Says nothing.
    fn vitalsign_carry(&self, delivery: &mut Delivery);
}
impl<T: ?Sized> CarriedNothing for Carried<'_, T> {
    fn vitalsign_carry(&self, _: &mut Delivery) {}
}

/// `message = …`: a reference to a message, or to a reference to one.
pub fn message<M: Message + ?Sized>(message: &M, delivery: &mut Delivery) {
    delivery.of(message);
}

/// A returned value that may hold the code with which a database refused: `(&&CodeProbe(&ret)).vitalsign_code()`.
pub struct CodeProbe<'a, R: ?Sized>(pub &'a R);

/// [`CodeProbe`] of a `Result` whose error is a [`Code`].
pub trait CodeOfError {
    /// The code, where there is one.
    fn vitalsign_code(&self) -> Option<String>;
}
impl<T, E: Code> CodeOfError for &CodeProbe<'_, Result<T, E>> {
    fn vitalsign_code(&self) -> Option<String> {
        self.0.as_ref().err()?.status_code()
    }
}

/// [`CodeProbe`] of anything else.
pub trait CodeOfAny {
    /// None.
    fn vitalsign_code(&self) -> Option<String>;
}
impl<R: ?Sized> CodeOfAny for CodeProbe<'_, R> {
    fn vitalsign_code(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::snapshot::{Number, PointValue};
    use crate::metrics::registry;

    #[test]
    fn types_of_errors_beyond_their_limit_are_counted() {
        static DB: OperationDef = OperationDef::Db(DbDef {
            system: "other_sql",
            operation: None,
            collection: None,
            namespace: None,
            named: true,
        });
        static JOB: OperationDef = OperationDef::Job(JobDef {
            name: "many errors",
            system: "s",
            queue: "q",
        });
        for (operation, metric) in [
            (&DB, "db.client.operation.duration"),
            (&JOB, "messaging.process.duration"),
        ] {
            for n in 0..600 {
                let (kept, _) = operation.begin(None);
                let kind = operation.error_kind(&format!("Error{n}"));
                operation.end(kept, CallOutcome::Error, Some(kind), Sample::from(1.0));
            }
            let families = registry::gather();
            let overflow = families.iter().find(|family| family.name == "vitalsign.label.overflow");
            let point = overflow.unwrap().points.iter().find(|point| {
                let says = |key, value| point.labels.iter().any(|(k, v)| k == key && v == value);
                says("metric", metric) && says("label", "error.type")
            });
            let PointValue::Number { value, .. } = point.unwrap().value else {
                panic!("{point:?}")
            };
            assert_eq!(value, Number::U64(100), "{metric}");
        }
    }
}
