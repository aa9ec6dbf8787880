use super::*;
use crate::export::snapshot::{Histogram, Point, PointValue};

fn meter() -> Meter {
    Meters.meter_with_scope(InstrumentationScope::builder("shop").with_version("1.2").build())
}

fn family(name: &str) -> Family {
    let mut families = Vec::new();
    STREAMS.families(&mut families);
    families.into_iter().find(|family| family.name == name).unwrap()
}

fn of<'a>(family: &'a Family, key: &str, value: &str) -> &'a Point {
    let has = |point: &&Point| point.labels.iter().any(|(k, v)| k == key && v == value);
    family.points.iter().find(has).unwrap()
}

/// The one series of a histogram.
fn histogram(name: &str) -> Histogram {
    match family(name).points.remove(0).value {
        PointValue::Histogram(histogram) => *histogram,
        other => panic!("{other:?}"),
    }
}

fn number(point: &Point) -> Number {
    match point.value {
        PointValue::Number { value, .. } => value,
        _ => panic!("{point:?}"),
    }
}

#[test]
fn synchronous_instruments() {
    let meter = meter();
    let counter = meter
        .u64_counter("t.sync.orders")
        .with_unit("{order}")
        .with_description("Orders.")
        .build();
    counter.add(2, &[KeyValue::new("shop", "a"), KeyValue::new("vip", true)]);
    // In another order, and the last of two of one name: the same series.
    counter.add(3, &[KeyValue::new("vip", true), KeyValue::new("shop", "a")]);
    counter.add(
        4,
        &[
            KeyValue::new("shop", "x"),
            KeyValue::new("vip", true),
            KeyValue::new("shop", "a"),
        ],
    );
    counter.add(1, &[]);
    // Declared again it is the same instrument.
    meter
        .u64_counter("t.sync.orders")
        .with_unit("{order}")
        .build()
        .add(1, &[]);
    let family = family("t.sync.orders");
    assert_eq!(
        (family.kind, &*family.unit, &*family.help),
        (Kind::Counter, "{order}", "Orders.")
    );
    assert_eq!(family.points.len(), 2);
    let point = of(&family, "shop", "a");
    assert_eq!(number(point), Number::U64(9));
    let labels: Vec<_> = point.labels.iter().collect();
    let vip = labels.iter().position(|label| *label == ("vip", "true")).unwrap();
    assert_eq!(point.typed, 1 << vip);
    assert_eq!(
        labels[2..],
        [("otel.scope.name", "shop"), ("otel.scope.version", "1.2")]
    );

    let floats = meter.f64_counter("t.sync.weight").build();
    for amount in [0.5, f64::NAN, f64::INFINITY, -1.0, 1.0] {
        floats.add(amount, &[]);
    }
    assert_eq!(
        number(&super::tests::family("t.sync.weight").points[0]),
        Number::F64(1.5)
    );
    let updown = meter.i64_up_down_counter("t.sync.open").build();
    updown.add(2, &[]);
    updown.add(-5, &[]);
    assert_eq!(number(&super::tests::family("t.sync.open").points[0]), Number::I64(-3));
    let gauge = meter.f64_gauge("t.sync.level").build();
    gauge.record(7.0, &[]);
    gauge.record(-0.25, &[]);
    gauge.record(f64::NAN, &[]);
    assert_eq!(
        number(&super::tests::family("t.sync.level").points[0]),
        Number::F64(-0.25)
    );
}

