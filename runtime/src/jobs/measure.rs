//! What is measured of jobs.

use super::Delivery;
use crate::call::SpanOf;
use crate::export::snapshot::Family;
use crate::metrics::dynamic::{Histogram, Meta, Numbers, Sample};
use crate::metrics::registry::{self, LabelSet, Source, sites};
use crate::operation::{Described, JOB_ERRORS, JobDef, Kept, OperationDef};
use crate::outcome::CallOutcome;
use crate::trace::body::Scalar;
use std::sync::LazyLock;
use std::time::SystemTime;

/// Attributes of the span.
pub(crate) const KEYS: &[&str] = &[
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
    "messaging.message.id",
    "job.name",
    "job.attempt",
];

const PROCESSED: &str = "messaging.process.duration";
/// `messaging.operation.name` and `.type`.
const PROCESS: &str = "process";

/// The boundaries that the conventions advise for `messaging.process.duration`.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// A queue that is long in coming is told from one that is a little late.
const WAITS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3600.0,
];

#[derive(Clone, PartialEq, Eq, Hash)]
struct Processed {
    system: &'static str,
    queue: &'static str,
    error: Option<&'static str>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Named {
    name: &'static str,
    queue: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Tried {
    named: Named,
    outcome: CallOutcome,
    retry: bool,
}

struct Measures {
    processed: Histogram<Processed>,
    wait: Histogram<Named>,
    attempts: Numbers<Tried>,
    in_flight: Numbers<Named>,
}

static MEASURES: LazyLock<Measures> = LazyLock::new(|| {
    registry::limited(PROCESSED, "error.type", || JOB_ERRORS.overflow());
    Measures {
        processed: Histogram::new(
            Meta {
                name: PROCESSED,
                help: "Duration of processing operation.",
                unit: "s",
                labels: |key| {
                    let mut labels: LabelSet = Vec::with_capacity(4);
                    labels.extend(key.error.map(|error| ("error.type".into(), error.into())));
                    labels.push(("messaging.destination.name".into(), key.queue.into()));
                    labels.push(("messaging.operation.name".into(), PROCESS.into()));
                    labels.push(("messaging.system".into(), key.system.into()));
                    labels
                },
            },
            &SECONDS,
        ),
        wait: Histogram::new(
            Meta {
                name: "job.wait.duration",
                help: "Time a job waited in its queue before the attempt.",
                unit: "s",
                labels: named,
            },
            &WAITS,
        ),
        attempts: Numbers::counter(Meta {
            name: "job.attempts",
            help: "Attempts at jobs.",
            unit: "{attempt}",
            labels: |key| {
                let mut labels = named(&key.named);
                labels.push(("job.retry".into(), if key.retry { "true" } else { "false" }.into()));
                labels.push(("outcome".into(), key.outcome.as_str().into()));
                labels
            },
        }),
        in_flight: Numbers::up_down(Meta {
            name: "job.in_flight",
            help: "Jobs under way.",
            unit: "{job}",
            labels: named,
        }),
    }
});

fn named(key: &Named) -> LabelSet {
    vec![
        ("job.name".into(), key.name.into()),
        ("messaging.destination.name".into(), key.queue.into()),
    ]
}

impl JobDef {
    fn named(&self) -> Named {
        Named {
            name: self.name,
            queue: self.queue,
        }
    }
}

pub(crate) fn begin(job: &JobDef, delivery: Option<&Delivery>) -> Kept {
    under_way(job, 1);
    let Some(delivery) = delivery else { return 0 };
    if let Some(enqueued) = delivery.enqueued {
        // Clocks of two machines may differ: nothing waits less than no time.
        let wait = SystemTime::now().duration_since(enqueued).unwrap_or_default();
        MEASURES.wait.record(&job.named(), wait.as_secs_f64());
    }
    u16::try_from(delivery.attempt()).unwrap_or(u16::MAX)
}

pub(crate) fn under_way(job: &JobDef, by: i64) {
    MEASURES.in_flight.add(&job.named(), by);
}

pub(crate) fn describe(job: &JobDef, span: SpanOf<'_>, delivery: Option<&Delivery>) {
    if !span.recording() {
        return;
    }
    for (key, value) in [
        ("messaging.system", Some(job.system)),
        ("messaging.operation.name", Some(PROCESS)),
        ("messaging.operation.type", Some(PROCESS)),
        ("messaging.destination.name", Some(job.queue)),
        (
            "messaging.message.id",
            delivery.and_then(|delivery| delivery.id.as_deref()),
        ),
        ("job.name", Some(job.name)),
    ] {
        if let Some(value) = value {
            span.add(key, Scalar::Text(value));
        }
    }
    if let Some(delivery) = delivery {
        span.add("job.attempt", Scalar::I64(delivery.attempt().into()));
    }
}

pub(crate) fn end(job: &JobDef, kept: Kept, outcome: CallOutcome, error: Option<&'static str>, took: Sample) {
    let measures = &*MEASURES;
    under_way(job, -1);
    let tried = Tried {
        named: job.named(),
        outcome,
        retry: kept > 1,
    };
    measures.attempts.add(&tried, 1);
    let processed = Processed {
        system: job.system,
        queue: job.queue,
        error,
    };
    measures.processed.record(&processed, took);
}

/// What is measured of a job.
pub(crate) fn described(job: &JobDef) -> Vec<Described> {
    let measures = &*MEASURES;
    let named = || {
        vec![
            ("job.name", Some(job.name)),
            ("messaging.destination.name", Some(job.queue)),
        ]
    };
    let with = |more: &[(&'static str, Option<&'static str>)]| [named(), more.to_vec()].concat();
    vec![
        measures.processed.described(vec![
            ("error.type", None),
            ("messaging.destination.name", Some(job.queue)),
            ("messaging.operation.name", Some(PROCESS)),
            ("messaging.system", Some(job.system)),
        ]),
        measures.wait.described(named()),
        measures
            .attempts
            .described(with(&[("job.retry", None), ("outcome", None)])),
        measures.in_flight.described(named()),
    ]
}

/// The families of every job in the program, its series at 0 before the first attempt.
pub(crate) fn families(out: &mut Vec<Family>) {
    let mut any = false;
    for site in sites() {
        let Some(OperationDef::Job(job)) = site.def.operation() else {
            continue;
        };
        any = true;
        let measures = &*MEASURES;
        let _ = measures.in_flight.of(&job.named());
        measures.wait.show(&job.named());
        measures.processed.show(&Processed {
            system: job.system,
            queue: job.queue,
            error: None,
        });
        let mut outcomes = vec![CallOutcome::Ok, CallOutcome::Panic];
        outcomes.extend(site.def.fallible.then_some(CallOutcome::Error));
        outcomes.extend(site.def.asynchronous.then_some(CallOutcome::Cancelled));
        for outcome in outcomes {
            for retry in [false, true] {
                let named = job.named();
                let _ = measures.attempts.of(&Tried { named, outcome, retry });
            }
        }
    }
    if any {
        MEASURES.processed.families(out);
        MEASURES.wait.families(out);
        MEASURES.attempts.families(out);
        MEASURES.in_flight.families(out);
    }
}
