//! One record as the caller leaves it: typed values copied into bytes, nothing escaped, no date made.
//!
//! The caller pays for reading the fields and for what only it can do (running `Debug` and `Display`); JSON, colours, dates,
//! redaction and OTLP are made from the same bytes on the threads that write and encode.

use super::scope::Scope;
use crate::trace::{Baggage, SpanContext, SpanId, TraceFlags, TraceId};
use std::error::Error;
use std::fmt::{self, Debug, Display, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing_core::field::{Field, Visit};
use tracing_core::{Level, Metadata};

/// No value's text is longer than this, in bytes.
pub(crate) const TEXT_LIMIT: usize = 16 * 1024;
/// No record is longer than this, in bytes.
pub(crate) const RECORD_LIMIT: usize = 64 * 1024;
/// No more sources of an error are followed than these: a chain may be a ring.
const CHAIN_LIMIT: usize = 16;

/// What is known of a record besides its fields.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) ticks: u64,
    pub(crate) source: Source,
    pub(crate) ids: Option<Ids>,
    pub(crate) scope: Option<Scope>,
    pub(crate) baggage: Baggage,
    /// How many bytes of fields belong to it.
    pub(crate) len: u32,
}

impl Head {
    /// How many bytes it keeps alive, as far as the record before it does not. Those of properties of baggage, which has its own
    /// limit, are not asked for.
    pub(crate) fn holds(&self, before: Option<&Self>) -> usize {
        let scope = self.scope.as_ref().map_or(0, |scope| {
            let known = before.and_then(|before| before.scope.as_ref());
            if known.is_some_and(|known| known.is(scope)) {
                0
            } else {
                scope.holds()
            }
        });
        let baggage: usize = self.baggage.iter().map(|(key, value)| key.len() + value.len()).sum();
        scope + baggage
    }
}

/// Who made the record.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// A `tracing` call site: its metadata names target and fields.
    Event(&'static Metadata<'static>),
    /// Anyone else; the first field is the target.
    Other(Level),
}

impl Source {
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Event(metadata) => *metadata.level(),
            Self::Other(level) => level,
        }
    }
}

/// The ids a line carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

impl Ids {
    pub(crate) fn of(ctx: &SpanContext) -> Option<Self> {
        ctx.is_valid().then_some(Self {
            trace_id: ctx.trace_id,
            span_id: ctx.span_id,
            flags: ctx.flags.of_w3c(),
        })
    }
}

/// The name of a field, as written into a record.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    /// The field of that index in the call site's set.
    Index(usize),
    /// The name itself.
    Name(&'a str),
}

const NAMED: u16 = u16::MAX;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    False,
    True,
    I64,
    U64,
    F64,
    I128,
    U128,
    Text,
    Bytes,
    Error,
}

/// The bytes of one record under construction.
#[derive(Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
}

impl Fields {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Empties it and keeps the allocation, unless one huge record made that large.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(RECORD_LIMIT);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(&mut self, key: Key<'_>, tag: Tag, payload: &[u8]) {
        if self.bytes.len() + payload.len() > RECORD_LIMIT {
            return;
        }
        self.key(key);
        self.bytes.push(tag as u8);
        self.bytes.extend_from_slice(payload);
    }

    fn key(&mut self, key: Key<'_>) {
        match key {
            Key::Index(index) => self.bytes.extend_from_slice(&(index as u16).to_le_bytes()),
            Key::Name(name) => {
                let name = &name[..name.floor_char_boundary_at(TEXT_LIMIT)];
                self.bytes.extend_from_slice(&NAMED.to_le_bytes());
                self.bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
                self.bytes.extend_from_slice(name.as_bytes());
            }
        }
    }

    pub(crate) fn bool(&mut self, key: Key<'_>, value: bool) {
        self.put(key, if value { Tag::True } else { Tag::False }, &[]);
    }

