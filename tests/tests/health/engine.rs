//! The health engine from outside: checks that are slow, stuck, wrong or many cost themselves and nothing else.

#![allow(
    clippy::pedantic,
    clippy::manual_is_multiple_of,
    clippy::unnecessary_literal_unwrap,
    reason = "checks that fail in every way there is"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use vitalsign::health::{CheckOptions, Engine, Health, Phase, Probe, RegisterError, Report, check_fn};
use vitalsign::{HealthCheck, HealthStatus};

const OPTIONS: CheckOptions = CheckOptions::new();

/// A probe's deadline is 900 ms, so that a kubelet, which waits a second, hears it; the rest is for a machine that builds beside.
const KUBELET: Duration = Duration::from_millis(1500);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What `/readyz` would answer, in the time that it has.
async fn probed(engine: &Engine) -> Report {
    let start = Instant::now();
    let report = engine.probe(Probe::Ready).await;
    assert!(start.elapsed() < KUBELET, "{:?}", start.elapsed());
    report
}

/// A check that counts its runs, each of which waits that long; and their number.
fn counted(wait: Duration) -> (impl HealthCheck, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let check = check_fn({
        let runs = runs.clone();
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(wait)
        }
    });
    (check, runs)
}

/// A check that is up while the number is 1.
fn switched(up: &Arc<AtomicUsize>) -> impl HealthCheck + use<> {
    let up = up.clone();
    check_fn(move || {
        let up = up.load(Ordering::SeqCst) == 1;
        async move { up }
    })
}

/// Keeps blocked threads until the test is over.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn block(&self) {
        let (open, bell) = &*self.0;
        drop(bell.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) > 1 {
            return;
        }
        self.open();
    }
}

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

