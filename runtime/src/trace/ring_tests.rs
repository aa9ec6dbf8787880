//! One thread, every sequence; two threads, many entries. `runtime/tests/loom_spans.rs` has the interleavings.

use super::ring::*;
use std::collections::VecDeque;

#[test]
fn every_interleaving_of_a_small_ring_agrees_with_a_queue() {
    // All sequences of pushes (bodies of 0, 3 or 12 bytes) and drains, nine long, on a ring of 8 words.
    for sequence in 0..4_u32.pow(9) {
        let (mut writer, mut reader) = ring::<u32>(64);
        let mut model = VecDeque::new();
        let mut word = sequence;
        for step in 0..9 {
            let op = word % 4;
            word /= 4;
            if let Some(length) = [0_usize, 3, 12].get(op as usize) {
                let body = vec![step as u8; *length];
                if writer.push(&step, &body).is_some() {
                    model.push_back((step, body));
                } else {
                    assert!(!model.is_empty(), "an empty ring takes an entry of up to half its size");
                }
            } else {
                let mut read = Vec::new();
                reader.drain(|head, body| read.push((*head, body.to_vec())));
                assert!(model.iter().eq(&read), "{sequence}");
                model.clear();
            }
        }
        drop(writer);
        assert_eq!(reader.is_done(), model.is_empty());
        assert_eq!(reader.drain(|_, _| ()), model.len());
        assert!(reader.is_done());
    }
}

#[test]
fn a_reader_that_panics_goes_on_behind_the_entry() {
    let (mut writer, mut reader) = ring::<u32>(256);
    for n in 0..3 {
        writer.push(&n, b"x").unwrap();
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        reader.drain(|n, _| assert_ne!(*n, 1));
    }));
    assert!(caught.is_err());
    let mut rest = Vec::new();
    reader.drain(|n, _| rest.push(*n));
    assert_eq!(rest, [2]);
}

#[test]
fn across_threads_nothing_is_lost_or_torn() {
    let (mut writer, mut reader) = ring::<[u64; 3]>(2048);
    let thread = std::thread::spawn(move || {
        for n in 0..100_000_u64 {
            let body = vec![n as u8; (n % 50) as usize];
            while writer.push(&[n, !n, n * 7], &body).is_none() {
                std::thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while !reader.is_done() {
        reader.drain(|head, body| {
            let n = head[0];
            assert_eq!(*head, [next, !next, next * 7]);
            assert_eq!(body.len(), (n % 50) as usize);
            assert!(body.iter().all(|b| *b == n as u8));
            next += 1;
        });
    }
    thread.join().unwrap();
    assert_eq!(next, 100_000);
}
