#![allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]

use crate::export::snapshot::{Number, PointValue};
use crate::metrics::Limited;
use crate::metrics::registry::gather;

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
}

#[cfg(feature = "summary")]
crate::metrics! {
    /// Quantiles.
    static QUANTILES: Summary<(paid: bool)> = "declared.quantiles", quantiles = [0.5];
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
                PointValue::Histogram { counts, sum, .. } => format!("{counts:?} {sum}"),
                PointValue::Exponential { positive, sum, .. } => format!("{positive:?} {sum}"),
                PointValue::Summary { quantiles, sum, count } => {
                    format!("{:.0} {sum} {count}", quantiles[0].1)
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
    QUANTILES.with(true).observe(f64::NAN);
    assert_eq!(series("declared.quantiles"), ["paid=true 50 4950 99"]);
}
