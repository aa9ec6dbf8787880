//! Arguments of the form `--name value`.

use super::programs::Program;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ends the program where it is told what it does not know.
///
/// # Panics
/// When the program has no row.
pub fn of(program: &str) {
    let program = Program::named(program).expect("a row of PROGRAMS");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(wrong) = program.understands(arguments.iter().map(String::as_str)) {
        eprintln!("{wrong}");
        std::process::exit(2);
    }
}

/// The value behind `--name`.
pub fn value<T: FromStr>(name: &str) -> Option<T> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

/// Whether `--name` is there.
pub fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// `--minutes` or `--seconds`.
pub fn time(default: Duration) -> Duration {
    let minutes = value("--minutes").map(|minutes: f64| minutes * 60.0);
    let seconds = minutes.or_else(|| value("--seconds"));
    seconds.map_or(default, Duration::from_secs_f64)
}

/// `--seed`, else one of the clock's; printed, so that a run can be repeated.
pub fn seed() -> u64 {
    let clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) << 8 ^ now.as_secs()
    };
    let seed = value("--seed").unwrap_or_else(clock);
    println!("seed {seed}");
    seed
}
