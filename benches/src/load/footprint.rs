//! What a process takes of the machine, as the kernel has it.

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// Resident kilobytes.
    pub memory: u64,
    /// Threads.
    pub threads: u64,
}

impl Footprint {
    /// Of this process.
    #[must_use]
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        Self {
            memory: field("VmRSS:"),
            threads: field("Threads:"),
        }
    }

    /// Of each the most.
    #[must_use]
    pub fn most(samples: &[Self]) -> Self {
        Self {
            memory: samples.iter().map(|sample| sample.memory).max().unwrap_or(0),
            threads: samples.iter().map(|sample| sample.threads).max().unwrap_or(0),
        }
    }

    /// Whether memory has grown since: what the allocator keeps for itself moves by some megabytes.
    #[must_use]
    pub const fn outgrows(self, before: Self) -> bool {
        self.memory > before.memory + before.memory / 10 + 8192
    }
}
