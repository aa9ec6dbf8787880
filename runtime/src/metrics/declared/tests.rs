#![allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]

use crate::export::snapshot::{Labels, Number, PointValue};
use crate::metrics::Limited;
use crate::metrics::registry::gather;
use std::hash::{BuildHasher, RandomState};

crate::metrics! {
    /// Value of placed orders.
    static VALUE: Counter<f64, (express: bool, shop: Limited<2>)> = "declared.value", unit = "EUR";
    /// Things.
    static THINGS: Counter = "declared.things";
    /// Under way.
    static UNDER_WAY: UpDownCounter<(paid: bool)> = "declared.under_way";
    /// Level.
    static LEVEL: Gauge<f64> = "declared.level";
    /// Users.
    static USERS: Gauge<i64, (paid: Option<bool>)> = "declared.users";
    /// Asked.
    static ASKED: ObservableGauge = "declared.asked";
    /// Sizes.
    static SIZES: Histogram<(paid: bool)> = "declared.sizes", unit = "By", buckets = [1.0, 10.0];
    /// Native.
    static NATIVE: Histogram = "declared.native", native = true;
    static FACTS: Info = "declared.facts";
    /// Below 0 there is none of it.
    static FREE: Gauge<u64> = "declared.free";
    /// It may be below 0.
    static LEVEL_BELOW: Gauge<f64> = "declared.level_below";
    /// So may this.
    static BALANCE: Gauge<i64> = "declared.balance";
    /// Never below 0, and taken away elsewhere than added.
    static GUARDED: UpDownCounter<u64> = "declared.guarded";
    /// Of numbers that are large only together.
    static LARGE: Counter<f64, (r#type: bool)> = "declared.large";
    static LARGE_SIZES: Histogram = "declared.large_sizes", buckets = [1.0];
    /// Of a table whose series have no texts of their own.
    static MANY: Counter<u64, (shop: Limited<300>, paid: bool)> = "declared.many";
}

#[cfg(feature = "summary")]
crate::metrics! {
    /// Quantiles.
    static QUANTILES: Summary<(paid: bool)> = "declared.quantiles", quantiles = [0.5];
}

/// A page in one format, only of this family.
#[cfg(feature = "page")]
fn page_of(format: &str, name: &str) -> Vec<String> {
    let page = crate::prometheus::page(Some(format), None);
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(str::to_owned).collect()
}

#[test]
fn series_of_a_large_table_are_labelled_like_any() {
    let odd = ["a\"b\\c\nd", "", "é", "other"];
    for (at, shop) in odd.iter().enumerate() {
        MANY.with(shop, at % 2 == 0).add(at as u64 + 1);
    }
    let families = gather();
    let family = families.iter().find(|family| family.name == "declared.many").unwrap();
    let rows = family
        .points
        .iter()
        .filter(|point| matches!(point.labels, Labels::Row(..)));
    assert_eq!((rows.count(), family.points.len()), (4, 4));
    let state = RandomState::new();
    for point in &family.points {
        let texts = Labels::from(point.labels.clone().into_texts());
        assert!(matches!(texts, Labels::Texts(_)) && texts == point.labels);
        assert_eq!(state.hash_one(&texts), state.hash_one(&point.labels));
        assert_eq!(family.points.iter().filter(|other| other.labels == texts).count(), 1);
    }
    #[cfg(feature = "page")]
    {
        let expected = [
            r#"declared_many_total{paid="true",shop="a\"b\\c\nd"} 1"#,
            r#"declared_many_total{paid="false",shop=""} 2"#,
            r#"declared_many_total{paid="true",shop="é"} 3"#,
            r#"declared_many_total{paid="false",shop="other"} 4"#,
        ];
        for format in ["text/plain", "application/openmetrics-text;version=1.0.0"] {
            let mut lines = page_of(format, "declared_many_total");
            lines.sort_by_key(|line| line.bytes().last());
            assert_eq!(lines, expected);
        }
    }
}

#[test]
fn the_catalogue_has_them() {
    let catalog = crate::catalog();
    let of = |name: &str| catalog.metrics.iter().find(|metric| metric.name == name).unwrap();
    let sizes = of("declared.sizes");
    assert_eq!((sizes.kind, sizes.unit, sizes.help), ("histogram", "By", "Sizes."));
    assert_eq!(sizes.bounds.as_deref(), Some(&[1.0, 10.0][..]));
    assert_eq!(sizes.labels[0].values.as_deref(), Some(&["false", "true"][..]));
    assert!(sizes.file.ends_with("tests.rs") && sizes.line > 0);
    assert_eq!(of("declared.native").bounds, None);
    let shop = &of("declared.value").labels[1];
    assert_eq!((shop.key, shop.limit), ("shop", Some(2)));
    assert!(
        catalog
            .to_json()
            .contains(r#"{"name":"declared.users","kind":"gauge","#)
    );
}

#[test]
fn buckets_and_series_are_declared_as_they_are_resolved() {
    let of = |name: &str| super::declarations().find(|of| of.metric == name).unwrap();
    assert_eq!(of("declared.sizes").bounds, Some(vec![1.0, 10.0]));
    assert_eq!(of("declared.native").bounds, None);
    assert_eq!(of("declared.native").series, 1);
    assert_eq!(of("declared.many").series, 301 * 2);
}

fn series(name: &str) -> Vec<String> {
    let families = gather();
    let Some(family) = families.iter().find(|family| family.name == name) else {
        return Vec::new();
    };
    family
        .points
        .iter()
        .map(|point| {
            let labels: Vec<_> = point.labels.iter().map(|(k, v)| format!("{k}={v} ")).collect();
            let value = match &point.value {
                PointValue::Number {
                    value: Number::F64(n), ..
                } => n.to_string(),
                PointValue::Number { value, .. } => value.as_f64().to_string(),
                PointValue::Histogram(histogram) => format!("{:?} {}", histogram.counts, histogram.sum),
                PointValue::Exponential(histogram) => format!("{:?} {}", histogram.positive, histogram.sum),
                PointValue::Summary(summary) => {
                    format!("{:.0} {} {}", summary.quantiles[0].1, summary.sum, summary.count)
                }
                PointValue::Info => "info".to_owned(),
            };
            format!("{}{value}", labels.concat())
        })
        .collect()
}

#[test]
fn counters() {
    assert_eq!(series("declared.value"), Vec::<String>::new());
    for shop in ["berlin", "paris", "rome", "berlin"] {
        VALUE.with(true, shop).add(1.5);
    }
    VALUE.with(false, "rome").add(f64::NAN);
    VALUE.with(false, "rome").add(-1.0);
    assert_eq!(
        series("declared.value"),
        [
            "express=true shop=berlin 3",
            "express=true shop=paris 1.5",
            "express=true shop=other 1.5"
        ]
    );
    assert_eq!(series("declared.things"), ["0"]);
    THINGS.inc();
    THINGS.add(2);
    assert_eq!(series("declared.things"), ["3"]);
    let guard = UNDER_WAY.with(true).in_flight();
    UNDER_WAY.with(false).add(-4);
    assert_eq!(series("declared.under_way"), ["paid=false -4", "paid=true 1"]);
    drop(guard);
    assert_eq!(series("declared.under_way"), ["paid=false -4", "paid=true 0"]);
    assert!(series("vitalsign.label.overflow").contains(&"label=shop metric=declared.value 3".to_owned()));
}

#[test]
fn gauges() {
    assert_eq!(series("declared.level"), ["0"]);
    LEVEL.set(1.5);
    LEVEL.add(1.0);
    LEVEL.sub(0.25);
    LEVEL.set(f64::INFINITY);
    assert_eq!(series("declared.level"), ["2.25"]);
    std::thread::spawn(|| USERS.with(Some(true)).set(7)).join().unwrap();
    USERS.with(Some(true)).set(8);
    assert_eq!(series("declared.users"), ["paid=false 0", "paid=true 8", "paid=none 0"]);
    assert_eq!(series("declared.asked"), Vec::<String>::new());
    ASKED.observe(|| 3.0);
    assert_eq!(series("declared.asked"), ["3"]);
    ASKED.observe(|| panic!("asked"));
    assert_eq!(series("declared.asked"), Vec::<String>::new());
}

#[test]
fn histograms() {
    let paid = SIZES.with(true);
    for value in [1.0, 1.5, 100.0, f64::NAN, -1.0] {
        paid.observe(value);
    }
    assert_eq!(
        series("declared.sizes"),
        ["paid=false [0, 0, 0] 0", "paid=true [1, 1, 1] 102.5"]
    );
    NATIVE.observe(1.0);
    NATIVE.observe(1e12);
    let timed = NATIVE.time(|| 5);
    assert_eq!(timed, 5);
    NATIVE.start_timer().discard();
    let native = series("declared.native");
    assert!(
        native[0].contains("(319, 1)") || native[0].contains(", 1)]"),
        "{native:?}"
    );
}

#[test]
fn facts() {
    FACTS.set([("color", "green"), ("a", "b")]);
    assert_eq!(series("declared.facts"), ["a=b color=green info"]);
}

#[cfg(feature = "summary")]
#[test]
fn summaries() {
    for n in 1..=99 {
        QUANTILES.with(true).observe(f64::from(n));
    }
    for refused in [f64::NAN, f64::INFINITY, -1.0] {
        QUANTILES.with(true).observe(refused);
    }
    assert_eq!(series("declared.quantiles"), ["paid=true 50 4950 99"]);
}

#[test]
fn what_threads_hold_together_stays_finite() {
    let add = || {
        LARGE.with(true).add(f64::MAX);
        LARGE_SIZES.observe(f64::MAX);
    };
    add();
    std::thread::scope(|scope| {
        scope.spawn(add);
    });
    let families = gather();
    let of = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    let large = of("declared.large").points.iter().find_map(|point| match point.value {
        // Its name is written with `r#` only where Rust wants it.
        PointValue::Number { value, .. } if point.labels.iter().eq([("type", "true")]) => Some(value),
        _ => None,
    });
    assert_eq!(large, Some(Number::F64(f64::MAX)));
    let PointValue::Histogram(sizes) = &of("declared.large_sizes").points[0].value else {
        panic!()
    };
    assert_eq!((sizes.sum, &sizes.counts[..]), (f64::MAX, &[0, 2][..]));
}

#[test]
fn labels_that_would_break_a_page_are_refused() {
    use crate::metrics::Definition;
    use crate::site::{LabelDef, LabelSource};
    let refused = |keys: &[&'static str]| {
        let label = |key: &&'static str| LabelDef {
            key,
            source: LabelSource::Const("x"),
        };
        let labels: &'static [LabelDef] = keys.iter().map(label).collect::<Vec<_>>().leak();
        let define = move || Definition::new("x", &[], file!(), line!()).labels(labels);
        std::panic::catch_unwind(define).is_err()
    };
    for keys in [&["le"][..], &["quantile"], &["__name__"], &["a", "b", "a"]] {
        assert!(refused(keys), "{keys:?}");
    }
    assert!(!refused(&["a", "b", "level", "_x"]));
}

#[test]
fn a_level_without_a_sign_stays_one() {
    use crate::metrics::dropped::{Reason, so_far};
    let before = so_far(Reason::Negative);
    FREE.set(3);
    FREE.sub(1);
    FREE.sub(5);
    BALANCE.set(3);
    BALANCE.sub(5);
    LEVEL_BELOW.set(0.5);
    LEVEL_BELOW.sub(1.0);
    LEVEL_BELOW.sub(f64::NAN);
    let families = gather();
    let value = |name: &str| {
        let family = families.iter().find(|family| family.name == name).unwrap();
        match family.points[0].value {
            PointValue::Number { value, .. } => value,
            _ => panic!(),
        }
    };
    assert_eq!(value("declared.free"), Number::U64(2));
    assert_eq!(value("declared.balance"), Number::I64(-2));
    assert_eq!(value("declared.level_below"), Number::F64(-0.5));
    assert!(so_far(Reason::Negative) > before);
}

#[test]
fn a_counter_without_a_sign_that_is_read_half_way_is_0() {
    let value = || {
        let families = gather();
        let family = families
            .iter()
            .find(|family| family.name == "declared.guarded")
            .unwrap();
        match family.points[0].value {
            PointValue::Number { value, .. } => value,
            _ => panic!(),
        }
    };
    let guards = [GUARDED.in_flight(), GUARDED.in_flight()];
    assert_eq!(value(), Number::U64(2));
    drop(guards);
    assert_eq!(value(), Number::U64(0));
    // As where the thread of this end is read and that of the beginning is not yet.
    let guard = GUARDED.in_flight();
    GUARDED.add(1_u64.wrapping_neg());
    drop(guard);
    assert_eq!(value(), Number::U64(0));
}
