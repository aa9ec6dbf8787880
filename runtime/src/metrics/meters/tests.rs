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
