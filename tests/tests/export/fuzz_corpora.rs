//! The inputs of the fuzz targets, replayed, and each changed a little in many ways. `fuzz/` looks further.

#[path = "../../../fuzz/src/context.rs"]
mod context;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Each input of a target and changes of it: a byte put in, left out, replaced or doubled up, two inputs joined. The same ones every
/// time.
fn replay(target: &str, changes: usize, check: impl Fn(&[u8])) {
    let folder = tests::process::workspace().join("fuzz/corpus").join(target);
    let mut inputs: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.display().to_string(), std::fs::read(&path).expect("an input"))
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() > 10, "{target} has a corpus");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let bytes = b"\0 \t,;=%-@~\"\\\n\xff\x80aA0f9";
    for at in 0..inputs.len() {
        let (name, input) = inputs[at].clone();
        let mut changed = input.clone();
        for change in 0..=changes {
            let asked = catch_unwind(AssertUnwindSafe(|| check(&changed)));
            assert!(
                asked.is_ok(),
                "{name}, change {change}: {:?}",
                String::from_utf8_lossy(&changed)
            );
            if change % 16 == 0 {
                changed.clone_from(&input);
            }
            let place = next(changed.len() + 1);
            match next(5) {
                0 => changed.insert(place, bytes[next(bytes.len())]),
                1 if place < changed.len() => {
                    changed.remove(place);
                }
                2 if place < changed.len() => changed[place] = bytes[next(bytes.len())],
                3 => {
                    let piece = changed[place..(place + next(40)).min(changed.len())].to_vec();
                    changed.splice(place..place, piece);
                }
                _ => {
                    let other = &inputs[next(inputs.len())].1;
                    changed.truncate(place);
                    changed.extend_from_slice(&other[next(other.len())..]);
                }
            }
        }
    }
}

#[test]
fn a_context_in_headers_holds_what_they_promise() {
    replay("context", 500, context::check);
}
