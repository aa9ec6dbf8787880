//! What a probe answers: the checks it asked, their worst, and how that is written.

use super::engine::{Engine, LIFECYCLE};
use super::entry::{Entry, View};
use super::json::{Json, iso8601};
use super::options::Probe;
use super::selection::{Chosen, Lifecycle, Selection};
use super::state::Phase;
use super::status::{Detail, Health, HealthStatus};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A kubelet reads at most 10 KiB of a body; a failure that nobody asked to be verbose stays below.
const BRIEF: usize = 8 * 1024;

/// One probe's answer.
#[derive(Debug)]
#[must_use]
pub struct Report {
    probe: Probe,
    health: Health,
    /// Why no check can make this probe pass: starting, withdrawn, draining.
    blocked: Option<&'static str>,
    checks: Vec<CheckReport>,
    excluded: Vec<Arc<str>>,
    unknown: Vec<String>,
    listed: Vec<String>,
    named: bool,
    found: bool,
    took: Duration,
}

/// What a report says of one check.
#[derive(Clone, Debug)]
pub struct CheckReport {
    name: Arc<str>,
    status: Cow<'static, HealthStatus>,
    took: Option<Duration>,
    at: Option<SystemTime>,
    last_change: Option<SystemTime>,
    last_error: Option<(SystemTime, Arc<str>)>,
    running: bool,
}

impl CheckReport {
    fn new(entry: &Entry) -> Self {
        let View {
            settled,
            running,
            overdue,
            last_change,
            last_error,
        } = entry.view();
        let status = match &settled {
            Some(settled) if !overdue => settled.status.clone(),
            _ if entry.settings.critical => HealthStatus::down("still running"),
            _ => HealthStatus::degraded("still running"),
        };
        Self {
            name: Arc::clone(&entry.name),
            status: Cow::Owned(status),
            took: settled.as_ref().map(|settled| settled.took),
            at: settled.as_ref().map(|settled| settled.wall),
            last_change,
            last_error,
            running,
        }
    }

    /// Its dotted name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Up, degraded or down, after criticality and hysteresis.
    pub fn health(&self) -> Health {
        self.status.health
    }

    /// Why; masked and cut.
    pub fn message(&self) -> Option<&str> {
        self.status.message()
    }

    /// Its status whole.
    pub fn status(&self) -> &HealthStatus {
        &self.status
    }

    /// How long its last run took.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Whether a run is under way, so that what is shown is from before.
    pub fn is_running(&self) -> bool {
        self.running
    }
}

impl Report {
    pub(crate) fn new(engine: &Engine, selection: &Selection, chosen: Chosen, took: Duration) -> Self {
        let checks: Vec<_> = chosen.asked.iter().map(|entry| CheckReport::new(entry)).collect();
        let blocked = if chosen.lifecycle == Lifecycle::Asked {
            blocked(engine, selection.probe)
        } else {
            None
        };
        let worst = checks.iter().map(CheckReport::health).max().unwrap_or_default();
        let mut excluded = chosen.excluded;
        if chosen.lifecycle == Lifecycle::Excluded {
            excluded.push(LIFECYCLE.into());
        }
        let listed = if selection.probe == Probe::All && selection.name.is_none() {
            engine.listed_only().into_iter().map(|(name, _)| name).collect()
        } else {
            Vec::new()
        };
        Self {
            probe: selection.probe,
            health: if blocked.is_some() { Health::Down } else { worst },
            blocked,
            checks,
            excluded,
            unknown: chosen.unknown,
            listed,
            named: selection.name.is_some(),
            found: chosen.found,
            took,
        }
    }

    /// The worst of the checks, or down while starting, withdrawn or draining.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether the probe passes: up or degraded.
    pub fn is_ok(&self) -> bool {
        self.health != Health::Down
    }

    /// The probe that was asked.
    pub fn probe(&self) -> Probe {
        self.probe
    }

    /// The checks that were asked.
    pub fn checks(&self) -> &[CheckReport] {
        &self.checks
    }

