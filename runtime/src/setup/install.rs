//! The steps of `init()`, and of the end.

use super::builder::Builder;
use super::error::InitError;
use super::vitals::{Inner, Vitals};
use crate::config::Resource;
use crate::config::env::{self, Config};
use crate::config::table;
use crate::export::diag::{self, Level, say};
use crate::trace;
use crate::trace::event::EventSink;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// What runs.
pub(super) struct Parts {
    spans: Option<trace::Pipeline>,
    #[cfg(feature = "otel-sdk")]
    outlets: super::otel_sdk::Outlets,
    #[cfg(feature = "admin")]
    admin: Option<admin::AdminHandle>,
    #[cfg(all(feature = "admin", feature = "axum"))]
    routes: Arc<AdminRoutes>,
    #[cfg(feature = "logs")]
    pub(super) logs: Option<crate::logs::Handle>,
    #[cfg(feature = "otlp")]
    exporter: Arc<crate::export::exporter::Exporter>,
    #[cfg(feature = "_tokio")]
    pub(super) background: Arc<crate::export::background::Background>,
}

pub(super) fn install(builder: Builder, caller: &Location<'_>) -> Result<Vitals, InitError> {
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return Err(InitError::Twice);
    }
    let handle_signals = builder.handle_signals;
    let (delay, timeout) = (builder.drain_delay, builder.shutdown_timeout);
    diag::hold();
    let started = start(builder, caller);
    diag::release();
    match started {
        Ok(parts) => {
            let inner = Arc::new(Inner::new(parts, delay, timeout));
            #[cfg(panic = "abort")]
            super::abort::flush_on_panic(&inner);
            #[cfg(feature = "_tokio")]
            if handle_signals {
                super::signal::exit_on_signal(&inner);
            }
            Ok(Vitals::new(inner))
        }
        Err(error) => {
            INSTALLED.store(false, Ordering::SeqCst);
            Err(error)
        }
    }
}

