//! Random identifiers.
//!
//! xoshiro256++ per thread, seeded by the operating system's randomness as `std` hands it out. The wide state is what keeps
//! the streams of many threads and processes apart.

use super::context::SpanId;
use std::hash::{BuildHasher, RandomState};

/// One thread's source of ids.
pub(crate) struct Rng {
    state: [u64; 4],
    seeded: bool,
}

impl Rng {
    /// Not seeded yet: the first id seeds it.
    pub(crate) const fn unseeded() -> Self {
        Self {
            state: [0; 4],
            seeded: false,
        }
    }

    #[cold]
    fn seed(&mut self) {
        let salt = super::sequence();
        for (i, word) in self.state.iter_mut().enumerate() {
            // Every RandomState has keys of its own; its hash of anything is as random as those.
            *word = RandomState::new().hash_one((salt, i, std::process::id()));
        }
        self.state[0] |= 1;
        self.seeded = true;
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        if !self.seeded {
            self.seed();
        }
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A valid span id.
    #[inline]
    pub(crate) fn span_id(&mut self) -> SpanId {
        loop {
            let id = self.next();
            if id != 0 {
                return SpanId(id);
            }
        }
    }

    /// A valid trace id, all of it random, in two words.
    #[inline]
    pub(crate) fn trace_words(&mut self) -> [u64; 2] {
        loop {
            let words = [self.next(), self.next()];
            if words != [0, 0] {
                return words;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_valid_and_differ_between_threads() {
        let mut all = HashSet::new();
        for _ in 0..4 {
            let ids = std::thread::spawn(|| {
                let mut rng = Rng::unseeded();
                (0..1000)
                    .map(|_| (rng.trace_words(), rng.span_id()))
                    .collect::<Vec<_>>()
            });
            for (trace, span) in ids.join().unwrap() {
                assert!(trace != [0, 0] && span.is_valid());
                assert!(all.insert((trace, span.0)));
            }
        }
    }
}
