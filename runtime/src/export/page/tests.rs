//! The formats, as text and byte for byte.

use super::accept::Format;
use super::{Page, PageContext, encode};
use crate::export::snapshot::{Exemplar, Exponential, Family, Histogram, Kind, Number, Point, PointValue, Summary};
use crate::trace::{SpanId, TraceId};

fn family(name: &'static str, unit: &'static str, kind: Kind, points: Vec<Point>) -> Family {
    Family {
        name: name.into(),
        help: "It\nsays \"\\\".".into(),
        unit: unit.into(),
        kind,
        observed: false,
        scope: Vec::new(),
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
                PointValue::Histogram(Box::new(Histogram {
                    bounds: [0.5, 1.0].into(),
                    counts: vec![2, 0, 1],
                    sum: 3.25,
                    exemplars: vec![example(0.5), example(3.0)],
                })),
            )],
        ),
        family(
            "native",
            "s",
            Kind::Histogram,
            vec![point(
                &[("k", "v")],
                PointValue::Exponential(Box::new(Exponential {
                    schema: 3,
                    zero_threshold: 1e-9,
                    zero_count: 1,
                    positive: vec![(-2, 3), (-1, 1), (4, 2)],
                    sum: 7.0,
                    count: 7,
                    exemplars: vec![example(1.0)],
                })),
            )],
        ),
        family(
            "size",
            "By",
            Kind::Summary,
            vec![point(
                &[],
                PointValue::Summary(Box::new(Summary {
                    quantiles: vec![(0.5, 1.0), (0.99, f64::NAN)],
                    sum: 2.0,
                    count: 2,
                })),
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

/// A page has at most one `target_info`.
#[test]
fn what_is_being_watched_is_said_once() {
    let strangers = family("target", "", Kind::Info, vec![point(&[("x", "1")], PointValue::Info)]);
    let context = PageContext {
        resource: vec![("service.name".into(), "shop".into())],
    };
    let page = encode(vec![strangers], Format::OpenMetrics, false, &context);
    let text = String::from_utf8(page.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("target_info{")).collect();
    assert_eq!(lines, ["target_info{service_name=\"shop\"} 1"]);
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

/// What a counter says: its labels and its value.
type Said = (Vec<String>, f64);

/// The series of each family.
fn counters(mut page: &[u8]) -> Vec<Vec<Said>> {
    fn length(bytes: &mut &[u8]) -> usize {
        let mut length = 0;
        for at in 0.. {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            length |= usize::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                break;
            }
        }
        length
    }
    fn field<'a>(bytes: &mut &'a [u8]) -> (u8, &'a [u8]) {
        let (key, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        let len = match key & 7 {
            0 => bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1,
            1 => 8,
            _ => length(bytes),
        };
        let (value, rest) = bytes.split_at(len);
        *bytes = rest;
        (key >> 3, value)
    }
    let fields = |mut bytes| {
        std::iter::from_fn(move || (!<[u8]>::is_empty(bytes)).then(|| field(&mut bytes))).collect::<Vec<_>>()
    };
    let mut families = Vec::new();
    while !page.is_empty() {
        let len = length(&mut page);
        let (family, rest) = page.split_at(len);
        page = rest;
        let metrics = fields(family).into_iter().filter(|(number, _)| *number == 4);
        let metrics = metrics.map(|(_, metric)| {
            let (labels, values): (Vec<_>, Vec<_>) = fields(metric).into_iter().partition(|(number, _)| *number == 1);
            let texts = labels.iter().flat_map(|(_, pair)| fields(pair));
            let texts = texts.map(|(_, text)| String::from_utf8(text.to_vec()).unwrap());
            let value = fields(values[0].1)[0].1;
            (texts.collect(), f64::from_le_bytes(value.try_into().unwrap()))
        });
        families.push(metrics.collect());
    }
    families
}

#[test]
fn messages_of_any_length_have_it_before_them() {
    let text = "x".repeat(20_000);
    for (points, label) in [
        (1, 1),
        (1, 0),
        (1, 121),
        (1, 122),
        (1, 127),
        (1, 128),
        (1, 20_000),
        (3, 5_000),
        (400, 1),
        (400, 500),
    ] {
        let label: &'static str = text[..label].to_owned().leak();
        let made = (0..points).map(|n| point(&[("k", label)], PointValue::number(Number::U64(n))));
        let made: Vec<_> = made.collect();
        let named = ["f", "g"].map(|name| family(name, "", Kind::Counter, made.clone()));
        let page = super::protobuf::delimited(&super::names::families(named.to_vec()));
        let families = counters(&page);
        let expected: Vec<_> = (0..points)
            .map(|n| (vec!["k".to_owned(), label.to_owned()], n as f64))
            .collect();
        assert_eq!(families, [expected.clone(), expected], "{points} {}", label.len());
    }
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
        gauge("orders", Kind::Counter, "1"),
        gauge("orders_total", Kind::Counter, "1"),
        gauge("orders_total", Kind::Counter, "2"),
        gauge("under.way", Kind::UpDownCounter, "1"),
        gauge("under_way", Kind::UpDownCounter, "1"),
    ];
    let page = encode(families, Format::Text, false, &PageContext::default());
    let text = String::from_utf8(page.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        "a_b{k=\"1\"} 1",
        "a_b{k=\"2\"} 1",
        "orders_total{k=\"1\"} 2",
        "orders_total{k=\"2\"} 1",
        "under_way{k=\"1\"} 2",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn bounds_are_written_as_prometheus_writes_them() {
    let bounds = [
        1e-10,
        1e-7,
        1.5e-5,
        1e-4,
        0.005,
        1.0,
        2.5,
        1e5,
        123_456.5,
        1e6,
        1_048_576.0,
        1e10,
        1e21,
    ];
    let histogram = Histogram {
        counts: vec![0; bounds.len() + 1],
        bounds: bounds.into(),
        sum: 0.0,
        exemplars: vec![],
    };
    let summary = Summary {
        quantiles: vec![(0.0, 1e6), (1e-5, 1.0), (1.0, 1.0)],
        sum: 0.0,
        count: 1,
    };
    let families = vec![
        family(
            "h",
            "",
            Kind::Histogram,
            vec![point(&[], PointValue::histogram(histogram))],
        ),
        family(
            "s",
            "",
            Kind::Summary,
            vec![point(&[], PointValue::Summary(Box::new(summary)))],
        ),
    ];
    for format in [Format::Text, Format::OpenMetrics] {
        let page = encode(families.clone(), format, false, &PageContext::default());
        let text = String::from_utf8(page.body).unwrap();
        let said = |before: &str| -> Vec<String> {
            let ends = text.lines().filter_map(|line| line.strip_prefix(before));
            ends.map(|end| end.split('"').next().unwrap().to_owned()).collect()
        };
        assert_eq!(
            said("h_bucket{le=\""),
            [
                "1e-10",
                "1e-07",
                "1.5e-05",
                "0.0001",
                "0.005",
                "1.0",
                "2.5",
                "100000.0",
                "123456.5",
                "1e+06",
                "1.048576e+06",
                "1e+10",
                "1e+21",
                "+Inf"
            ]
        );
        assert_eq!(said("s{quantile=\""), ["0.0", "1e-05", "1.0"]);
    }
}

#[test]
fn target_info_is_ours_and_comes_last() {
    let page = PageContext {
        resource: vec![("service.name".to_owned(), "shop".to_owned())],
    };
    let gauge = |name| {
        family(
            name,
            "",
            Kind::Gauge,
            vec![point(&[], PointValue::number(Number::U64(1)))],
        )
    };
    let page = encode(
        vec![gauge("a"), gauge("target.info"), gauge("z")],
        Format::Text,
        false,
        &page,
    );
    let text = String::from_utf8(page.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["a 1", "z 1", "target_info{service_name=\"shop\"} 1"]);
}
