//! What waits to be sent: encoded items, bounded by number and size. Full, it refuses the newest and says how many.

use super::otlp::wire::{Fields, Value, field};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Encoded items in their scopes: repeated `scope_spans` of a `ResourceSpans` or `scope_logs` of a `ResourceLogs`, tags and
/// lengths included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) count: u64,
}

/// Beyond this many encoded bytes the queue is full, however few the items.
const MAX_BYTES: usize = 64 << 20;
/// A batch is closed at this size: requests may be 64 MiB, and the resource comes on top.
const MAX_BATCH_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    capacity: u64,
    batch: u64,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    waiting: u64,
    bytes: usize,
    /// Taken and not yet settled: they still hold their place.
    in_flight: u64,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize, batch: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity: capacity as u64,
            batch: batch as u64,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes as many of the items as there is room for, the first ones; returns that number.
    pub(crate) fn push(&self, chunk: Chunk) -> u64 {
        let mut state = self.state();
        let room = self.capacity.saturating_sub(state.waiting + state.in_flight);
        if state.closed || room == 0 || state.bytes + chunk.bytes.len() > MAX_BYTES {
            return 0;
        }
        let (taken, _) = split(chunk, room);
        let count = taken.count;
        if count > 0 {
            state.waiting += count;
            state.bytes += taken.bytes.len();
            state.chunks.push_back(taken);
        }
        count
    }

    /// The next batch, oldest first.
    pub(crate) fn take(&self) -> Option<Vec<Chunk>> {
        let mut state = self.state();
        let (mut batch, mut count, mut bytes) = (Vec::new(), 0, 0);
        while count < self.batch {
            let Some(chunk) = state.chunks.pop_front() else { break };
            if count > 0 && bytes + chunk.bytes.len() > MAX_BATCH_BYTES {
                state.chunks.push_front(chunk);
                break;
            }
            state.bytes -= chunk.bytes.len();
            let (taken, rest) = split(chunk, self.batch - count);
            count += taken.count;
            bytes += taken.bytes.len();
            batch.push(taken);
            if let Some(rest) = rest {
                state.bytes += rest.bytes.len();
                state.chunks.push_front(rest);
            }
        }
        state.waiting -= count;
        state.in_flight += count;
        (count > 0).then_some(batch)
    }

    /// Items taken are delivered, lost or spooled: their places are free.
    pub(crate) fn settle(&self, count: u64) {
        let mut state = self.state();
        state.in_flight = state.in_flight.saturating_sub(count);
    }

    /// A batch taken goes back to the front.
    pub(crate) fn put_back(&self, batch: Vec<Chunk>) {
        let mut state = self.state();
        for chunk in batch.into_iter().rev() {
            state.in_flight = state.in_flight.saturating_sub(chunk.count);
            state.waiting += chunk.count;
            state.bytes += chunk.bytes.len();
            state.chunks.push_front(chunk);
        }
    }

    /// Nothing more is taken in.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waiting and in flight.
    pub(crate) fn len(&self) -> u64 {
        let state = self.state();
        state.waiting + state.in_flight
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.len() * 2 >= self.capacity
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.state().waiting
    }
}

/// The first `most` items, and the rest. A scope that holds the border stands on both sides of it.
fn split(chunk: Chunk, most: u64) -> (Chunk, Option<Chunk>) {
    if chunk.count <= most {
        return (chunk, None);
    }
    let (mut first, mut rest, mut count) = (BytesMut::new(), BytesMut::new(), 0);
    for scope in Fields(&chunk.bytes) {
        // Encoded by ourselves: what can not be read is not there to be split.
        let Ok((SCOPE, Value::Bytes(scope))) = scope else { break };
        let items = || Fields(scope).filter(|item| matches!(item, Ok((ITEM, _)))).count() as u64;
        if count >= most {
            field(&mut rest, SCOPE as u8, scope);
        } else if count + items() <= most {
            count += items();
            field(&mut first, SCOPE as u8, scope);
        } else {
            let (head, tail) = split_scope(scope, most - count);
            count = most;
            field(&mut first, SCOPE as u8, &head);
            field(&mut rest, SCOPE as u8, &tail);
        }
    }
    if count == 0 {
        return (chunk, None);
    }
    let rest_count = chunk.count - count;
    (
        Chunk {
            bytes: first.freeze(),
            count,
        },
        Some(Chunk {
            bytes: rest.freeze(),
            count: rest_count,
        }),
    )
}

