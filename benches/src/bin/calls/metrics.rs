//! Counters and timers.

use crate::{body, consume, ours};
use benches::measure::{Case, case};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter as OtelCounter, Histogram as OtelHistogram, MeterProvider as _};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics, SumDataPoint};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

pub(crate) const CASES: [Case; 11] = [
    case("limit: a relaxed fetch_add", |n| {
        static CELL: AtomicU64 = AtomicU64::new(0);
        for i in 0..n {
            consume(body(i));
            CELL.fetch_add(1, Ordering::Relaxed);
        }
    }),
    case("limit: a clock pair of quanta", |n| {
        let clock = &*CLOCK;
        for i in 0..n {
            let start = clock.raw();
            consume(body(i));
            black_box(clock.raw() - start);
        }
    }),
    case("count: #[counted]", ours::counted)
        .setup(ours::init)
        .check(ours::check_counted),
    case("count: prometheus-client Family", |n| {
        for i in 0..n {
            let result = body(i);
            CALLS.get_or_create(&labels(&result)).inc();
            consume(result);
        }
    })
    .check(|n| assert_eq!(CALLS.get_or_create(&labels(&Ok(1))).get(), n)),
    case("count: metrics counter! with exporter", |n| {
        for i in 0..n {
            let result = body(i);
            let outcome = if result.is_ok() { "ok" } else { "error" };
            metrics::counter!("calls", "function" => "body", "outcome" => outcome).increment(1);
            consume(result);
        }
    })
    .setup(|| {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        FACADE.set(recorder.handle()).unwrap_or_default();
        metrics::set_global_recorder(recorder).expect("the first recorder");
    })
    .check(|n| {
        let page = FACADE.get().expect("a recorder").render();
        assert!(page.contains(&format!("}} {n}")), "{page}");
    }),
    case("count: OTel add", |n| {
        let counter = &OTEL.count;
        for i in 0..n {
            let result = body(i);
            counter.add(1, &otel_labels(&result));
            consume(result);
        }
    })
    .check(|n| assert_eq!(otel_count(), n)),
    case("time: #[timed]", ours::timed)
        .setup(ours::init)
        .check(ours::check_timed),
    case("time: prometheus-client Histogram in a Family", |n| {
        for i in 0..n {
            let start = Instant::now();
            let result = body(i);
            DURATIONS
                .get_or_create(&labels(&result))
                .observe(start.elapsed().as_secs_f64());
            consume(result);
        }
    }),
    case("time: OTel record", |n| {
        let histogram = &OTEL.time;
        for i in 0..n {
            let start = Instant::now();
            let result = body(i);
            histogram.record(start.elapsed().as_secs_f64(), &otel_labels(&result));
            consume(result);
        }
    }),
    case("count and time: #[counted] #[timed]", ours::counted_and_timed)
        .setup(ours::init)
        .check(ours::check_timed),
    case("count and time: prometheus-client by hand", |n| {
        for i in 0..n {
            let start = Instant::now();
            let result = body(i);
            let labels = labels(&result);
            CALLS.get_or_create(&labels).inc();
            DURATIONS.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
            consume(result);
        }
    }),
];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct Labels {
    function: &'static str,
    outcome: &'static str,
}

#[inline]
pub(crate) fn labels(result: &Result<u64, std::fmt::Error>) -> Labels {
    Labels {
        function: "body",
        outcome: if result.is_ok() { "ok" } else { "error" },
    }
}

#[inline]
fn otel_labels(result: &Result<u64, std::fmt::Error>) -> [KeyValue; 2] {
    [
        KeyValue::new("function", "body"),
        KeyValue::new("outcome", if result.is_ok() { "ok" } else { "error" }),
    ]
}

const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

pub(crate) static CALLS: LazyLock<Family<Labels, Counter>> = LazyLock::new(Family::default);
pub(crate) static DURATIONS: LazyLock<Family<Labels, Histogram>> =
    LazyLock::new(|| Family::new_with_constructor(|| Histogram::new(BUCKETS)));
static FACADE: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();

static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

struct Otel {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
    count: OtelCounter<u64>,
    time: OtelHistogram<f64>,
}

static OTEL: LazyLock<Otel> = LazyLock::new(|| {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter.clone()).build())
        .build();
    let meter = provider.meter("bench");
    let (count, time) = (
        meter.u64_counter("calls").build(),
        meter.f64_histogram("duration").build(),
    );
    Otel {
        provider,
        exporter,
        count,
        time,
    }
});

fn otel_count() -> u64 {
    OTEL.provider.force_flush().expect("flushed");
    let exports = OTEL.exporter.get_finished_metrics().expect("exported");
    let last = exports.last().expect("one export");
    let mut sum = 0;
    for metric in last.scope_metrics().flat_map(ScopeMetrics::metrics) {
        if let AggregatedMetrics::U64(MetricData::Sum(points)) = metric.data() {
            sum += points.data_points().map(SumDataPoint::value).sum::<u64>();
        }
    }
    sum
}