    pub(crate) fn i64(&mut self, key: Key<'_>, value: i64) {
        self.put(key, Tag::I64, &value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, key: Key<'_>, value: u64) {
        self.put(key, Tag::U64, &value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, key: Key<'_>, value: f64) {
        self.put(key, Tag::F64, &value.to_le_bytes());
    }

    pub(crate) fn i128(&mut self, key: Key<'_>, value: i128) {
        self.put(key, Tag::I128, &value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, key: Key<'_>, value: u128) {
        self.put(key, Tag::U128, &value.to_le_bytes());
    }

    pub(crate) fn str(&mut self, key: Key<'_>, value: &str) {
        if self.bytes.len() < RECORD_LIMIT {
            self.key(key);
            self.bytes.push(Tag::Text as u8);
            self.text(|text| text.write_str(value));
        }
    }

    pub(crate) fn bytes(&mut self, key: Key<'_>, value: &[u8]) {
        let value = &value[..value.len().min(TEXT_LIMIT)];
        if self.bytes.len() < RECORD_LIMIT {
            self.key(key);
            self.bytes.push(Tag::Bytes as u8);
            self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(value);
        }
    }

    /// What the user's `Debug` says.
    pub(crate) fn debug(&mut self, key: Key<'_>, value: &dyn Debug) {
        if self.bytes.len() < RECORD_LIMIT {
            self.key(key);
            self.bytes.push(Tag::Text as u8);
            self.foreign(|text| write!(text, "{value:?}"));
        }
    }

    /// What the user's `Display` says.
    pub(crate) fn display(&mut self, key: Key<'_>, value: &dyn Display) {
        if self.bytes.len() < RECORD_LIMIT {
            self.key(key);
            self.bytes.push(Tag::Text as u8);
            self.foreign(|text| write!(text, "{value}"));
        }
    }

    /// An error's message and those of its sources.
    pub(crate) fn error(&mut self, key: Key<'_>, error: &(dyn Error + 'static)) {
        self.error_chain(key, error, Error::source);
    }

    /// As [`Fields::error`], for an error borrowed for less than forever.
    pub(crate) fn error_ref(&mut self, key: Key<'_>, error: &dyn Error) {
        self.error_chain(key, error, Error::source);
    }

    fn error_chain<'e>(
        &mut self,
        key: Key<'_>,
        error: &'e dyn Error,
        source: impl Fn(&'e dyn Error) -> Option<&'e (dyn Error + 'static)>,
    ) {
        if self.bytes.len() >= RECORD_LIMIT {
            return;
        }
        self.key(key);
        self.bytes.push(Tag::Error as u8);
        let count = self.bytes.len();
        self.bytes.push(0);
        let mut next = Some(error);
        while let Some(error) = next
            && usize::from(self.bytes[count]) < CHAIN_LIMIT
            && self.bytes.len() < RECORD_LIMIT
        {
            self.foreign(|text| write!(text, "{error}"));
            self.bytes[count] += 1;
            next = catch_unwind(AssertUnwindSafe(|| source(error)))
                .ok()
                .flatten()
                .map(|source| source as &dyn Error);
        }
    }

    /// Text by the user's code, which may panic or fail; the field says so then.
    fn foreign(&mut self, write: impl FnOnce(&mut Text<'_>) -> fmt::Result) {
        let start = self.bytes.len();
        let done = catch_unwind(AssertUnwindSafe(|| self.text(write)));
        let note = match done {
            Ok(true) => return,
            Ok(false) => "<its formatter failed>",
            Err(payload) => {
                // Dropping a panic's payload may panic itself.
                std::mem::forget(payload);
                "<its formatter panicked>"
            }
        };
        self.bytes.truncate(start);
        self.text(|text| text.write_str(note));
    }

    /// Text of a length known afterwards; false if the writer failed without having been cut off.
    fn text(&mut self, write: impl FnOnce(&mut Text<'_>) -> fmt::Result) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let room = TEXT_LIMIT.min(RECORD_LIMIT.saturating_sub(start));
        let mut text = Text {
            bytes: &mut self.bytes,
            room,
            cut: false,
        };
        let done = write(&mut text).is_ok() || text.cut;
        if text.cut {
            self.bytes.extend_from_slice("…".as_bytes());
        }
        let len = (self.bytes.len() - start - 4) as u32;
        self.bytes[start..start + 4].copy_from_slice(&len.to_le_bytes());
        done
    }
}

/// Text that stops, at a character's boundary, where its room ends.
struct Text<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
    cut: bool,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.cut {
            return Err(fmt::Error);
        }
        let end = s.floor_char_boundary_at(self.room);
        self.bytes.extend_from_slice(&s.as_bytes()[..end]);
        self.room -= end;
        if end < s.len() {
            self.cut = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// `str::floor_char_boundary`, which is younger than our oldest compiler.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, index: usize) -> usize {
        if index >= self.len() {
            return self.len();
        }
        (0..=index).rev().find(|&i| self.is_char_boundary(i)).unwrap_or(0)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.debug(Key::Index(field.index()), value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.str(Key::Index(field.index()), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bool(Key::Index(field.index()), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.i64(Key::Index(field.index()), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.u64(Key::Index(field.index()), value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.f64(Key::Index(field.index()), value);
    }
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.i128(Key::Index(field.index()), value);
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.u128(Key::Index(field.index()), value);
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.bytes(Key::Index(field.index()), value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.error(Key::Index(field.index()), value);
    }
}

/// A value read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    I128(i128),
    U128(u128),
    Text(std::borrow::Cow<'a, str>),
    Bytes(&'a [u8]),
    /// The message, then those of the sources, outermost first.
    Error(Vec<std::borrow::Cow<'a, str>>),
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::I128(v) => write!(f, "{v}"),
            Self::U128(v) => write!(f, "{v}"),
            Self::F64(v) => write!(f, "{v}"),
            Self::Bytes(v) => write!(f, "{v:02x?}"),
            Self::Text(v) => f.write_str(v),
            Self::Error(chain) => f.write_str(chain.first().map_or("", |message| message)),
        }
    }
}

/// Reads the fields of one record in the order in which they were written.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?) as usize;
        let (head, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.slice()?).ok()
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (Key<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = match u16::from_le_bytes(self.array()?) {
            NAMED => Key::Name(self.text()?),
            index => Key::Index(index.into()),
        };
        let [tag] = self.array()?;
        let value = match tag {
            t if t == Tag::False as u8 => Value::Bool(false),
            t if t == Tag::True as u8 => Value::Bool(true),
            t if t == Tag::I64 as u8 => Value::I64(i64::from_le_bytes(self.array()?)),
            t if t == Tag::U64 as u8 => Value::U64(u64::from_le_bytes(self.array()?)),
            t if t == Tag::F64 as u8 => Value::F64(f64::from_le_bytes(self.array()?)),
            t if t == Tag::I128 as u8 => Value::I128(i128::from_le_bytes(self.array()?)),
            t if t == Tag::U128 as u8 => Value::U128(u128::from_le_bytes(self.array()?)),
            t if t == Tag::Text as u8 => Value::Text(self.text()?.into()),
            t if t == Tag::Bytes as u8 => Value::Bytes(self.slice()?),
            _ => {
                let [count] = self.array()?;
                Value::Error((0..count).map(|_| self.text().map(Into::into)).collect::<Option<_>>()?)
            }
        };
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;
    impl Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half ")?;
            panic!("in Debug")
        }
    }
    struct Fails;
    impl Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    fn read(fields: &Fields) -> Vec<(String, Value<'_>)> {
        Reader::new(fields.as_bytes())
            .map(|(key, value)| {
                let key = match key {
                    Key::Index(index) => index.to_string(),
                    Key::Name(name) => name.to_owned(),
                };
                (key, value)
            })
            .collect()
    }

    #[test]
    fn values_come_back_as_they_went() {
        let mut fields = Fields::new();
        fields.bool(Key::Name("a.b"), true);
        fields.i64(Key::Index(3), -5);
        fields.u128(Key::Index(4), u128::MAX);
        fields.f64(Key::Index(5), 0.5);
        fields.bytes(Key::Index(6), &[1, 2]);
        fields.str(Key::Name("ü"), "né\n");
        fields.debug(Key::Name("p"), &Panics);
        fields.display(Key::Name("f"), &Fails);
        let error = std::io::Error::other(std::fmt::Error);
        fields.error(Key::Name("e"), &error);
        assert_eq!(
            read(&fields),
            [
                ("a.b".to_owned(), Value::Bool(true)),
                ("3".to_owned(), Value::I64(-5)),
                ("4".to_owned(), Value::U128(u128::MAX)),
                ("5".to_owned(), Value::F64(0.5)),
                ("6".to_owned(), Value::Bytes(&[1, 2])),
                ("ü".to_owned(), Value::Text("né\n".into())),
                ("p".to_owned(), Value::Text("<its formatter panicked>".into())),
                ("f".to_owned(), Value::Text("<its formatter failed>".into())),
                ("e".to_owned(), Value::Error(vec![fmt::Error.to_string().into()])),
            ]
        );
    }

    #[test]
    fn a_record_stays_bounded() {
        let mut fields = Fields::new();
        let long = "ü".repeat(100_000);
        for _ in 0..10 {
            fields.str(Key::Name("long"), &long);
            fields.debug(Key::Name("long"), &long);
        }
        fields.u64(Key::Name("late"), 1);
        assert!(fields.as_bytes().len() < RECORD_LIMIT + 2048);
        for (_, value) in read(&fields) {
            let Value::Text(text) = value else { panic!("{value:?}") };
            assert!(text.ends_with('…') && text.len() <= TEXT_LIMIT + 3);
        }
    }
}
