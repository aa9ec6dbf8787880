//! What a span carries beside its head, as bytes: written on the calling thread, read once by the drainer.
//!
//! A field of the span's own call site is named by its index there; everything else brings its name. So writing a field is a
//! copy of a few bytes, and reading needs no look-up and no pointer.

use super::common::{self, Common};
use super::context::{SpanContext, SpanId, TraceFlags, TraceId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tracing_core::field::FieldSet;

/// Stands where a key of one byte says "a name follows".
pub(super) const NAMED: u8 = u8::MAX;

const BOOL: u8 = 1;
const I64: u8 = 2;
const F64: u8 = 3;
const TEXT: u8 = 4;
const BYTES: u8 = 5;
const EVENT: u8 = 10;
const END: u8 = 11;
const LINK: u8 = 12;
const DROPPED: u8 = 13;
const STATE: u8 = 14;
const ARRAY: u8 = 15;
const EVENT_AT: u8 = 16;
const TIMES: u8 = 17;
const LINE: u8 = 18;
const COMMON: u8 = 19;

/// The value of an attribute. What is read back for encoding stays bytes: it was text when it was written.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'a, T: ?Sized = str> {
    Bool(bool),
    I64(i64),
    F64(f64),
    Text(&'a T),
    Bytes(&'a [u8]),
    /// An `ArrayValue` of OTLP, as bytes: what the `opentelemetry` API and the headers of requests give.
    Array(&'a [u8]),
}

/// How an attribute is named.
#[derive(Debug, PartialEq)]
pub(crate) enum Key<'a, T: ?Sized = str> {
    /// By its place among the fields of the span's call site.
    Index(u8),
    Name(&'a T),
}

/// As references are copied, whatever they refer to.
macro_rules! copied {
    ($($type:ident)+) => {$(
        impl<T: ?Sized> Clone for $type<'_, T> {
            #[inline]
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T: ?Sized> Copy for $type<'_, T> {}
    )+};
}
copied! { Scalar Key }

impl<'a> From<&'a str> for Scalar<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

macro_rules! whole {
    ($($type:ty)+) => {$(
        impl From<$type> for Scalar<'_> {
            #[inline]
            fn from(number: $type) -> Self {
                Self::I64(number.into())
            }
        }
    )+};
}
whole! { i64 u32 u16 }

/// One thing in a body.
#[derive(Debug, PartialEq)]
pub(crate) enum Item<'a, T: ?Sized = str> {
    Attribute(Key<'a, T>, Scalar<'a, T>),
    /// The span's name, and attributes before all others.
    Common(&'static Common),
    /// Attributes follow, up to [`Item::End`].
    Event {
        ticks: u64,
        name: &'a T,
        /// It is one of `tracing`, as log lines are.
        line: bool,
    },
    /// As [`Item::Event`], at a time given in nanoseconds since the Unix epoch.
    EventAt {
        nanos: u64,
        name: &'a T,
    },
    /// As [`Item::Event`].
    Link {
        context: SpanContext,
    },
    End {
        dropped: u32,
    },
    /// Attributes, events and links of the span that did not fit.
    Dropped([u32; 3]),
    /// The span's trace state.
    State(&'a T),
    /// When the span began and ended, in nanoseconds since the Unix epoch, where it was said; 0: as the head has it.
    Times {
        start: u64,
        end: u64,
    },
}

impl<'a> Item<'a, [u8]> {
    /// The same for who wants its texts.
    fn text(self) -> Option<Item<'a>> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(match self {
            Self::Attribute(key, value) => Item::Attribute(
                match key {
                    Key::Index(index) => Key::Index(index),
                    Key::Name(name) => Key::Name(text(name)?),
                },
                match value {
                    Scalar::Bool(value) => Scalar::Bool(value),
                    Scalar::I64(value) => Scalar::I64(value),
                    Scalar::F64(value) => Scalar::F64(value),
                    Scalar::Text(value) => Scalar::Text(text(value)?),
                    Scalar::Bytes(value) => Scalar::Bytes(value),
                    Scalar::Array(value) => Scalar::Array(value),
                },
            ),
            Self::Common(common) => Item::Common(common),
            Self::Event { ticks, name, line } => Item::Event {
                ticks,
                name: text(name)?,
                line,
            },
            Self::EventAt { nanos, name } => Item::EventAt {
                nanos,
                name: text(name)?,
            },
            Self::Link { context } => Item::Link { context },
            Self::End { dropped } => Item::End { dropped },
            Self::Dropped(counts) => Item::Dropped(counts),
            Self::State(state) => Item::State(text(state)?),
            Self::Times { start, end } => Item::Times { start, end },
        })
    }
}

