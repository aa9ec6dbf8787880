//! What a program says over the environment.

use super::error::InitError;
use super::vitals::Vitals;
use crate::config::table;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Everything by default and by environment variables: spans over OTLP, metrics and probes on the admin server, logs on
/// standard output.
///
/// Call it once, first thing in `main()`, and keep what it returns until the end: dropping it drains and flushes. No async
/// runtime is needed.
///
/// # Errors
///
/// Where something cannot work as the environment asks for it; the text names the variable. See [`InitError`].
///
/// # Examples
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let vitals = vitalsign::init()?;
///     // … the program …
///     drop(vitals);
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn init() -> Result<Vitals, InitError> {
    builder().install()
}

/// As [`init`], with words of the program's own over those of the environment.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vitals = vitalsign::builder()
///     .service_name("orders")
///     .resource_attribute("deployment.environment.name", "staging")
///     .admin("127.0.0.1:0")
///     .drain_delay(Duration::from_secs(2))
///     .install()?;
/// # Ok(())
/// # }
/// ```
pub fn builder() -> Builder {
    Builder {
        variables: Variables::default(),
        resource: Vec::new(),
        drain_delay: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(10),
        handle_signals: false,
        not_ready: false,
        health_checks: Vec::new(),
        #[cfg(feature = "otel")]
        otel: super::otel::Words::default(),
        #[cfg(feature = "otel-sdk")]
        sdk: super::otel_sdk::Words::default(),
        #[cfg(feature = "logs")]
        logs: crate::logs::LogWords::default(),
    }
}

/// The program's words over the environment; made by [`builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `install()`"]
pub struct Builder {
    /// Laid over the environment's, so that both are read by one parser.
    pub(super) variables: Variables,
    pub(super) resource: Vec<(String, String)>,
    pub(super) drain_delay: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) handle_signals: bool,
    pub(super) not_ready: bool,
    pub(super) health_checks: Vec<String>,
    #[cfg(feature = "otel")]
    pub(super) otel: super::otel::Words,
    #[cfg(feature = "otel-sdk")]
    pub(super) sdk: super::otel_sdk::Words,
    #[cfg(feature = "logs")]
    pub(super) logs: crate::logs::LogWords,
}

/// By name. `Debug` shows no value that may be secret.
#[derive(Clone, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| (name, table::shown(name, value)));
        f.debug_map().entries(shown).finish()
    }
}

