//! What many spans begin with alike, as the requests of a route do: said and encoded once, and in the body of each span a number.

use super::body::Scalar;
use crate::export::otlp::traces;
use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The name and the first attributes of such spans.
#[derive(Debug, PartialEq)]
pub(crate) struct Common {
    pub(crate) name: Box<str>,
    pub(crate) attributes: Vec<(&'static str, Cow<'static, str>)>,
    /// The attributes as OTLP has them.
    pub(crate) encoded: Box<[u8]>,
    /// Bytes of the longest value.
    longest: usize,
}

/// They come in pieces, and are never removed.
const PIECE: usize = 64;
/// So many pieces; what comes beyond is said by each span itself.
const PIECES: usize = 64;

type Piece = Box<[OnceLock<Common>]>;

/// Found by their numbers without a lock.
struct All {
    pieces: [OnceLock<Piece>; PIECES],
    count: Mutex<usize>,
}

static ALL: All = All::new();

impl All {
    const fn new() -> Self {
        Self {
            pieces: [const { OnceLock::new() }; PIECES],
            count: Mutex::new(0),
        }
    }

    fn keep(&self, common: Common) -> Option<u32> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = self.pieces.get(*count / PIECE)?;
        let piece = piece.get_or_init(|| (0..PIECE).map(|_| OnceLock::new()).collect());
        let number = u32::try_from(*count).ok()?;
        piece[*count % PIECE].set(common).ok()?;
        *count += 1;
        Some(number)
    }

    #[inline]
    fn at(&self, number: u32) -> Option<&Common> {
        let number = number as usize;
        self.pieces.get(number / PIECE)?.get()?.get(number % PIECE)?.get()
    }
}

impl Common {
    fn new(name: &str, attributes: Vec<(&'static str, Cow<'static, str>)>) -> Self {
        let mut encoded = Vec::new();
        for (key, value) in &attributes {
            traces::attribute(&mut encoded, 9, *key, Scalar::Text(value));
        }
        Self {
            name: name.into(),
            encoded: encoded.into(),
            longest: attributes.iter().map(|(_, value)| value.len()).max().unwrap_or(0),
            attributes,
        }
    }

    /// Whether it has an attribute of that name.
    pub(crate) fn says(&self, name: &[u8]) -> bool {
        self.attributes.iter().any(|(key, _)| key.as_bytes() == name)
    }

    /// Nothing is left out of it where a span may have so many attributes of so many characters.
    pub(crate) fn fits(&self, room: u32, longest: u32) -> bool {
        self.attributes.len() <= room as usize && self.longest <= longest as usize
    }
}

/// Keeps it, for as long as the process lives; its number. None where there are too many.
pub(crate) fn keep(name: &str, attributes: Vec<(&'static str, Cow<'static, str>)>) -> Option<u32> {
    ALL.keep(Common::new(name, attributes))
}

/// The one of that number.
#[inline]
pub(crate) fn at(number: u32) -> Option<&'static Common> {
    ALL.at(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_no_more() {
        let all = All::new();
        let keep = |name: String| all.keep(Common::new(&name, Vec::new()));
        for number in 0..(PIECE * PIECES) as u32 {
            assert!(all.at(number).is_none());
            assert_eq!(keep(number.to_string()), Some(number));
        }
        assert_eq!(keep("one more".into()), None);
        let name = |number| all.at(number).map(|common| &*common.name);
        assert_eq!(
            [0, 63, 64, 4095, 4096].map(name),
            [Some("0"), Some("63"), Some("64"), Some("4095"), None]
        );
        assert_eq!(all.at(u32::MAX), None);
    }
}