#[inline]
fn length(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

#[inline]
fn text(out: &mut Vec<u8>, s: &[u8]) {
    length(out, s.len());
    out.extend_from_slice(s);
}

#[inline]
fn key(out: &mut Vec<u8>, tag: u8, key: Key<'_>) {
    match key {
        Key::Index(index) => out.extend_from_slice(&[tag, index]),
        Key::Name(name) => {
            out.extend_from_slice(&[tag, NAMED]);
            text(out, name.as_bytes());
        }
    }
}

/// Appends an attribute.
#[inline]
pub(crate) fn attribute(out: &mut Vec<u8>, name: Key<'_>, value: Scalar<'_>) {
    // What most are; one piece less to make room for.
    if let (Key::Index(index), Scalar::Text(v)) = (name, value) {
        let [a, b, c, d] = (v.len() as u32).to_le_bytes();
        out.reserve(6 + v.len());
        out.extend_from_slice(&[TEXT, index, a, b, c, d]);
        return out.extend_from_slice(v.as_bytes());
    }
    match value {
        Scalar::Bool(v) => {
            key(out, BOOL, name);
            out.push(v.into());
        }
        Scalar::I64(v) => {
            key(out, I64, name);
            out.extend_from_slice(&v.to_le_bytes());
        }
        Scalar::F64(v) => {
            key(out, F64, name);
            out.extend_from_slice(&v.to_le_bytes());
        }
        Scalar::Text(v) => {
            key(out, TEXT, name);
            text(out, v.as_bytes());
        }
        Scalar::Bytes(v) => {
            key(out, BYTES, name);
            text(out, v);
        }
        Scalar::Array(v) => {
            key(out, ARRAY, name);
            text(out, v);
        }
    }
}

/// Begins a body with what [`common::keep`] has kept under that number.
#[cfg(any(feature = "tower", feature = "actix-web"))]
#[inline]
pub(crate) fn common(out: &mut Vec<u8>, number: u32) {
    let [a, b, c, d] = number.to_le_bytes();
    out.extend_from_slice(&[COMMON, a, b, c, d]);
}

/// Begins an event; its attributes and [`end`] follow.
pub(crate) fn event(out: &mut Vec<u8>, ticks: u64, name: &str, line: bool) {
    out.push(if line { LINE } else { EVENT });
    out.extend_from_slice(&ticks.to_le_bytes());
    text(out, name.as_bytes());
}

/// Begins an event at a time that was given; its attributes and [`end`] follow.
pub(crate) fn event_at(out: &mut Vec<u8>, nanos: u64, name: &str) {
    out.push(EVENT_AT);
    out.extend_from_slice(&nanos.to_le_bytes());
    text(out, name.as_bytes());
}

/// Begins a link; its attributes and [`end`] follow.
pub(crate) fn link(out: &mut Vec<u8>, context: &SpanContext) {
    out.push(LINK);
    out.extend_from_slice(&context.trace_id.0.to_le_bytes());
    out.extend_from_slice(&context.span_id.0.to_le_bytes());
    out.extend_from_slice(&[context.flags.0, context.is_remote.into()]);
    text(out, context.trace_state.as_deref().unwrap_or_default().as_bytes());
}

/// Ends an event or a link.
pub(crate) fn end(out: &mut Vec<u8>, dropped: u32) {
    out.push(END);
    out.extend_from_slice(&dropped.to_le_bytes());
}

/// Appends what did not fit: attributes, events, links.
pub(crate) fn dropped(out: &mut Vec<u8>, counts: [u32; 3]) {
    out.push(DROPPED);
    for count in counts {
        out.extend_from_slice(&count.to_le_bytes());
    }
}

/// Appends the trace state.
pub(crate) fn state(out: &mut Vec<u8>, state: &str) {
    out.push(STATE);
    text(out, state.as_bytes());
}

/// Appends when the span began and ended.
pub(crate) fn times(out: &mut Vec<u8>, start: u64, end: u64) {
    out.push(TIMES);
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&end.to_le_bytes());
}