#[expect(clippy::too_many_lines, reason = "the steps of init(), in order")]
fn start(builder: Builder, caller: &Location<'_>) -> Result<Parts, InitError> {
    let (config, warnings) = Config::from(|name| match builder.variables.get(name) {
        Some(value) => Some(value.clone()),
        None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
    });
    diag::set_level(config.own_level);
    let misspelt = misspelt(builder.variables.names());
    let missing = config.not_compiled_in();
    if !missing.is_empty() {
        let lines: Vec<_> = missing.iter().map(ToString::to_string).collect();
        return Err(InitError::Configuration(lines.join("\n")));
    }
    #[cfg(feature = "logs")]
    let layered = trace::layer::is_layered();
    #[cfg(not(feature = "logs"))]
    let layered = false;
    if has_global_subscriber() && !layered {
        return Err(InitError::Subscriber);
    }
    let (detected, undetected) = Resource::detect(&config);
    let resource = detected.merge(Resource::new(builder.resource));
    if let Some(key) = &config.hash_key {
        crate::fields::set_key(&key.0);
    }
    trace::propagate::set_formats(&config.propagators);
    trace::baggage::show(&config.baggage_keys);
    trace::timing::set(config.span_timings);
    trace::open::tell_after(config.long_spans);
    #[cfg(feature = "tower")]
    if let Some(methods) = &config.http_methods {
        crate::http::words::set_known_methods(methods.iter().cloned());
    }
    // Calibrates the clock, and begins the time that cumulative sums count from.
    crate::clock::now();
    crate::metrics::registry::started();
    crate::metrics::configure(&config.metrics);
    #[cfg(feature = "otel")]
    if !config.disabled {
        crate::metrics::meters::install(builder.otel.globals);
    }
    #[cfg(feature = "tokio-metrics")]
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        crate::metrics::tokio_runtime::observe("main".to_owned(), &runtime);
    }
    #[cfg(feature = "metrics-facade")]
    if !config.disabled {
        crate::metrics::facade::install();
    }
    crate::metrics::check::check().map_err(|conflict| InitError::Families(conflict.to_string()))?;
    // Before anything is installed that the next attempt would meet.
    #[cfg(feature = "health")]
    health_checks(&builder.health_checks, caller)?;
    #[cfg(feature = "admin")]
    let bound = admin::bind(&config.admin).map_err(|refused| InitError::Admin(refused.to_string()))?;

    #[cfg(feature = "_tokio")]
    let background = Arc::new(crate::export::background::Background::start().map_err(InitError::System)?);
    #[cfg(feature = "otlp")]
    let exporter = Arc::new(
        Exporter::start(
            &config,
            &resource,
            background.clone(),
            Arc::new(crate::export::families),
        )
        .map_err(InitError::Export)?,
    );
    #[cfg(feature = "logs")]
    let logs = {
        #[cfg(feature = "otlp")]
        let otlp = otlp_logs(&config, &exporter);
        #[cfg(not(feature = "otlp"))]
        let otlp = None;
        logs(&config, &builder.logs, otlp)?
    };
    #[cfg(feature = "logs")]
    let events = logs.as_ref().map(crate::logs::Handle::sink);
    #[cfg(not(feature = "logs"))]
    let events: Option<Arc<dyn EventSink>> = None;
    #[cfg(feature = "otlp")]
    let sink = exporter
        .wants_spans()
        .then(|| Arc::new(ToExporter(exporter.clone())) as Arc<dyn trace::SpanSink>);
    #[cfg(not(feature = "otlp"))]
    let sink = None;
    #[cfg(feature = "otel-sdk")]
    let outlets = builder.sdk.start(&config, &resource)?;
    #[cfg(feature = "otel-sdk")]
    let sink = outlets.beside(sink);
    #[cfg(feature = "otel-sdk")]
    let custom = builder.sdk.sampler.clone();
    #[cfg(not(feature = "otel-sdk"))]
    let custom = None;
    let spans = spans(&config, custom, sink, events)?;
    #[cfg(feature = "otel")]
    builder.otel.install(spans.as_ref());
    // Checks may log and open spans, so they begin when both are heard.
    #[cfg(feature = "health")]
    health(builder.not_ready, &background)?;
    #[cfg(feature = "admin")]
    let routes = routes(
        &config,
        &resource,
        #[cfg(feature = "logs")]
        logs.as_ref(),
    );
    #[cfg(feature = "admin")]
    let admin = serve(bound, routes.clone(), &background)?;

    for warning in warnings {
        say(Level::Warn, format_args!("{warning}"));
    }
    for unknown in undetected {
        say(Level::Warn, format_args!("{unknown}"));
    }
    for (name, meant) in misspelt {
        say(
            Level::Warn,
            format_args!("{name} is no variable that is understood; did you mean {meant}?"),
        );
    }
    #[cfg(feature = "admin")]
    let address = admin.as_ref().map(admin::AdminHandle::address);
    #[cfg(not(feature = "admin"))]
    let address = None;
    let service = resource.text("service.name").unwrap_or("unknown_service");
    say(
        Level::Info,
        format_args!("{}", super::line::line(&config, service, address)),
    );
    #[cfg(feature = "otlp")]
    exporter.look();
    if config.disabled {
        crate::switch::pass_on();
    } else {
        crate::switch::set(true);
    }
    Ok(Parts {
        spans,
        #[cfg(feature = "otel-sdk")]
        outlets,
        #[cfg(feature = "admin")]
        admin,
        #[cfg(all(feature = "admin", feature = "axum"))]
        routes,
        #[cfg(feature = "logs")]
        logs,
        #[cfg(feature = "otlp")]
        exporter,
        #[cfg(feature = "_tokio")]
        background,
    })
}

/// Names of variables that are set and look like one of ours.
fn misspelt<'a>(said: impl Iterator<Item = &'a String>) -> Vec<(String, &'static str)> {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names = set.chain(said.cloned());
    names
        .filter_map(|name| table::meant(&name).map(|meant| (name, meant)))
        .collect()
}

