//! Peers with a single metric each, and those with metrics of two labels and an outcome.

use crate::plain::{Channel, Size};
use crate::{body, consume};
use autometrics::autometrics;
use benches::measure::{Case, case};
use measured::{FixedCardinalityLabel, LabelGroup};
use metered::{HitCount, ResponseTime, measure};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Instant;

const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

static CLIENT_COUNTER: LazyLock<Counter> = LazyLock::new(Counter::default);
static CLIENT_HISTOGRAM: LazyLock<Histogram> = LazyLock::new(|| Histogram::new(BUCKETS));
static CLIENT_LABELLED: LazyLock<Family<ClientLabels, Counter>> = LazyLock::new(Family::default);
static INT_COUNTER: LazyLock<prometheus::IntCounter> =
    LazyLock::new(|| prometheus::IntCounter::new("plain", "Plain.").expect("a counter"));
static INT_COUNTERS: LazyLock<prometheus::IntCounterVec> = LazyLock::new(|| {
    let options = prometheus::Opts::new("labelled", "Labelled.");
    prometheus::IntCounterVec::new(options, &["channel", "size", "outcome"]).expect("a family")
});
static TIMER: LazyLock<prometheus::Histogram> = LazyLock::new(|| {
    let options = prometheus::HistogramOpts::new("took", "Took.").buckets(BUCKETS.to_vec());
    prometheus::Histogram::with_opts(options).expect("a histogram")
});
static MEASURED: LazyLock<measured::Counter> = LazyLock::new(measured::Counter::new);
static MEASURED_LABELLED: LazyLock<measured::CounterVec<MeasuredLabelsSet>> = LazyLock::new(measured::CounterVec::new);
static HITS: LazyLock<HitCount> = LazyLock::new(HitCount::default);
static RESPONSES: LazyLock<ResponseTime> = LazyLock::new(ResponseTime::default);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue, FixedCardinalityLabel)]
enum ChannelLabel {
    Web,
    Shop,
    Phone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue, FixedCardinalityLabel)]
enum SizeLabel {
    Small,
    Large,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue, FixedCardinalityLabel)]
enum OutcomeLabel {
    Ok,
    Error,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ClientLabels {
    channel: ChannelLabel,
    size: SizeLabel,
    outcome: OutcomeLabel,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = MeasuredLabelsSet)]
struct MeasuredLabels {
    channel: ChannelLabel,
    size: SizeLabel,
    outcome: OutcomeLabel,
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the same in every row: what is measured is what is done with it"
)]
fn of(i: u64, result: &Result<u64, std::fmt::Error>) -> (ChannelLabel, SizeLabel, OutcomeLabel) {
    let channel = match Channel::of(i) {
        Channel::Web => ChannelLabel::Web,
        Channel::Shop => ChannelLabel::Shop,
        Channel::Phone => ChannelLabel::Phone,
    };
    let size = match Size::of(i) {
        Size::Small => SizeLabel::Small,
        Size::Large => SizeLabel::Large,
    };
    let outcome = if result.is_ok() {
        OutcomeLabel::Ok
    } else {
        OutcomeLabel::Error
    };
    (channel, size, outcome)
}

const ALL: [(ChannelLabel, SizeLabel); 6] = [
    (ChannelLabel::Web, SizeLabel::Small),
    (ChannelLabel::Web, SizeLabel::Large),
    (ChannelLabel::Shop, SizeLabel::Small),
    (ChannelLabel::Shop, SizeLabel::Large),
    (ChannelLabel::Phone, SizeLabel::Small),
    (ChannelLabel::Phone, SizeLabel::Large),
];