impl Builder {
    /// Sets any variable of [`variables`](crate::config::variables) for this process, whatever the environment says; an empty
    /// value is the default.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.0.insert(name.into(), value.into());
        self
    }

    /// `service.name`, over `OTEL_SERVICE_NAME`.
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.variable("OTEL_SERVICE_NAME", name)
    }

    /// One more attribute of the resource, over those of `OTEL_RESOURCE_ATTRIBUTES` and the detectors.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.resource.push((key.into(), value.into()));
        self
    }

    /// Where the collector listens, over `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn otlp_endpoint(self, url: impl Into<String>) -> Self {
        self.variable("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    }

    /// Where the admin server listens, as `host:port` or `off`, over `VITALSIGN_ADMIN`. Port 0 takes a free one.
    pub fn admin(self, address: impl Into<String>) -> Self {
        self.variable("VITALSIGN_ADMIN", address)
    }

    /// How many series all metrics may have together, over `VITALSIGN_METRIC_SERIES`: the last guard, after `limit`. What is
    /// measured beyond is dropped, and counted in `vitalsign_metrics_dropped_total{reason="series_limit"}`.
    pub fn metric_series(self, most: usize) -> Self {
        self.variable("VITALSIGN_METRIC_SERIES", most.to_string())
    }

    /// How long readiness says no before the program stops taking requests, where a probe was ever asked; 5 s by default.
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// How long the last flush may take; 10 s by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// On SIGTERM or SIGINT drain, flush and exit with 128 + the signal's number: for programs without a loop of their own. By
    /// default no signal handler is installed.
    pub fn handle_signals(mut self, handle: bool) -> Self {
        self.handle_signals = handle;
        self
    }

    /// Not ready before [`Vitals::set_ready`] says so: for programs that bind late.
    pub fn not_ready_until_set(mut self) -> Self {
        self.not_ready = true;
        self
    }

    /// Lets a `#[health_check]` of a dependency join the probes, by its name. Those of the program's own package do so unasked.
    pub fn include_health_check(mut self, name: impl Into<String>) -> Self {
        self.health_checks.push(name.into());
        self
    }

    /// Attaches each of our spans as the current context of the `opentelemetry` API wherever it is entered, for readers that know
    /// that one only: `Context::current().span()` then has its ids. What they set on it goes nowhere. Costs some 140 ns and an
    /// allocation each time a span is entered; off by default, as spans and headers made by that API find their parents without.
    #[cfg(feature = "otel")]
    pub fn otel_context(mut self, attach: bool) -> Self {
        self.otel.context = attach;
        self
    }

    /// With false the global tracer provider, meter provider and propagator of the `opentelemetry` API stay as they are, for programs
    /// that have installed their own; [`Vitals::tracer_provider`] and [`Vitals::meter_provider`] give ours.
    #[cfg(feature = "otel")]
    pub fn otel_globals(mut self, install: bool) -> Self {
        self.otel.globals = install;
        self
    }

    /// Asks this sampler instead of the one that `OTEL_TRACES_SAMPLER` names: for each span, before any attribute is evaluated, so it
    /// gets none.
    ///
    /// Its trace state and its attributes hold; what it wants recorded and not sampled is not recorded. One that panics is as good as
    /// none: the parent's decision holds, and roots are kept.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use opentelemetry_sdk::trace::Sampler;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    /// let vitals = vitalsign::builder().sampler(tenth).install()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "otel-sdk")]
    pub fn sampler(mut self, sampler: impl opentelemetry_sdk::trace::ShouldSample + 'static) -> Self {
        self.sdk.set_sampler(sampler, false);
        self
    }

    /// As [`sampler`](Self::sampler), with the attributes that are known when the span begins. They are evaluated for every span
    /// then, sampled or not. Under [`layer`](crate::layer) those of `#[traced]` are not among them.
    #[cfg(feature = "otel-sdk")]
    pub fn sampler_with_attributes(mut self, sampler: impl opentelemetry_sdk::trace::ShouldSample + 'static) -> Self {
        self.sdk.set_sampler(sampler, true);
        self
    }

    /// Hands every finished span to this exporter, too; `OTEL_TRACES_EXPORTER=none` leaves it alone with them. To be called once
    /// for each.
    ///
    /// It runs on a thread of its own, in no async runtime, as under the SDK's batch processor, behind a queue of
    /// `OTEL_BSP_MAX_QUEUE_SIZE` spans; a batch may take `OTEL_BSP_EXPORT_TIMEOUT`. One that blocks, fails or panics loses its own
    /// spans only, counted in `vitalsign_span_exporter_lost_total`; shutting down does not wait for it beyond the shutdown timeout.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use opentelemetry_sdk::trace::InMemorySpanExporter;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let spans = InMemorySpanExporter::default();
    /// let vitals = vitalsign::builder().span_exporter(spans.clone()).install()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "otel-sdk")]
    pub fn span_exporter(self, exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static) -> Self {
        self.sdk.add_exporter(exporter);
        self
    }

    /// Which lines are written, over `RUST_LOG`.
    #[cfg(feature = "logs")]
    pub fn log_filter(self, filter: impl Into<String>) -> Self {
        self.variable("RUST_LOG", filter)
    }

    /// Where lines go instead of standard output; [`Output::Writer`](crate::logs::Output::Writer) takes anything that writes.
    #[cfg(feature = "logs")]
    pub fn log_output(mut self, output: crate::logs::Output) -> Self {
        self.logs.output = Some(std::sync::Arc::new(std::sync::Mutex::new(Some(output))));
        self
    }

    /// One more name whose values are not written in log lines, at any depth: beside `password`, `token`, `authorization` and
    /// the like, which never are.
    #[cfg(feature = "logs")]
    pub fn redact(mut self, name: impl Into<String>) -> Self {
        self.logs.redact.push(name.into());
        self
    }

    /// Sees every text that goes into a log line, with the name it stands under (`message` among them), and says what to write
    /// instead; `None` leaves it. Called on the thread that writes, and where records go to OTLP, too, once more on the one that encodes
    /// them; one that panics hides the text.
    #[cfg(feature = "logs")]
    pub fn redact_with(mut self, hook: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.logs.redact_with = Some(std::sync::Arc::new(hook));
        self
    }

    /// Installs it.
    ///
    /// # Errors
    ///
    /// As [`init`].
    #[track_caller]
    pub fn install(self) -> Result<Vitals, InitError> {
        super::install::install(self, std::panic::Location::caller())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn its_debug_shows_no_secret() {
        let builder = super::builder()
            .variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=hunter2")
            .variable("VITALSIGN_ADMIN_TOKEN", "hunter2")
            .variable("UNKNOWN", "hunter2")
            .otlp_endpoint("https://me:hunter2@c")
            .service_name("orders");
        let shown = format!("{builder:?}");
        assert!(shown.contains("\"OTEL_SERVICE_NAME\": \"orders\""), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