#[cfg(feature = "admin")]
use crate::http::{admin, routes::AdminRoutes};

/// What the admin server answers, and a user's own server where they are mounted into it.
#[cfg(feature = "admin")]
fn routes(
    config: &Config,
    resource: &Resource,
    #[cfg(feature = "logs")] logs: Option<&crate::logs::Handle>,
) -> Arc<AdminRoutes> {
    let labels = resource.attributes().iter();
    let page = config.metrics.page.then(|| crate::export::page::PageContext {
        resource: labels
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
    });
    if let Some(page) = &page {
        crate::export::page::set_context(page.clone());
    }
    let routes = AdminRoutes::new(page, config.admin.token.clone());
    #[cfg(feature = "logs")]
    let routes = match logs.cloned() {
        Some(logs) => routes.with_log_filter(Box::new(move |new| match new {
            Some(new) => logs
                .set_filter(new)
                .map(|()| logs.filter())
                .map_err(|refused| refused.to_string()),
            None => Ok(logs.filter()),
        })),
        None => routes,
    };
    Arc::new(routes)
}

#[cfg(feature = "admin")]
fn serve(
    bound: Option<admin::Bound>,
    routes: Arc<AdminRoutes>,
    background: &crate::export::background::Background,
) -> Result<Option<admin::AdminHandle>, InitError> {
    let Some(bound) = bound else { return Ok(None) };
    if let Some(taken) = &bound.instead_of {
        let address = bound.address;
        say(
            Level::Warn,
            format_args!(
                "{taken} is taken by another; the admin server is on {address}. VITALSIGN_ADMIN sets its address"
            ),
        );
    }
    let handle = admin::serve(background, bound, routes, admin::Limits::default());
    handle.map(Some).map_err(InitError::System)
}

/// Which health checks there are, and whether they can be.
#[cfg(feature = "health")]
fn health_checks(included: &[String], caller: &Location<'_>) -> Result<(), InitError> {
    let engine = crate::health::engine();
    engine.program(caller.file());
    let all = included.iter().try_for_each(|name| engine.include(name));
    all.and_then(|()| engine.check())
        .map_err(|refused| InitError::Health(refused.to_string()))
}

#[cfg(feature = "health")]
fn health(not_ready: bool, background: &crate::export::background::Background) -> Result<(), InitError> {
    static FAMILIES: std::sync::Once = std::sync::Once::new();
    let engine = crate::health::engine();
    let listed = engine.listed_only();
    if !listed.is_empty() {
        let names: Vec<_> = listed
            .into_iter()
            .map(|(name, place)| format!("{name} ({place})"))
            .collect();
        say(
            Level::Info,
            format_args!(
                "health checks of dependencies that no probe asks: {}; builder().include_health_check(\"NAME\") lets one join",
                names.join(", ")
            ),
        );
    }
    if not_ready {
        engine.not_ready_until_set();
    }
    FAMILIES.call_once(|| crate::metrics::registry::register(Arc::new(HealthFamilies)));
    let handle = background.handle().clone();
    engine
        .start(Some(handle))
        .map_err(|refused| InitError::Health(refused.to_string()))
}

#[cfg(feature = "health")]
struct HealthFamilies;

#[cfg(feature = "health")]
impl crate::metrics::registry::Source for HealthFamilies {
    fn families(&self, out: &mut Vec<crate::export::snapshot::Family>) {
        out.extend(crate::health::families());
    }
}

/// Asked on a thread of its own, where no scoped subscriber can stand in front: `has_been_set` is true for those as well.
fn has_global_subscriber() -> bool {
    use tracing_core::dispatcher::get_default;
    let foreign = || get_default(|dispatch| !dispatch.is::<tracing_core::subscriber::NoSubscriber>());
    std::thread::spawn(foreign).join().unwrap_or(false)
}

