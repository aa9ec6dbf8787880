//! What the program brings of `opentelemetry_sdk`.

use super::error::InitError;
use crate::config::Resource;
use crate::config::env::Config;
use crate::export::span_exporter::{Bounds, Exporter, Outlet};
use crate::trace::chosen::Custom;
use crate::trace::otel::sampler::Adapter;
use crate::trace::{EncodedSpans, SpanSink};
use opentelemetry_sdk::trace::ShouldSample;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What the builder says of it. Taken by the one who installs.
#[derive(Clone, Default)]
pub(super) struct Words {
    exporters: Arc<Mutex<Vec<Box<dyn Exporter>>>>,
    /// Instead of the one that `OTEL_TRACES_SAMPLER` names.
    pub(super) sampler: Option<Custom>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exporters = self.exporters.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = exporters.iter().map(|exporter| exporter.name()).collect();
        f.debug_struct("Words")
            .field("exporters", &names)
            .field("sampler", &self.sampler)
            .finish()
    }
}

impl Words {
    pub(super) fn add_exporter(&self, exporter: impl Exporter + 'static) {
        let mut exporters = self.exporters.lock().unwrap_or_else(PoisonError::into_inner);
        exporters.push(Box::new(exporter));
    }

    pub(super) fn set_sampler(&mut self, sampler: impl ShouldSample + 'static, with_attributes: bool) {
        self.sampler = Some(Custom(Arc::new(Adapter {
            sampler,
            with_attributes,
        })));
    }

    pub(super) fn start(&self, config: &Config, resource: &Resource) -> Result<Outlets, InitError> {
        let exporters = std::mem::take(&mut *self.exporters.lock().unwrap_or_else(PoisonError::into_inner));
        let batch = &config.traces.batch;
        let bounds = Bounds {
            queue: batch.queue as u64,
            timeout: batch.export_timeout,
        };
        let started = exporters
            .into_iter()
            .filter(|_| !config.disabled)
            .map(|exporter| Outlet::start(exporter, resource, bounds).map_err(InitError::System));
        Ok(Outlets(started.collect::<Result<_, _>>()?))
    }
}

/// The exporters that run.
#[derive(Clone)]
pub(super) struct Outlets(Arc<[Arc<Outlet>]>);

impl Outlets {
    /// The way of spans to our exporter, where there is one, and to these.
    pub(super) fn beside(&self, ours: Option<Arc<dyn SpanSink>>) -> Option<Arc<dyn SpanSink>> {
        if self.0.is_empty() {
            return ours;
        }
        Some(Arc::new(Tee {
            ours,
            others: self.clone(),
        }))
    }

    pub(super) fn flush(&self, deadline: Instant) -> bool {
        self.0.iter().filter(|outlet| !outlet.flush(deadline)).count() == 0
    }

    pub(super) fn close(&self, deadline: Instant) {
        self.0.iter().for_each(|outlet| outlet.close(deadline));
    }

    pub(super) fn shutdown(&self, deadline: Instant) {
        for outlet in self.0.iter() {
            outlet.shutdown(deadline);
        }
    }
}

struct Tee {
    ours: Option<Arc<dyn SpanSink>>,
    others: Outlets,
}

impl SpanSink for Tee {
    fn spans(&self, batch: EncodedSpans) {
        let spans: Arc<[u8]> = (&*batch.scopes).into();
        for outlet in self.others.0.iter() {
            outlet.push(&spans, batch.count);
        }
        if let Some(ours) = &self.ours {
            ours.spans(batch);
        }
    }
}
