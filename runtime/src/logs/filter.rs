//! Which lines are written: `RUST_LOG`, changeable while the program runs.

use std::fmt;
use std::sync::RwLock;
use tracing_core::{Level, LevelFilter};
use tracing_subscriber::filter::Targets;

/// A directive that could not be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError {
    directive: String,
    reason: &'static str,
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

    /// What can be understood of a filter, and what cannot.
    pub(crate) fn lenient(text: &str) -> (Self, Vec<FilterError>) {
        let mut bad = Vec::new();
        let good: Vec<&str> = directives(text)
            .filter(|directive| parse(directive).map_err(|error| bad.push(error)).is_ok())
            .collect();
        let filter = Self::off();
        // Each directive was accepted on its own, so the whole is.
        let _ = filter.set(&good.join(","));
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
    let error = |reason| FilterError {
        directive: directive.to_owned(),
        reason,
    };
    if directive.contains(['[', ']', '{', '}']) {
        return Err(error("filters by span are not supported; write `target=level`"));
    }
    let parsed = if directive.starts_with('=') {
        None
    } else {
        directive.parse().ok()
    };
    parsed.ok_or_else(|| error("write `level`, `target` or `target=level`, as in `info,my_crate=debug`"))
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