#[cfg(feature = "logs")]
fn logs(
    config: &Config,
    words: &crate::logs::LogWords,
    otlp: Option<crate::logs::OtlpLogs>,
) -> Result<Option<crate::logs::Handle>, InitError> {
    use crate::logs::{Format, LogSetup, Output};
    if config.logs.lines.is_none() && otlp.is_none() {
        return Ok(None);
    }
    let mut setup = LogSetup {
        filter: config.logs.filter.clone(),
        format: match config.logs.lines {
            Some(env::LogFormat::Auto) => Format::Auto,
            Some(env::LogFormat::Json) => Format::Json,
            Some(env::LogFormat::Pretty) => Format::Pretty,
            None => Format::Off,
        },
        output: Output::Stdout,
        otlp,
        ..LogSetup::default()
    };
    #[cfg(feature = "otlp")]
    if setup.otlp.is_some() {
        setup.make_room(config.logs.batch.queue);
    }
    words.say(&mut setup);
    let (handle, refused) = crate::logs::install(setup).map_err(InitError::System)?;
    diag::set_handler(|level, message| {
        let level = match level {
            Level::Error => tracing_core::Level::ERROR,
            Level::Warn => tracing_core::Level::WARN,
            Level::Info => tracing_core::Level::INFO,
            Level::Debug => tracing_core::Level::DEBUG,
        };
        crate::logs::line(level, "vitalsign", message, &[]);
    });
    for refused in refused {
        say(
            Level::Warn,
            format_args!("RUST_LOG: {refused}; `{}` holds", handle.filter()),
        );
    }
    Ok(Some(handle))
}

#[cfg(all(feature = "logs", feature = "otlp"))]
fn otlp_logs(config: &Config, exporter: &Arc<Exporter>) -> Option<crate::logs::OtlpLogs> {
    exporter.wants_logs().then(|| crate::logs::OtlpLogs {
        sink: Arc::new(ToExporter(exporter.clone())),
        encode: crate::export::otlp::logs::record,
        limits: crate::logs::LogLimits {
            attributes: config.limits.log_attributes as usize,
            value_length: config.limits.log_value_length.map(|length| length as usize),
        },
        max_batch: config.logs.batch.size as u64,
        delay: config.logs.batch.delay,
    })
}

#[cfg(feature = "otlp")]
use crate::export::exporter::Exporter;

/// Hands encoded batches to the queues.
#[cfg(feature = "otlp")]
struct ToExporter(Arc<Exporter>);

#[cfg(feature = "otlp")]
impl trace::SpanSink for ToExporter {
    fn spans(&self, batch: trace::EncodedSpans) {
        self.0.spans(batch.scopes, batch.count);
    }
}

#[cfg(all(feature = "otlp", feature = "logs"))]
impl crate::logs::LogSink for ToExporter {
    fn batch(&self, records: crate::export::otlp::framed::Framed, count: u64) {
        self.0.logs(records, count);
    }

    fn lost(&self, count: u64) {
        self.0.lost_logs(count);
    }
}

/// Events go nowhere.
struct NoEvents;

impl EventSink for NoEvents {
    fn interest(&self, _: &'static tracing_core::Metadata<'static>) -> tracing_core::subscriber::Interest {
        tracing_core::subscriber::Interest::never()
    }

