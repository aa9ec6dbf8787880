//! For `benches/`: spans are recorded, handed over and encoded as ever, and then thrown away, so that no network stands in the
//! figures.

use super::event::EventSink;
use super::pipeline::{self, EncodedSpans, Pipeline, SpanSink, TraceSetup};
use super::sampler::{Ratio, Root, Sampler};
use super::{SpanContext, drain};
use crate::export::snapshot::{Number, PointValue};
use crate::probe::ErrorRef;
use crate::site::Site;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata};

static PIPELINE: OnceLock<Pipeline> = OnceLock::new();

struct Nowhere;

impl SpanSink for Nowhere {
    fn spans(&self, batch: EncodedSpans) {
        std::hint::black_box(&batch.scopes);
    }
}

impl EventSink for Nowhere {
    fn interest(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
    fn event(&self, _: &Event<'_>, _: Option<&SpanContext>) {}
    fn error(&self, _: &'static Site, _: &ErrorRef<'_>, _: Option<&SpanContext>) {}
}

/// Begins to record: all traces, or a share of them.
///
/// # Panics
///
/// When something else is installed already.
pub fn install(share: Option<f64>) {
    // Wide enough for a caller who does nothing but open spans.
    drain::set_largest_ring(64 << 20);
    let mut setup = TraceSetup::new(Arc::new(Nowhere), Arc::new(Nowhere));
    setup.sampler = Sampler::ParentBased(share.map_or(Root::AlwaysOn, |share| Root::Ratio(Ratio::new(share))));
    setup.batch = 4096;
    setup.delay = Duration::from_millis(100);
    let installed = pipeline::install(setup)
        .ok()
        .and_then(|pipeline| PIPELINE.set(pipeline).ok());
    assert!(installed.is_some(), "vitalsign is installed already");
    crate::switch::set(true);
}

/// The same as [`install`] of all traces under `otel_context(true)`.
#[cfg(feature = "otel")]
pub fn install_attaching() {
    super::otel::attach_always();
    install(None);
}

/// What became of the spans: encoded, and dropped because the caller outran the encoder.
pub fn spans() -> (u64, u64) {
    if let Some(pipeline) = PIPELINE.get() {
        pipeline.flush(Instant::now() + Duration::from_secs(30));
    }
    let stats = pipeline::stats();
    (stats.delivered, stats.dropped_ring)
}

/// The sum over a family of metrics: of a counter's values, of a histogram's samples.
pub fn total(family: &str) -> u64 {
    let families = crate::metrics::registry::gather();
    let points = families
        .iter()
        .filter(|found| found.name == family)
        .flat_map(|found| &found.points);
    points
        .map(|point| match &point.value {
            PointValue::Number {
                value: Number::U64(value),
                ..
            } => *value,
            PointValue::Histogram(histogram) => histogram.counts.iter().sum(),
            _ => 0,
        })
        .sum()
}
