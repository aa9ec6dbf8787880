//! The engine: what is registered, and how a probe asks it.
//!
//! A probe starts the checks whose answer is too old, all at once, waits for them up to its deadline and reports. Callers that come
//! meanwhile wait for the same runs. The engine needs no server and no `init()`.

use super::check::{BoxFuture, CHECKS, CheckDef, HealthCheck};
use super::entry::{DEADLINE, Entry, Runner, Settings, Waiter};
use super::exec::{exec, lock};
use super::options::{CheckOptions, Probe};
use super::parts::Parts;
use super::report::Report;
use super::selection::Selection;
use super::state::{Lifecycle, Phase};
use super::status::HealthStatus;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// The names that probes use for themselves.
pub(crate) const LIFECYCLE: &str = "lifecycle";
pub(crate) const PING: &str = "ping";

/// The process's engine: all `#[health_check]` functions are in it from the start.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = Engine::new();
        for def in CHECKS {
            engine.link(def);
        }
        engine
    })
}

/// Runs checks and answers probes. Clones are the same engine.
///
/// # Examples
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use vitalsign::health::{Engine, Health, Probe, check_fn};
///
/// let engine = Engine::new();
/// let _db = engine.register("db", check_fn(|| async { Err::<(), _>("connection refused") })).unwrap();
/// let report = engine.probe(Probe::Ready).await;
/// assert_eq!(report.health(), Health::Down);
/// # });
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Replaced whole at each change, so that probes read it without waiting.
    entries: RwLock<Arc<[Arc<Entry>]>>,
    groups: Mutex<BTreeMap<String, Vec<String>>>,
    /// Link-time checks that were refused.
    refused: Mutex<Vec<RegisterError>>,
    pub(crate) life: Lifecycle,
    handle: Mutex<Option<Handle>>,
    /// Background runs have begun.
    active: AtomicBool,
    asked: AtomicBool,
    ids: AtomicU64,
    /// Since when it counts, in nanoseconds since the Unix epoch.
    pub(crate) born: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.entries().iter().map(|entry| Arc::clone(&entry.name)).collect();
        f.debug_struct("Engine")
            .field("phase", &self.phase())
            .field("checks", &names)
            .finish()
    }
}

