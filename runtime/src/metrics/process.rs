//! The process as client libraries of Prometheus show it: `process_cpu_seconds_total` and its kin, from `/proc`.
//!
//! What cannot be read is left out; elsewhere than on Linux that is all of it.

use super::registry::{point, started};
use crate::export::snapshot::{Family, Kind, Number, PointValue};
use std::fs;
use std::sync::OnceLock;

/// Clock ticks in a second as `/proc` counts them; a constant of the kernel's interface.
const TICKS: f64 = 100.0;

/// What there is now.
pub(crate) fn families() -> Vec<Family> {
    let mut families = vec![build()];
    let mut add = |name: &'static str, unit: &'static str, kind: Kind, help: &'static str, value: Option<Number>| {
        if let Some(value) = value {
            families.push(Family {
                name: name.into(),
                help: help.into(),
                unit: unit.into(),
                kind,
                observed: true,
                scope: Vec::new(),
                points: vec![point(Vec::new(), PointValue::number(value))],
            });
        }
    };
    let stat = Stat::read();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key| kibibytes(&status, key).map(|kibibytes| Number::U64(kibibytes * 1024));
    add(
        "process.cpu",
        "s",
        Kind::Counter,
        "Total user and system CPU time spent in seconds.",
        stat.as_ref().map(|stat| Number::F64(stat.cpu_ticks as f64 / TICKS)),
    );
    add(
        "process.start_time",
        "s",
        Kind::Gauge,
        "Start time of the process since unix epoch in seconds.",
        Some(Number::F64(start_time(stat.as_ref()))),
    );
    add(
        "process.virtual_memory",
        "By",
        Kind::Gauge,
        "Virtual memory size in bytes.",
        bytes("VmSize:"),
    );
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    add(
        "process.virtual_memory_max",
        "By",
        Kind::Gauge,
        "Maximum amount of virtual memory available in bytes.",
        limit(&limits, "Max address space").map(Number::F64),
    );
    add(
        "process.resident_memory",
        "By",
        Kind::Gauge,
        "Resident memory size in bytes.",
        bytes("VmRSS:"),
    );
    add(
        "process.threads",
        "{thread}",
        Kind::Gauge,
        "Number of OS threads in the process.",
        stat.map(|stat| Number::U64(stat.threads)),
    );
    // One of them is the directory that is being read.
    let open = fs::read_dir("/proc/self/fd").map(|fds| fds.count().saturating_sub(1) as u64);
    add(
        "process.open_fds",
        "{fd}",
        Kind::Gauge,
        "Number of open file descriptors.",
        open.ok().map(Number::U64),
    );
    add(
        "process.max_fds",
        "{fd}",
        Kind::Gauge,
        "Maximum number of open file descriptors.",
        limit(&limits, "Max open files").map(Number::F64),
    );
    families
}

fn build() -> Family {
    let label = |key: &'static str, value: &'static str| (key.into(), value.into());
    let facts = vec![
        label("arch", std::env::consts::ARCH),
        label("os", std::env::consts::OS),
        label("profile", if cfg!(debug_assertions) { "debug" } else { "release" }),
        label("version", env!("CARGO_PKG_VERSION")),
    ];
    Family {
        name: "vitalsign.build".into(),
        help: "The build of vitalsign in this process.".into(),
        unit: "".into(),
        kind: Kind::Info,
        observed: false,
        scope: Vec::new(),
        points: vec![point(facts, PointValue::Info)],
    }
}

struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// Since boot.
    start_ticks: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may have spaces and parentheses in it.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        // Counted from the third, as proc(5) counts from 1.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
        })
    }
}

fn start_time(stat: Option<&Stat>) -> f64 {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    let boot = BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()
    });
    match (boot, stat) {
        (Some(boot), Some(stat)) => boot + stat.start_ticks as f64 / TICKS,
        _ => started() as f64 / 1e9,
    }
}

fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The soft limit of that name.
fn limit(limits: &str, name: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        limit => limit.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_anything_in_them() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 3 0 9000 1 2 3";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (12, 3, 9000));
        assert!(Stat::parse("").is_none());
        assert!(Stat::parse("1 (a) S").is_none());
    }

    #[test]
    fn limits_are_soft_ones() {
        let limits = "Limit Soft Limit Hard Limit Units\nMax address space unlimited unlimited bytes\n\
            Max open files            1024                 4096                 files     \n";
        assert_eq!(limit(limits, "Max address space"), Some(f64::INFINITY));
        assert_eq!(limit(limits, "Max open files"), Some(1024.0));
        assert_eq!(limit(limits, "Max cpu time"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process() {
        let families = families();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name == name).unwrap();
            match family.points[0].value {
                PointValue::Number { value, .. } => value.as_f64(),
                _ => f64::NAN,
            }
        };
        assert!(value("process.resident_memory") > 1e6);
        assert!(value("process.virtual_memory") > value("process.resident_memory"));
        assert!(value("process.virtual_memory_max") >= value("process.virtual_memory"));
        assert!(value("process.open_fds") >= 3.0);
        assert!(value("process.max_fds") >= value("process.open_fds"));
        assert!(value("process.threads") >= 1.0);
        assert!(value("process.cpu") >= 0.0);
        let age = started() as f64 / 1e9 - value("process.start_time");
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
