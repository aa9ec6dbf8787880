//! The threads that run checks.
//!
//! Checks are user code and may block where they should not. So they never run on the program's runtime: they are polled on threads
//! of ours, inside the context of the runtime that was current when they were registered, so that its timers and sockets
//! work. A thread that does not come back from a poll is left alone, counted and replaced; checks that say they block get a
//! thread each. One more thread keeps the time.

mod task;

pub(crate) use task::Task;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use task::{Pollable, message, wait_for};
use tokio::runtime::Handle;

/// Threads that poll, as long as none is stuck.
const POLLERS: usize = 2;
/// A poll longer than this, while others wait, is replaced.
const PATIENCE: Duration = Duration::from_millis(10);
/// A poll that is counted as stuck though nobody waits.
const STUCK: Duration = Duration::from_secs(1);
/// Blocking checks at the same time, those not counted that outlived their time-out.
const BLOCKING: usize = 128;
/// Pollers at most, stuck ones included: beyond that, checks wait.
const MOST: usize = 512;
/// A thread without work ends.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing of ours panics while it holds a lock; user code never runs under one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process's one executor.
pub(crate) fn exec() -> &'static Exec {
    static EXEC: OnceLock<Exec> = OnceLock::new();
    EXEC.get_or_init(Exec::new)
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    Done(T),
    Panicked(String),
    /// Dropped after [`Task::cancel`].
    Cancelled,
}

type Fut<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Timer = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Exec {
    epoch: Instant,
    polls: Mutex<Polls>,
    poll_ready: Condvar,
    blocking: Mutex<Blocking>,
    job_ready: Condvar,
    timers: Mutex<Timers>,
    tick: Condvar,
}

#[derive(Default)]
struct Polls {
    queue: VecDeque<Arc<dyn Pollable>>,
    idle: usize,
    pollers: Vec<Arc<Poller>>,
}

/// One polling thread.
#[derive(Default)]
struct Poller {
    /// When its poll began, in nanoseconds of the executor's epoch; 0 between polls.
    since: AtomicU64,
    /// Replaced.
    stuck: AtomicU8,
}

#[derive(Default)]
struct Blocking {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    /// Those whose check has timed out.
    lost: usize,
}

#[derive(Default)]
struct Timers {
    /// By when it is; the number tells those of one moment apart.
    due: BTreeMap<(Instant, u64), Timer>,
    next: u64,
    /// Tasks wait for a poller.
    crowded: bool,
    started: bool,
}

/// What was asked for with [`Exec::at`].
pub(crate) struct Alarm {
    due: (Instant, u64),
    /// There is a thread to keep the time.
    pub(crate) kept: bool,
}