#[test]
fn histograms() {
    let meter = meter();
    let advised = meter
        .f64_histogram("t.histogram.advised")
        .with_boundaries(vec![1.0, 2.0])
        .build();
    for value in [0.5, 1.0, 1.5, 99.0, f64::NAN] {
        advised.record(value, &[]);
    }
    let advised = histogram("t.histogram.advised");
    assert_eq!(
        (&advised.bounds[..], &advised.counts[..], advised.sum),
        (&[1.0, 2.0][..], &[2, 1, 1][..], 102.0)
    );
    meter.u64_histogram("t.histogram.plain").build().record(7, &[]);
    let plain = histogram("t.histogram.plain");
    assert_eq!((&plain.bounds[..], plain.counts[2]), (DEFAULT, 1));
    meter
        .f64_histogram("t.histogram.one")
        .with_boundaries(vec![])
        .build()
        .record(7.0, &[]);
    let one = histogram("t.histogram.one");
    assert_eq!((one.bounds.len(), &one.counts[..]), (0, &[1][..]));
    meter
        .f64_histogram("t.histogram.bad")
        .with_boundaries(vec![2.0, 1.0])
        .build()
        .record(7.0, &[]);
    assert_eq!(&histogram("t.histogram.bad").bounds[..], DEFAULT);
}

#[test]
fn the_first_boundaries_of_a_histogram_hold() {
    let meter = meter();
    let first = meter.f64_histogram("t.histogram.twice").with_boundaries(vec![1.0, 2.0]);
    first.build().record(1.5, &[]);
    let again = meter.f64_histogram("t.histogram.twice").with_boundaries(vec![9.0]);
    again.build().record(1.5, &[]);
    meter.f64_histogram("t.histogram.twice").build().record(9.0, &[]);
    let twice = histogram("t.histogram.twice");
    assert_eq!(
        (&twice.bounds[..], &twice.counts[..]),
        (&[1.0, 2.0][..], &[0, 2, 1][..])
    );
}

#[test]
fn observed_instruments_say_what_holds_now() {
    use std::sync::atomic::AtomicI64;
    static LEVEL: AtomicI64 = AtomicI64::new(3);
    let meter = meter();
    meter
        .i64_observable_gauge("t.observed.level")
        .with_callback(|observer| {
            let level = LEVEL.load(Ordering::Relaxed);
            observer.observe(1, &[KeyValue::new("tank", level)]);
            observer.observe(level, &[KeyValue::new("tank", level)]);
        })
        .with_callback(|_| panic!("a callback of a test"))
        .build();
    let first = family("t.observed.level");
    assert_eq!(number(of(&first, "tank", "3")), Number::I64(3));
    LEVEL.store(4, Ordering::Relaxed);
    let second = family("t.observed.level");
    assert_eq!(
        (second.points.len(), number(of(&second, "tank", "4"))),
        (1, Number::I64(4))
    );
    meter
        .f64_observable_counter("t.observed.energy")
        .with_callback(|observer| observer.observe(1.5, &[]))
        .build();
    let energy = family("t.observed.energy");
    assert_eq!(
        (energy.kind, number(&energy.points[0])),
        (Kind::Counter, Number::F64(1.5))
    );
}

#[test]
fn an_observed_instrument_is_another_than_a_synchronous_one() {
    let meter = meter();
    meter.u64_counter("t.observed.too").build().add(1, &[]);
    meter
        .u64_observable_counter("t.observed.too")
        .with_callback(|observer| observer.observe(5, &[]))
        .build();
    let mut families = Vec::new();
    STREAMS.families(&mut families);
    let of_name = families.iter().filter(|family| family.name == "t.observed.too");
    let mut shown: Vec<_> = of_name
        .map(|family| (family.observed, number(&family.points[0])))
        .collect();
    shown.sort_by_key(|(observed, _)| *observed);
    assert_eq!(shown, [(false, Number::U64(1)), (true, Number::U64(5))]);
}

