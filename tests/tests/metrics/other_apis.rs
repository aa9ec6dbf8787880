//! Metrics of other APIs, the meters of `opentelemetry` and the `metrics` facade, on the page and in what is pushed: the same
//! numbers both ways.

#![forbid(unsafe_code)]

use opentelemetry::{InstrumentationScope, KeyValue, global};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{ScopeMetrics, metric::Data, number_data_point::Value as Number};
use std::time::Duration;
use tests::otlp::Receiver;
use tests::page;

#[vitalsign::traced]
fn with_a_span(record: impl FnOnce()) -> String {
    record();
    vitalsign::current()
        .trace_id()
        .map_or_else(String::new, |id| id.to_string())
}

/// A counter's points in a scope: attributes as `key=Value`, sorted, and the value.
fn points(scope: &ScopeMetrics, name: &str) -> Vec<(String, f64)> {
    let metric = scope.metrics.iter().find(|metric| metric.name == name);
    let points = match metric.and_then(|metric| metric.data.as_ref()) {
        Some(Data::Sum(sum)) => &sum.data_points,
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        other => panic!("{name}: {other:?}"),
    };
    points
        .iter()
        .map(|point| {
            let mut attributes: Vec<_> = point
                .attributes
                .iter()
                .map(|attribute| {
                    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
                    match value {
                        Some(Value::StringValue(text)) => format!("{}={text:?}", attribute.key),
                        Some(Value::IntValue(n)) => format!("{}={n}", attribute.key),
                        Some(Value::BoolValue(on)) => format!("{}={on}", attribute.key),
                        Some(Value::DoubleValue(n)) => format!("{}={n:?}", attribute.key),
                        other => panic!("{other:?}"),
                    }
                })
                .collect();
            attributes.sort();
            let value = match point.value {
                Some(Number::AsInt(n)) => n as f64,
                Some(Number::AsDouble(n)) => n,
                None => f64::NAN,
            };
            (attributes.join(","), value)
        })
        .collect()
}

fn hex(trace_id: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id.try_into().unwrap()))
}

#[test]
fn both_ways_show_the_same() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = crate::pushing(&receiver).install().unwrap();
    let page_at = format!("http://{}/metrics", vitals.admin_addr().unwrap());

    let scope = InstrumentationScope::builder("shop").with_version("1.2").build();
    let meter = global::meter_with_scope(scope);
    let orders = meter.u64_counter("meter.orders").with_unit("{order}").build();
    let attributes = [
        KeyValue::new("channel", "web"),
        KeyValue::new("express", true),
        KeyValue::new("floor", 3),
        KeyValue::new("discount", 1.0),
    ];
    orders.add(2, &attributes);
    let latency = meter
        .f64_histogram("meter.latency")
        .with_unit("s")
        .with_boundaries(vec![0.1, 1.0])
        .build();
    let trace = with_a_span(|| latency.record(0.5, &[KeyValue::new("le", "mine"), KeyValue::new("a.b", "x")]));
    meter
        .i64_observable_gauge("meter.stock")
        .with_callback(|observer| observer.observe(-4, &[]))
        .build();
    // Another meter may have an instrument of the same name.
    global::meter("other")
        .u64_counter("meter.orders")
        .with_unit("{order}")
        .build()
        .add(5, &[]);

    metrics::describe_counter!("facade_hits_total", "Hits.");
    metrics::counter!("facade_hits_total", "path" => "say \"hi\"\n").increment(7);
    metrics::gauge!("facade_level").set(0.5);

    let shown = page::get(&page_at);
    let text = &shown.text;
    let of = |scope: &str| shown.value("meter_orders_total", &[("otel_scope_name", scope)]);
    assert_eq!((of("shop"), of("other")), (Some(2.0), Some(5.0)), "{text}");
    let labels = [
        ("channel", "web"),
        ("express", "true"),
        ("floor", "3"),
        ("discount", "1.0"),
        ("otel_scope_version", "1.2"),
    ];
    assert_eq!(shown.value("meter_orders_total", &labels), Some(2.0), "{text}");
    let bucket = [("le", "1"), ("exported_le", "mine"), ("a_b", "x")];
    assert_eq!(
        shown.value("meter_latency_seconds_bucket", &bucket),
        Some(1.0),
        "{text}"
    );
    assert_eq!(shown.value("meter_stock", &[]), Some(-4.0), "{text}");
    assert_eq!(shown.value("facade_hits_total", &[]), Some(7.0), "{text}");
    assert!(text.contains("# HELP facade_hits_total Hits."), "{text}");
    assert_eq!(shown.value("facade_level", &[]), Some(0.5), "{text}");
    let accept = [("Accept", "application/openmetrics-text;version=1.0.0")];
    let open = tests::http::get_with(&page_at, &accept).unwrap().text();
    let bucket = open
        .lines()
        .find(|line| line.starts_with("meter_latency_seconds_bucket") && line.contains("le=\"1.0\""));
    assert!(bucket.unwrap().contains(&format!("trace_id=\"{trace}\"")), "{open}");

    assert!(vitals.flush(Duration::from_secs(10)));
    let received = receiver.received();
    let scopes: Vec<&ScopeMetrics> = received.metrics[0].resource_metrics[0].scope_metrics.iter().collect();
    let scope = |name: &str| {
        *scopes
            .iter()
            .find(|scope| scope.scope.as_ref().unwrap().name == name)
            .unwrap()
    };
    let shop = scope("shop");
    assert_eq!(shop.scope.as_ref().unwrap().version, "1.2");
    let typed = r#"channel="web",discount=1.0,express=true,floor=3"#;
    assert_eq!(points(shop, "meter.orders"), [(typed.to_owned(), 2.0)]);
    assert_eq!(points(shop, "meter.stock"), [(String::new(), -4.0)]);
    assert_eq!(points(scope("other"), "meter.orders"), [(String::new(), 5.0)]);
    let latency = shop
        .metrics
        .iter()
        .find(|metric| metric.name == "meter.latency")
        .unwrap();
    let Some(Data::Histogram(histogram)) = &latency.data else {
        panic!("{latency:?}")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.bucket_counts.as_slice(), point.sum), (&[0, 1, 0][..], Some(0.5)));
    let exemplar = hex(&point.exemplars[0].trace_id);
    assert_eq!(exemplar, trace);
    let ours = scope("vitalsign");
    assert_eq!(
        points(ours, "facade_hits_total"),
        [("path=\"say \\\"hi\\\"\\n\"".to_owned(), 7.0)]
    );
    assert_eq!(points(ours, "facade_level"), [(String::new(), 0.5)]);
}