/// Reads a body, item by item. Bytes are our own; a reader that finds them wrong stops.
#[derive(Clone)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Items<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn run(&mut self) -> Option<&'a [u8]> {
        let n = u32::from_le_bytes(self.array()?);
        self.take(n as usize)
    }

    /// The items with their texts as such.
    pub(crate) fn texts(self) -> impl Iterator<Item = Item<'a>> {
        self.map_while(Item::text)
    }

    fn key(&mut self) -> Option<Key<'a, [u8]>> {
        let [index] = self.array()?;
        if index == NAMED {
            self.run().map(Key::Name)
        } else {
            Some(Key::Index(index))
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a, [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a, [u8]>> {
        let [tag] = self.array()?;
        Some(match tag {
            BOOL => Item::Attribute(self.key()?, Scalar::Bool(self.array::<1>()? != [0])),
            I64 => Item::Attribute(self.key()?, Scalar::I64(i64::from_le_bytes(self.array()?))),
            F64 => Item::Attribute(self.key()?, Scalar::F64(f64::from_le_bytes(self.array()?))),
            TEXT => Item::Attribute(self.key()?, Scalar::Text(self.run()?)),
            BYTES => Item::Attribute(self.key()?, Scalar::Bytes(self.run()?)),
            ARRAY => Item::Attribute(self.key()?, Scalar::Array(self.run()?)),
            COMMON => Item::Common(common::at(u32::from_le_bytes(self.array()?))?),
            TIMES => Item::Times {
                start: u64::from_le_bytes(self.array()?),
                end: u64::from_le_bytes(self.array()?),
            },
            EVENT_AT => Item::EventAt {
                nanos: u64::from_le_bytes(self.array()?),
                name: self.run()?,
            },
            EVENT | LINE => Item::Event {
                ticks: u64::from_le_bytes(self.array()?),
                name: self.run()?,
                line: tag == LINE,
            },
            LINK => Item::Link {
                context: SpanContext {
                    trace_id: TraceId(u128::from_le_bytes(self.array()?)),
                    span_id: SpanId(u64::from_le_bytes(self.array()?)),
                    flags: TraceFlags(self.array::<1>()?[0]),
                    is_remote: self.array::<1>()? != [0],
                    trace_state: match std::str::from_utf8(self.run()?).ok()? {
                        "" => None,
                        state => Some(Arc::from(state)),
                    },
                    ..SpanContext::default()
                },
            },
            END => Item::End {
                dropped: u32::from_le_bytes(self.array()?),
            },
            DROPPED => {
                let mut count = || Some(u32::from_le_bytes(self.array()?));
                Item::Dropped([count()?, count()?, count()?])
            }
            STATE => Item::State(self.run()?),
            _ => return None,
        })
    }
}

/// Whether a span's body has an attribute of that name; `fields` are those of its call site.
pub(crate) fn has_attribute(body: &[u8], name: &str, fields: Option<&FieldSet>) -> bool {
    let mut of_span = true;
    Items(body).any(|item| {
        match item {
            Item::Event { .. } | Item::EventAt { .. } | Item::Link { .. } => of_span = false,
            Item::End { .. } => of_span = true,
            Item::Attribute(key, _) => return of_span && name_of(key, fields) == name.as_bytes(),
            Item::Common(common) => return common.says(name.as_bytes()),
            _ => {}
        }
        false
    })
}

/// The name behind a key; `fields` are those of the span's call site.
pub(crate) fn name_of<'a, T: Letters + ?Sized>(key: Key<'a, T>, fields: Option<&'a FieldSet>) -> &'a T {
    match key {
        Key::Name(name) => name,
        Key::Index(index) => {
            let field = fields.and_then(|fields| fields.iter().nth(index.into()));
            T::of(field.map_or("", |field| field.name()))
        }
    }
}

/// What names are read as.
pub(crate) trait Letters {
    fn of(text: &str) -> &Self;
}

impl Letters for str {
    fn of(text: &str) -> &str {
        text
    }
}

impl Letters for [u8] {
    fn of(text: &str) -> &[u8] {
        text.as_bytes()
    }
}

/// Takes attributes out of a span's body, those of its events and links apart: of two with one name the former, and every one that is
/// named so. Returns how many of them had taken room.
pub(crate) fn tidy(body: &mut Vec<u8>, fields: Option<&FieldSet>, named: Option<&[u8]>) -> u32 {
    if let Cow::Owned(spelled_out) = spelled_out(body) {
        *body = spelled_out;
    }
    let mut last = HashMap::new();
    each_attribute(body, fields, |at, _, name| {
        last.insert(name.to_owned(), at.start);
    });
    let (mut gone, mut room) = (Vec::new(), 0);
    each_attribute(body, fields, |at, key, name| {
        if named == Some(name) || last.get(name).is_some_and(|last| *last != at.start) {
            gone.push(at);
            room += u32::from(!(matches!(key, Key::Name(_)) && is_of_span(name)));
        }
    });
    let mut kept = 0;
    let mut out = Vec::with_capacity(body.len());
    for at in &gone {
        out.extend_from_slice(&body[kept..at.start]);
        kept = at.end;
    }
    out.extend_from_slice(&body[kept..]);
    *body = out;
    room
}

/// The body, with what is common to many spans as if it were said of this one.
pub(crate) fn spelled_out(body: &[u8]) -> Cow<'_, [u8]> {
    let mut items = Items(body);
    let Some(Item::Common(common)) = items.next() else {
        return Cow::Borrowed(body);
    };
    let mut out = Vec::with_capacity(body.len() + common.encoded.len());
    attribute(&mut out, Key::Name(NAME), Scalar::Text(&common.name));
    for (key, value) in &common.attributes {
        attribute(&mut out, Key::Name(key), Scalar::Text(value));
    }
    out.extend_from_slice(items.0);
    Cow::Owned(out)
}

