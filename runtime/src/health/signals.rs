//! What is told about health: a log line in a span of its own per transition, and numbers.

use super::engine::Engine;
use super::entry::{BOUNDS, Settled};
use super::options::Probe;
use super::state::Phase;
use super::status::Health;
use crate::export::snapshot::{Family, Histogram, Kind, Number, Point, PointValue};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A check has changed. Called without any lock held.
pub(crate) fn transition(check: &str, from: Option<Health>, settled: &Settled) {
    let to = settled.status.health;
    let from = from.map_or("unknown", Health::as_str);
    let reason = settled.status.message();
    let span = tracing::info_span!(target: "vitalsign::health", "health.transition", check, from, to = to.as_str());
    let _span = span.enter();
    match to {
        Health::Up => {
            tracing::info!(target: "vitalsign::health", check, from, to = "up", reason, "health check is up");
        }
        Health::Degraded => {
            tracing::warn!(target: "vitalsign::health", check, from, to = "degraded", reason, "health check is degraded");
        }
        Health::Down => {
            tracing::error!(target: "vitalsign::health", check, from, to = "down", reason, "health check is down");
        }
    }
}

/// A check was slow, told once.
pub(crate) fn slow(check: &str, took: Duration, timeout: Duration) {
    tracing::warn!(
        target: "vitalsign::health",
        check,
        took = ?took,
        timeout = ?timeout,
        "health check is slow; a probe waits 900 ms for it, give it an interval"
    );
}

/// The process has entered another phase.
pub(crate) fn phase(phase: Phase) {
    tracing::info!(target: "vitalsign::health", phase = phase.as_str(), "health phase");
}

/// The numbers of the process's engine.
pub(crate) fn families() -> Vec<Family> {
    super::engine().families()
}

fn point(start_unix_nanos: u64, labels: Vec<(&'static str, Cow<'static, str>)>, value: PointValue) -> Point {
    Point {
        labels: labels
            .into_iter()
            .map(|(key, value)| (Cow::Borrowed(key), value))
            .collect(),
        value,
        typed: 0,
        start_unix_nanos,
    }
}

fn number(value: Number) -> PointValue {
    PointValue::Number { value, exemplar: None }
}

impl Engine {
    /// Status by check and probe (1 up, 0.5 degraded, 0 down; none before the first answer), durations, transitions, stuck threads.
    pub(crate) fn families(&self) -> Vec<Family> {
        let point = |labels, value| point(self.inner().born, labels, value);
        let bounds: Arc<[f64]> = BOUNDS.into();
        let (mut status, mut durations, mut transitions) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.entries().iter().filter(|entry| entry.is_joined()) {
            let name = || -> Cow<'static, str> { entry.name.to_string().into() };
            if let Some(health) = entry.health() {
                let value = match health {
                    Health::Up => 1.0,
                    Health::Degraded => 0.5,
                    Health::Down => 0.0,
                };
                for probe in [Probe::Live, Probe::Ready, Probe::Startup] {
                    if entry.settings.probes.has(probe) {
                        let labels = vec![("check", name()), ("probe", probe.as_str().into())];
                        status.push(point(labels, number(Number::F64(value))));
                    }
                }
            }
            let numbers = entry.numbers();
            let histogram = PointValue::histogram(Histogram {
                bounds: Arc::clone(&bounds),
                counts: numbers.buckets.to_vec(),
                sum: numbers.seconds,
                exemplars: Vec::new(),
            });
            durations.push(point(vec![("check", name())], histogram));
            for to in [Health::Up, Health::Degraded, Health::Down] {
                let labels = vec![("check", name()), ("to", to.as_str().into())];
                transitions.push(point(labels, number(Number::U64(numbers.transitions[to as usize]))));
            }
        }
        let ready = f64::from(u8::from(self.phase() == Phase::Ready));
        let stuck = Engine::stuck_threads() as i64;
        let family = |name, help, unit, kind, points| Family {
            name: Cow::Borrowed(name),
            help: Cow::Borrowed(help),
            unit: Cow::Borrowed(unit),
            kind,
            observed: false,
            scope: Vec::new(),
            points,
        };
        vec![
            family(
                "health.check.status",
                "What a health check last said: 1 up, 0.5 degraded, 0 down.",
                "",
                Kind::Gauge,
                status,
            ),
            family(
                "health.check.duration",
                "How long health checks take.",
                "s",
                Kind::Histogram,
                durations,
            ),
            family(
                "health.check.transitions",
                "Changes of a health check's status.",
                "{transition}",
                Kind::Counter,
                transitions,
            ),
            family(
                "health.ready",
                "1 between the end of starting and the begin of draining, unless withdrawn by hand.",
                "",
                Kind::Gauge,
                vec![point(Vec::new(), number(Number::F64(ready)))],
            ),
            family(
                "health.threads.stuck",
                "Threads held by health checks that do not come back.",
                "{thread}",
                Kind::Gauge,
                vec![point(Vec::new(), number(Number::I64(stuck)))],
            ),
        ]
    }
}
