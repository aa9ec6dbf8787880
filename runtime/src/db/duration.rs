//! `db.client.operation.duration`, one family for pools and annotated functions.

use crate::metrics::dynamic::{Histogram, Meta};
use crate::metrics::label::Limit;
use crate::metrics::registry::{self, LabelSet};
use crate::operation::DB_ERRORS;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

const DURATION: &str = "db.client.operation.duration";

/// Summaries with series of their own; the rest share `other`.
static SUMMARIES: Limit = Limit::new(500);

/// The boundaries that the conventions advise.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The labels of one series.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Key {
    pub(super) system: &'static str,
    pub(super) operation: Option<&'static str>,
    pub(super) collection: Option<&'static str>,
    pub(super) summary: Summary,
    pub(super) namespace: Option<Name>,
    pub(super) address: Option<Arc<str>>,
    pub(super) port: Option<u16>,
    pub(super) error: Option<Cow<'static, str>>,
}

/// A name, equal to another of the same text.
#[derive(Clone)]
pub(super) enum Name {
    Static(&'static str),
    #[cfg_attr(not(feature = "db-sqlx"), allow(dead_code, reason = "of a pool"))]
    Shared(Arc<str>),
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}

/// A summary among those that were seen; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Summary(pub(super) u16);

impl Summary {
    pub(super) fn of(text: &str) -> Self {
        Self(if text.is_empty() {
            0
        } else {
            SUMMARIES.index(text) as u16 + 1
        })
    }

    fn text(self) -> Option<&'static str> {
        SUMMARIES.value(usize::from(self.0).checked_sub(1)?)
    }
}

fn labels(key: &Key) -> LabelSet {
    let text = |text: &Arc<str>| Cow::Owned(text.to_string());
    let all = [
        ("db.collection.name", key.collection.map(Cow::Borrowed)),
        (
            "db.namespace",
            key.namespace.as_ref().map(|name| Cow::Owned(name.to_string())),
        ),
        ("db.operation.name", key.operation.map(Cow::Borrowed)),
        ("db.query.summary", key.summary.text().map(Cow::Borrowed)),
        ("db.system.name", Some(Cow::Borrowed(key.system))),
        ("error.type", key.error.clone()),
        ("server.address", key.address.as_ref().map(text)),
        ("server.port", key.port.map(|port| Cow::Owned(port.to_string()))),
    ];
    all.into_iter()
        .filter_map(|(key, value)| Some((key.into(), value?)))
        .collect()
}

pub(super) fn duration() -> &'static Histogram<Key> {
    static FAMILY: OnceLock<Arc<Histogram<Key>>> = OnceLock::new();
    FAMILY.get_or_init(|| {
        let family = Arc::new(Histogram::new(
            Meta {
                name: DURATION,
                help: "Duration of database client operations.",
                unit: "s",
                labels,
            },
            &SECONDS,
        ));
        registry::register(family.clone());
        registry::limited(DURATION, "db.query.summary", || SUMMARIES.overflow());
        registry::limited(DURATION, "error.type", || DB_ERRORS.overflow());
        family
    })
}
