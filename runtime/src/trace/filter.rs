//! Which spans exist at all: `VITALSIGN_TRACE_FILTER`, `target=level` directives separated by commas.

use std::str::FromStr;
use tracing_core::metadata::ParseLevelFilterError;
use tracing_core::{LevelFilter, Metadata};

/// The directives, longest target first, so that the first match is the closest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    directives: Vec<(String, LevelFilter)>,
    default: LevelFilter,
}

/// A directive that is none.
#[derive(Debug, PartialEq)]
pub(crate) struct BadDirective(pub(crate) String);

impl Default for Filter {
    fn default() -> Self {
        Self {
            directives: Vec::new(),
            default: LevelFilter::INFO,
        }
    }
}

impl FromStr for Filter {
    type Err = BadDirective;

    /// `info`, `off`, `my_crate=debug`, `sqlx=off,my_crate::db=trace,info`; a target alone means all of it.
    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let mut filter = Self::default();
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let bad = |_: ParseLevelFilterError| BadDirective(directive.to_owned());
            if let Some((target, level)) = directive.split_once('=') {
                let (target, level) = (target.trim(), level.trim().parse().map_err(bad)?);
                filter.directives.push((target.to_owned(), level));
            } else if let Ok(level) = directive.parse() {
                filter.default = level;
            } else if directive
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '-' | '.'))
            {
                filter.directives.push((directive.to_owned(), LevelFilter::TRACE));
            } else {
                return Err(BadDirective(directive.to_owned()));
            }
        }
        filter
            .directives
            .sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Ok(filter)
    }
}

impl Filter {
    pub(crate) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = self
            .directives
            .iter()
            .find(|(target, _)| covers(target, metadata.target()))
            .map_or(self.default, |(_, level)| *level);
        *metadata.level() <= level
    }

    /// The most verbose level that any directive lets pass.
    pub(crate) fn max_level(&self) -> LevelFilter {
        self.directives
            .iter()
            .map(|(_, level)| *level)
            .chain([self.default])
            .max()
            .unwrap_or(LevelFilter::OFF)
    }
}

/// As `tracing` has it: a target covers what begins with it.
fn covers(target: &str, of: &str) -> bool {
    of.starts_with(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let filter: Filter = "sqlx=off, my::db=trace,my=warn,debug".parse().unwrap();
        assert_eq!(filter.default, LevelFilter::DEBUG);
        assert_eq!(filter.directives[0], ("my::db".into(), LevelFilter::TRACE));
        assert_eq!(filter.max_level(), LevelFilter::TRACE);
        assert_eq!("".parse::<Filter>(), Ok(Filter::default()));
        assert_eq!("off".parse::<Filter>().unwrap().max_level(), LevelFilter::OFF);
        assert_eq!("a=loud".parse::<Filter>(), Err(BadDirective("a=loud".into())));
        assert_eq!("a[b]".parse::<Filter>(), Err(BadDirective("a[b]".into())));
    }
}
