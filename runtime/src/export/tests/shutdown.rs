//! Flavour of runtime × place of the call × state of the collector: back within the deadline, all delivered where it is
//! healthy.

use super::receiver::{Answer, Receiver};
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(1);
/// A loaded machine is slow to wake a thread, and to print a panic. Who hangs, hangs for longer.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Collector {
    Healthy,
    Refusing,
    Silent,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    PlainThread,
    DropInPanic,
    CurrentThreadBlockOn,
    CurrentThreadSpawned,
    CurrentThreadBlocking,
    LocalSet,
    MultiThreadBlockOn,
    MultiThreadSpawned,
    ThreadLocal,
    MultiThreadBlocking,
}

const PLACES: [Place; 10] = [
    Place::PlainThread,
    Place::DropInPanic,
    Place::CurrentThreadBlockOn,
    Place::CurrentThreadSpawned,
    Place::CurrentThreadBlocking,
    Place::LocalSet,
    Place::MultiThreadBlockOn,
    Place::MultiThreadSpawned,
    Place::ThreadLocal,
    Place::MultiThreadBlocking,
];

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn shut_down(exporter: Exporter, place: Place) {
    let exporter = Arc::new(exporter);
    let own = exporter.clone();
    let blocking = move || {
        own.shutdown(DEADLINE);
    };
    match place {
        Place::PlainThread => blocking(),
        Place::DropInPanic => {
            struct Guard<F: Fn()>(F);
            impl<F: Fn()> Drop for Guard<F> {
                fn drop(&mut self) {
                    (self.0)();
                }
            }
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _guard = Guard(blocking);
                panic!("on purpose");
            }));
            assert!(panicked.is_err());
        }
        Place::CurrentThreadBlockOn => current_thread().block_on(async { blocking() }),
        Place::CurrentThreadSpawned => {
            current_thread().block_on(async { tokio::spawn(async move { blocking() }).await.unwrap() });
        }
        Place::CurrentThreadBlocking => {
            current_thread().block_on(async { tokio::task::spawn_blocking(blocking).await.unwrap() });
        }
        Place::LocalSet => {
            let local = tokio::task::LocalSet::new();
            local.block_on(&current_thread(), async {
                tokio::task::spawn_local(async move { blocking() }).await.unwrap();
            });
        }
        Place::MultiThreadBlockOn => multi_thread().block_on(async { blocking() }),
        Place::MultiThreadSpawned => {
            multi_thread().block_on(async { tokio::spawn(async move { blocking() }).await.unwrap() });
        }
        Place::ThreadLocal => {
            struct AtExit(Box<dyn Fn() + Send>);
            impl Drop for AtExit {
                fn drop(&mut self) {
                    (self.0)();
                }
            }
            thread_local!(static LAST: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
            let at_exit = AtExit(Box::new(blocking));
            thread::spawn(|| LAST.with(|last| *last.borrow_mut() = Some(at_exit)))
                .join()
                .unwrap();
        }
        Place::MultiThreadBlocking => {
            multi_thread().block_on(async { tokio::task::spawn_blocking(blocking).await.unwrap() });
        }
    }
    let again = Instant::now();
    exporter.shutdown(DEADLINE);
    assert!(again.elapsed() < DEADLINE + GRACE, "a second shutdown hangs");
}

#[test]
fn thirty_combinations() {
    let mut runs = Vec::new();
    for place in PLACES {
        for collector in [Collector::Healthy, Collector::Refusing, Collector::Silent] {
            runs.push(thread::spawn(move || {
                let script = match collector {
                    Collector::Silent => vec![Answer::Hang(Duration::from_secs(8)); 9],
                    _ => vec![],
                };
                let receiver = Receiver::scripted(script);
                // Bound and not listening: nobody else can be given the address.
                let taken = tokio::net::TcpSocket::new_v4().unwrap();
                taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
                let url = if collector == Collector::Refusing {
                    format!("http://{}", taken.local_addr().unwrap())
                } else {
                    receiver.url()
                };
                let exporter = Arc::new(exporter(&url, &[("OTEL_BSP_SCHEDULE_DELAY", "60000")]));
                record(&exporter, 0, 700);
                let start = Instant::now();
                let own = Arc::try_unwrap(exporter).ok().unwrap();
                let report = own.reporter();
                shut_down(own, place);
                let took = start.elapsed();
                let report = report().traces;
                // The second shutdown inside may wait once more.
                assert!(took < DEADLINE * 2 + GRACE, "{place:?} {collector:?}: {took:?}");
                let expected = match collector {
                    Collector::Healthy => tally(700, 0, 0, 0),
                    _ => tally(0, 0, 0, 700),
                };
                assert_eq!(report, expected, "{place:?} {collector:?}");
            }));
        }
    }
    for run in runs {
        run.join().unwrap();
    }
}

#[test]
fn after_the_shutdown_everything_is_dropped_and_counted() {
    let receiver = Receiver::start();
    let exporter = exporter(&receiver.url(), &[]);
    record(&exporter, 0, 2);
    assert_eq!(exporter.shutdown(DEADLINE).traces, tally(2, 0, 0, 0));
    record(&exporter, 2, 3);
    assert_eq!(exporter.flush(DEADLINE).traces, tally(2, 0, 3, 0));
}
