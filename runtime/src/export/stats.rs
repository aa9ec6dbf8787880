//! What we count about ourselves, in one table. The names are those of the semantic conventions' `otel.sdk.*` metrics where
//! they have one.

use super::snapshot::{Family, Kind, Number, Point, PointValue};
use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

type Labels = &'static [(&'static str, &'static str)];

/// One series about ourselves.
pub(crate) struct Stat {
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    kind: Kind,
    labels: Labels,
    /// `error.type`
    error: Option<&'static str>,
    /// The exporter whose address is a label, too.
    target: Option<&'static Target>,
    value: AtomicI64,
}

impl Stat {
    const fn new(kind: Kind, name: &'static str, unit: &'static str, help: &'static str, labels: Labels) -> Self {
        Self {
            name,
            help,
            unit,
            kind,
            labels,
            error: None,
            target: None,
            value: AtomicI64::new(0),
        }
    }

    const fn error(mut self, error: &'static str) -> Self {
        self.error = Some(error);
        self
    }

    const fn at(mut self, target: &'static Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Counts up.
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.value.fetch_add(amount as i64, Relaxed);
    }

    /// Counts down: gauges only.
    #[inline]
    pub(crate) fn sub(&self, amount: u64) {
        self.value.fetch_sub(amount as i64, Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.value.store(value as i64, Relaxed);
    }

    pub(crate) fn value(&self) -> i64 {
        self.value.load(Relaxed)
    }

    fn point(&self, start_unix_nanos: u64) -> Point {
        let own = self
            .labels
            .iter()
            .map(|(key, value)| (Cow::from(*key), Cow::from(*value)));
        let error = self.error.map(|error| (Cow::from("error.type"), Cow::from(error)));
        let target = self.target.into_iter().flat_map(Target::labels);
        Point {
            labels: own.chain(error).chain(target).collect(),
            value: PointValue::Number {
                value: match self.kind {
                    Kind::Counter => Number::U64(self.value() as u64),
                    _ => Number::I64(self.value()),
                },
                exemplar: None,
            },
            typed: 0,
            start_unix_nanos,
        }
    }
}

/// Where an exporter sends.
pub(crate) struct Target(OnceLock<TargetLabels>);

struct TargetLabels {
    component: &'static str,
    address: String,
    port: u16,
}

impl TargetLabels {
    fn labels(&self) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, str>)> {
        let text = |key: &'static str, value: String| (Cow::from(key), Cow::from(value));
        [
            text("otel.component.type", self.component.to_owned()),
            text("otel.component.name", format!("{}/0", self.component)),
            text("server.address", self.address.clone()),
            text("server.port", self.port.to_string()),
        ]
        .into_iter()
    }
}

impl Target {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn labels(&self) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, str>)> {
        self.0.get().into_iter().flat_map(TargetLabels::labels)
    }

    /// Known from the start of the exporter on; the first one names itself.
    pub(crate) fn set(&self, component: &'static str, address: &str, port: u16) {
        let labels = TargetLabels {
            component,
            address: address.to_owned(),
            port,
        };
        // A second exporter in one process counts into the series of the first.
        let _ = self.0.set(labels);
    }
}

/// The series of one signal's way out.
pub(crate) struct Pipeline {
    pub(crate) target: Target,
    pub(crate) queue_size: Stat,
    pub(crate) queue_capacity: Stat,
    /// Handed to the exporter.
    pub(crate) processed: Stat,
    pub(crate) queue_full: Stat,
    /// Came after the shutdown.
    pub(crate) after_shutdown: Stat,
    pub(crate) in_flight: Stat,
    pub(crate) exported: Stat,
    /// Refused by the receiver in a partial success.
    pub(crate) rejected: Stat,
    /// Refused with an error that no retry may mend.
    pub(crate) failed: Stat,
    pub(crate) too_large: Stat,
    /// Still waiting at the shutdown's deadline.
    pub(crate) abandoned: Stat,
    pub(crate) requests: Stat,
    pub(crate) failed_requests: Stat,
}