#[autometrics]
fn automatic(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) const CASES: [Case; 12] = [
    case("count: prometheus-client Counter", |n| {
        let counter = &*CLIENT_COUNTER;
        for i in 0..n {
            let result = body(i);
            counter.inc();
            consume(result);
        }
    })
    .check(|n| assert_eq!(CLIENT_COUNTER.get(), n)),
    case("count: prometheus IntCounter", |n| {
        let counter = &*INT_COUNTER;
        for i in 0..n {
            let result = body(i);
            counter.inc();
            consume(result);
        }
    })
    .check(|n| assert_eq!(INT_COUNTER.get(), n)),
    case("count: measured Counter", |n| {
        let counter = &*MEASURED;
        for i in 0..n {
            let result = body(i);
            counter.inc();
            consume(result);
        }
    })
    .check(|n| assert_eq!(MEASURED.get_metric().count.load(Ordering::Relaxed), n)),
    case("count: metered HitCount", |n| {
        let hits = &*HITS;
        for i in 0..n {
            consume(measure!(hits, body(i)));
        }
    })
    .check(|n| assert_eq!(HITS.0.get(), n)),
    case("count, 2 enum labels and outcome: prometheus-client", |n| {
        let family = &*CLIENT_LABELLED;
        for i in 0..n {
            let result = body(i);
            let (channel, size, outcome) = of(i, &result);
            let labels = ClientLabels { channel, size, outcome };
            family.get_or_create(&labels).inc();
            consume(result);
        }
    })
    .check(|n| {
        let of = |(channel, size)| {
            let outcome = OutcomeLabel::Ok;
            CLIENT_LABELLED
                .get_or_create(&ClientLabels { channel, size, outcome })
                .get()
        };
        assert_eq!(ALL.map(of).iter().sum::<u64>(), n);
    }),
    case("count, 2 enum labels and outcome: prometheus", |n| {
        let family = &*INT_COUNTERS;
        for i in 0..n {
            let result = body(i);
            let (channel, size, outcome) = of(i, &result);
            family.with_label_values(&texts(channel, size, outcome)).inc();
            consume(result);
        }
    })
    .check(|n| {
        let of = |(channel, size)| {
            INT_COUNTERS
                .with_label_values(&texts(channel, size, OutcomeLabel::Ok))
                .get()
        };
        assert_eq!(ALL.map(of).iter().sum::<u64>(), n);
    }),
    case("count, 2 enum labels and outcome: measured", |n| {
        let family = &*MEASURED_LABELLED;
        for i in 0..n {
            let result = body(i);
            let (channel, size, outcome) = of(i, &result);
            family.inc(MeasuredLabels { channel, size, outcome });
            consume(result);
        }
    })
    .check(|n| {
        let of = |(channel, size)| {
            let outcome = OutcomeLabel::Ok;
            let id = MEASURED_LABELLED.with_labels(MeasuredLabels { channel, size, outcome });
            MEASURED_LABELLED.get_metric(id).count.load(Ordering::Relaxed)
        };
        assert_eq!(ALL.map(of).iter().sum::<u64>(), n);
    }),
    case("time: prometheus-client Histogram and Instant", |n| {
        let histogram = &*CLIENT_HISTOGRAM;
        for i in 0..n {
            let start = Instant::now();
            let result = body(i);
            histogram.observe(start.elapsed().as_secs_f64());
            consume(result);
        }
    })
    .check(|n| assert!(encoded(CLIENT_HISTOGRAM.clone()).contains(&format!("took_count {n}\n")))),
    case("time: prometheus timer", |n| {
        let histogram = &*TIMER;
        for i in 0..n {
            let timer = histogram.start_timer();
            let result = body(i);
            timer.observe_duration();
            consume(result);
        }
    })
    .check(|n| assert_eq!(TIMER.get_sample_count(), n)),
    case("time: metered ResponseTime", |n| {
        let responses = &*RESPONSES;
        for i in 0..n {
            consume(measure!(responses, body(i)));
        }
    })
    .check(|n| assert_eq!(RESPONSES.histogram().len(), n)),
    case("count and time: metered HitCount and ResponseTime", |n| {
        let (hits, responses) = (&*HITS, &*RESPONSES);
        for i in 0..n {
            consume(measure!(hits, measure!(responses, body(i))));
        }
    })
    .check(|n| assert_eq!(HITS.0.get(), n)),
    case("count and time: #[autometrics] with prometheus", |n| {
        for i in 0..n {
            consume(automatic(i));
        }
    })
    .check(|n| {
        let counted: f64 = prometheus::gather()
            .iter()
            .filter(|family| family.name().starts_with("function_calls"))
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value())
            .sum();
        assert_eq!(counted as u64, n);
    }),
];

fn encoded(histogram: Histogram) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register("took", "Took", histogram);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).expect("a page");
    page
}

fn texts(channel: ChannelLabel, size: SizeLabel, outcome: OutcomeLabel) -> [&'static str; 3] {
    let channel = match channel {
        ChannelLabel::Web => "web",
        ChannelLabel::Shop => "shop",
        ChannelLabel::Phone => "phone",
    };
    let size = match size {
        SizeLabel::Small => "small",
        SizeLabel::Large => "large",
    };
    let outcome = match outcome {
        OutcomeLabel::Ok => "ok",
        OutcomeLabel::Error => "error",
    };
    [channel, size, outcome]
}
