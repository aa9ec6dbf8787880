//! How many jobs wait: a number that is set, or asked for when it is looked at.

use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::metrics::registry::{self, Source, started};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

/// The gauge `job.queue.depth` of one queue: how many jobs wait in it. It is gone with the value.
///
/// # Examples
///
/// ```
/// use vitalsign::jobs::QueueDepth;
///
/// let depth = QueueDepth::new("redis", "mails");
/// depth.set(17); // as the broker says, from time to time
/// ```
pub struct QueueDepth(Arc<Depth>);

struct Depth {
    system: &'static str,
    queue: String,
    ask: Ask,
}

enum Ask {
    /// `i64::MIN`: not said yet.
    Last(AtomicI64),
    Callback(Box<dyn Fn() -> Option<u64> + Send + Sync>),
}

const NEVER_SET: i64 = i64::MIN;

impl QueueDepth {
    /// A gauge to set. It is not shown before. What two of one queue say is not added up.
    pub fn new(system: &'static str, queue: impl Into<String>) -> Self {
        Self::with(system, queue.into(), Ask::Last(AtomicI64::new(NEVER_SET)))
    }

    /// Sets it. One with a callback stays what that says.
    pub fn set(&self, jobs: u64) {
        if let Ask::Last(last) = &self.0.ask {
            last.store(i64::try_from(jobs).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    fn with(system: &'static str, queue: String, ask: Ask) -> Self {
        let depth = Arc::new(Depth { system, queue, ask });
        registry::register(Arc::new(Shown(Arc::downgrade(&depth))));
        Self(depth)
    }
}

/// A gauge that asks when it is looked at. The callback shall not wait; `None` leaves the queue out. One that panics is not asked
/// for more than that moment.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// let queue = Arc::new(Mutex::new(vec!["a job"]));
/// let depth = vitalsign::jobs::queue_depth("in_process", "mails", {
///     let queue = queue.clone();
///     move || queue.try_lock().ok().map(|queue| queue.len() as u64)
/// });
/// ```
pub fn queue_depth(
    system: &'static str,
    queue: impl Into<String>,
    callback: impl Fn() -> Option<u64> + Send + Sync + 'static,
) -> QueueDepth {
    QueueDepth::with(system, queue.into(), Ask::Callback(Box::new(callback)))
}

impl fmt::Debug for QueueDepth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueDepth")
            .field("queue", &self.0.queue)
            .finish_non_exhaustive()
    }
}

impl Depth {
    fn now(&self) -> Option<i64> {
        match &self.ask {
            Ask::Last(last) => Some(last.load(Ordering::Relaxed)).filter(|last| *last != NEVER_SET),
            Ask::Callback(callback) => {
                let jobs = catch_unwind(AssertUnwindSafe(callback)).ok()??;
                Some(i64::try_from(jobs).unwrap_or(i64::MAX))
            }
        }
    }
}

struct Shown(Weak<Depth>);

impl Source for Shown {
    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn families(&self, out: &mut Vec<Family>) {
        let Some(depth) = self.0.upgrade() else { return };
        let Some(now) = depth.now() else { return };
        out.push(Family {
            name: "job.queue.depth".into(),
            help: "Jobs that wait in a queue.".into(),
            unit: "{job}".into(),
            kind: Kind::Gauge,
            observed: false,
            scope: Vec::new(),
            points: vec![Point {
                labels: vec![
                    ("messaging.destination.name".into(), depth.queue.clone().into()),
                    ("messaging.system".into(), depth.system.into()),
                ]
                .into(),
                typed: 0,
                value: PointValue::number(Number::I64(now)),
                start_unix_nanos: started(),
            }],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(depth: &QueueDepth) -> Vec<Family> {
        let mut families = Vec::new();
        Shown(Arc::downgrade(&depth.0)).families(&mut families);
        families
    }

    #[test]
    fn what_was_set_is_shown_and_nothing_before() {
        let depth = QueueDepth::new("redis", "mails");
        assert!(shown(&depth).is_empty());
        depth.set(3);
        assert!(matches!(
            shown(&depth)[0].points[0].value,
            PointValue::Number {
                value: Number::I64(3),
                ..
            }
        ));
    }

    #[test]
    fn what_is_dropped_is_forgotten() {
        for n in 0..1000 {
            drop(queue_depth("in_process", format!("gone-{n}"), || Some(1)));
        }
        // Those of other tests, which run beside this one, and of the library itself are fewer.
        assert!(registry::registered() < 500, "{}", registry::registered());
    }

    #[test]
    fn a_callback_may_panic_or_not_know() {
        assert!(shown(&queue_depth("redis", "a", || None)).is_empty());
        assert!(shown(&queue_depth("redis", "b", || panic!("no broker"))).is_empty());
        assert_eq!(shown(&queue_depth("redis", "c", || Some(1))).len(), 1);
    }

    #[test]
    fn two_gauges_of_one_queue_do_not_add_up() {
        let both = [QueueDepth::new("redis", "twice"), QueueDepth::new("redis", "twice")];
        for depth in &both {
            depth.set(17);
        }
        let families = registry::gather();
        let family = families.iter().find(|family| family.name == "job.queue.depth").unwrap();
        let of_queue = |point: &&Point| point.labels.iter().any(|(_, value)| value == "twice");
        let points: Vec<_> = family.points.iter().filter(of_queue).collect();
        let PointValue::Number { value, .. } = points[0].value else {
            panic!()
        };
        assert_eq!((points.len(), value), (1, Number::I64(17)));
    }
}
