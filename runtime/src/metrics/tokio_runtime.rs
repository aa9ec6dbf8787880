//! Runtimes of tokio: what they say of themselves without `tokio_unstable`, read at each gathering.

use super::registry::{self, LabelSet, Source, point};
use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use std::sync::{Arc, Mutex, Once, PoisonError};
use tokio::runtime::{Handle, Id, RuntimeMetrics};

/// Runtimes that are observed; further ones are not.
const MAX: usize = 64;

static RUNTIMES: Mutex<Vec<Runtime>> = Mutex::new(Vec::new());

#[derive(Clone)]
struct Runtime {
    id: Id,
    name: String,
    metrics: RuntimeMetrics,
}

/// Shows a runtime under a name; one that is shown already gets the new name. False when there are too many.
pub(crate) fn observe(name: String, handle: &Handle) -> bool {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| registry::register(Arc::new(Runtimes)));
    let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    // A name is taken by whoever has it last: two series of one name would be one.
    runtimes.retain(|runtime| runtime.name != name || runtime.id == handle.id());
    if let Some(known) = runtimes.iter_mut().find(|runtime| runtime.id == handle.id()) {
        known.name = name;
        return true;
    }
    if runtimes.len() >= MAX {
        return false;
    }
    runtimes.push(Runtime {
        id: handle.id(),
        name,
        metrics: handle.metrics(),
    });
    true
}

struct Runtimes;

impl Source for Runtimes {
    fn families(&self, out: &mut Vec<Family>) {
        let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let whole = |n: usize| Number::U64(n as u64);
        let mut family = |name: &'static str, unit: &'static str, kind, help: &'static str, points: Vec<Point>| {
            if !points.is_empty() {
                out.push(Family {
                    name: name.into(),
                    help: help.into(),
                    unit: unit.into(),
                    kind,
                    observed: true,
                    scope: Vec::new(),
                    points,
                });
            }
        };
        let each = |value: &dyn Fn(&RuntimeMetrics) -> Number| -> Vec<Point> {
            let of = |runtime: &Runtime| point(labels(runtime, None), PointValue::number(value(&runtime.metrics)));
            runtimes.iter().map(of).collect()
        };
        family(
            "tokio.workers",
            "{thread}",
            Kind::Gauge,
            "Worker threads of the runtime.",
            each(&|metrics| whole(metrics.num_workers())),
        );
        family(
            "tokio.alive_tasks",
            "{task}",
            Kind::Gauge,
            "Tasks that were spawned and have not ended.",
            each(&|metrics| whole(metrics.num_alive_tasks())),
        );
        family(
            "tokio.global_queue_depth",
            "{task}",
            Kind::Gauge,
            "Tasks that wait in the queue which all workers share.",
            each(&|metrics| whole(metrics.global_queue_depth())),
        );
        #[cfg(target_has_atomic = "64")]
        {
            let workers = |value: &dyn Fn(&RuntimeMetrics, usize) -> Number| -> Vec<Point> {
                let of = |runtime: &Runtime| -> Vec<Point> {
                    let one = |worker| {
                        let value = PointValue::number(value(&runtime.metrics, worker));
                        point(labels(runtime, Some(worker)), value)
                    };
                    (0..runtime.metrics.num_workers()).map(one).collect()
                };
                runtimes.iter().flat_map(of).collect()
            };
            family(
                "tokio.worker.busy",
                "s",
                Kind::Counter,
                "Time that a worker has been busy.",
                workers(&|metrics, worker| Number::F64(metrics.worker_total_busy_duration(worker).as_secs_f64())),
            );
            family(
                "tokio.worker.parks",
                "{park}",
                Kind::Counter,
                "How often a worker went to sleep for want of work.",
                workers(&|metrics, worker| Number::U64(metrics.worker_park_count(worker))),
            );
        }
    }
}

fn labels(runtime: &Runtime, worker: Option<usize>) -> LabelSet {
    let mut labels = vec![("runtime".into(), runtime.name.clone().into())];
    labels.extend(worker.map(|worker| ("worker".into(), worker.to_string().into())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_seen() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        assert!(observe("first".to_owned(), runtime.handle()));
        assert!(observe("workers".to_owned(), runtime.handle()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = runtime.spawn(stopped);
        let mut families = Vec::new();
        Runtimes.families(&mut families);
        let values = |name: &str| -> Vec<f64> {
            let family = families.iter().find(|family| family.name == name).unwrap();
            let mine = |point: &&Point| point.labels.iter().any(|(_, value)| value == "workers");
            let value = |point: &Point| match point.value {
                PointValue::Number { value, .. } => value.as_f64(),
                _ => f64::NAN,
            };
            family.points.iter().filter(mine).map(value).collect()
        };
        assert_eq!(values("tokio.workers"), [2.0]);
        assert_eq!(values("tokio.alive_tasks"), [1.0]);
        assert_eq!(values("tokio.global_queue_depth").len(), 1);
        assert_eq!(values("tokio.worker.busy").len(), 2);
        assert_eq!(values("tokio.worker.parks").len(), 2);
        assert!(
            !families[0]
                .points
                .iter()
                .any(|point| point.labels.iter().any(|(_, value)| value == "first"))
        );
        drop(stop);
        let _ = runtime.block_on(task);
    }

    #[test]
    fn a_name_is_one_runtimes() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (one, two) = (runtime(), runtime());
        assert!(observe("t.one".to_owned(), one.handle()));
        assert!(observe("t.two".to_owned(), two.handle()));
        // The second is known already, and takes the first one's name.
        assert!(observe("t.one".to_owned(), two.handle()));
        let mut families = Vec::new();
        Runtimes.families(&mut families);
        let named = |name: &str| {
            let points = families[0].points.iter();
            points
                .filter(|point| point.labels.iter().any(|(_, value)| value == name))
                .count()
        };
        assert_eq!((named("t.one"), named("t.two")), (1, 0));
    }
}
