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
    /// The request of all of them and no others, where they stand in one.
    pub(crate) request: Option<Bytes>,
}

/// Beyond this many encoded bytes the queue is full, however few the items.
const MAX_BYTES: usize = 64 << 20;
/// A batch is no larger, unless it is a single item: by default receivers over gRPC take 4 MiB, and the resource comes on top. As
/// JSON, several times as long, it is still below what a request may be.
pub(super) const MAX_BATCH_BYTES: usize = 3 << 20;

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
        if state.closed || room == 0 {
            return 0;
        }
        let room = Room {
            items: room,
            bytes: MAX_BYTES - state.bytes.min(MAX_BYTES),
        };
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
            state.bytes -= chunk.bytes.len();
            let room = Room {
                items: self.batch - count,
                bytes: MAX_BATCH_BYTES - bytes.min(MAX_BATCH_BYTES),
            };
            let (mut taken, mut rest) = split(chunk, room);
            if taken.count == 0 && count == 0 {
                // One that is larger goes alone.
                (taken, rest) = split(
                    rest.unwrap_or_default(),
                    Room {
                        items: 1,
                        bytes: usize::MAX,
                    },
                );
            }
            count += taken.count;
            bytes += taken.bytes.len();
            batch.extend((taken.count > 0).then_some(taken));
            if let Some(rest) = rest {
                state.bytes += rest.bytes.len();
                state.chunks.push_front(rest);
                break;
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

    /// It is open, and so many find no place.
    pub(crate) fn lacks_room(&self, count: u64) -> bool {
        let state = self.state();
        !state.closed && state.waiting + state.in_flight + count > self.capacity
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

/// What may still come in.
#[derive(Clone, Copy)]
struct Room {
    items: u64,
    bytes: usize,
}

/// The first items that there is room for, and the rest. A scope that holds the border stands on both sides of it.
fn split(chunk: Chunk, mut room: Room) -> (Chunk, Option<Chunk>) {
    if chunk.count <= room.items && chunk.bytes.len() <= room.bytes {
        return (chunk, None);
    }
    let (mut first, mut rest, mut count) = (BytesMut::new(), BytesMut::new(), 0);
    for scope in Fields(&chunk.bytes) {
        // Encoded by ourselves: what can not be read is not there to be split.
        let Ok((SCOPE, Value::Bytes(scope))) = scope else { break };
        if !rest.is_empty() {
            field(&mut rest, SCOPE as u8, scope);
            continue;
        }
        let (head, items, tail) = split_scope(scope, room);
        if items > 0 {
            field(&mut first, SCOPE as u8, &head);
            count += items;
            room.items -= items;
            room.bytes = room.bytes.saturating_sub(head.len());
        }
        if let Some(tail) = tail {
            field(&mut rest, SCOPE as u8, &tail);
        }
    }
    if rest.is_empty() {
        return (chunk, None);
    }
    let rest = Chunk {
        count: chunk.count - count,
        bytes: rest.freeze(),
        request: None,
    };
    let first = Chunk {
        count,
        bytes: first.freeze(),
        request: None,
    };
    (first, Some(rest))
}

/// `scope_spans` of `ResourceSpans`, `scope_logs` of `ResourceLogs`.
const SCOPE: u32 = 2;
/// `spans` of `ScopeSpans`, `log_records` of `ScopeLogs`.
const ITEM: u32 = 2;

/// The first items, their number, and the rest if there is one. The scope's name and schema hold for both.
fn split_scope(scope: &[u8], room: Room) -> (BytesMut, u64, Option<BytesMut>) {
    let (mut head, mut tail) = (BytesMut::new(), BytesMut::new());
    let (mut in_head, mut in_tail) = (0, false);
    let mut fields = Fields(scope);
    loop {
        let before = fields.0;
        let Some(Ok((number, _))) = fields.next() else { break };
        let raw = &before[..before.len() - fields.0.len()];
        if number != ITEM {
            head.put_slice(raw);
            tail.put_slice(raw);
        } else if !in_tail && in_head < room.items && head.len() + raw.len() <= room.bytes {
            head.put_slice(raw);
            in_head += 1;
        } else {
            tail.put_slice(raw);
            in_tail = true;
        }
    }
    (head, in_head, in_tail.then_some(tail))
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
            request: None,
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

    /// Items of these sizes, each alone in its scope.
    fn large(sizes: &[usize]) -> Chunk {
        let mut bytes = BytesMut::new();
        for size in sizes {
            let mut scope = BytesMut::new();
            field(&mut scope, 2, &vec![7; *size]);
            field(&mut bytes, 2, &scope);
        }
        Chunk {
            request: None,
            bytes: bytes.freeze(),
            count: sizes.len() as u64,
        }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_one_item_alone_is_not() {
        const MIB: usize = 1 << 20;
        let queue = Queue::new(100, 50);
        assert_eq!(queue.push(large(&[MIB, MIB, MIB, 5 * MIB, 1, 1])), 6);
        assert_eq!(queue.push(large(&[MIB])), 1);
        let counts = std::iter::from_fn(|| {
            let batch = queue.take()?;
            let size: usize = batch.iter().map(|chunk| chunk.bytes.len()).sum();
            let count: u64 = batch.iter().map(|chunk| chunk.count).sum();
            assert!(count == 1 || size <= MAX_BATCH_BYTES + 64, "{size}");
            Some(count)
        });
        assert_eq!(counts.collect::<Vec<_>>(), [2, 1, 1, 3]);
        assert_eq!((queue.waiting(), queue.state().bytes), (0, 0));
    }

    #[test]
    fn beyond_its_bytes_the_queue_takes_what_fits() {
        const MIB: usize = 1 << 20;
        let queue = Queue::new(100, 50);
        assert_eq!(queue.push(large(&[20 * MIB; 5])), 3);
        assert_eq!(queue.push(large(&[MIB; 9])), 3);
        assert_eq!(queue.push(large(&[100 * MIB])), 0);
        assert_eq!(queue.push(large(&[MIB / 2])), 1);
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
                    request: None,
                    count: 3,
                },
                Room { items: 1, bytes: 1 },
            );
            assert_eq!(first.count + rest.map_or(0, |r| r.count), 3);
        }
    }
}
