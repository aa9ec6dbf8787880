//! From encoded items to a collector: a bounded queue per signal, one request at a time, retries as the specification has
//! them, and an exact account of what became of everything.

use super::account::Report;
use super::background::Background;
use super::diag::{Level, say, say_once};
use super::endpoint::Endpoint;
use super::otlp::framed::Framed;
use super::otlp::wire::{self, EncodedResource};
use super::outlet::Outlet;
use super::pipeline::Pipeline;
use super::push::{Gather, Push};
use super::queue::Queue;
use super::spool::Spool;
use super::transport::Signal;
use crate::config::Resource;
use crate::config::env::{Batch, Config, Otlp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The ways out of one process.
pub(crate) struct Exporter {
    background: Arc<Background>,
    ways: Arc<Ways>,
}

struct Ways {
    traces: Option<Arc<Pipeline>>,
    logs: Option<Arc<Pipeline>>,
    metrics: Option<Arc<Push>>,
    spool: Option<Arc<Spool>>,
}

impl Exporter {
    /// Starts what the configuration asks for. Fails where something can not work as it was asked for; the error names the
    /// variable.
    pub(crate) fn start(
        config: &Config,
        resource: &Resource,
        background: Arc<Background>,
        gather: Gather,
    ) -> Result<Self, String> {
        let ways = {
            // Connectors may need the runtime; nothing is connected yet.
            let _inside = background.handle().enter();
            Arc::new(Ways::new(config, resource, gather)?)
        };
        ways.start(&background);
        Ok(Self { background, ways })
    }

    /// Looks whether somebody listens, in the background, and says so if not.
    pub(crate) fn look(&self) {
        self.background.spawn_ours(self.ways.clone().look());
    }

    /// Whether spans go anywhere.
    pub(crate) fn wants_spans(&self) -> bool {
        self.ways.traces.is_some()
    }

    /// Whether log records go anywhere.
    pub(crate) fn wants_logs(&self) -> bool {
        self.ways.logs.is_some()
    }

    /// Queues encoded spans: repeated `scope_spans` of a `ResourceSpans`, tags included. Never waits.
    pub(crate) fn spans(&self, scopes: Framed, count: u64) {
        if let Some(pipeline) = &self.ways.traces {
            pipeline.push(scopes, count);
        }
    }

    /// Queues encoded log records: repeated `log_records` of a `ScopeLogs`, tags included. Never waits.
    pub(crate) fn logs(&self, mut records: Framed, count: u64) {
        if let Some(pipeline) = &self.ways.logs {
            wire::put_in_scope(&mut records);
            pipeline.push(records, count);
        }
    }

    /// So many log records were lost before they could be encoded.
    pub(crate) fn lost_logs(&self, count: u64) {
        if let Some(pipeline) = &self.ways.logs {
            pipeline.lost_before(count);
        }
    }

    /// Sends what is queued, and the metrics as they stand. Waits on this thread, whatever runs on it, at most so long.
    pub(crate) fn flush(&self, deadline: Duration) -> Report {
        self.background.wait(deadline, self.ways.clone().flush(deadline));
        self.report()
    }

    /// Takes nothing more in, sends what is queued, and ends. Waits at most so long.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Report {
        self.ways.close();
        let report = self.flush(deadline);
        self.ways.stop();
        report
    }

    #[cfg(test)]
    pub(super) fn background(&self) -> &Background {
        &self.background
    }

    /// Spans that wait in memory.
    #[cfg(all(test, feature = "spool"))]
    pub(super) fn queued(&self) -> u64 {
        self.ways.traces.as_ref().map_or(0, |pipeline| pipeline.queue.len())
    }

    /// Tells what became of everything even when the exporter is gone.
    #[cfg(test)]
    pub(super) fn reporter(&self) -> impl Fn() -> Report + use<> {
        let ways = self.ways.clone();
        move || ways.report()
    }

    /// What became of everything until now.
    pub(crate) fn report(&self) -> Report {
        self.ways.report()
    }
}

