//! The formats, as text and byte for byte.

use super::accept::Format;
use super::{Page, PageContext, encode};
use crate::export::snapshot::{Exemplar, Family, Kind, Number, Point, PointValue};
use crate::trace::{SpanId, TraceId};

fn family(name: &'static str, unit: &'static str, kind: Kind, points: Vec<Point>) -> Family {
    Family {
        name: name.into(),
        help: "It\nsays \"\\\".".into(),
        unit: unit.into(),
        kind,
        points,
    }
}

fn point(labels: &[(&'static str, &'static str)], value: PointValue) -> Point {
    Point {
        labels: labels.iter().map(|&(key, value)| (key.into(), value.into())).collect(),
        value,
        typed: 0,
        start_unix_nanos: 0,
    }
}

fn example(value: f64) -> Exemplar {
    Exemplar {
        value,
        unix_nanos: 1_700_000_000_123_456_789,
        trace_id: TraceId(0xabc),
        span_id: SpanId(0xdef),
    }
}

fn all() -> Vec<Family> {
    vec![
        family(
            "orders.placed",
            "{call}",
            Kind::Counter,
            vec![
                point(
                    &[("channel", "a\"b\\c\nd\0é"), ("error.type", "x")],
                    PointValue::number(Number::U64(u64::MAX)),
                ),
                point(&[("a.b", "1"), ("a_b", "2")], PointValue::number(Number::F64(0.5))),
            ],
        ),
        family(
            "took",
            "s",
            Kind::Histogram,
            vec![point(
                &[],
                PointValue::Histogram {
                    bounds: [0.5, 1.0].into(),
                    counts: vec![2, 0, 1],
                    sum: 3.25,
                    exemplars: vec![example(0.5), example(3.0)],
                },
            )],
        ),
        family(
            "native",
            "s",
            Kind::Histogram,
            vec![point(
                &[("k", "v")],
                PointValue::Exponential {
                    schema: 3,
                    zero_threshold: 1e-9,
                    zero_count: 1,
                    positive: vec![(-2, 3), (-1, 1), (4, 2)],
                    sum: 7.0,
                    count: 7,
                    exemplars: vec![example(1.0)],
                },
            )],
        ),
        family(
            "size",
            "By",
            Kind::Summary,
            vec![point(
                &[],
                PointValue::Summary {
                    quantiles: vec![(0.5, 1.0), (0.99, f64::NAN)],
                    sum: 2.0,
                    count: 2,
                },
            )],
        ),
        family(
            "temperature",
            "Cel",
            Kind::Gauge,
            vec![point(&[], PointValue::number(Number::I64(-4)))],
        ),
    ]
}

fn page(format: Format) -> Page {
    let page = PageContext {
        resource: vec![("service.name".to_owned(), "shop".to_owned())],
    };
    encode(all(), format, false, &page)
}

#[test]
fn text() {
    let page = page(Format::Text);
    assert_eq!(page.content_type, "text/plain; version=0.0.4; charset=utf-8");
    let expected = r#"# HELP orders_placed_total It\nsays "\\".
# TYPE orders_placed_total counter
orders_placed_total{channel="a\"b\\c\nd~é",error_type="x"} 18446744073709551615
orders_placed_total{a_b="1;2"} 0.5
# HELP took_seconds It\nsays "\\".
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 2
took_seconds_bucket{le="1.0"} 2
took_seconds_bucket{le="+Inf"} 3
took_seconds_sum 3.25
took_seconds_count 3
# HELP native_seconds It\nsays "\\".
# TYPE native_seconds histogram
native_seconds_bucket{k="v",le="+Inf"} 7
native_seconds_sum{k="v"} 7.0
native_seconds_count{k="v"} 7
# HELP size_bytes It\nsays "\\".
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 1.0
size_bytes{quantile="0.99"} NaN
size_bytes_sum 2.0
size_bytes_count 2
# HELP temperature_celsius It\nsays "\\".
# TYPE temperature_celsius gauge
temperature_celsius -4
# HELP target_info What is being watched: the attributes of the resource.
# TYPE target_info gauge
target_info{service_name="shop"} 1
"#
    .replace('~', "\0");
    assert_eq!(String::from_utf8(page.body).unwrap(), expected);
}

#[test]
fn open_metrics() {
    let page = page(Format::OpenMetrics);
    let text = String::from_utf8(page.body).unwrap();
    for line in [
        "# TYPE orders_placed counter",
        r#"# HELP orders_placed It\nsays \"\\\"."#,
        "# UNIT took_seconds seconds",
        "took_seconds_bucket{le=\"0.5\"} 2 # {trace_id=\"00000000000000000000000000000abc\",span_id=\"0000000000000def\"} 0.5 1700000000.123",
        "took_seconds_bucket{le=\"1.0\"} 2",
        "took_seconds_bucket{le=\"+Inf\"} 3 # {trace_id=\"00000000000000000000000000000abc\",span_id=\"0000000000000def\"} 3.0 1700000000.123",
        "# TYPE target info",
        "target_info{service_name=\"shop\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\nin\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn gzip() {
    use std::io::Read as _;
    let page = encode(all(), Format::Text, true, &PageContext::default());
    assert_eq!(page.content_encoding, Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&page.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.starts_with("# HELP orders_placed_total"));
}

#[test]
fn names_that_fall_together_are_one_family() {
    let gauge = |name, kind, label| {
        family(
            name,
            "",
            kind,
            vec![point(&[("k", label)], PointValue::number(Number::U64(1)))],
        )
    };
    let families = vec![
        gauge("a.b", Kind::Gauge, "1"),
        gauge("a_b", Kind::UpDownCounter, "2"),
        gauge("a_b", Kind::UpDownCounter, "1"),
        gauge("a__b", Kind::Counter, "3"),
    ];
    let page = encode(families, Format::Text, false, &PageContext::default());
    let text = String::from_utf8(page.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["a_b{k=\"1\"} 1", "a_b{k=\"2\"} 1"]);
}