#[test]
fn a_flood_of_attributes_is_bounded_and_loses_nothing() {
    let meter = meter();
    let counter = meter.u64_counter("t.flood").build();
    for n in 0..5000 {
        counter.add(1, &[KeyValue::new("user", n)]);
    }
    meter
        .u64_observable_counter("t.flood.observed")
        .with_callback(|observer| (0..5000).for_each(|n| observer.observe(1, &[KeyValue::new("user", n)])))
        .build();
    for (name, kept) in [("t.flood", 1999), ("t.flood.observed", 1999)] {
        let family = family(name);
        assert_eq!(family.points.len(), kept + 1);
        let rest = of(&family, super::super::stream::OVERFLOW, "true");
        assert_eq!(number(rest), Number::U64(5000 - kept as u64), "{name}");
        assert_eq!(rest.typed, 1);
    }
    let overflow = family("vitalsign.label.overflow");
    assert_eq!(number(of(&overflow, "metric", "t.flood")), Number::U64(3001));
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let meter = meter();
    for name in ["", "1st", "größe", "with space"] {
        meter.u64_counter(name).build().add(1, &[]);
    }
    meter.u64_counter("t.bad.unit").with_unit("Ω").build().add(1, &[]);
    assert_eq!(family("t.bad.unit").unit, "");
    let mut families = Vec::new();
    STREAMS.families(&mut families);
    assert!(
        !families
            .iter()
            .any(|family| ["", "1st", "größe", "with space"].contains(&&*family.name))
    );
}

#[test]
fn attributes_that_are_one_label_share_a_series() {
    let counter = meter().u64_counter("t.types").build();
    counter.add(1, &[KeyValue::new("n", 1)]);
    counter.add(2, &[KeyValue::new("n", "1")]);
    counter.add(4, &[KeyValue::new("n", 1.0)]);
    let family = family("t.types");
    assert_eq!(family.points.len(), 2);
    assert_eq!(number(of(&family, "n", "1")), Number::U64(3));
    assert_eq!(number(of(&family, "n", "1.0")), Number::U64(4));
}

#[test]
fn levels_under_one_label_do_not_add_up() {
    let gauge = meter().u64_gauge("t.types.level").build();
    gauge.record(20, &[KeyValue::new("cpu", 1)]);
    gauge.record(20, &[KeyValue::new("cpu", "1")]);
    let family = family("t.types.level");
    assert_eq!((family.points.len(), number(&family.points[0])), (1, Number::U64(20)));
}

#[test]
fn attributes_that_are_one_label_share_a_series_in_any_order_and_as_a_list() {
    let counter = meter().u64_counter("t.types.order").build();
    counter.add(1, &[KeyValue::new("a", 1), KeyValue::new("b", "x")]);
    counter.add(2, &[KeyValue::new("b", "x"), KeyValue::new("a", "1")]);
    let list = opentelemetry::Array::from(vec![1_i64, 2]);
    counter.add(4, &[KeyValue::new("a", Value::Array(list))]);
    counter.add(8, &[KeyValue::new("a", "[1,2]")]);
    let family = family("t.types.order");
    assert_eq!(family.points.len(), 2);
    assert_eq!(number(of(&family, "a", "1")), Number::U64(3));
    assert_eq!(number(of(&family, "a", "[1,2]")), Number::U64(12));
}

#[test]
fn long_attributes_are_cut_between_characters_and_counted() {
    let meter = meter();
    let counter = meter.u64_counter("t.long").build();
    let text = |end: &str| format!("x{}{end}", "é".repeat(2500));
    // What is one after the cut is one series, in whichever way it comes.
    counter.add(1, &[KeyValue::new("k".repeat(5000), text("a")), KeyValue::new("n", 1)]);
    counter.add(
        2,
        &[
            KeyValue::new("n", 1),
            KeyValue::new(format!("{}x", "k".repeat(5000)), text("b")),
        ],
    );
    counter.add(4, &[KeyValue::new("k", "short")]);
    let array = opentelemetry::Array::from((0..1000).collect::<Vec<i64>>());
    counter.add(8, &[KeyValue::new("list", Value::Array(array))]);
    let family_of = family("t.long");
    assert_eq!(family_of.points.len(), 3);
    let cut = of(&family_of, "n", "1");
    assert_eq!((number(cut), cut.typed.count_ones()), (Number::U64(3), 1));
    let (key, value) = cut.labels.iter().find(|(key, _)| key.starts_with('k')).unwrap();
    assert_eq!((key.len(), value.len()), (128, 127));
    assert!(value.starts_with("xé") && value.ends_with('é'));
    let list = family_of
        .points
        .iter()
        .find_map(|point| point.labels.iter().find(|(key, _)| *key == "list"));
    assert!(list.is_some_and(|(_, value)| value.len() == 128 && value.starts_with("[0,1,")));

    meter
        .i64_observable_gauge("t.long.observed")
        .with_callback(move |observer| observer.observe(7, &[KeyValue::new("k", "v".repeat(5000))]))
        .build();
    let observed = family("t.long.observed");
    assert_eq!(number(of(&observed, "k", &"v".repeat(128))), Number::I64(7));
    let counted = family("vitalsign.label.cut");
    assert_eq!(number(of(&counted, "metric", "t.long")), Number::U64(3));
    assert!(matches!(
        number(of(&counted, "metric", "t.long.observed")),
        Number::U64(1..)
    ));
}