    /// One of the checks that were asked.
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|check| check.name.eq_ignore_ascii_case(name))
    }

    /// How long the probe took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Whether anything has the name that was asked for.
    pub(crate) fn is_found(&self) -> bool {
        self.found
    }

    fn path(&self) -> &'static str {
        match self.probe {
            Probe::Live => "livez",
            Probe::Ready => "readyz",
            Probe::Startup => "startupz",
            Probe::All => "healthz",
        }
    }

    /// As kube-apiserver writes it; reasons only where `details` are allowed.
    pub fn text(&self, verbose: bool, details: bool) -> String {
        if self.is_ok() && !verbose && self.unknown.is_empty() {
            return "ok".to_owned();
        }
        let full = self.lines(verbose, details, true);
        if verbose || full.len() <= BRIEF {
            return full;
        }
        self.lines(verbose, details, false)
    }

    fn lines(&self, verbose: bool, details: bool, whole: bool) -> String {
        let mut out = String::new();
        if !self.unknown.is_empty() {
            let names: Vec<_> = self.unknown.iter().map(|name| format!("{name:?}")).collect();
            let _ = writeln!(
                out,
                "warn: some health checks cannot be excluded: no matches for {}",
                names.join(",")
            );
        }
        if self.is_ok() && !verbose {
            out.push_str("ok");
            return out;
        }
        if self.checks.is_empty() && self.excluded.is_empty() && self.blocked.is_none() && !self.named {
            out.push_str("[+]ping ok\n");
        }
        if let Some(phase) = self.blocked {
            let _ = writeln!(out, "[-]{LIFECYCLE} failed: {phase}");
        }
        let mut unsaid = 0;
        for check in &self.checks {
            if whole || (check.health() == Health::Down && out.len() < BRIEF - 256) {
                check.line(&mut out, verbose, details);
            } else {
                unsaid += 1;
            }
        }
        if unsaid > 0 {
            let _ = writeln!(out, "... and {unsaid} more: ask ?verbose");
        }
        for name in &self.excluded {
            let _ = writeln!(out, "[+]{name} excluded: ok");
        }
        for name in self.listed.iter().filter(|_| verbose) {
            let _ = writeln!(out, "[ ]{name} not asked: of a dependency, and not included");
        }
        let passed = if self.is_ok() { "passed" } else { "failed" };
        let _ = writeln!(out, "{} check {passed}", self.path());
        out
    }

    /// As `MicroProfile` Health 4 writes it. A degraded check is `UP` with `data.degraded`.
    pub fn microprofile(&self, details: bool) -> String {
        let mut json = Json::default();
        json.open('{');
        json.key("status").text(if self.is_ok() { "UP" } else { "DOWN" });
        json.key("checks").open('[');
        if let Some(phase) = self.blocked {
            json.open('{');
            json.key("name").text(LIFECYCLE);
            json.key("status").text("DOWN");
            json.key("data").open('{').key("phase").text(phase).close('}');
            json.close('}');
        }
        for check in &self.checks {
            json.open('{');
            json.key("name").text(&check.name);
            json.key("status")
                .text(if check.health() == Health::Down { "DOWN" } else { "UP" });
            check.data(&mut json, details);
            json.close('}');
        }
        json.close(']').close('}');
        json.out
    }

    /// As `application/health+json` (draft-inadarei-api-health-check-06).
    pub fn health_json(&self, details: bool) -> String {
        let mut json = Json::default();
        json.open('{');
        json.key("status").text(word(self.health));
        json.key("checks").open('{');
        if let Some(phase) = self.blocked {
            json.key(LIFECYCLE).open('[').open('{');
            json.key("status").text("fail");
            json.key("output").text(phase);
            json.close('}').close(']');
        }
        for check in &self.checks {
            json.key(&check.name).open('[').open('{');
            json.key("status").text(word(check.health()));
            if let Some(at) = check.at {
                json.key("time").text(&iso8601(at));
            }
            if let Some(took) = check.took.filter(|_| details) {
                json.key("observedValue").number(took.as_secs_f64() * 1e3);
                json.key("observedUnit").text("ms");
            }
            if let Some(message) = check.message().filter(|_| details && check.health() != Health::Up) {
                json.key("output").text(message);
            }
            json.close('}').close(']');
        }
        json.close('}').close('}');
        json.out
    }
}

impl CheckReport {
    fn line(&self, out: &mut String, verbose: bool, details: bool) {
        let name = &self.name;
        let message = self.message().filter(|_| details);
        let _ = match (self.health(), message) {
            (Health::Up, _) => write!(out, "[+]{name} ok"),
            (Health::Degraded, None) => write!(out, "[+]{name} ok: degraded"),
            (Health::Degraded, Some(message)) => write!(out, "[+]{name} ok: degraded: {message}"),
            (Health::Down, None) => write!(out, "[-]{name} failed: reason withheld"),
            (Health::Down, Some(message)) => write!(out, "[-]{name} failed: {message}"),
        };
        if let Some(took) = self.took.filter(|_| verbose && details) {
            let _ = write!(out, " (took {took:.1?}");
            if let Some(ago) = self.at.and_then(|at| at.elapsed().ok()) {
                let _ = write!(out, ", {ago:.1?} ago");
            }
            out.push(')');
        }
        out.push('\n');
    }

    fn data(&self, json: &mut Json, details: bool) {
        let degraded = self.health() == Health::Degraded;
        if !degraded && !details {
            return;
        }
        json.key("data").open('{');
        if degraded {
            json.key("degraded").raw("true");
        }
        if details {
            if let Some(message) = self.message() {
                json.key("message").text(message);
            }
            if self.running {
                json.key("running").raw("true");
            }
            if let Some(took) = self.took {
                json.key("durationMs").number(took.as_secs_f64() * 1e3);
            }
            if let Some(at) = self.at {
                json.key("checkedAt").text(&iso8601(at));
            }
            if let Some(at) = self.last_change {
                json.key("lastChange").text(&iso8601(at));
            }
            if let Some((at, error)) = &self.last_error {
                json.key("lastErrorAt").text(&iso8601(*at));
                json.key("lastError").text(error);
            }
            for (key, value) in self.status.details().filter(|(key, _)| !OURS.contains(key)) {
                json.key(key);
                match value {
                    Detail::Bool(value) => json.raw(if *value { "true" } else { "false" }),
                    Detail::Int(value) => json.raw(&value.to_string()),
                    Detail::Float(value) => json.number(*value),
                    Detail::Text(value) => json.text(value),
                };
            }
        }
        json.close('}');
    }
}

/// What a check's own details may not stand in for.
const OURS: [&str; 8] = [
    "degraded",
    "message",
    "running",
    "durationMs",
    "checkedAt",
    "lastChange",
    "lastErrorAt",
    "lastError",
];

fn blocked(engine: &Engine, probe: Probe) -> Option<&'static str> {
    if probe == Probe::Startup {
        return engine.inner().life.is_starting().then_some(Phase::Starting.as_str());
    }
    match engine.phase() {
        Phase::Ready => None,
        phase => Some(phase.as_str()),
    }
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Up => "pass",
        Health::Degraded => "warn",
        Health::Down => "fail",
    }
}
