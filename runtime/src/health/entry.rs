//! One registered check: its settings, what it last said, and the run that is under way.

use super::check::BoxFuture;
use super::exec::{Alarm, Ended, Lost, Task, exec, lock};
use super::options::{CheckOptions, Probe, Probes};
use super::status::{Health, HealthStatus};
use super::text;
use crate::config::parse::NO_LIMIT;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Handle;

/// A probe answers within this time, whatever its checks do: a kubelet waits a second.
pub(crate) const DEADLINE: Duration = Duration::from_millis(900);
/// Upper bounds of the durations that are counted, in seconds: those of the HTTP conventions.
pub(crate) const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const MAX_DETAILS: usize = 32;

/// [`CheckOptions`] with the defaults applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) probes: Probes,
    pub(crate) timeout: Duration,
    pub(crate) when: When,
    pub(crate) critical: bool,
    pub(crate) failures: u32,
    pub(crate) successes: u32,
    pub(crate) blocking: bool,
    pub(crate) tags: &'static [&'static str],
}

/// When a check is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// By a probe that finds the answer older than this.
    Demanded(Duration),
    /// In the background, so often.
    Every(Duration),
}

impl Settings {
    pub(crate) fn new(options: &CheckOptions) -> Self {
        let readiness = CheckOptions::new().readiness();
        let options = options.or(&readiness);
        Self {
            probes: options.probes,
            // No longer than clocks reach.
            timeout: options.timeout.unwrap_or(Duration::from_secs(5)).min(NO_LIMIT),
            when: match (options.interval, options.cache) {
                // A busy loop is nobody's wish.
                (Some(interval), _) => When::Every(interval.clamp(Duration::from_millis(10), NO_LIMIT)),
                (None, cache) => When::Demanded(cache.unwrap_or(Duration::from_secs(1))),
            },
            critical: options.critical.unwrap_or(true),
            failures: options.failures.unwrap_or(1).max(1),
            successes: options.successes.unwrap_or(1).max(1),
            blocking: options.blocking.unwrap_or(false),
            tags: options.tags,
        }
    }

    /// The process has not started before this check has answered.
    pub(crate) fn gates(&self) -> bool {
        self.probes.has(Probe::Startup) || self.critical && self.probes.has(Probe::Ready)
    }
}

/// Gives the future of one run; called on our threads only.
pub(crate) type Runner = Arc<dyn Fn() -> BoxFuture<'static, HealthStatus> + Send + Sync>;
/// Hears that a check has settled.
pub(crate) type OnSettled = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) place: String,
    pub(crate) settings: Settings,
    /// Asked by probes; `false` for a dependency's check that nobody named.
    pub(crate) joined: AtomicBool,
    runner: Runner,
    handle: Option<Handle>,
    on_settled: OnSettled,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    run: Option<Run>,
    runs: u64,
    settled: Option<Arc<Settled>>,
    waiters: Vec<Arc<Waiter>>,
    failures: u32,
    successes: u32,
    last_change: Option<SystemTime>,
    last_error: Option<(SystemTime, Arc<str>)>,
    slow_said: bool,
    gone: bool,
    scheduled: bool,
    numbers: Numbers,
}

/// What is counted of a check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) seconds: f64,
    /// Transitions to up, degraded, down.
    pub(crate) transitions: [u64; 3],
}

struct Run {
    number: u64,
    since: Instant,
    timed_out: bool,
    hold: Option<Hold>,
}

/// What can be done to a run under way.
struct Hold {
    on: On,
    timeout: Alarm,
}

enum On {
    Task(Arc<Task<HealthStatus>>),
    Thread(Arc<Lost>),
}

impl Hold {
    fn give_up(self) {
        exec().forget(&self.timeout);
        match self.on {
            On::Task(task) => task.cancel(),
            On::Thread(thread) => thread.give_up(),
        }
    }
}

/// An answer, after criticality, hysteresis and masking.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) status: HealthStatus,
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
    pub(crate) took: Duration,
}

/// What a report says of one check.
pub(crate) struct View {
    pub(crate) settled: Option<Arc<Settled>>,
    /// It runs, and what is shown is from before.
    pub(crate) running: bool,
    /// What is shown is too old to stand for a check that still runs, or there is nothing to show.
    pub(crate) overdue: bool,
    pub(crate) last_change: Option<SystemTime>,
    pub(crate) last_error: Option<(SystemTime, Arc<str>)>,
}

