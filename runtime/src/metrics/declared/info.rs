//! Facts as labels.

use super::{Definition, Gathered, Metric};
use crate::export::snapshot::{Kind, PointValue};
use crate::metrics::registry;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// Facts about the process as the labels of one series of value 1: a version, a region.
///
/// # Examples
///
/// ```
/// vitalsign::metrics! {
///     /// What was deployed.
///     static DEPLOYMENT: Info = "deployment";
/// }
/// DEPLOYMENT.set([("color", "green"), ("region", "eu-1")]);
/// ```
pub struct Info {
    definition: Definition,
    facts: Mutex<Vec<(Cow<'static, str>, Cow<'static, str>)>>,
}

impl Info {
    #[doc(hidden)]
    pub const fn new(definition: Definition) -> Self {
        Self {
            definition: definition.kind("info"),
            facts: Mutex::new(Vec::new()),
        }
    }

    /// Replaces the facts.
    pub fn set<K, V>(&'static self, facts: impl IntoIterator<Item = (K, V)>)
    where
        K: Into<Cow<'static, str>>,
        V: Into<Cow<'static, str>>,
    {
        let mut facts: Vec<_> = facts
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        facts.sort();
        facts.dedup_by(|a, b| a.0 == b.0);
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

impl Metric for Info {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn gather(&'static self, out: &mut Gathered<'_>) {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !facts.is_empty() {
            let points = vec![registry::point(facts, PointValue::Info)];
            out.family(&self.definition, Kind::Info, points);
        }
    }
}