impl Engine {
    /// An engine without checks.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                entries: RwLock::new(Arc::from([])),
                groups: Mutex::default(),
                refused: Mutex::default(),
                life: Lifecycle::default(),
                handle: Mutex::default(),
                active: AtomicBool::new(false),
                asked: AtomicBool::new(false),
                ids: AtomicU64::new(0),
                born: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_nanos() as u64,
            }),
        }
    }

    /// Registers a check for readiness, with default options. It runs in the context of the Tokio runtime that is current here.
    ///
    /// # Errors
    /// Where one of its names is taken, the error names both places; names consist of letters, digits, `-`, `_` and `.`.
    #[track_caller]
    pub fn register(
        &self,
        name: impl Into<String>,
        check: impl HealthCheck + 'static,
    ) -> Result<Registration, RegisterError> {
        self.register_with(name, CheckOptions::new(), check)
    }

    /// Registers a check. What a derived check says itself goes before `options`.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_with(
        &self,
        name: impl Into<String>,
        options: CheckOptions,
        check: impl HealthCheck + 'static,
    ) -> Result<Registration, RegisterError> {
        let name = name.into();
        let place = place(Location::caller());
        let check = Arc::new(check);
        let mut new: Vec<(String, Settings, Runner)> = Vec::new();
        for (index, part) in Parts::of(&*check, &options).into_iter().enumerate() {
            let name = match part.name {
                Some(part) => format!("{name}.{part}"),
                None => name.clone(),
            };
            let check = Arc::clone(&check);
            let runner: Runner = Arc::new(move || {
                let check = Arc::clone(&check);
                Box::pin(async move { check.check_part(index).await })
            });
            new.push((name, Settings::new(&part.options), runner));
        }
        let ids = self.add(new, &place, Handle::try_current().ok().as_ref())?;
        Ok(Registration {
            engine: Arc::downgrade(&self.inner),
            ids,
        })
    }

    /// One `#[health_check]` function.
    fn link(&self, def: &'static CheckDef) {
        let runner: Runner = Arc::new(|| -> BoxFuture<'static, HealthStatus> { (def.run)() });
        let new = vec![(def.name.to_owned(), Settings::new(&def.options), runner)];
        let place = format!("{}:{}", def.file, def.line);
        match self.add(new, &place, None) {
            Ok(ids) => {
                let joined = super::link::is_own(def);
                if let Some(entry) = self.entries().iter().find(|entry| entry.id == ids[0]) {
                    entry.joined.store(joined, Ordering::Release);
                }
            }
            Err(error) => lock(&self.inner.refused).push(error),
        }
    }

    fn add(
        &self,
        new: Vec<(String, Settings, Runner)>,
        place: &str,
        handle: Option<&Handle>,
    ) -> Result<Vec<u64>, RegisterError> {
        let mut added: Vec<Arc<Entry>> = Vec::with_capacity(new.len());
        {
            let mut entries = self.inner.entries.write().unwrap_or_else(PoisonError::into_inner);
            for (name, settings, runner) in new {
                valid(&name)?;
                let taken = entries
                    .iter()
                    .chain(&added)
                    .find(|entry| entry.name.eq_ignore_ascii_case(&name));
                if let Some(first) = taken {
                    return Err(RegisterError::Duplicate {
                        name,
                        first: first.place.clone(),
                        second: place.to_owned(),
                    });
                }
                let weak = Arc::downgrade(&self.inner);
                let on_settled = Arc::new(move || {
                    if let Some(inner) = weak.upgrade() {
                        Engine { inner }.advance();
                    }
                });
                added.push(Arc::new(Entry::new(
                    self.inner.ids.fetch_add(1, Ordering::Relaxed),
                    name.into(),
                    place.to_owned(),
                    settings,
                    runner,
                    handle.cloned(),
                    on_settled,
                )));
            }
            *entries = entries.iter().chain(&added).cloned().collect();
        }
        if self.inner.active.load(Ordering::Acquire) {
            self.schedule(&added);
        }
        Ok(added.iter().map(|entry| entry.id).collect())
    }

    fn remove(&self, ids: &[u64]) {
        let mut gone = Vec::new();
        {
            let mut entries = self.inner.entries.write().unwrap_or_else(PoisonError::into_inner);
            let mut kept = Vec::with_capacity(entries.len());
            for entry in entries.iter() {
                if ids.contains(&entry.id) {
                    gone.push(Arc::clone(entry));
                } else {
                    kept.push(Arc::clone(entry));
                }
            }
            *entries = kept.into();
        }
        for entry in gone {
            entry.leave();
        }
        // What the start waited for may have left.
        self.advance();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The link-time checks of the package that this source file belongs to are the program's own.
    pub(crate) fn program(&self, file: &str) {
        let package = super::link::package_of(file);
        for entry in self.entries().iter().filter(|entry| !entry.is_joined()) {
            let checked = entry.place.rsplit_once(':').map_or("", |(file, _)| file);
            if super::link::package_of(checked) == package {
                entry.joined.store(true, Ordering::Release);
            }
        }
    }

    pub(crate) fn entries(&self) -> Arc<[Arc<Entry>]> {
        Arc::clone(&self.inner.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names a set of checks, asked together under `/readyz/NAME`. A member that ends in `.*` stands for all below that name.
    ///
    /// # Errors
    /// When a member is not registered.
    pub fn group(&self, name: &str, members: &[&str]) -> Result<(), RegisterError> {
        valid(name)?;
        let entries = self.entries();
        for member in members {
            let known = match member.strip_suffix(".*") {
                Some(parent) => entries.iter().any(|entry| is_below(&entry.name, parent)),
                None => entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(member)),
            };
            if !known {
                return Err(RegisterError::UnknownMember {
                    group: name.to_owned(),
                    member: (*member).to_owned(),
                });
            }
        }
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        lock(&self.inner.groups).insert(name.to_ascii_lowercase(), members);
        Ok(())
    }

    pub(crate) fn members(&self, group: &str) -> Option<Vec<String>> {
        lock(&self.inner.groups).get(&group.to_ascii_lowercase()).cloned()
    }

    /// A check of a dependency joins the probes; those of the program itself do without being asked.
    ///
    /// # Errors
    /// When there is no check of that name.
    pub fn include(&self, name: &str) -> Result<(), RegisterError> {
        let entries = self.entries();
        let Some(entry) = entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)) else {
            return Err(RegisterError::UnknownMember {
                group: "included".to_owned(),
                member: name.to_owned(),
            });
        };
        entry.joined.store(true, Ordering::Release);
        if self.inner.active.load(Ordering::Acquire) {
            self.schedule(std::slice::from_ref(entry));
        }
        Ok(())
    }

    /// Begins the first round and the background runs. Checks registered outside any runtime run in the context of `fallback`,
    /// else of the runtime current here.
    ///
    /// # Errors
    /// Where two link-time checks share a name; both places are named.
    pub fn start(&self, fallback: Option<Handle>) -> Result<(), RegisterError> {
        self.check()?;
        if let Some(handle) = Handle::try_current().ok().or(fallback) {
            *lock(&self.inner.handle) = Some(handle);
        }
        self.activate();
        self.first_round();
        self.advance();
        Ok(())
    }

    /// Whether all checks can be what they say.
    pub(crate) fn check(&self) -> Result<(), RegisterError> {
        lock(&self.inner.refused).first().cloned().map_or(Ok(()), Err)
    }

    fn activate(&self) {
        if !self.inner.active.swap(true, Ordering::AcqRel) {
            self.schedule(&self.entries());
        }
    }

    fn schedule(&self, entries: &[Arc<Entry>]) {
        let weak = Arc::downgrade(&self.inner);
        let fallback: Arc<dyn Fn() -> Option<Handle> + Send + Sync> = Arc::new(move || {
            let inner = weak.upgrade()?;
            lock(&inner.handle).clone()
        });
        for entry in entries.iter().filter(|entry| entry.is_joined()) {
            entry.schedule(&fallback);
        }
    }

    /// Asks all that has to have answered before the process counts as started.
    fn first_round(&self) {
        let handle = self.handle();
        for entry in self
            .entries()
            .iter()
            .filter(|entry| entry.is_joined() && entry.settings.gates())
        {
            entry.demand(handle.as_ref(), None);
        }
    }

    /// Starting is over when every startup check passes and every critical readiness check has answered.
    fn advance(&self) {
        if !self.inner.life.is_starting() || !self.inner.active.load(Ordering::Acquire) {
            return;
        }
        let over = self
            .entries()
            .iter()
            .filter(|entry| entry.is_joined() && entry.settings.gates())
            .all(|entry| match entry.health() {
                None => false,
                Some(super::Health::Down) => !entry.settings.probes.has(Probe::Startup),
                Some(_) => true,
            });
        if over && self.inner.life.started() {
            super::signals::phase(self.phase());
        }
    }

    fn handle(&self) -> Option<Handle> {
        let caught = lock(&self.inner.handle).clone();
        caught.or_else(|| Handle::try_current().ok())
    }

    /// Where the process is in its life.
    pub fn phase(&self) -> Phase {
        self.inner.life.phase()
    }

    /// Takes the process out of readiness by hand, and back.
    pub fn set_ready(&self, ready: bool) {
        let before = self.phase();
        self.inner.life.set_ready(ready);
        self.advance();
        let after = self.phase();
        if before != after {
            super::signals::phase(after);
        }
    }

    /// Starting lasts until [`set_ready(true)`](Self::set_ready): for those who bind their port late.
    pub fn not_ready_until_set(&self) {
        self.inner.life.hold();
    }

    /// The process is on its way out: live, but no longer ready. There is no way back.
    pub fn drain(&self) {
        let before = self.phase();
        self.inner.life.drain();
        if before != Phase::Draining {
            super::signals::phase(Phase::Draining);
        }
    }

    /// Whether a probe was ever asked, by whatever way: then there is somebody to hear that the process drains.
    pub(crate) fn is_asked(&self) -> bool {
        self.inner.asked.load(Ordering::Relaxed)
    }

    /// Answers a probe, within 900 ms.
    ///
    /// # Cancel safety
    /// Checks go on for the next caller.
    pub fn probe(&self, probe: Probe) -> impl Future<Output = Report> + Send + use<> {
        self.select(Selection::of(probe))
    }

    /// Answers for one check of a probe, for those of a group, or for all below a name; `None` where nothing has it.
    pub async fn probe_named(&self, probe: Probe, name: impl Into<String>) -> Option<Report> {
        let mut selection = Selection::of(probe);
        selection.name = Some(name.into());
        let report = self.select(selection).await;
        report.is_found().then_some(report)
    }

    /// Answers for some of the checks of a probe.
    pub(crate) fn select(&self, selection: Selection) -> impl Future<Output = Report> + Send + use<> {
        let engine = self.clone();
        async move {
            let asked = Instant::now();
            engine.inner.asked.store(true, Ordering::Relaxed);
            engine.activate();
            let entries = engine.entries();
            let chosen = selection.choose(&engine, &entries);
            let waiter = Arc::new(Waiter::default());
            let handle = engine.handle();
            let mut until: Option<Instant> = None;
            for entry in &chosen.asked {
                let wait = entry.demand(handle.as_ref(), Some(&waiter));
                until = until.max(wait);
            }
            if engine.inner.life.is_starting() && selection.probe != Probe::Live {
                engine.first_round();
            }
            if let Some(until) = until {
                let until = until.min(asked + DEADLINE);
                wait(&waiter, until).await;
            }
            engine.advance();
            Report::new(&engine, &selection, chosen, asked.elapsed())
        }
    }

    /// Checks of dependencies that no probe asks, with their places.
    pub fn listed_only(&self) -> Vec<(String, String)> {
        let entries = self.entries();
        let listed = entries.iter().filter(|entry| !entry.is_joined());
        listed
            .map(|entry| (entry.name.to_string(), entry.place.clone()))
            .collect()
    }

    /// The names of all checks that probes ask.
    pub fn names(&self) -> Vec<String> {
        let entries = self.entries();
        let joined = entries.iter().filter(|entry| entry.is_joined());
        joined.map(|entry| entry.name.to_string()).collect()
    }

    /// Threads held by checks that do not come back.
    pub fn stuck_threads() -> usize {
        exec().stuck_threads()
    }
}