#[test]
fn of_many_attributes_the_first_are_kept() {
    let counter = meter().u64_counter("t.wide").build();
    let many = |last: i64| {
        let all = (0..10_000)
            .map(|n| KeyValue::new(format!("k{n}"), n))
            .chain([KeyValue::new("k3", last)]);
        all.collect::<Vec<_>>()
    };
    counter.add(1, &many(-1));
    counter.add(2, &many(-1));
    let family = family("t.wide");
    let point = &family.points[0];
    assert_eq!((family.points.len(), number(point)), (1, Number::U64(3)));
    // Theirs and the two of the scope; of two of one name the last holds, however late it comes.
    assert_eq!((point.labels.len(), point.typed), (64 + 2, u64::MAX));
    assert!(point.labels.iter().any(|label| label == ("k3", "-1")));
}

#[test]
fn the_scope_is_cut_too() {
    let attributes = (0..100).map(|n| KeyValue::new(format!("{n:03}{}", "a".repeat(500)), "v".repeat(500)));
    let scope = InstrumentationScope::builder("s".repeat(5000))
        .with_attributes(attributes)
        .build();
    Meters
        .meter_with_scope(scope)
        .u64_counter("t.scope.long")
        .build()
        .add(1, &[]);
    let family = family("t.scope.long");
    let labels = &family.points[0].labels;
    assert_eq!(labels.len(), 1 + MAX_OF_SCOPE);
    for (key, value) in labels.iter() {
        assert!(
            key.len() <= "otel.scope.".len() + 128 && value.len() <= 128,
            "{key}={value}"
        );
    }
}

#[test]
fn what_no_number_can_be_is_not_in_the_shared_series_either() {
    let meter = meter();
    let each = |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>, number: f64| {
        for n in 0..3000 {
            observer.observe(number, &[KeyValue::new("user", n)]);
        }
    };
    meter
        .f64_observable_counter("t.rest.counter")
        .with_callback(move |observer| {
            each(observer, 1.0);
            for bad in [f64::NAN, f64::INFINITY, -1.0] {
                observer.observe(bad, &[KeyValue::new("user", 5000)]);
            }
        })
        .build();
    meter
        .f64_observable_gauge("t.rest.gauge")
        .with_callback(move |observer| each(observer, 7.0))
        .build();
    let shared = |name: &str| number(of(&family(name), super::super::stream::OVERFLOW, "true"));
    assert_eq!(shared("t.rest.counter"), Number::F64(1001.0));
    // A sum of levels is no level.
    assert_eq!(shared("t.rest.gauge"), Number::F64(7.0));
}

#[test]
fn what_is_no_number_is_one_attribute() {
    let counter = meter().u64_counter("t.nan").build();
    for _ in 0..3 {
        counter.add(1, &[KeyValue::new("ratio", f64::NAN)]);
    }
    let points = family("t.nan").points;
    assert_eq!(points.len(), 1, "{points:?}");
    assert_eq!(number(&points[0]), Number::U64(3));
}