impl Ways {
    fn new(config: &Config, resource: &Resource, gather: Gather) -> Result<Self, String> {
        let none = Self {
            traces: None,
            logs: None,
            metrics: None,
            spool: None,
        };
        if config.disabled {
            return Ok(none);
        }
        let resource = EncodedResource::new(resource);
        let spool = spool(config);
        let pipeline = |signal, otlp: Option<&Otlp>, console: bool, batch: &Batch| {
            let endpoint = endpoint(signal, otlp)?;
            if endpoint.is_none() && !console {
                return Ok::<_, String>(None);
            }
            // A console alone is never away.
            let spool = spool.clone().filter(|_| endpoint.is_some());
            let outlet = Outlet::new(signal, endpoint, console, batch.export_timeout);
            let queue = Queue::new(batch.queue, batch.size);
            Ok(Some(Arc::new(Pipeline::new(outlet, queue, resource.clone(), spool))))
        };
        let (traces, logs, metrics) = (&config.traces, &config.logs, &config.metrics);
        Ok(Self {
            traces: pipeline(Signal::Traces, traces.otlp.as_ref(), traces.console, &traces.batch)?,
            // Their console is the writer of lines.
            logs: pipeline(Signal::Logs, logs.otlp.as_ref(), logs.stdout, &logs.batch)?,
            metrics: match endpoint(Signal::Metrics, metrics.otlp.as_ref())? {
                None if !metrics.console => None,
                endpoint => {
                    let spool = spool.clone().filter(|_| endpoint.is_some());
                    Some(Arc::new(Push::new(metrics, endpoint, resource.clone(), gather, spool)))
                }
            },
            spool,
        })
    }

    fn pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        [&self.traces, &self.logs].into_iter().flatten()
    }

    fn start(&self, background: &Background) {
        for pipeline in self.pipelines() {
            background.spawn_ours(pipeline.clone().run());
        }
        if let Some(push) = &self.metrics {
            background.spawn_ours(push.clone().run());
        }
        let pushed = self.metrics.iter().filter_map(|push| push.backlog.as_ref());
        for backlog in self.pipelines().filter_map(|p| p.backlog.as_ref()).chain(pushed) {
            background.spawn_ours(backlog.clone().run());
            background.spawn_ours(backlog.clone().run_writer());
        }
        if let Some(spool) = &self.spool {
            background.spawn_ours(sync(spool.clone()));
        }
    }

    /// Says at the start, not with the first span, where nobody listens.
    async fn look(self: Arc<Self>) {
        let pushed = self.metrics.iter().map(|push| &push.outlet);
        for outlet in self.pipelines().map(|pipeline| &pipeline.outlet).chain(pushed) {
            if let Some(endpoint) = &outlet.endpoint {
                endpoint.look().await;
            }
        }
    }

    async fn flush(self: Arc<Self>, deadline: Duration) {
        let until = Instant::now() + deadline;
        // One after the other in the code, side by side on the wire: each worker is woken before the first is waited for.
        let metrics = self.metrics.as_ref().map(|push| (push, push.request()));
        let flushing: Vec<_> = self.pipelines().map(|pipeline| pipeline.begin_flush()).collect();
        for pipeline in flushing {
            let _ = timeout_at(until, pipeline.ended()).await;
        }
        if let Some((push, request)) = metrics {
            let _ = timeout_at(until, push.answered(request)).await;
        }
    }

    fn close(&self) {
        self.pipelines().for_each(|pipeline| pipeline.close());
        self.metrics.iter().for_each(|push| push.close());
    }

    fn stop(&self) {
        self.pipelines().for_each(|pipeline| pipeline.stop());
        self.metrics.iter().for_each(|push| push.stop());
    }

    fn report(&self) -> Report {
        let tally = |pipeline: &Option<Arc<Pipeline>>| pipeline.as_ref().map(|p| p.tally()).unwrap_or_default();
        Report {
            traces: tally(&self.traces),
            logs: tally(&self.logs),
            metrics: self.metrics.as_ref().map(|push| push.tally()).unwrap_or_default(),
        }
    }
}

fn endpoint(signal: Signal, otlp: Option<&Otlp>) -> Result<Option<Endpoint>, String> {
    otlp.map(|otlp| Endpoint::new(signal, otlp)).transpose()
}

/// One that can not be opened is said and gone without.
fn spool(config: &Config) -> Option<Arc<Spool>> {
    let sends = [&config.traces.otlp, &config.metrics.otlp, &config.logs.otlp].map(Option::is_some);
    let opened = Spool::open(config.spool.as_ref()?, sends);
    opened
        .inspect_err(|problem| say(Level::Warn, format_args!("{problem}")))
        .ok()
        .map(Arc::new)
}

/// Beside the writing, so that a slow disk does not fill the queues. Ends with the runtime.
async fn sync(spool: Arc<Spool>) {
    const PAUSE: Duration = Duration::from_millis(800);
    loop {
        sleep(PAUSE).await;
        if spool.is_unsynced() {
            let spool = spool.clone();
            if let Ok(Err(problem)) = tokio::task::spawn_blocking(move || spool.sync()).await {
                say_once(Level::Warn, ("spool", "sync"), format_args!("{problem}"));
            }
        }
    }
}