/// One probe that waits for several checks.
#[derive(Default)]
pub(crate) struct Waiter {
    missing: AtomicUsize,
    late: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Waiter {
    pub(crate) fn add(&self) {
        self.missing.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake();
        }
    }

    pub(crate) fn give_up(&self) {
        self.late.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// All have arrived, or it is too late.
    pub(crate) fn is_over(&self, waker: &Waker) -> bool {
        *lock(&self.waker) = Some(waker.clone());
        self.missing.load(Ordering::Acquire) == 0 || self.late.load(Ordering::Acquire)
    }
}

/// What is to be told once no lock is held.
#[derive(Default)]
struct News {
    change: Option<(Option<Health>, Arc<Settled>)>,
    slow: Option<Duration>,
    waiters: Vec<Arc<Waiter>>,
}

impl Entry {
    pub(crate) fn new(
        id: u64,
        name: Arc<str>,
        place: String,
        settings: Settings,
        runner: Runner,
        handle: Option<Handle>,
        on_settled: OnSettled,
    ) -> Self {
        Self {
            id,
            name,
            place,
            settings,
            joined: AtomicBool::new(true),
            runner,
            handle,
            on_settled,
            state: Mutex::default(),
        }
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    /// Starts a run if what is known is too old; where there is something to wait for, `waiter` hears of it, and the time is
    /// given until which waiting makes sense.
    pub(crate) fn demand(self: &Arc<Self>, fallback: Option<&Handle>, waiter: Option<&Arc<Waiter>>) -> Option<Instant> {
        let mut state = lock(&self.state);
        if matches!(self.settings.when, When::Every(_)) && state.settled.is_some() {
            // The background keeps it young.
            return None;
        }
        if state.run.is_none() {
            let fresh = match (&state.settled, self.settings.when) {
                (Some(settled), When::Demanded(cache)) => settled.at.elapsed() < cache,
                _ => false,
            };
            if fresh || state.gone {
                return None;
            }
            state = self.start(state, fallback);
        }
        let since = match &state.run {
            // It has been given up: nothing new will come soon.
            Some(run) if run.timed_out => return None,
            Some(run) => run.since,
            None => return None,
        };
        if let Some(waiter) = waiter {
            waiter.add();
            state.waiters.push(Arc::clone(waiter));
        }
        Some(since + DEADLINE.min(self.settings.timeout + Duration::from_millis(50)))
    }

    /// Starts a run; the lock is let go and taken again around it, as spawning takes locks of its own.
    fn start<'a>(
        self: &'a Arc<Self>,
        mut state: std::sync::MutexGuard<'a, State>,
        fallback: Option<&Handle>,
    ) -> std::sync::MutexGuard<'a, State> {
        state.runs += 1;
        let number = state.runs;
        let since = Instant::now();
        state.run = Some(Run {
            number,
            since,
            timed_out: false,
            hold: None,
        });
        drop(state);
        let runner = Arc::clone(&self.runner);
        // The user's code runs nowhere but on our threads, what comes before its first await included.
        let future: BoxFuture<'static, HealthStatus> = Box::pin(async move { runner().await });
        let handle = self.handle.clone().or_else(|| fallback.cloned());
        let this = Arc::clone(self);
        let done = move |ended| this.ended(number, ended);
        let on = if self.settings.blocking {
            On::Thread(exec().spawn_blocking(handle, future, done))
        } else {
            On::Task(exec().spawn(handle, future, done))
        };
        let this = Arc::downgrade(self);
        let timeout = exec().at(since + self.settings.timeout, move || {
            if let Some(this) = this.upgrade() {
                this.time_out(number);
            }
        });
        let hold = Hold { on, timeout };
        let mut state = lock(&self.state);
        match state.run.as_mut() {
            Some(run) if run.number == number && !run.timed_out => run.hold = Some(hold),
            // Ended meanwhile, or given up by who found nothing to hold it by.
            _ => {
                drop(state);
                hold.give_up();
                state = lock(&self.state);
            }
        }
        state
    }