impl Exec {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            polls: Mutex::default(),
            poll_ready: Condvar::new(),
            blocking: Mutex::default(),
            job_ready: Condvar::new(),
            timers: Mutex::default(),
            tick: Condvar::new(),
        }
    }

    /// Threads that a check holds beyond what is allowed.
    pub(crate) fn stuck_threads(&self) -> usize {
        let now = self.nanos();
        let held = |poller: &&Arc<Poller>| {
            let since = poller.since.load(Ordering::Relaxed);
            let long = since != 0 && now.saturating_sub(since) > STUCK.as_nanos() as u64;
            long || poller.stuck.load(Ordering::Relaxed) == 1
        };
        let pollers = lock(&self.polls).pollers.iter().filter(held).count();
        pollers + lock(&self.blocking).lost
    }

    /// Starts a future; `done` hears how it ended, on one of our threads.
    pub(crate) fn spawn<T: Send + 'static>(
        &'static self,
        handle: Option<Handle>,
        future: Fut<T>,
        done: impl FnOnce(Ended<T>) + Send + 'static,
    ) -> Arc<Task<T>> {
        let task = Arc::new(Task::queued(self, handle, future, Box::new(done)));
        self.enqueue(task.clone());
        task
    }

    /// Runs a future to its end on a thread of its own.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &'static self,
        handle: Option<Handle>,
        future: Fut<T>,
        done: impl FnOnce(Ended<T>) + Send + 'static,
    ) -> Arc<Lost> {
        let lost = Arc::new(Lost {
            state: AtomicU8::new(NOT_LOST),
            exec: self,
        });
        let mine = Arc::clone(&lost);
        self.enqueue_job(Box::new(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let _context = handle.as_ref().map(Handle::enter);
                wait_for(future)
            }));
            mine.found();
            done(match ended {
                Ok(value) => Ended::Done(value),
                Err(panic) => Ended::Panicked(message(&*panic)),
            });
        }));
        lost
    }

    /// Runs `run` on the time-keeping thread at that time. It must be short.
    pub(crate) fn at(&'static self, at: Instant, run: impl FnOnce() + Send + 'static) -> Alarm {
        let mut timers = lock(&self.timers);
        let due = (at, timers.next);
        timers.next += 1;
        let earliest = timers.due.first_key_value().is_none_or(|(first, _)| due < *first);
        timers.due.insert(due, Box::new(run));
        self.keep_time(&mut timers);
        let kept = timers.started;
        drop(timers);
        if earliest {
            self.tick.notify_one();
        }
        Alarm { due, kept }
    }

    /// What has become needless does not wait until it is due.
    pub(crate) fn forget(&'static self, alarm: &Alarm) {
        let timer = lock(&self.timers).due.remove(&alarm.due);
        drop(timer);
    }

    fn keep_time(&'static self, timers: &mut Timers) {
        if !timers.started {
            timers.started = start("vitalsign-health", move || self.time_loop());
        }
    }

    fn time_loop(&'static self) {
        let mut timers = lock(&self.timers);
        loop {
            let now = Instant::now();
            if let Some(first) = timers.due.first_entry()
                && first.key().0 <= now
            {
                let run = first.remove();
                drop(timers);
                let _ = catch_unwind(AssertUnwindSafe(run));
                timers = lock(&self.timers);
                continue;
            }
            if timers.crowded {
                drop(timers);
                let crowded = self.relieve();
                timers = lock(&self.timers);
                timers.crowded = crowded;
            }
            let first = timers.due.first_key_value();
            let until = first.map(|((at, _), _)| at.saturating_duration_since(now));
            let wait = match (until, timers.crowded) {
                (Some(until), true) => until.min(PATIENCE),
                (Some(until), false) => until,
                (None, true) => PATIENCE,
                (None, false) => Duration::from_secs(3600),
            };
            timers = self
                .tick
                .wait_timeout(timers, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Replaces pollers that are stuck while tasks wait; says whether tasks still wait.
    fn relieve(&'static self) -> bool {
        let now = self.nanos();
        let mut polls = lock(&self.polls);
        if polls.queue.is_empty() {
            return false;
        }
        let mut free = 0;
        for poller in &polls.pollers {
            let since = poller.since.load(Ordering::Relaxed);
            if since != 0 && now.saturating_sub(since) > PATIENCE.as_nanos() as u64 {
                poller.stuck.store(1, Ordering::Relaxed);
            } else {
                free += 1;
            }
        }
        for _ in free..POLLERS {
            if polls.pollers.len() < MOST {
                self.add_poller(&mut polls);
            }
        }
        true
    }

    /// Never 0.
    fn nanos(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64 + 1
    }

    fn enqueue(&'static self, task: Arc<dyn Pollable>) {
        let mut polls = lock(&self.polls);
        polls.queue.push_back(task);
        // Those already called for an earlier task still count as idle, and that task as queued.
        if polls.idle >= polls.queue.len() {
            drop(polls);
            self.poll_ready.notify_one();
            return;
        }
        if polls.pollers.len() < POLLERS {
            self.add_poller(&mut polls);
            return;
        }
        drop(polls);
        let mut timers = lock(&self.timers);
        if !timers.crowded {
            timers.crowded = true;
            self.keep_time(&mut timers);
            drop(timers);
            self.tick.notify_one();
        }
    }

    fn add_poller(&'static self, polls: &mut Polls) {
        let poller = Arc::new(Poller::default());
        let own = Arc::clone(&poller);
        if start("vitalsign-check", move || self.poll_loop(&own)) {
            polls.pollers.push(poller);
        }
    }

    fn poll_loop(&'static self, own: &Arc<Poller>) {
        let mut polls = lock(&self.polls);
        loop {
            if let Some(task) = polls.queue.pop_front() {
                drop(polls);
                own.since.store(self.nanos(), Ordering::Relaxed);
                task.poll_once();
                own.since.store(0, Ordering::Relaxed);
                polls = lock(&self.polls);
                if own.stuck.swap(0, Ordering::Relaxed) == 1 {
                    let free = polls.pollers.iter().filter(|p| p.stuck.load(Ordering::Relaxed) == 0);
                    // Replacements stay while there is more to do than they can take.
                    if free.count() > POLLERS && polls.queue.is_empty() {
                        break;
                    }
                }
                continue;
            }
            polls.idle += 1;
            let (guard, timeout) = self
                .poll_ready
                .wait_timeout(polls, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            polls = guard;
            polls.idle -= 1;
            if timeout.timed_out() && polls.queue.is_empty() {
                break;
            }
        }
        polls.pollers.retain(|poller| !Arc::ptr_eq(poller, own));
    }

    fn enqueue_job(&'static self, job: Job) {
        let mut blocking = lock(&self.blocking);
        blocking.queue.push_back(job);
        if blocking.idle >= blocking.queue.len() {
            drop(blocking);
            self.job_ready.notify_one();
        } else {
            self.add_blocking(&mut blocking);
        }
    }

    fn add_blocking(&'static self, blocking: &mut Blocking) {
        if blocking.threads < BLOCKING + blocking.lost
            && start("vitalsign-check-blocking", move || self.blocking_loop())
        {
            blocking.threads += 1;
        }
    }

    fn blocking_loop(&'static self) {
        let mut blocking = lock(&self.blocking);
        loop {
            if let Some(job) = blocking.queue.pop_front() {
                drop(blocking);
                job();
                blocking = lock(&self.blocking);
                if blocking.threads > BLOCKING + blocking.lost {
                    break;
                }
                continue;
            }
            blocking.idle += 1;
            let (guard, timeout) = self
                .job_ready
                .wait_timeout(blocking, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            blocking = guard;
            blocking.idle -= 1;
            if timeout.timed_out() && blocking.queue.is_empty() {
                break;
            }
        }
        blocking.threads -= 1;
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> bool {
    std::thread::Builder::new().name(name.into()).spawn(run).is_ok()
}

const NOT_LOST: u8 = 0;
const LOST: u8 = 1;
const FOUND: u8 = 2;

/// The thread of one blocking run, which may be given up.
pub(crate) struct Lost {
    state: AtomicU8,
    exec: &'static Exec,
}

impl Lost {
    /// The run has timed out: its thread no longer counts, another may take its place.
    pub(crate) fn give_up(&self) {
        let mut blocking = lock(&self.exec.blocking);
        if self
            .state
            .compare_exchange(NOT_LOST, LOST, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            blocking.lost += 1;
            if !blocking.queue.is_empty() && blocking.idle == 0 {
                self.exec.add_blocking(&mut blocking);
            }
        }
    }

    fn found(&self) {
        let mut blocking = lock(&self.exec.blocking);
        if self.state.swap(FOUND, Ordering::Relaxed) == LOST {
            blocking.lost -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn ended<T: Send + 'static>(future: Fut<T>) -> Ended<T> {
        let (send, receive) = mpsc::channel();
        exec().spawn(None, future, move |ended| send.send(ended).unwrap());
        receive.recv_timeout(Duration::from_secs(5)).unwrap()
    }

    #[test]
    fn runs_and_catches() {
        assert!(matches!(ended(Box::pin(async { 7 })), Ended::Done(7)));
        let panicked: Fut<()> = Box::pin(async { panic!("boom") });
        assert!(matches!(ended(panicked), Ended::Panicked(text) if text == "boom"));
    }

    #[test]
    fn cancelled_futures_are_dropped() {
        struct Told(mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (dropped, is_dropped) = mpsc::channel();
        let (send, receive) = mpsc::channel();
        let told = Told(dropped);
        let task = exec().spawn(
            None,
            Box::pin(async move {
                let _told = told;
                std::future::pending::<()>().await;
            }),
            move |ended| send.send(ended).unwrap(),
        );
        std::thread::sleep(Duration::from_millis(20));
        task.cancel();
        assert!(matches!(
            receive.recv_timeout(Duration::from_secs(5)).unwrap(),
            Ended::Cancelled
        ));
        is_dropped.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn stuck_pollers_are_replaced() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let (send, receive) = mpsc::channel();
        for _ in 0..8 {
            let (gate, send) = (Arc::clone(&gate), send.clone());
            exec().spawn(
                None,
                Box::pin(async move {
                    let (open, bell) = &*gate;
                    let _open = bell.wait_while(open.lock().unwrap(), |open| !*open).unwrap();
                }),
                move |_| send.send(()).unwrap(),
            );
        }
        assert!(matches!(ended(Box::pin(async { 1 })), Ended::Done(1)));
        // The last to come may not have been waited for long enough.
        assert!(exec().stuck_threads() >= 8 - POLLERS);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for _ in 0..8 {
            receive.recv_timeout(Duration::from_secs(5)).unwrap();
        }
    }

    #[test]
    fn timers_fire_in_order() {
        let (send, receive) = mpsc::channel();
        let now = Instant::now();
        for (after, name) in [(60, 'c'), (20, 'a'), (40, 'b')] {
            let send = send.clone();
            exec().at(now + Duration::from_millis(after), move || send.send(name).unwrap());
        }
        let fired: String = (0..3)
            .map(|_| receive.recv_timeout(Duration::from_secs(5)).unwrap())
            .collect();
        assert_eq!(fired, "abc");
    }
}
