//! The exporter against a collector that misbehaves.

mod faults;
#[cfg(feature = "grpc")]
mod grpc;
mod receiver;
mod shutdown;
#[cfg(feature = "spool")]
mod spool;
#[cfg(feature = "tls")]
mod tls;

use super::account::Tally;
use super::background::Background;
use super::exporter::Exporter;
use super::otlp::framed::Framed;
use super::otlp::wire::{field, put_in_scope};
use super::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::config::Resource;
use crate::config::env::Config;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::sync::Arc;

/// An exporter of spans only, configured by variables.
fn exporter(url: &str, vars: &[(&str, &str)]) -> Exporter {
    exporter_on(Arc::new(Background::start().unwrap()), url, vars)
}

fn exporter_on(background: Arc<Background>, url: &str, vars: &[(&str, &str)]) -> Exporter {
    let (config, warnings) = Config::from(|name| {
        let set = vars
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| (*value).to_owned());
        set.or_else(|| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
            "OTEL_BSP_SCHEDULE_DELAY" => Some("20".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => None,
        })
    });
    assert!(warnings.is_empty(), "{warnings:?}");
    let resource = Resource::new([("service.name", "test")]);
    Exporter::start(&config, &resource, background, Arc::new(Vec::new)).unwrap()
}

/// Encoded spans of these names.
fn spans(names: impl IntoIterator<Item = String>) -> (Framed, u64) {
    let (mut spans, mut count) = (Framed::default(), 0);
    for name in names {
        let span = Span {
            name,
            ..Span::default()
        };
        field(spans.end(), 2, &span.encode_to_vec());
        count += 1;
    }
    put_in_scope(&mut spans);
    (spans, count)
}

/// Records `count` spans of names that continue from `first`.
fn record(exporter: &Exporter, first: u64, count: u64) {
    let (spans, count) = spans((first..first + count).map(|n| n.to_string()));
    exporter.spans(spans, count);
}

/// A family with one counter of this value.
fn counter(name: &str, value: u64) -> Family {
    Family {
        name: name.to_owned().into(),
        help: "".into(),
        unit: "".into(),
        kind: Kind::Counter,
        observed: false,
        scope: Vec::new(),
        points: vec![Point {
            labels: vec![].into(),
            value: PointValue::Number {
                value: Number::U64(value),
                exemplar: None,
            },
            typed: 0,
            start_unix_nanos: 1,
        }],
    }
}

fn tally(delivered: u64, rejected: u64, dropped: u64, pending: u64) -> Tally {
    Tally::of(delivered, rejected, dropped, pending)
}