    fn ended(&self, number: u64, ended: Ended<HealthStatus>) {
        let status = match ended {
            Ended::Done(status) => status,
            Ended::Panicked(message) => HealthStatus::down(format!("panicked: {message}")),
            Ended::Cancelled => HealthStatus::down("cancelled"),
        };
        let (news, hold) = {
            let mut state = lock(&self.state);
            let Some(run) = state.run.take_if(|run| run.number == number) else {
                return;
            };
            let news = if run.timed_out {
                News::default()
            } else {
                self.settle(&mut state, run.since, status)
            };
            (news, run.hold)
        };
        if let Some(hold) = hold {
            exec().forget(&hold.timeout);
        }
        self.tell(news);
    }

    fn time_out(&self, number: u64) {
        let timeout = self.settings.timeout;
        let (news, hold) = {
            let mut state = lock(&self.state);
            let Some(run) = state.run.as_mut().filter(|run| run.number == number) else {
                return;
            };
            run.timed_out = true;
            let (since, hold) = (run.since, run.hold.take());
            let status = HealthStatus::down(format!("timed out after {timeout:?}"));
            (self.settle(&mut state, since, status), hold)
        };
        if let Some(hold) = hold {
            hold.give_up();
        }
        self.tell(news);
    }

    fn settle(&self, state: &mut State, since: Instant, status: HealthStatus) -> News {
        let took = since.elapsed();
        let wall = SystemTime::now();
        let mut status = presentable(status);
        if status.health == Health::Down {
            let message = status.message.as_deref().unwrap_or("down");
            state.last_error = Some((wall, message.into()));
        }
        let before = state.settled.as_ref().map(|settled| settled.status.health);
        self.damp(state, &mut status, before);
        let seconds = took.as_secs_f64();
        state.numbers.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        state.numbers.seconds += seconds;
        let after = status.health;
        let settled = Arc::new(Settled {
            status,
            at: Instant::now(),
            wall,
            took,
        });
        state.settled = Some(Arc::clone(&settled));
        let mut news = News {
            waiters: std::mem::take(&mut state.waiters),
            ..News::default()
        };
        if before != Some(after) {
            state.last_change = Some(wall);
            if before.is_some() || after != Health::Up {
                state.numbers.transitions[after as usize] += 1;
                news.change = Some((before, settled));
            }
        }
        // Slower than a probe waits, or near its time-out.
        if took > DEADLINE.min(self.settings.timeout / 2) && !state.slow_said {
            state.slow_said = true;
            news.slow = Some(took);
        }
        news
    }

    /// Criticality and hysteresis: what counts as down, and how often it has to be said. The first answer counts as it is.
    fn damp(&self, state: &mut State, status: &mut HealthStatus, before: Option<Health>) {
        let bad = if self.settings.critical {
            Health::Down
        } else {
            Health::Degraded
        };
        let failed = status.health == Health::Down;
        if failed {
            state.successes = 0;
            state.failures = state.failures.saturating_add(1);
            status.health = bad;
        } else {
            state.failures = 0;
            state.successes = state.successes.saturating_add(1);
        }
        let Some(before) = before else { return };
        if failed && before < bad && state.failures < self.settings.failures {
            let (nth, of) = (state.failures, self.settings.failures);
            let message = status.message.take().unwrap_or_default();
            status.message = Some(format!("failure {nth} of {of}: {message}").into());
            status.health = before;
        } else if !failed && before >= bad && status.health < bad && state.successes < self.settings.successes {
            let (nth, of) = (state.successes, self.settings.successes);
            status.message = Some(format!("success {nth} of {of}").into());
            status.health = before;
        }
    }

    /// Nothing is logged and nobody is woken under a lock.
    fn tell(&self, news: News) {
        if let Some((before, settled)) = news.change {
            super::signals::transition(&self.name, before, &settled);
        }
        if let Some(took) = news.slow {
            super::signals::slow(&self.name, took, self.settings.timeout);
        }
        (self.on_settled)();
        for waiter in news.waiters {
            waiter.arrive();
        }
    }