    fn enabled(&self, _: &tracing_core::Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<tracing_core::LevelFilter> {
        Some(tracing_core::LevelFilter::OFF)
    }

    fn event(&self, _: &tracing_core::Event<'_>, _: Option<&trace::SpanContext>) {}

    fn error(&self, _: &'static crate::site::Site, _: &crate::probe::ErrorRef<'_>, _: Option<&trace::SpanContext>) {}
}

/// Spans keep their ids for logs and propagation also where they go nowhere.
struct NoSpans;

impl trace::SpanSink for NoSpans {
    fn spans(&self, _: trace::EncodedSpans) {}
}

fn spans(
    config: &Config,
    custom: Option<trace::chosen::Custom>,
    sink: Option<Arc<dyn trace::SpanSink>>,
    events: Option<Arc<dyn EventSink>>,
) -> Result<Option<trace::Pipeline>, InitError> {
    use trace::sampler::{Ratio, Root, Sampler};
    if config.disabled {
        return Ok(None);
    }
    let exported = sink.is_some();
    let mut setup = trace::TraceSetup::new(
        sink.unwrap_or_else(|| Arc::new(NoSpans)),
        events.unwrap_or_else(|| Arc::new(NoEvents)),
    );
    let root = match config.sampler.root {
        env::RootSampler::AlwaysOn => Root::AlwaysOn,
        env::RootSampler::AlwaysOff => Root::AlwaysOff,
        env::RootSampler::Ratio(ratio) => Root::Ratio(Ratio::new(ratio)),
    };
    setup.sampler = match (config.sampler.parent_based, root) {
        // What nobody exports is not recorded; ids and parents are kept.
        _ if !exported => Sampler::AlwaysOff,
        _ if custom.is_some() => custom.map_or(Sampler::AlwaysOff, Sampler::Custom),
        (true, root) => Sampler::ParentBased(root),
        (false, Root::AlwaysOn) => Sampler::AlwaysOn,
        (false, Root::AlwaysOff) => Sampler::AlwaysOff,
        (false, Root::Ratio(ratio)) => Sampler::Ratio(ratio),
    };
    let limits = &config.limits;
    setup.limits = trace::Limits {
        attributes: bounded(limits.span_attributes),
        events: bounded(limits.events),
        links: bounded(limits.links),
        attributes_per_event: bounded(limits.event_attributes),
        attributes_per_link: bounded(limits.link_attributes),
        value_length: limits.span_value_length.map_or(u32::MAX, bounded),
    };
    setup.filter = trace_filter(&config.trace_filter);
    setup.span_events = config.span_events;
    setup.exceptions = match config.exceptions {
        env::Exceptions::Events => trace::Exceptions::SpanEvent,
        env::Exceptions::Logs => trace::Exceptions::Logs,
        env::Exceptions::Both => trace::Exceptions::Both,
    };
    setup.tail = config.tail.as_ref().and_then(|rules| {
        rules
            .parse()
            .inspect_err(|refused| {
                say(
                    Level::Warn,
                    format_args!("VITALSIGN_TAIL={rules}: {refused}; keeping all traces"),
                );
            })
            .ok()
    });
    crate::metrics::exemplar::wait_for_decisions(setup.tail.is_some());
    setup.batch = config.traces.batch.size;
    setup.delay = config.traces.batch.delay;
    match trace::install(setup) {
        Ok(pipeline) => Ok(Some(pipeline)),
        Err(trace::InstallError::ForeignSubscriber) => Err(InitError::Subscriber),
        Err(trace::InstallError::Thread(error)) => Err(InitError::System(error)),
        Err(refused @ trace::InstallError::Filter(_)) => Err(InitError::Configuration(format!(
            "VITALSIGN_TRACE_FILTER={}: {refused}",
            config.trace_filter
        ))),
    }
}

/// As much of the filter of spans as can be understood, which each directive can be or not.
fn trace_filter(text: &str) -> String {
    let mut good = Vec::new();
    let mut refused = Vec::new();
    for directive in text.split(',').filter(|directive| !directive.trim().is_empty()) {
        match directive.parse::<trace::filter::Filter>() {
            Ok(_) => good.push(directive),
            Err(bad) => refused.push(trace::InstallError::Filter(bad.0)),
        }
    }
    let holds = if good.is_empty() {
        "info".to_owned()
    } else {
        good.join(",")
    };
    for refused in refused {
        say(
            Level::Warn,
            format_args!("VITALSIGN_TRACE_FILTER: {refused}; `{holds}` holds"),
        );
    }
    holds
}

fn bounded(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

#[allow(clippy::unused_self, reason = "what a part does depends on which parts there are")]
impl Parts {
    /// Readiness says no from here on.
    pub(super) fn begin_drain(&self) {
        #[cfg(feature = "health")]
        crate::health::engine().drain();
    }

    pub(super) fn sampler(&self) -> Option<String> {
        self.spans.as_ref().map(trace::Pipeline::sampler)
    }

    #[cfg(feature = "otel")]
    pub(super) fn tracer_provider(&self) -> Option<trace::otel::TracerProvider> {
        self.spans.as_ref().map(trace::Pipeline::tracer_provider)
    }

    /// Somebody asks the probes, so there is somebody to tell.
    pub(super) fn is_probed(&self) -> bool {
        #[cfg(feature = "health")]
        return crate::health::engine().is_asked();
        #[cfg(not(feature = "health"))]
        false
    }

    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let mut all = self.spans.as_ref().is_none_or(|spans| spans.flush(deadline));
        #[cfg(feature = "otel-sdk")]
        {
            all &= self.outlets.flush(deadline);
        }
        #[cfg(feature = "logs")]
        {
            all &= self.logs.as_ref().is_none_or(|logs| logs.hand_over(deadline));
        }
        #[cfg(feature = "otlp")]
        {
            let report = self.exporter.flush(left(deadline));
            all &= report.traces.pending == 0 && report.metrics.pending == 0 && report.logs.pending == 0;
        }
        // They are written all the while: an output that takes none must not keep the exporter waiting.
        #[cfg(feature = "logs")]
        {
            all &= self.logs.as_ref().is_none_or(|logs| logs.flush(deadline));
        }
        all
    }

    /// In the order in which things flow: spans and records to the queues, the queues to the collector.
    pub(super) fn end(&self, deadline: Instant) {
        // An output that takes no lines, or a hook that is stuck in them, has no more than this.
        #[cfg(feature = "logs")]
        let most = left(deadline) / 2;
        if let Some(spans) = &self.spans {
            spans.shutdown(deadline);
        }
        // They take what waits while ours does.
        #[cfg(feature = "otel-sdk")]
        self.outlets.close(deadline);
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            // Others may log on, and so does what sends the last of it.
            logs.end_export();
            logs.hand_over(deadline.min(Instant::now() + most));
        }
        #[cfg(feature = "otlp")]
        self.exporter.shutdown(left(deadline));
        #[cfg(feature = "otel-sdk")]
        self.outlets.shutdown(deadline);
        // Last, so that what was to be said about the end is written.
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            let now = Instant::now();
            logs.shutdown(deadline.min(now + most).max(now + Duration::from_millis(100)));
        }
        #[cfg(feature = "_tokio")]
        self.background.stop(Duration::from_millis(100));
    }

    #[cfg(all(feature = "admin", feature = "axum"))]
    pub(super) fn routes(&self) -> Arc<AdminRoutes> {
        self.routes.clone()
    }

    #[cfg(feature = "admin")]
    pub(super) fn admin_addr(&self) -> Option<std::net::SocketAddr> {
        self.admin.as_ref().map(admin::AdminHandle::address)
    }

    #[cfg(feature = "otlp")]
    pub(super) fn report(&self) -> crate::export::Report {
        // Asked before the exporter: what moves on meanwhile counts twice rather than not at all.
        #[cfg(feature = "logs")]
        let (lost, waiting) = match &self.logs {
            Some(logs) if self.exporter.wants_logs() => logs.unexported(),
            _ => (0, 0),
        };
        let mut report = self.exporter.report();
        if self.exporter.wants_spans() {
            let spans = trace::stats();
            report.traces.add_before(spans.dropped_ring + spans.dropped_late, 0);
        }
        #[cfg(feature = "logs")]
        report.logs.add_before(lost, waiting);
        report
    }

    #[cfg(not(feature = "otlp"))]
    #[allow(clippy::unused_self, reason = "as where there is an exporter")]
    pub(super) fn report(&self) -> super::vitals::Ended {
        super::vitals::Ended
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
