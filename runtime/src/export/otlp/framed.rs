//! Encoded items, and what goes around them put there without moving them.
//!
//! A scope, a resource and a request each begin with the length of all they hold, which is known when the last item is. So items are
//! written behind some room, where their frames are put afterwards: a batch of 200 kB is copied nowhere on its way to the socket, and
//! who serves requests on the same core keeps its caches.

use std::ops::Deref;

/// Bytes left in front: a scope, and a resource of usual size.
const ROOM: usize = 2048;

/// A message that grows at both its ends.
#[derive(Clone, Debug)]
pub(crate) struct Framed {
    bytes: Vec<u8>,
    /// Where it begins.
    start: usize,
}

impl Default for Framed {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Framed {
    /// Empty, with memory for so many bytes of items.
    pub(crate) fn with_capacity(items: usize) -> Self {
        let mut bytes = Vec::with_capacity(ROOM + items);
        bytes.resize(ROOM, 0);
        Self { bytes, start: ROOM }
    }

    /// To be appended to.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What it holds; the next is likely to be as long.
    pub(crate) fn take(&mut self) -> Self {
        let length = self.len();
        std::mem::replace(self, Self::with_capacity(length + length / 8))
    }

    /// Empties it, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(ROOM);
        self.start = ROOM;
    }

    /// Puts bytes in front of all.
    pub(crate) fn put_before(&mut self, bytes: &[u8]) {
        if bytes.len() > self.start {
            let more = ROOM + bytes.len();
            self.bytes.splice(..0, std::iter::repeat_n(0, more));
            self.start += more;
        }
        let end = self.start;
        self.start -= bytes.len();
        self.bytes[self.start..end].copy_from_slice(bytes);
    }

    /// Makes all of it the content of a field.
    pub(crate) fn enclose(&mut self, field: u8) {
        let (head, length) = head(field, self.len());
        self.put_before(&head[..length]);
    }

    /// Makes items (fields 2 of a `Scope…`) a field 2 of a `Resource…`, in the scope of an encoded `InstrumentationScope`.
    pub(crate) fn put_in_scope(&mut self, scope: &[u8], schema_url: &str) {
        if !schema_url.is_empty() {
            let (head, length) = head(3, schema_url.len());
            self.bytes.extend_from_slice(&head[..length]);
            self.bytes.extend_from_slice(schema_url.as_bytes());
        }
        self.put_before(scope);
        let (head, length) = head(1, scope.len());
        self.put_before(&head[..length]);
        self.enclose(2);
    }
}

#[cfg(feature = "otlp")]
impl From<Framed> for bytes::Bytes {
    /// It stays where it is, unless that is mostly room: bytes may wait for hours, and few are soon copied.
    fn from(framed: Framed) -> Self {
        if framed.len() < framed.bytes.capacity() / 2 {
            return Self::copy_from_slice(&framed);
        }
        Self::from(framed.bytes).slice(framed.start..)
    }
}

impl Deref for Framed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Begins a field of a number below 16, with so many bytes of content.
fn head(field: u8, mut content: usize) -> ([u8; 11], usize) {
    let mut head = [field << 3 | 2; 11];
    let mut at = 1;
    while content >= 0x80 {
        head[at] = content as u8 | 0x80;
        content >>= 7;
        at += 1;
    }
    head[at] = content as u8;
    (head, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_around_what_stays_where_it_is() {
        let mut framed = Framed::with_capacity(1000);
        framed.end().extend_from_slice(&[7; 300]);
        let at = framed.as_ptr();
        framed.put_in_scope(b"scope", "url");
        assert_eq!(
            framed[..13],
            [0x12, 0xb8, 0x02, 0x0a, 5, b's', b'c', b'o', b'p', b'e', 7, 7, 7]
        );
        assert_eq!(framed[framed.len() - 5..], [0x1a, 3, b'u', b'r', b'l']);
        assert_eq!(at, framed[10..].as_ptr(), "moved");
    }

    #[test]
    fn a_frame_may_be_larger_than_the_room_for_it() {
        let mut framed = Framed::default();
        framed.end().push(1);
        framed.put_before(&[2; ROOM + 1]);
        framed.put_before(&[3; 5]);
        framed.end().push(4);
        assert_eq!(*framed, [vec![3; 5], vec![2; ROOM + 1], vec![1, 4]].concat());
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn what_waits_as_bytes_has_at_most_twice_the_memory_that_it_needs() {
        let mut framed = Framed::default();
        let within = |memory: &std::ops::Range<*const u8>, bytes: &[u8]| memory.contains(&bytes.as_ptr());
        for (length, stays) in [(100_000, true), (10, false), (1000, false), (100_000, true)] {
            framed.end().extend(std::iter::repeat_n(1, length));
            let taken = framed.take();
            let memory = taken.bytes.as_ptr_range();
            let bytes = bytes::Bytes::from(taken);
            assert_eq!(bytes, vec![1; length]);
            assert_eq!(within(&memory, &bytes), stays, "{length}");
            assert!(framed.is_empty());
        }
    }
}