#[tokio::test]
async fn a_thousand_checks_run_at_the_same_time() {
    let engine = Engine::new();
    let mut held = Vec::new();
    for n in 0..1000 {
        let check = check_fn(|| async { tokio::time::sleep(millis(50)).await });
        held.push(engine.register(format!("c{n}"), check).unwrap());
    }
    let start = Instant::now();
    let report = engine.probe(Probe::Ready).await;
    assert_eq!(report.health(), Health::Up);
    assert!(start.elapsed() < KUBELET, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_thousand_blocking_checks_answer_in_time() {
    let engine = Engine::new();
    let mut held = Vec::new();
    for n in 0..1000 {
        let check = check_fn(|| async { std::thread::sleep(millis(50)) });
        held.push(
            engine
                .register_with(format!("c{n}"), OPTIONS.blocking(), check)
                .unwrap(),
        );
    }
    let report = probed(&engine).await;
    assert_eq!(report.checks().len(), 1000);
}

#[tokio::test]
async fn checks_that_block_by_mistake_do_not_hold_the_others() {
    let engine = Engine::new();
    let mut held = Vec::new();
    for n in 0..100 {
        let check = check_fn(|| async { std::thread::sleep(millis(100)) });
        held.push(engine.register(format!("bad{n}"), check).unwrap());
    }
    held.push(engine.register("good", check_fn(|| async {})).unwrap());
    let report = probed(&engine).await;
    assert_eq!(report.check("good").unwrap().health(), Health::Up);
}

#[tokio::test]
async fn a_stuck_check_costs_itself() {
    for blocking in [false, true] {
        let engine = Engine::new();
        let gate = Gate::default();
        let runs = Arc::new(AtomicUsize::new(0));
        let check = {
            let (gate, runs) = (gate.clone(), runs.clone());
            check_fn(move || {
                let (gate, runs) = (gate.clone(), runs.clone());
                async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    gate.block();
                }
            })
        };
        let options = OPTIONS.timeout(millis(200)).cache(millis(1));
        let options = if blocking { options.blocking() } else { options };
        let _stuck = engine.register_with("stuck", options, check).unwrap();
        let _good = engine
            .register_with("good", OPTIONS.cache(millis(1)), check_fn(|| async {}))
            .unwrap();
        let report = probed(&engine).await;
        let stuck = report.check("stuck").unwrap();
        assert_eq!(
            (stuck.health(), stuck.message()),
            (Health::Down, Some("timed out after 200ms"))
        );
        assert_eq!(report.check("good").unwrap().health(), Health::Up);
        // Known to hang: later probes do not wait for it.
        for _ in 0..20 {
            let start = Instant::now();
            let report = engine.probe(Probe::Ready).await;
            assert!(start.elapsed() < millis(500), "{:?}", start.elapsed());
            assert!(report.check("stuck").unwrap().is_running());
            tokio::time::sleep(millis(5)).await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1, "never twice at once");
        assert!(Engine::stuck_threads() >= 1 || !blocking);
        // Once it has come back, it is asked again.
        gate.open();
        let up = async {
            while engine.probe(Probe::Ready).await.health() != Health::Up {
                tokio::time::sleep(millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), up).await.unwrap();
        assert!(runs.load(Ordering::SeqCst) >= 2);
    }
}

#[tokio::test]
async fn a_slow_check_shows_what_it_said_last() {
    let engine = Engine::new();
    let slow = Arc::new(AtomicUsize::new(0));
    let check = {
        let slow = slow.clone();
        check_fn(move || {
            let wait = slow.load(Ordering::SeqCst) as u64;
            async move { tokio::time::sleep(millis(wait)).await }
        })
    };
    let options = OPTIONS.timeout(millis(1500)).cache(millis(1));
    let _slow = engine.register_with("slow", options, check).unwrap();
    assert_eq!(engine.probe(Probe::Ready).await.health(), Health::Up);
    slow.store(60_000, Ordering::SeqCst);
    tokio::time::sleep(millis(2)).await;
    // At 900 ms: younger than its time-out, so it stands.
    let start = Instant::now();
    let report = engine.probe(Probe::Ready).await;
    assert!(
        (millis(850)..KUBELET).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert!(report.check("slow").unwrap().is_running());
    assert_eq!(report.health(), Health::Up);
    // After 1.5 s: timed out.
    tokio::time::sleep(millis(700)).await;
    let report = engine.probe(Probe::Ready).await;
    assert_eq!(report.check("slow").unwrap().message(), Some("timed out after 1.5s"));
}

#[tokio::test]
async fn a_check_without_an_answer_is_still_running() {
    let engine = Engine::new();
    let forever = check_fn(std::future::pending::<()>);
    let _slow = engine.register("slow", forever).unwrap();
    let report = probed(&engine).await;
    assert_eq!(report.check("slow").unwrap().message(), Some("still running"));
    assert!(!report.is_ok());
}

#[tokio::test]
async fn a_panic_is_down_with_its_message() {
    let engine = Engine::new();
    for (name, options) in [("asynchronous", OPTIONS), ("blocking", OPTIONS.blocking())] {
        let panics = check_fn(|| async {
            let nothing: Option<u8> = None;
            nothing.expect("the table is gone");
        });
        engine.register_with(name, options, panics).unwrap().keep();
    }
    // Before its first await, and outside any future.
    let early = check_fn(|| {
        if Instant::now().elapsed() < Duration::MAX {
            panic!("early");
        }
        async {}
    });
    engine.register("early", early).unwrap().keep();
    let report = engine.probe(Probe::Ready).await;
    for (name, message) in [
        ("asynchronous", "panicked: the table is gone"),
        ("blocking", "panicked: the table is gone"),
        ("early", "panicked: early"),
    ] {
        assert_eq!(report.check(name).unwrap().message(), Some(message));
    }
}

#[tokio::test]
async fn a_check_may_probe_its_own_engine() {
    let engine = Engine::new();
    let inner = engine.clone();
    let check = check_fn(move || {
        let engine = inner.clone();
        async move { engine.probe(Probe::Ready).await.is_ok() }
    });
    let _recursive = engine.register("recursive", check).unwrap();
    let _good = engine.register("good", check_fn(|| async {})).unwrap();
    let report = probed(&engine).await;
    assert_eq!(report.check("good").unwrap().health(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flight_for_all_callers() {
    let engine = Engine::new();
    let (check, runs) = counted(millis(20));
    let _db = engine.register_with("db", OPTIONS.cache(millis(200)), check).unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for _ in 0..625 {
                    assert!(engine.probe(Probe::Ready).await.is_ok());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let most = 1 + start.elapsed().as_millis() as usize / 200;
    let runs = runs.load(Ordering::SeqCst);
    assert!(
        runs >= 1 && runs <= most,
        "{runs} runs, at most {most} in {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn an_interval_runs_without_probes() {
    let engine = Engine::new();
    let (check, runs) = counted(Duration::ZERO);
    let held = engine
        .register_with("tick", OPTIONS.interval(millis(50)), check)
        .unwrap();
    tokio::time::sleep(millis(100)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0, "not before the engine is started");
    engine.start(None).unwrap();
    tokio::time::sleep(millis(1000)).await;
    let ran = runs.load(Ordering::SeqCst);
    assert!((8..=23).contains(&ran), "{ran}");
    for _ in 0..100 {
        assert!(engine.probe(Probe::Ready).await.is_ok());
    }
    assert!(runs.load(Ordering::SeqCst) <= ran + 3, "a probe does not ask it");
    drop(held);
    tokio::time::sleep(millis(20)).await;
    let ran = runs.load(Ordering::SeqCst);
    tokio::time::sleep(millis(200)).await;
    assert_eq!(runs.load(Ordering::SeqCst), ran, "not after it has left");
}

#[tokio::test]
async fn hysteresis_and_criticality() {
    let engine = Engine::new();
    let up = Arc::new(AtomicUsize::new(1));
    let check = |critical: bool| {
        (
            switched(&up),
            OPTIONS
                .cache(Duration::ZERO)
                .failures(3)
                .successes(2)
                .critical(critical),
        )
    };
    let (db, options) = check(true);
    let _db = engine.register_with("db", options, db).unwrap();
    let (mail, options) = check(false);
    let _mail = engine.register_with("mail", options, mail).unwrap();
    let mut seen = Vec::new();
    for now in [1, 0, 0, 0, 0, 1, 0, 1, 1, 0] {
        up.store(now, Ordering::SeqCst);
        let report = engine.probe(Probe::Ready).await;
        let health = |name| report.check(name).unwrap().health().as_str();
        seen.push((health("db"), health("mail")));
    }
    let (up, down) = (("up", "up"), ("down", "degraded"));
    assert_eq!(seen, [up, up, up, down, down, down, down, down, up, up]);
}

#[tokio::test]
async fn duplicate_names_are_refused_with_both_places() {
    let engine = Engine::new();
    let _first = engine.register("db", check_fn(|| async {})).unwrap();
    let line = line!() + 1;
    let error = engine.register("DB", check_fn(|| async {})).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`DB`") && text.contains(&format!("health/engine.rs:{line}")),
        "{text}"
    );
    assert_eq!(text.matches("health/engine.rs:").count(), 2, "{text}");
    for bad in ["", "a/b", "a b", "lifecycle", "ping", "a:b", &"x".repeat(200)] {
        let error = engine.register(bad, check_fn(|| async {})).unwrap_err();
        assert!(matches!(error, RegisterError::Name(_)), "{bad}");
    }
    assert_eq!(engine.names(), ["db"]);
}

#[tokio::test]
async fn a_dropped_registration_leaves_at_once() {
    let engine = Engine::new();
    let held = engine.register("slow", check_fn(std::future::pending::<()>)).unwrap();
    let probing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.probe(Probe::Ready).await }
    });
    tokio::time::sleep(millis(50)).await;
    drop(held);
    let start = Instant::now();
    drop(probing.await.unwrap());
    assert!(start.elapsed() < millis(500));
    assert!(engine.probe(Probe::Ready).await.is_ok());
    let _again = engine.register("slow", check_fn(|| async {})).unwrap();
}

#[tokio::test]
async fn the_life_of_a_process() {
    let engine = Engine::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let check = {
        let gate = gate.clone();
        check_fn(move || {
            let gate = gate.clone();
            async move { drop(gate.acquire().await) }
        })
    };
    let _db = engine.register("db", check).unwrap();
    let optional = OPTIONS.critical(false);
    let _mail = engine
        .register_with("mail", optional, check_fn(std::future::pending::<()>))
        .unwrap();
    engine.start(None).unwrap();
    let is_ok = async |probe| engine.probe(probe).await.is_ok();
    assert_eq!(engine.phase(), Phase::Starting);
    assert!(is_ok(Probe::Live).await && !is_ok(Probe::Startup).await);
    gate.add_permits(100);
    while engine.phase() == Phase::Starting {
        tokio::time::sleep(millis(5)).await;
    }
    assert!(is_ok(Probe::Live).await && is_ok(Probe::Startup).await && is_ok(Probe::Ready).await);
    engine.set_ready(false);
    assert!(is_ok(Probe::Live).await && is_ok(Probe::Startup).await && !is_ok(Probe::Ready).await);
    engine.set_ready(true);
    assert!(is_ok(Probe::Ready).await);
    engine.drain();
    assert!(is_ok(Probe::Live).await && is_ok(Probe::Startup).await && !is_ok(Probe::Ready).await);
}

#[tokio::test]
async fn those_who_bind_late() {
    let engine = Engine::new();
    engine.not_ready_until_set();
    engine.start(None).unwrap();
    assert!(!engine.probe(Probe::Ready).await.is_ok());
    assert!(!engine.probe(Probe::Startup).await.is_ok());
    engine.set_ready(true);
    assert!(engine.probe(Probe::Ready).await.is_ok());
    assert!(engine.probe(Probe::Startup).await.is_ok());
}

#[tokio::test]
async fn a_startup_check_has_to_pass() {
    let engine = Engine::new();
    let up = Arc::new(AtomicUsize::new(0));
    let migrated = switched(&up);
    let options = OPTIONS.startup().cache(millis(1));
    let _migrated = engine.register_with("migrated", options, migrated).unwrap();
    assert!(!engine.probe(Probe::Startup).await.is_ok());
    assert!(!engine.probe(Probe::Ready).await.is_ok());
    up.store(1, Ordering::SeqCst);
    tokio::time::sleep(millis(5)).await;
    assert!(engine.probe(Probe::Startup).await.is_ok());
    assert!(engine.probe(Probe::Ready).await.is_ok());
}

/// A check polls on threads of ours, its timers and sockets work on the runtime of its registration, and a runtime that is gone
/// is a failure of its checks only.
#[test]
fn checks_use_the_runtime_of_their_registration() {
    let engine = Engine::new();
    let theirs = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _timer = theirs.block_on(async {
        let check = check_fn(|| async {
            tokio::time::sleep(millis(5)).await;
            let name = std::thread::current().name().map(str::to_owned);
            (name.as_deref() == Some("vitalsign-check"))
                .then_some(())
                .ok_or("on a thread that is not ours")
        });
        engine.register_with("timer", OPTIONS.cache(millis(1)), check).unwrap()
    });
    let ours = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = ours.block_on(engine.probe(Probe::Ready));
    assert!(report.is_ok(), "{report:?}");
    drop(theirs);
    std::thread::sleep(millis(5));
    let report = ours.block_on(engine.probe(Probe::Ready));
    assert!(!report.is_ok(), "{report:?}");
}

#[tokio::test]
async fn groups_parents_and_unknown_members() {
    struct Both;
    impl HealthCheck for Both {
        async fn check(&self) -> HealthStatus {
            HealthStatus::up()
        }
    }
    let engine = Engine::new();
    let _db = engine.register("backends.db", Both).unwrap();
    let _mq = engine.register("backends.mq", Both).unwrap();
    engine.group("outside", &["backends.*"]).unwrap();
    let names =
        |report: Report| -> Vec<String> { report.checks().iter().map(|check| check.name().to_owned()).collect() };
    let _cache = engine.register("cache", Both).unwrap();
    for (name, wanted) in [
        ("outside", 2),
        ("backends", 2),
        ("backends.db", 1),
        ("cache", 1),
        ("OUTSIDE", 2),
    ] {
        let report = engine.probe_named(Probe::Ready, name).await.unwrap();
        assert_eq!(names(report).len(), wanted, "{name}");
    }
    assert!(engine.probe_named(Probe::Ready, "back").await.is_none());
    assert!(engine.probe_named(Probe::Live, "cache").await.is_none());
    let error = engine.group("other", &["backends.db", "backends.nobody"]).unwrap_err();
    assert!(error.to_string().contains("backends.nobody"), "{error}");
}

/// Checks come and go while probes are asked: nothing is lost, nothing hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registering_while_probing() {
    let engine = Engine::new();
    let _fixed = engine
        .register_with("fixed", OPTIONS.cache(Duration::ZERO), check_fn(|| async {}))
        .unwrap();
    let end = Instant::now() + millis(1500);
    let coming = (0..4).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move {
            let mut count = 0_u32;
            while Instant::now() < end {
                let check = check_fn(move || async move {
                    tokio::time::sleep(millis(u64::from(count % 3))).await;
                    assert!(count % 7 != 0, "seven");
                });
                let options = OPTIONS.critical(false).cache(Duration::ZERO);
                let options = if count % 2 == 0 { options.blocking() } else { options };
                let held = engine.register_with(format!("c{n}"), options, check).unwrap();
                tokio::time::sleep(millis(u64::from(count % 4))).await;
                drop(held);
                count += 1;
            }
        })
    });
    let asking = (0..4).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move {
            while Instant::now() < end {
                let report = probed(&engine).await;
                assert_eq!(report.check("fixed").unwrap().health(), Health::Up);
            }
        })
    });
    let tasks: Vec<_> = coming.chain(asking).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(engine.names(), ["fixed"]);
}

#[tokio::test]
async fn times_may_be_as_long_as_they_like() {
    let engine = Engine::new();
    for (name, options) in [
        ("timeout", OPTIONS.timeout(Duration::MAX)),
        ("interval", OPTIONS.interval(Duration::MAX)),
        ("cache", OPTIONS.cache(Duration::MAX)),
    ] {
        engine
            .register_with(name, options, check_fn(|| async { true }))
            .unwrap()
            .keep();
    }
    engine.start(None).unwrap();
    let report = probed(&engine).await;
    assert!(report.is_ok(), "{}", report.text(true, true));
    assert_eq!(report.checks().len(), 3);
}