macro_rules! pipeline {
    ($name:ident, $kind:literal, $unit:literal, $processor:literal, $signal:literal) => {
        pub(crate) static $name: Pipeline = {
            const PROCESSOR: Labels = &[
                ("otel.component.type", $processor),
                ("otel.component.name", concat!($processor, "/0")),
            ];
            const fn queue(name: &'static str, help: &'static str) -> Stat {
                Stat::new(Kind::UpDownCounter, name, $unit, help, PROCESSOR)
            }
            const fn processed() -> Stat {
                let name = concat!("otel.sdk.processor.", $kind, ".processed");
                let help = "Items that left the queue, or did not get in (error.type).";
                Stat::new(Kind::Counter, name, $unit, help, PROCESSOR)
            }
            const fn exporter(kind: Kind, name: &'static str, help: &'static str) -> Stat {
                Stat::new(kind, name, $unit, help, &[]).at(&$name.target)
            }
            const fn exported() -> Stat {
                let name = concat!("otel.sdk.exporter.", $kind, ".exported");
                exporter(
                    Kind::Counter,
                    name,
                    "Items whose export ended: well, or not (error.type).",
                )
            }
            const fn requests(name: &'static str, help: &'static str) -> Stat {
                Stat::new(Kind::Counter, name, "{request}", help, &[("signal", $signal)])
            }
            Pipeline {
                target: Target::new(),
                queue_size: queue(
                    concat!("otel.sdk.processor.", $kind, ".queue.size"),
                    "Items that wait to be exported.",
                ),
                queue_capacity: queue(
                    concat!("otel.sdk.processor.", $kind, ".queue.capacity"),
                    "Items that may wait to be exported.",
                ),
                processed: processed(),
                queue_full: processed().error("queue_full"),
                after_shutdown: processed().error("already_shutdown"),
                in_flight: exporter(
                    Kind::UpDownCounter,
                    concat!("otel.sdk.exporter.", $kind, ".inflight"),
                    "Items being exported now.",
                ),
                exported: exported(),
                rejected: exported().error("rejected"),
                failed: exported().error("failed"),
                too_large: exported().error("too_large"),
                abandoned: exported().error("shutdown"),
                requests: requests(
                    "vitalsign.exporter.requests",
                    "Requests sent by the exporters; retries count.",
                ),
                failed_requests: requests(
                    "vitalsign.exporter.failed_requests",
                    "Requests of the exporters that failed; retries count.",
                ),
            }
        };
    };
}

pipeline!(SPANS, "span", "{span}", "batching_span_processor", "traces");
pipeline!(LOGS, "log", "{log_record}", "batching_log_processor", "logs");
pipeline!(
    POINTS,
    "metric_data_point",
    "{data_point}",
    "periodic_metric_reader",
    "metrics"
);

/// The series of a signal's way out.
#[cfg(feature = "otlp")]
pub(crate) fn of(signal: super::transport::Signal) -> &'static Pipeline {
    use super::transport::Signal;
    match signal {
        Signal::Traces => &SPANS,
        Signal::Metrics => &POINTS,
        Signal::Logs => &LOGS,
    }
}

impl Pipeline {
    /// Where its exporter sends, as labels.
    #[cfg(feature = "otlp")]
    pub(crate) fn target_labels(&self) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, str>)> {
        self.target.labels()
    }

    fn stats(&self) -> [&Stat; 13] {
        [
            &self.queue_size,
            &self.queue_capacity,
            &self.processed,
            &self.queue_full,
            &self.after_shutdown,
            &self.in_flight,
            &self.exported,
            &self.rejected,
            &self.failed,
            &self.too_large,
            &self.abandoned,
            &self.requests,
            &self.failed_requests,
        ]
    }
}

