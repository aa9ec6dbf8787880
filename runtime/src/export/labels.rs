//! The labels of a series in a snapshot.

use crate::metrics::columns::Columned;
use crate::outcome::CallOutcome;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Pairs of texts, in the order in which they are shown.
#[derive(Clone)]
pub(crate) enum Labels {
    Texts(Vec<(Cow<'static, str>, Cow<'static, str>)>),
    /// Of one series of a large table: looked up where they are written, since a hundred thousand lists of texts take longer to make than
    /// to write. What is looked up never changes, so this is as plain as the texts themselves.
    Row(&'static Columned, Row),
}

/// Which series of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The index of its labels.
    pub(crate) set: u32,
    pub(crate) outcome: Option<CallOutcome>,
}

// Many of these are made, and held together.
const _: () = assert!(size_of::<Labels>() <= 24);

impl Labels {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Row(columned, _) => columned.len(),
        }
    }

    /// The texts one by one.
    #[inline]
    pub(crate) fn iter<'a>(&'a self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (texts, row) = match self {
            Self::Texts(texts) => (texts.as_slice(), None),
            Self::Row(columned, row) => (&[] as &[_], Some(columned.iter(*row))),
        };
        let texts = texts.iter().map(|(key, value)| (&**key, &**value));
        let row = row.into_iter().flatten();
        texts.chain(row.map(|(key, value)| -> (&'a str, &'a str) { (key, value) }))
    }

    /// The texts one by one, for who writes many.
    #[inline]
    pub(crate) fn each(&self, mut f: impl FnMut(&str, &str)) {
        match self {
            Self::Texts(texts) => texts.iter().for_each(|(key, value)| f(key, value)),
            Self::Row(columned, row) => columned.iter(*row).for_each(|(key, value)| f(key, value)),
        }
    }

    /// The same pairs, in whichever order.
    pub(crate) fn are(&self, other: &Self) -> bool {
        self == other
            || self.len() == other.len() && self.iter().all(|label| other.iter().any(|of_other| of_other == label))
    }

    /// The same labels, said in texts.
    pub(crate) fn into_texts(self) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
        match self {
            Self::Texts(texts) => texts,
            Self::Row(columned, row) => columned
                .iter(row)
                .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
                .collect(),
        }
    }
}

impl From<Vec<(Cow<'static, str>, Cow<'static, str>)>> for Labels {
    fn from(texts: Vec<(Cow<'static, str>, Cow<'static, str>)>) -> Self {
        Self::Texts(texts)
    }
}

impl FromIterator<(Cow<'static, str>, Cow<'static, str>)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Cow<'static, str>, Cow<'static, str>)>>(texts: I) -> Self {
        Self::Texts(texts.into_iter().collect())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Row(a, row), Self::Row(b, other)) if std::ptr::eq(*a, *b) => row == other,
            _ => self.len() == other.len() && self.iter().eq(other.iter()),
        }
    }
}

impl Eq for Labels {}

/// The same for the same texts, wherever they are.
impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for label in self.iter() {
            label.hash(state);
        }
    }
}
