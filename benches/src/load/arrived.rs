//! How often each number arrived.

use std::collections::HashMap;

const PAGE: u64 = 4096;

/// Counts per number, in pages: a byte each where they are dense.
#[derive(Default)]
pub struct Arrived {
    pages: HashMap<u64, Box<[u8]>>,
    once: u64,
    again: u64,
}

impl Arrived {
    /// It arrived; true the first time.
    pub fn add(&mut self, number: u64) -> bool {
        let page = self
            .pages
            .entry(number / PAGE)
            .or_insert_with(|| vec![0; PAGE as usize].into());
        let times = &mut page[(number % PAGE) as usize];
        let first = *times == 0;
        *times = times.saturating_add(1);
        *if first { &mut self.once } else { &mut self.again } += 1;
        first
    }

    /// Whether it ever did.
    pub fn has(&self, number: u64) -> bool {
        let page = self.pages.get(&(number / PAGE));
        page.is_some_and(|page| page[(number % PAGE) as usize] > 0)
    }

    /// How many different ones.
    pub const fn different(&self) -> u64 {
        self.once
    }

    /// How many arrivals of ones that had arrived before.
    pub const fn again(&self) -> u64 {
        self.again
    }
}