/// Series that belong to no signal's way out. Other parts of the crate add a row here and count.
macro_rules! rows {
    ($($(#[$doc:meta])* $id:ident = $kind:ident $name:literal $unit:literal $help:literal [$($label:literal = $value:literal),*];)*) => {
        $($(#[$doc])* pub(crate) static $id: Stat =
            Stat::new(Kind::$kind, $name, $unit, $help, &[$(($label, $value)),*]);)*
        static ROWS: &[&Stat] = &[$(&$id),*];
    };
}

rows! {
    SPANS_LIVE = UpDownCounter "otel.sdk.span.live" "{span}" "Recorded spans that have not ended." ["otel.span.sampling_result" = "RECORD_AND_SAMPLE"];
    SPANS_OLDEST = Gauge "vitalsign.span.oldest.age" "s" "Age of the oldest recorded span that has not ended." [];
    SPANS_LONG = Counter "vitalsign.span.long" "{span}" "Spans told of as open for longer than VITALSIGN_LONG_SPANS." [];
    SPANS_STARTED = Counter "otel.sdk.span.started" "{span}" "Spans started." ["otel.span.sampling_result" = "RECORD_AND_SAMPLE"];
    SPANS_SAMPLED_OUT = Counter "otel.sdk.span.started" "{span}" "Spans started." ["otel.span.sampling_result" = "DROP"];
    SPANS_RING_FULL = Counter "vitalsign.span.dropped" "{span}" "Ended spans that were lost before any queue." ["error.type" = "ring_full"];
    SPANS_LATE = Counter "vitalsign.span.dropped" "{span}" "Ended spans that were lost before any queue." ["error.type" = "already_shutdown"];
    SPANS_DISCARDED = Counter "vitalsign.span.discarded" "{span}" "Ended spans that the rules of VITALSIGN_TAIL did not keep." [];
    SPANS_ATTRIBUTES = Counter "vitalsign.span.limited" "{item}" "What spans were given beyond their limits, and left out." ["item" = "attribute"];
    SPANS_EVENTS = Counter "vitalsign.span.limited" "{item}" "What spans were given beyond their limits, and left out." ["item" = "event"];
    SPANS_LINKS = Counter "vitalsign.span.limited" "{item}" "What spans were given beyond their limits, and left out." ["item" = "link"];
    SPANS_REENTRANT = Counter "vitalsign.span.reentrant" "{span}" "Spans and events turned away because the formatting of a field made them." [];
    BAGGAGE_DROPPED = Counter "vitalsign.baggage.dropped" "{member}" "Members of baggage that were malformed or too much." [];
    SPOOL_BYTES = UpDownCounter "vitalsign.spool.size" "By" "Size of the files that wait for the collector." [];
    SPOOL_WRITTEN = Counter "vitalsign.spool.written" "{batch}" "Batches written to the spool." [];
    SPOOL_SENT = Counter "vitalsign.spool.sent" "{batch}" "Batches of the spool that were sent." [];
    SPOOL_EVICTED = Counter "vitalsign.spool.dropped" "{batch}" "Batches of the spool that were lost." ["error.type" = "full"];
    SPOOL_CORRUPT = Counter "vitalsign.spool.dropped" "{batch}" "Batches of the spool that were lost." ["error.type" = "corrupt"];
    SPOOL_SYNCED = Counter "vitalsign.spool.syncs" "{sync}" "Files and folders of the spool brought to the disk." [];
    SPOOL_UNWRITTEN = Counter "vitalsign.spool.failed" "{operation}" "What the disk refused; what could not be written waits in memory." ["error.type" = "write"];
    SPOOL_UNSYNCED = Counter "vitalsign.spool.failed" "{operation}" "What the disk refused; what could not be written waits in memory." ["error.type" = "sync"];
    ADMIN_BUSY = Counter "vitalsign.admin.refused" "{request}" "Requests that the admin server refused." ["error.type" = "busy"];
    ADMIN_UNAUTHORIZED = Counter "vitalsign.admin.refused" "{request}" "Requests that the admin server refused." ["error.type" = "unauthorized"];
}

static START: OnceLock<u64> = OnceLock::new();

/// All of it as metrics. Series of exporters that were never started stay away.
pub(crate) fn families() -> Vec<Family> {
    let spans = crate::trace::stats();
    SPANS_LIVE.set(spans.open);
    SPANS_OLDEST.set(spans.oldest_open.as_secs());
    SPANS_LONG.set(spans.told_long);
    SPANS_STARTED.set(spans.started);
    SPANS_SAMPLED_OUT.set(spans.sampled_out);
    SPANS_RING_FULL.set(spans.dropped_ring);
    SPANS_LATE.set(spans.dropped_late);
    SPANS_DISCARDED.set(spans.discarded_tail);
    SPANS_ATTRIBUTES.set(spans.limited_attributes);
    SPANS_EVENTS.set(spans.limited_events);
    SPANS_LINKS.set(spans.limited_links);
    SPANS_REENTRANT.set(spans.reentrant);
    BAGGAGE_DROPPED.set(spans.dropped_baggage);
    let start = *START.get_or_init(|| crate::clock::unix_nanos(crate::clock::now()));
    let mut families: Vec<Family> = Vec::new();
    let pipelines = [&SPANS, &LOGS, &POINTS]
        .into_iter()
        .filter(|p| p.target.0.get().is_some());
    for stat in ROWS.iter().copied().chain(pipelines.flat_map(Pipeline::stats)) {
        // Points have no queue: a push is gathered when it is sent.
        if stat.name.starts_with("otel.sdk.processor.metric_data_point") {
            continue;
        }
        let point = stat.point(start);
        match families.iter_mut().find(|family| family.name == stat.name) {
            Some(family) => family.points.push(point),
            None => families.push(Family {
                name: stat.name.into(),
                help: stat.help.into(),
                unit: stat.unit.into(),
                kind: stat.kind,
                observed: false,
                scope: Vec::new(),
                points: vec![point],
            }),
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn series_of_a_family_differ_and_names_agree() {
        SPANS.target.set("otlp_http_exporter", "localhost", 4318);
        LOGS.target.set("otlp_http_exporter", "localhost", 4318);
        POINTS.target.set("otlp_http_exporter", "localhost", 4318);
        let families = families();
        for name in [
            "otel.sdk.span.live",
            "otel.sdk.span.started",
            "otel.sdk.processor.span.queue.size",
            "otel.sdk.processor.log.queue.capacity",
            "otel.sdk.processor.span.processed",
            "otel.sdk.exporter.span.inflight",
            "otel.sdk.exporter.log.exported",
            "otel.sdk.exporter.metric_data_point.exported",
        ] {
            assert!(families.iter().any(|f| f.name == name), "{name}");
        }
        for family in families {
            let series: HashSet<_> = family.points.iter().map(|p| format!("{:?}", p.labels)).collect();
            assert_eq!(series.len(), family.points.len(), "{}", family.name);
            assert!(!family.name.ends_with("_total") && !family.help.is_empty());
        }
    }
}
