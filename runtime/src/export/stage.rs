//! Between a queue and the disk. A disk may stall for seconds, as when others sync on it: what comes meanwhile waits here, bounded by
//! size, and the queue stays free.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Ten seconds of 10,000 small spans each.
const MAX_BYTES: usize = 16 << 20;

/// A request that is to be written.
pub(super) struct Staged {
    pub(super) body: Bytes,
    pub(super) count: u64,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    Taken,
    /// No room until the disk has taken some.
    Full,
    /// The disk takes nothing.
    Refused,
}

#[derive(Default)]
pub(super) struct Stage {
    state: Mutex<State>,
    /// Something is to be written, or the end is there.
    pub(super) wake: Notify,
    /// There is room, or there will be none for a while.
    room: Notify,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Staged>,
    bytes: usize,
    /// Items of all of them, and of the one that is being written.
    items: u64,
    writing: bool,
    /// The disk takes nothing.
    refusing: bool,
}

impl Stage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request, when there is room for it. False when the disk takes nothing.
    pub(super) async fn put(&self, body: &Bytes, count: u64) -> bool {
        loop {
            let room = self.room.notified();
            match self.try_put(body, count) {
                Put::Taken => return true,
                Put::Refused => return false,
                Put::Full => room.await,
            }
        }
    }

    /// The same without waiting.
    pub(super) fn try_put(&self, body: &Bytes, count: u64) -> Put {
        let mut state = self.state();
        if state.refusing {
            return Put::Refused;
        }
        // One alone may be larger.
        if !state.batches.is_empty() && state.bytes + body.len() > MAX_BYTES {
            return Put::Full;
        }
        state.bytes += body.len();
        state.items += count;
        let body = body.clone();
        state.batches.push_back(Staged { body, count });
        drop(state);
        self.wake.notify_one();
        Put::Taken
    }

    /// The oldest, to be written: it ends in [`written`](Self::written) or [`refused`](Self::refused).
    pub(super) fn begin(&self) -> Option<Staged> {
        let mut state = self.state();
        let oldest = state.pop()?;
        state.items += oldest.count;
        state.writing = true;
        Some(oldest)
    }

    /// It is on disk.
    pub(super) fn written(&self, count: u64) {
        let mut state = self.state();
        state.items -= count;
        (state.writing, state.refusing) = (false, false);
        drop(state);
        self.room.notify_waiters();
    }

    /// It is not: it waits here, and whoever sends may take it, until the disk is tried [`again`](Self::again).
    pub(super) fn refused(&self, batch: Staged) {
        let mut state = self.state();
        state.items -= batch.count;
        state.put_back(batch);
        (state.writing, state.refusing) = (false, true);
        drop(state);
        self.room.notify_waiters();
    }

    /// The disk may have room again.
    pub(super) fn again(&self) {
        self.state().refusing = false;
    }

    /// The oldest, to be sent from here because the disk does not take it.
    pub(super) fn take_refused(&self) -> Option<Staged> {
        let mut state = self.state();
        if state.refusing { state.pop() } else { None }
    }

    /// It could not be sent.
    pub(super) fn put_back(&self, batch: Staged) {
        self.state().put_back(batch);
    }

    /// Items here.
    pub(super) fn items(&self) -> u64 {
        self.state().items
    }

    /// Some wait to be sent from here.
    pub(super) fn has_refused(&self) -> bool {
        let state = self.state();
        state.refusing && !state.batches.is_empty()
    }

    /// All that the disk takes is there.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        !state.writing && (state.refusing || state.batches.is_empty())
    }
}

impl State {
    fn pop(&mut self) -> Option<Staged> {
        let oldest = self.batches.pop_front()?;
        self.bytes -= oldest.body.len();
        self.items -= oldest.count;
        Some(oldest)
    }

    fn put_back(&mut self, batch: Staged) {
        self.bytes += batch.body.len();
        self.items += batch.count;
        self.batches.push_front(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// What it says at once; `None` where it waits.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ready) => Some(ready),
            Poll::Pending => None,
        }
    }

    fn body(size: usize) -> Bytes {
        vec![0; size].into()
    }

    #[test]
    fn while_the_disk_stalls_it_takes_so_many_bytes_and_no_more() {
        let stage = Stage::default();
        assert_eq!(now(stage.put(&body(1), 1)), Some(true));
        let stalled = stage.begin().unwrap();
        let half = body(MAX_BYTES / 2);
        assert_eq!(now(stage.put(&half, 10)), Some(true));
        assert_eq!(now(stage.put(&half, 20)), Some(true));
        {
            let mut third = pin!(stage.put(&half, 30));
            let mut context = Context::from_waker(Waker::noop());
            assert!(third.as_mut().poll(&mut context).is_pending());
            assert_eq!((stage.items(), stage.is_settled()), (31, false));
            stage.written(stalled.count);
            let written = stage.begin().unwrap();
            stage.written(written.count);
            assert_eq!(third.as_mut().poll(&mut context), Poll::Ready(true));
        }
        assert_eq!(stage.items(), 50);
        assert_eq!(stage.begin().unwrap().count, 20, "the oldest first");
    }

    #[test]
    fn what_the_disk_refuses_is_sent_from_here_until_it_is_tried_again() {
        let stage = Stage::default();
        for count in 1..=3 {
            assert_eq!(now(stage.put(&body(5), count)), Some(true));
        }
        assert!(stage.take_refused().is_none(), "the disk comes first");
        let first = stage.begin().unwrap();
        stage.refused(first);
        assert_eq!(
            (stage.items(), stage.has_refused(), stage.is_settled()),
            (6, true, true)
        );
        assert_eq!(now(stage.put(&body(5), 4)), Some(false));
        let sent = stage.take_refused().unwrap();
        assert_eq!((sent.count, stage.items()), (1, 5));
        stage.put_back(sent);
        stage.again();
        assert!(stage.take_refused().is_none());
        for count in 1..=3 {
            assert_eq!(stage.begin().unwrap().count, count);
            stage.written(count);
        }
        assert_eq!((stage.items(), stage.is_settled(), stage.state().bytes), (0, true, 0));
    }

    #[test]
    fn one_that_is_larger_than_all_room_goes_alone() {
        let stage = Stage::default();
        assert_eq!(now(stage.put(&body(MAX_BYTES + 1), 1)), Some(true));
        assert_eq!(now(stage.put(&body(1), 1)), None);
        assert_eq!(stage.try_put(&body(1), 1), Put::Full);
    }
}