    /// Begins the background runs of a check that has an interval.
    pub(crate) fn schedule(self: &Arc<Self>, fallback: &Arc<dyn Fn() -> Option<Handle> + Send + Sync>) {
        let When::Every(interval) = self.settings.when else {
            return;
        };
        {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.scheduled, true) {
                return;
            }
        }
        Self::tick(&Arc::downgrade(self), interval, fallback);
    }

    fn tick(this: &Weak<Self>, interval: Duration, fallback: &Arc<dyn Fn() -> Option<Handle> + Send + Sync>) {
        let Some(entry) = this.upgrade() else { return };
        {
            let state = lock(&entry.state);
            if state.gone {
                return;
            }
            // A run that hangs is left alone; the next round finds it ended or not.
            if state.run.is_none() {
                drop(entry.start(state, fallback().as_ref()));
            }
        }
        let (this, fallback) = (this.clone(), Arc::clone(fallback));
        exec().at(Instant::now() + jittered(interval), move || {
            Self::tick(&this, interval, &fallback);
        });
    }

    /// No longer registered: a run under way ends unheard.
    pub(crate) fn leave(&self) {
        let (waiters, hold) = {
            let mut state = lock(&self.state);
            state.gone = true;
            let hold = state.run.as_mut().and_then(|run| run.hold.take());
            state.run = None;
            (std::mem::take(&mut state.waiters), hold)
        };
        if let Some(hold) = hold {
            hold.give_up();
        }
        for waiter in waiters {
            waiter.arrive();
        }
    }

    pub(crate) fn view(&self) -> View {
        let state = lock(&self.state);
        let running = state.run.is_some();
        let overdue = match (&state.settled, &state.run) {
            (None, _) => true,
            // Given up: what is shown says so, however old.
            (Some(_), Some(run)) if run.timed_out => false,
            // As old as its interval makes it.
            (Some(_), _) if matches!(self.settings.when, When::Every(_)) => false,
            (Some(settled), Some(run)) => {
                run.since.elapsed() >= DEADLINE && settled.at.elapsed() >= self.settings.timeout
            }
            (Some(_), None) => false,
        };
        View {
            settled: state.settled.clone(),
            running,
            overdue,
            last_change: state.last_change,
            last_error: state.last_error.clone(),
        }
    }

    pub(crate) fn health(&self) -> Option<Health> {
        lock(&self.state).settled.as_ref().map(|settled| settled.status.health)
    }

    pub(crate) fn numbers(&self) -> Numbers {
        lock(&self.state).numbers.clone()
    }
}

/// Cut and masked: done once, when the answer comes in, so that ten megabytes are not kept.
fn presentable(mut status: HealthStatus) -> HealthStatus {
    use super::status::Detail;
    status.message = status.message.map(|message| text::shown(&message).into());
    status.details.truncate(MAX_DETAILS);
    for (key, value) in &mut status.details {
        if let Detail::Text(value) = value {
            *value = if crate::secret::is_secret(key) {
                "***".into()
            } else {
                text::shown(value).into()
            };
        }
    }
    status
}

/// Within a tenth of the interval, so that a fleet does not ask its database in step.
fn jittered(interval: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    interval.mul_f64(0.9 + 0.2 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(options: &CheckOptions, runner: Runner) -> Arc<Entry> {
        let settings = Settings::new(options);
        let on_settled: OnSettled = Arc::new(|| ());
        Arc::new(Entry::new(
            0,
            "check".into(),
            String::new(),
            settings,
            runner,
            None,
            on_settled,
        ))
    }

    fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(5);
        while !is_so() {
            assert!(Instant::now() < until, "not {what} within 5 s");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_run_that_times_out_while_it_is_started_is_cancelled() {
        for _ in 0..100 {
            let options = CheckOptions::new().timeout(Duration::from_nanos(1));
            let entry = entry(&options, Arc::new(|| Box::pin(std::future::pending())));
            entry.demand(None, None);
            wait_until("ended", || !entry.view().running);
        }
    }

    #[test]
    fn the_time_out_of_a_run_ends_with_it() {
        let options = CheckOptions::new()
            .timeout(Duration::from_secs(3600))
            .cache(Duration::ZERO);
        let entry = entry(&options, Arc::new(|| Box::pin(async { HealthStatus::up() })));
        for _ in 0..100 {
            entry.demand(None, None);
            wait_until("ended", || !entry.view().running);
        }
        // Each time-out knows the check it is for.
        wait_until("forgotten", || Arc::weak_count(&entry) == 0);
    }
}