/// `scope_spans` of `ResourceSpans`, `scope_logs` of `ResourceLogs`.
const SCOPE: u32 = 2;
/// `spans` of `ScopeSpans`, `log_records` of `ScopeLogs`.
const ITEM: u32 = 2;

fn split_scope(scope: &[u8], most: u64) -> (BytesMut, BytesMut) {
    let (mut head, mut tail, mut count) = (BytesMut::new(), BytesMut::new(), 0);
    let mut fields = Fields(scope);
    loop {
        let before = fields.0;
        let Some(Ok((number, _))) = fields.next() else { break };
        let raw = &before[..before.len() - fields.0.len()];
        let item = number == ITEM;
        // The scope's name and schema hold for both.
        if !item || count < most {
            head.put_slice(raw);
        }
        if !item || count >= most {
            tail.put_slice(raw);
        }
        count += u64::from(item);
    }
    (head, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items that name themselves, two to a scope.
    fn chunk(first: u8, count: u8) -> Chunk {
        let mut bytes = BytesMut::new();
        let all: Vec<u8> = (first..first + count).collect();
        for two in all.chunks(2) {
            let mut scope = BytesMut::new();
            field(&mut scope, 1, b"scope");
            for item in two {
                field(&mut scope, 2, &[*item]);
            }
            field(&mut bytes, 2, &scope);
        }
        Chunk {
            bytes: bytes.freeze(),
            count: u64::from(count),
        }
    }

    fn contents(batch: &[Chunk]) -> Vec<u8> {
        let mut contents = Vec::new();
        for chunk in batch {
            for scope in Fields(&chunk.bytes) {
                let Ok((2, Value::Bytes(scope))) = scope else {
                    panic!("{scope:?}")
                };
                let mut named = false;
                for field in Fields(scope) {
                    match field {
                        Ok((1, Value::Bytes(name))) => named = name == b"scope",
                        Ok((2, Value::Bytes(item))) => contents.extend(item),
                        other => panic!("{other:?}"),
                    }
                }
                assert!(named);
            }
        }
        contents
    }

    #[test]
    fn full_it_refuses_the_newest() {
        let queue = Queue::new(5, 2);
        assert_eq!(queue.push(chunk(0, 3)), 3);
        assert_eq!(queue.push(chunk(3, 4)), 2);
        assert_eq!(queue.push(chunk(7, 1)), 0);
        assert_eq!(queue.len(), 5);
        let batch = queue.take().unwrap();
        assert_eq!(contents(&batch), [0, 1]);
        assert_eq!(queue.push(chunk(8, 1)), 0, "what is in flight holds its place");
        queue.settle(2);
        assert_eq!(queue.push(chunk(8, 1)), 1);
        assert_eq!(contents(&queue.take().unwrap()), [2, 3]);
        assert_eq!(contents(&queue.take().unwrap()), [4, 8]);
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_batch_goes_back_in_order() {
        let queue = Queue::new(9, 4);
        queue.push(chunk(0, 3));
        queue.push(chunk(3, 3));
        let batch = queue.take().unwrap();
        queue.put_back(batch);
        assert_eq!((queue.len(), queue.waiting()), (6, 6));
        assert_eq!(contents(&queue.take().unwrap()), [0, 1, 2, 3]);
    }

    #[test]
    fn closed_it_takes_nothing() {
        let queue = Queue::new(9, 4);
        queue.close();
        assert_eq!(queue.push(chunk(0, 3)), 0);
    }

    #[test]
    fn frames_that_lie_do_not_panic() {
        for bytes in [
            &[0x12][..],
            &[0x12, 0xff],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x12, 9, 1],
        ] {
            let (first, rest) = split(
                Chunk {
                    bytes: Bytes::copy_from_slice(bytes),
                    count: 3,
                },
                1,
            );
            assert_eq!(first.count + rest.map_or(0, |r| r.count), 3);
        }
    }
}
