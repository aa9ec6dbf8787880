//! What the programs of endurance share (`soak`, `outage`, `kills`): a collector that misbehaves on command, calls that number
//! themselves so that both sides can be compared one by one, and the account.

pub mod arrived;
pub mod calls;
pub mod collector;
pub mod footprint;
mod grpc;
pub mod options;
pub mod programs;
pub mod remote;
pub mod spool;
pub mod windows;

/// Numbers that look random; the same seed gives the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next one below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// Prints the figures, then what is wrong with them, and ends the program.
pub fn verdict(wrong: &[String]) {
    for line in wrong {
        eprintln!("WRONG: {line}");
    }
    std::process::exit(i32::from(!wrong.is_empty()));
}
