//! Which checks a caller wants to hear of, and which of those there are.

use super::engine::{Engine, LIFECYCLE, PING, is_below};
use super::entry::Entry;
use super::options::Probe;
use std::sync::Arc;

/// Which checks a caller wants to hear of.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) probe: Probe,
    /// One check, all below a name, or a group.
    pub(crate) name: Option<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) tags: Vec<String>,
}

/// [`Selection`] applied.
pub(crate) struct Chosen {
    pub(crate) asked: Vec<Arc<Entry>>,
    pub(super) excluded: Vec<Arc<str>>,
    pub(super) unknown: Vec<String>,
    pub(super) lifecycle: Lifecycle,
    pub(super) found: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lifecycle {
    /// Not a matter of this probe, or of the name asked for.
    Apart,
    Asked,
    Excluded,
}

impl Selection {
    pub(crate) const fn of(probe: Probe) -> Self {
        Self {
            probe,
            name: None,
            exclude: Vec::new(),
            tags: Vec::new(),
        }
    }

    pub(crate) fn choose(&self, engine: &Engine, entries: &Arc<[Arc<Entry>]>) -> Chosen {
        let group = self.name.as_deref().and_then(|name| engine.members(name));
        let named = |entry: &Entry| match (&self.name, &group) {
            (None, _) => true,
            (Some(name), None) => covers(name, &entry.name) || is_below(&entry.name, name),
            (Some(_), Some(members)) => members.iter().any(|member| covers(member, &entry.name)),
        };
        let tagged = |entry: &Entry| {
            self.tags.is_empty() || entry.settings.tags.iter().any(|tag| self.tags.iter().any(|t| t == tag))
        };
        let named_itself = |special| {
            self.name
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(special))
        };
        let has_lifecycle = self.probe != Probe::Live && (self.name.is_none() || named_itself(LIFECYCLE));
        let mut unknown: Vec<&String> = self.exclude.iter().collect();
        let mut excluded = Vec::new();
        let mut asked = Vec::new();
        let candidates = entries
            .iter()
            .filter(|entry| entry.is_joined() && entry.settings.probes.has(self.probe));
        for entry in candidates.filter(|entry| named(entry) && tagged(entry)) {
            let out = |name: &str| covers(name, &entry.name) || is_below(&entry.name, name);
            unknown.retain(|name| !out(name));
            if self.exclude.iter().any(|name| out(name)) {
                excluded.push(Arc::clone(&entry.name));
            } else {
                asked.push(Arc::clone(entry));
            }
        }
        let found = self.name.is_none()
            || !asked.is_empty()
            || !excluded.is_empty()
            || group.is_some()
            || named_itself(PING)
            || (has_lifecycle && named_itself(LIFECYCLE));
        let before = unknown.len();
        unknown.retain(|name| !name.eq_ignore_ascii_case(LIFECYCLE) && !name.eq_ignore_ascii_case(PING));
        let lifecycle_out =
            before != unknown.len() && self.exclude.iter().any(|name| name.eq_ignore_ascii_case(LIFECYCLE));
        let lifecycle = match (has_lifecycle, lifecycle_out) {
            (false, _) => Lifecycle::Apart,
            (true, true) => Lifecycle::Excluded,
            (true, false) => Lifecycle::Asked,
        };
        let unknown = unknown.into_iter().cloned().collect();
        Chosen {
            asked,
            excluded,
            unknown,
            lifecycle,
            found,
        }
    }
}

/// The same name, or `parent.*`.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(parent) => is_below(name, parent),
        None => name.eq_ignore_ascii_case(pattern),
    }
}