/// Whether `name` is `parent.something`.
pub(crate) fn is_below(name: &str, parent: &str) -> bool {
    name.len() > parent.len()
        && name.as_bytes()[parent.len()] == b'.'
        && name.as_bytes()[..parent.len()].eq_ignore_ascii_case(parent.as_bytes())
}

async fn wait(waiter: &Arc<Waiter>, until: Instant) {
    let mut timer = false;
    std::future::poll_fn(|cx| {
        if waiter.is_over(cx.waker()) {
            return Poll::Ready(());
        }
        if !timer {
            timer = true;
            let waiter = Arc::downgrade(waiter);
            let alarm = exec().at(until.max(Instant::now() + Duration::from_millis(1)), move || {
                if let Some(waiter) = waiter.upgrade() {
                    waiter.give_up();
                }
            });
            // The system gives no more threads, and nobody would end the waiting.
            if !alarm.kept {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

fn place(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}

fn valid(name: &str) -> Result<(), RegisterError> {
    let fits = !name.is_empty()
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !name.eq_ignore_ascii_case(LIFECYCLE)
        && !name.eq_ignore_ascii_case(PING);
    if fits {
        Ok(())
    } else {
        Err(RegisterError::Name(super::text::cut(name, 128).to_owned()))
    }
}

/// Keeps a check registered; dropping it unregisters.
#[derive(Debug)]
#[must_use = "dropping it unregisters the check; `.keep()` leaves it for the life of the process"]
pub struct Registration {
    engine: Weak<Inner>,
    ids: Vec<u64>,
}

impl Registration {
    /// Leaves the check registered for the life of the engine.
    pub fn keep(mut self) {
        self.ids.clear();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        if let Some(inner) = self.engine.upgrade() {
            Engine { inner }.remove(&self.ids);
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// A check, a group or a name that was refused.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Two checks of one name, apart from case.
    Duplicate {
        /// The name.
        name: String,
        /// Where it was registered first.
        first: String,
        /// Where it was refused.
        second: String,
    },
    /// Not a name that can stand in a path.
    Name(String),
    /// A name that no check has.
    UnknownMember {
        /// Who asked for it.
        group: String,
        /// The name.
        member: String,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { name, first, second } => write!(
                f,
                "two health checks are named `{name}`: one at {first}, one at {second}; give one of them `name = \"…\"`"
            ),
            Self::Name(name) => write!(
                f,
                "`{name}` cannot name a health check: use letters, digits, `-`, `_` and `.`, at most 128 bytes, not `lifecycle` or `ping`"
            ),
            Self::UnknownMember { group, member } => write!(
                f,
                "`{group}` names the health check `{member}`, which is not registered"
            ),
        }
    }
}

/// The same text: a `main` that returns the error shows it so.
impl fmt::Debug for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for RegisterError {}
