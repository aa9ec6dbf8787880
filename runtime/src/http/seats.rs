//! The places of a server's connections. Where all are taken, the connection that has been silent for longest gives its own to who comes: a
//! probe that asks at once is not kept waiting by those that never ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Who asked, or came, a shorter time ago is not silent: its answer may still be on its way.
const SILENT: Duration = Duration::from_millis(200);
/// Between two looks for who is silent by now.
const LOOK: Duration = Duration::from_millis(50);

/// All places.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    /// In the order in which they were taken.
    taken: Mutex<Vec<Arc<Seat>>>,
}

/// One connection's place, until it is dropped.
pub(super) struct Taken {
    seats: Arc<Seats>,
    pub(super) seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a connection.
pub(super) struct Seat {
    state: Mutex<State>,
    leave: Notify,
}

struct State {
    /// Answers that are being made.
    busy: u32,
    asked: bool,
    /// When it came, or an answer was made.
    since: Instant,
    leaving: bool,
}

impl Seats {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(places)),
            taken: Mutex::new(Vec::new()),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one who has come, somebody else's if there is no other.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        let permit = loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                break permit;
            }
            self.free_one();
            // It is never closed.
            if let Ok(Ok(permit)) = timeout(LOOK, self.free.clone().acquire_owned()).await {
                break permit;
            }
        };
        let seat = Arc::new(Seat {
            state: Mutex::new(State {
                busy: 0,
                asked: false,
                since: Instant::now(),
                leaving: false,
            }),
            leave: Notify::new(),
        });
        self.taken().push(seat.clone());
        Taken {
            seats: self.clone(),
            seat,
            _permit: permit,
        }
    }

    /// Asks one that is silent to leave: who never asked for anything first, then who did so longest ago.
    fn free_one(&self) {
        let taken = self.taken();
        let silent = |seat: &&Arc<Seat>| {
            let state = seat.state();
            state.busy == 0 && !state.leaving && state.since.elapsed() >= SILENT
        };
        let rank = |seat: &&Arc<Seat>| {
            let state = seat.state();
            (state.asked, state.since)
        };
        if let Some(seat) = taken.iter().filter(silent).min_by_key(rank) {
            seat.state().leaving = true;
            seat.leave.notify_one();
        }
    }
}

impl Seat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asked for something, which is made until the value is dropped.
    pub(super) fn asked(self: &Arc<Self>) -> Asked {
        let mut state = self.state();
        state.busy += 1;
        state.asked = true;
        drop(state);
        Asked(self.clone())
    }

    /// Resolves when it is to give its place to another.
    pub(super) async fn left(&self) {
        self.leave.notified().await;
    }
}

/// An answer is being made.
pub(super) struct Asked(Arc<Seat>);

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        state.since = Instant::now();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.taken().retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}
