//! What we say about ourselves: one line per cause and minute, through one replaceable hand.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

type Handler = Arc<dyn Fn(Level, &str) + Send + Sync>;

static HANDLER: RwLock<Option<Handler>> = RwLock::new(None);
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static SAID: Mutex<Option<HashMap<Cause, Instant>>> = Mutex::new(None);

/// What is wrong, and with what.
pub(crate) type Cause = (&'static str, &'static str);

/// Lines said before it is known who takes them.
static HELD: Mutex<Option<Vec<(Level, String)>>> = Mutex::new(None);

/// Keeps lines back until [`release`]: the start says things before the logs are there to take them.
pub(crate) fn hold() {
    HELD.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default();
}

/// Says what was kept back.
pub(crate) fn release() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (level, message) in held.into_iter().flatten() {
        tell(level, &message);
    }
}

/// The same cause is told again after this long.
const AGAIN: Duration = Duration::from_secs(60);

/// Puts something in the place of standard error.
pub(crate) fn set_handler(handler: impl Fn(Level, &str) + Send + Sync + 'static) {
    *HANDLER.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(handler));
}

/// `OTEL_LOG_LEVEL`.
pub(crate) fn set_level(name: &str) {
    let level = match name {
        "off" => 0,
        "error" => Level::Error as u8,
        "warn" => Level::Warn as u8,
        "debug" | "trace" => Level::Debug as u8,
        _ => Level::Info as u8,
    };
    LEVEL.store(level, Relaxed);
}

/// Says it.
pub(crate) fn say(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 > LEVEL.load(Relaxed) {
        return;
    }
    let message = message.to_string();
    if let Some(held) = HELD.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        held.push((level, message));
        return;
    }
    tell(level, &message);
}

fn tell(level: Level, message: &str) {
    let handler = HANDLER.read().unwrap_or_else(PoisonError::into_inner).clone();
    match handler {
        Some(handler) => handler(level, message),
        None => to_stderr(format_args!("vitalsign: {message}")),
    }
}

/// A line there, if it takes one: `eprintln!` panics where it does not, on threads of the user's or of ours.
pub(crate) fn to_stderr(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says it unless the same cause was told within the last minute.
pub(crate) fn say_once(level: Level, cause: Cause, message: fmt::Arguments<'_>) {
    if begin_to_say(cause) {
        say(level, message);
    }
}

/// Whether the cause was not told within the last minute; now it is.
pub(crate) fn begin_to_say(cause: Cause) -> bool {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    is_due(said.get_or_insert_default(), cause, Instant::now())
}

fn is_due(said: &mut HashMap<Cause, Instant>, cause: Cause, now: Instant) -> bool {
    match said.get(&cause) {
        Some(at) if now.duration_since(*at) < AGAIN => false,
        _ => {
            said.insert(cause, now);
            true
        }
    }
}

/// A foreign text made fit for one line of ours: control characters gone, cut at 200 characters.
pub(crate) fn tame(text: &str) -> String {
    let mut tame: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    if text.chars().nth(200).is_some() {
        tame.push('…');
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_a_minute() {
        let (mut said, start) = (HashMap::new(), Instant::now());
        let mut told = |cause, seconds| is_due(&mut said, cause, start + Duration::from_secs(seconds));
        let lines = (0..180).filter(|second| told(("away", "traces"), *second)).count();
        assert_eq!(lines, 3, "in three minutes");
        assert!(
            told(("away", "logs"), 180) && told(("status", "traces"), 180),
            "others are others"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_standard_error_that_is_full_stops_no_one() {
        use std::process::Command;
        const ALONE: &str = "VITALSIGN_TEST_FULL_STDERR";
        if std::env::var_os(ALONE).is_some() {
            return tell(Level::Warn, "no one hears it");
        }
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let name = concat!(module_path!(), "::a_standard_error_that_is_full_stops_no_one");
        let (_, name) = name.split_once("::").expect("the crate's name");
        let alone = Command::new(std::env::current_exe().expect("the test's own program"))
            .args([name, "--exact", "--nocapture"])
            .env(ALONE, "1")
            .stderr(full.expect("/dev/full"))
            .output();
        let said = String::from_utf8(alone.expect("it starts").stdout).expect("text");
        assert!(said.contains("test result: ok. 1 passed"), "{said}");
    }

    #[test]
    fn what_others_say_stays_one_line() {
        assert_eq!(tame("a\nb\u{7}"), "a b ");
        let long = tame(&"ä".repeat(300));
        assert_eq!((long.chars().count(), long.ends_with('…')), (201, true));
    }
}