/// Where the attributes of the span itself stand.
fn each_attribute<'a>(
    body: &'a [u8],
    fields: Option<&'a FieldSet>,
    mut see: impl FnMut(Range<usize>, Key<'a, [u8]>, &'a [u8]),
) {
    let mut of_span = true;
    let mut items = Items(body);
    let mut start = 0;
    while let Some(item) = items.next() {
        let end = body.len() - items.0.len();
        match item {
            Item::Event { .. } | Item::EventAt { .. } | Item::Link { .. } => of_span = false,
            Item::End { .. } => of_span = true,
            Item::Attribute(key, _) if of_span => see(start..end, key, name_of(key, fields)),
            _ => {}
        }
        start = end;
    }
}

/// Whether a field says something of the span itself, as `otel.name` does: it is no attribute. Under its name it takes none's room
/// and is not cut.
pub(crate) fn is_of_span(name: &(impl AsRef<[u8]> + ?Sized)) -> bool {
    [NAME, KIND, STATUS_CODE, STATUS_DESCRIPTION, "otel.status_message"]
        .iter()
        .any(|known| known.as_bytes() == name.as_ref())
}

/// See [`is_of_span`].
pub(crate) const NAME: &str = "otel.name";
const KIND: &str = "otel.kind";
const STATUS_CODE: &str = "otel.status_code";
/// See [`is_of_span`].
pub(crate) const STATUS_DESCRIPTION: &str = "otel.status_description";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back() {
        let mut out = Vec::new();
        let context = SpanContext {
            trace_id: TraceId(u128::MAX - 5),
            span_id: SpanId(9),
            flags: TraceFlags(1),
            is_remote: true,
            trace_state: Some("a=b".into()),
            ..SpanContext::default()
        };
        attribute(&mut out, Key::Index(3), Scalar::I64(-4));
        attribute(&mut out, Key::Name("k"), Scalar::Text("v"));
        attribute(&mut out, Key::Index(0), Scalar::Bytes(b"\xff"));
        event(&mut out, 7, "e", false);
        attribute(&mut out, Key::Name("f"), Scalar::F64(0.5));
        end(&mut out, 2);
        link(&mut out, &context);
        end(&mut out, 0);
        attribute(&mut out, Key::Name("a"), Scalar::Array(b"\x0a"));
        event_at(&mut out, 8, "g");
        end(&mut out, 0);
        event(&mut out, 9, "l", true);
        end(&mut out, 0);
        times(&mut out, 1, 2);
        let items: Vec<_> = Items(&out).texts().collect();
        assert_eq!(
            items,
            [
                Item::Attribute(Key::Index(3), Scalar::I64(-4)),
                Item::Attribute(Key::Name("k"), Scalar::Text("v")),
                Item::Attribute(Key::Index(0), Scalar::Bytes(b"\xff")),
                Item::Event {
                    ticks: 7,
                    name: "e",
                    line: false
                },
                Item::Attribute(Key::Name("f"), Scalar::F64(0.5)),
                Item::End { dropped: 2 },
                Item::Link { context },
                Item::End { dropped: 0 },
                Item::Attribute(Key::Name("a"), Scalar::Array(b"\x0a")),
                Item::EventAt { nanos: 8, name: "g" },
                Item::End { dropped: 0 },
                Item::Event {
                    ticks: 9,
                    name: "l",
                    line: true
                },
                Item::End { dropped: 0 },
                Item::Times { start: 1, end: 2 },
            ]
        );
        for cut in 0..out.len() {
            let _ = Items(&out[..cut]).texts().count(); // ends, and does not panic
        }
    }

    #[test]
    fn attributes_of_events_are_none_of_the_span_s() {
        let mut body = Vec::new();
        let of_event = |body: &mut Vec<u8>| {
            attribute(body, Key::Name("a"), Scalar::I64(0));
            end(body, 0);
        };
        event(&mut body, 1, "e", false);
        of_event(&mut body);
        event_at(&mut body, 1, "e");
        of_event(&mut body);
        link(&mut body, &SpanContext::default());
        of_event(&mut body);
        assert!(!has_attribute(&body, "a", None));
        let events = body.len();
        attribute(&mut body, Key::Name("a"), Scalar::I64(1));
        attribute(&mut body, Key::Name("b"), Scalar::I64(2));
        attribute(&mut body, Key::Name("a"), Scalar::I64(3));
        assert!(has_attribute(&body, "a", None));
        assert_eq!(tidy(&mut body, None, None), 1);
        let rest = |body: &[u8]| {
            Items(&body[events..])
                .texts()
                .map(|item| format!("{item:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            rest(&body),
            [r#"Attribute(Name("b"), I64(2))"#, r#"Attribute(Name("a"), I64(3))"#]
        );
        assert_eq!(tidy(&mut body, None, Some(b"a")), 1);
        assert_eq!(rest(&body), [r#"Attribute(Name("b"), I64(2))"#]);
        assert_eq!(tidy(&mut body, None, None), 0);
    }
}
