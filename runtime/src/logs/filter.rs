//! Which lines are written: `RUST_LOG`, changeable while the program runs.

use std::borrow::Cow;
use std::fmt;
use std::sync::RwLock;
use tracing_core::{Level, LevelFilter};
use tracing_subscriber::filter::Targets;

/// A directive that could not be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError {
    directive: String,
    reason: Cow<'static, str>,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log filter `{}`: {}", self.directive, self.reason)
    }
}

impl std::error::Error for FilterError {}

pub(crate) struct Filter {
    state: RwLock<State>,
}

struct State {
    text: String,
    targets: Targets,
    max: LevelFilter,
}

impl Filter {
    /// Nothing passes but what a later [`Filter::set`] says.
    pub(crate) fn off() -> Self {
        Self {
            state: RwLock::new(State {
                text: "off".to_owned(),
                targets: Targets::new(),
                max: LevelFilter::OFF,
            }),
        }
    }

    /// What can be understood of a filter, and what cannot or was hardly meant so.
    pub(crate) fn lenient(text: &str) -> (Self, Vec<FilterError>) {
        let (mut bad, mut slips) = (Vec::new(), Vec::new());
        let good: Vec<&str> = directives(text)
            .filter(|directive| parse(directive).map_err(|error| bad.push(error)).is_ok())
            .inspect(|directive| slips.extend(slip(directive)))
            .collect();
        let filter = Self::off();
        // Each directive was accepted on its own, so the whole is.
        let _ = filter.set(&good.join(","));
        bad.extend(slips);
        (filter, bad)
    }

    /// Replaces the filter as a whole, or leaves it and says why. Nothing at all is what an empty `RUST_LOG` is.
    pub(crate) fn set(&self, text: &str) -> Result<(), FilterError> {
        let text = if directives(text).next().is_some() {
            text
        } else {
            "info"
        };
        let mut targets = Targets::new();
        for directive in directives(text) {
            let parsed = parse(directive)?;
            if let Some(level) = parsed.default_level() {
                targets = targets.with_default(level);
            }
            targets = targets.with_targets(parsed.iter().map(|(target, level)| (target.to_owned(), level)));
        }
        let max = targets
            .iter()
            .map(|(_, level)| level)
            .chain(targets.default_level())
            .max()
            .unwrap_or(LevelFilter::OFF);
        *self.write() = State {
            text: text.trim().to_owned(),
            targets,
            max,
        };
        Ok(())
    }

    pub(crate) fn enabled(&self, target: &str, level: Level) -> bool {
        self.read().targets.would_enable(target, &level)
    }

    pub(crate) fn max(&self) -> LevelFilter {
        self.read().max
    }

    pub(crate) fn text(&self) -> String {
        self.read().text.clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn directives(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|directive| !directive.is_empty())
}

fn parse(directive: &str) -> Result<Targets, FilterError> {
    let error = |reason: &'static str| FilterError {
        directive: directive.to_owned(),
        reason: reason.into(),
    };
    if directive.contains(['[', ']', '{', '}']) {
        return Err(error("filters by span are not supported; write `target=level`"));
    }
    let parsed = if directive.starts_with('=') || directive.contains(char::is_whitespace) {
        None
    } else {
        directive.parse().ok()
    };
    parsed.ok_or_else(|| error("write `level`, `target` or `target=level`, as in `info,my_crate=debug`"))
}

/// A word alone that is no level is a target, and all others are silent then; one that is nearly a level is worth a word.
fn slip(directive: &str) -> Option<FilterError> {
    let word = directive.to_ascii_lowercase();
    if directive.contains('=') || word.parse::<LevelFilter>().is_ok() {
        return None;
    }
    let level = ["error", "warn", "info", "debug", "trace", "off"]
        .into_iter()
        .find(|level| {
            is_nearly(&word, level) || (word.len() > level.len() && word.starts_with(level) && !word.contains("::"))
        })?;
    Some(FilterError {
        directive: directive.to_owned(),
        reason: format!("is no level and so a target; was `{level}` meant?").into(),
    })
}

/// One letter too many, too few or another, or two that changed places.
fn is_nearly(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = |(a, b): &(&u8, &u8)| a == b;
    let before = a.iter().zip(b).take_while(same).count();
    let (a, b) = (&a[before..], &b[before..]);
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
    match (&a[..a.len() - behind], &b[..b.len() - behind]) {
        ([a, b], [c, d]) => (a, b) == (d, c),
        (a, b) => a.len() <= 1 && b.len() <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_target_decides() {
        let (filter, bad) = Filter::lenient("warn, app=debug,app::noise=off");
        assert_eq!(bad, []);
        assert!(filter.enabled("app::db", Level::DEBUG));
        assert!(!filter.enabled("app::noise", Level::ERROR));
        assert!(!filter.enabled("other", Level::INFO));
        assert_eq!(filter.max(), LevelFilter::DEBUG);
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_the_rest_holds() {
        let (filter, bad) = Filter::lenient("app=loud,app[span{id=1}]=debug,warn");
        assert_eq!(bad.len(), 2);
        assert!(bad[0].to_string().contains("app=loud"));
        assert_eq!(filter.text(), "warn");
        assert!(filter.set("x=y=z").is_err());
        assert_eq!(filter.text(), "warn");
        filter.set("trace").unwrap();
        assert!(filter.enabled("anything", Level::TRACE));
    }

    /// What silences everything by a slip is told of; what only looks like a target is one.
    #[test]
    fn a_word_that_is_nearly_a_level_is_told_of() {
        for (text, meant) in [
            ("infoo", "info"),
            ("inof", "info"),
            ("Debu", "debug"),
            ("warning", "warn"),
            ("erorr,app=debug", "error"),
        ] {
            let (filter, told) = Filter::lenient(text);
            assert_eq!(told.len(), 1, "{text}");
            assert!(
                told[0].to_string().contains(&format!("was `{meant}` meant?")),
                "{told:?}"
            );
            assert_eq!(filter.text(), text);
        }
        for text in [
            "app",
            "info",
            "WARN",
            "3",
            "app=inof,off",
            "sqlx::query",
            "info::x",
            "a",
        ] {
            let (_, told) = Filter::lenient(text);
            assert!(told.is_empty() || text.contains("inof"), "{text}: {told:?}");
        }
        let (filter, told) = Filter::lenient("garb age");
        assert_eq!((told.len(), filter.text().as_str()), (1, "info"));
    }

    #[test]
    fn nothing_understood_means_info() {
        let (filter, _) = Filter::lenient("=,=");
        let is_info = || filter.enabled("app", Level::INFO) && !filter.enabled("app", Level::DEBUG);
        assert!(is_info());
        filter.set("trace").unwrap();
        filter.set(" , ").unwrap();
        assert!(is_info());
        assert_eq!(filter.text(), "info");
        filter.set("off").unwrap();
        assert!(!filter.enabled("app", Level::ERROR));
    }
}
