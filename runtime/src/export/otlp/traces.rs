//! Spans as OTLP, written straight from the store's records.
//!
//! Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`. A test reads every field back through the decoder of
//! `opentelemetry-proto`.

use super::framed::Framed;
use crate::clock;
use crate::outcome::CallOutcome;
use crate::quick::BuildQuick;
use crate::secret::{REDACTED, is_secret};
use crate::site::SpanKind;
use crate::trace::body::{self, Item, Items, Key, Scalar};
use crate::trace::context::SpanContext;
use crate::trace::finished::{Head, STATUS_ERROR, STATUS_OK};
use crate::trace::otel;
use std::borrow::Cow;
use std::collections::HashMap;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Whether the parent's remoteness is known, and whether it is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

#[inline]
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, LENGTH);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[inline]
fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A number that is left out when it is 0, as proto3 has it.
#[inline]
fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, VARINT);
        varint(out, value);
    }
}

/// A message whose length is known once it is written.
#[inline]
fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, LENGTH);
    let at = out.len();
    out.push(0);
    write(out);
    patch(out, at);
}

/// Puts the length of what follows `at + 1` at `at`, making room where one byte is not enough.
#[inline]
fn patch(out: &mut Vec<u8>, at: usize) {
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let more = (length.ilog2() / 7) as usize;
    out.resize(out.len() + more, 0);
    let start = at + 1;
    out.copy_within(start..start + length, start + more);
    let mut value = length;
    for byte in &mut out[at..at + more] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    out[at + more] = value as u8;
}

/// How many bytes a length takes.
#[inline]
fn size(length: usize) -> usize {
    if length < 0x80 {
        1
    } else {
        length.ilog2() as usize / 7 + 1
    }
}

/// `KeyValue` in a field below 16. How long it will be is known beforehand, so nothing is moved.
#[inline]
pub(crate) fn attribute<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, field: u32, key: &T, value: Scalar<'_, T>) {
    debug_assert!(field < 16, "its tag is one byte");
    let key = key.as_ref();
    let of_value = any_value_length(value);
    let whole = 1 + size(key.len()) + key.len() + 1 + size(of_value) + of_value;
    out.reserve(1 + size(whole) + whole);
    if let Scalar::Text(text) = value
        && whole < 0x80
    {
        // What most are: in four pieces.
        let text = text.as_ref();
        let head =
            |field: u32, length: usize, inner: usize| [(field as u8) << 3 | 2, length as u8, 1 << 3 | 2, inner as u8];
        out.extend_from_slice(&head(field, whole, key.len()));
        out.extend_from_slice(key);
        out.extend_from_slice(&head(2, of_value, text.len()));
        return out.extend_from_slice(text);
    }
    tag(out, field, LENGTH);
    varint(out, whole as u64);
    bytes(out, 1, key);
    tag(out, 2, LENGTH);
    varint(out, of_value as u64);
    any_value(out, value);
}

/// The bytes of an `AnyValue`.
#[inline]
fn any_value_length<T: AsRef<[u8]> + ?Sized>(value: Scalar<'_, T>) -> usize {
    let of_bytes = |length: usize| 1 + size(length) + length;
    match value {
        Scalar::Text(text) => of_bytes(text.as_ref().len()),
        Scalar::Bool(_) => 2,
        Scalar::I64(value) => 1 + if value < 0 { 10 } else { size(value as usize) },
        Scalar::F64(_) => 9,
        Scalar::Bytes(value) | Scalar::Array(value) => of_bytes(value.len()),
    }
}

#[inline]
fn any_value<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, value: Scalar<'_, T>) {
    match value {
        Scalar::Text(text) => bytes(out, 1, text.as_ref()),
        Scalar::Bool(value) => {
            tag(out, 2, VARINT);
            out.push(value.into());
        }
        Scalar::I64(value) => {
            tag(out, 3, VARINT);
            varint(out, value as u64);
        }
        Scalar::F64(value) => fixed64(out, 4, value.to_bits()),
        Scalar::Bytes(value) => bytes(out, 7, value),
        Scalar::Array(value) => bytes(out, 5, value),
    }
}

/// One of the `values` of an `ArrayValue`.
#[cfg(any(feature = "otel", feature = "tower"))]
pub(crate) fn array_value(out: &mut Vec<u8>, value: Scalar<'_>) {
    nested(out, 1, |out| any_value(out, value));
}

/// A whole `ExportTraceServiceRequest`: one `ResourceSpans` of the encoded `Resource` and the `scope_spans` fields.
#[cfg(all(test, feature = "otlp"))]
pub(crate) fn request(resource: &[u8], scope_spans: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(resource.len() + scope_spans.len() + 24);
    nested(&mut out, 1, |out| {
        bytes(out, 1, resource);
        out.extend_from_slice(scope_spans);
    });
    out
}

/// Makes spans a `scope_spans` field of `ResourceSpans`: of the scope of that name, or of more, where [`otel::scope_key`] knows it.
pub(crate) fn put_in_scope(spans: &mut Framed, scope: &str) {
    if let Some(more) = otel::scope_of(scope) {
        return spans.put_in_scope(&more.message, &more.schema_url);
    }
    let mut named = Vec::new();
    bytes(&mut named, 1, scope.as_bytes());
    spans.put_in_scope(&named, "");
}

/// What fields of the names `otel.*` say of the span itself, as `tracing-opentelemetry` has it.
#[derive(Default)]
struct Said<'a> {
    name: Option<&'a [u8]>,
    kind: Option<SpanKind>,
    status: Option<u8>,
    message: Option<&'a [u8]>,
    /// Start and end, 0 where they are the head's.
    times: [u64; 2],
    /// Attributes that stand on spans without being asked for, and that this one says itself: `outcome`, and some of `code.*`.
    outcome: bool,
    place: bool,
}

impl<'a> Said<'a> {
    /// True when the field is one of them, and no attribute.
    fn hears(&mut self, key: &[u8], value: Scalar<'a, [u8]>) -> bool {
        let Some(of) = key.strip_prefix(OF_SPAN.as_bytes()) else {
            self.outcome |= key == OUTCOME.as_bytes();
            self.place |= key.starts_with(PLACE.as_bytes());
            return false;
        };
        let Scalar::Text(value) = value else {
            return false;
        };
        match of {
            b"name" => self.name = Some(value),
            b"kind" => match kind(value) {
                Some(kind) => self.kind = Some(kind),
                None => return false,
            },
            b"status_code" if value.eq_ignore_ascii_case(b"ok") => self.status = Some(STATUS_OK),
            b"status_code" if value.eq_ignore_ascii_case(b"error") => self.status = Some(STATUS_ERROR),
            b"status_code" if value.eq_ignore_ascii_case(b"unset") => self.status = Some(0),
            b"status_description" | b"status_message" => self.message = Some(value),
            _ => return false,
        }
        true
    }

    /// The status, where the span's own is this one. A description alone says that it failed.
    fn status_beside(&self, known: u8) -> u8 {
        match self.status {
            Some(said) => said,
            None if known == 0 && self.message.is_some() => STATUS_ERROR,
            None => known,
        }
    }
}

/// Begins the names of what is said of the span itself.
const OF_SPAN: &str = "otel.";
/// How a call ended.
const OUTCOME: &str = "outcome";
/// Begins the names of what says where a span's call site stands.
const PLACE: &str = "code.";

/// Whether an attribute of that name is told of spans without being asked for, or says something of the span itself.
pub(crate) fn is_told(name: &str) -> bool {
    name == OUTCOME || name.starts_with(PLACE) || body::is_of_span(name)
}

fn kind(name: &[u8]) -> Option<SpanKind> {
    const KINDS: [(&str, SpanKind); 5] = [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ];
    KINDS
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
        .map(|(_, kind)| *kind)
}

/// What is the same for every span of a call site, looked at once.
#[derive(Default)]
pub(crate) struct Places {
    known: HashMap<(usize, usize), Place, BuildQuick>,
}

/// A call site.
struct Place {
    /// `code.*`, encoded.
    attributes: Box<[u8]>,
    fields: SiteFields,
}

/// Its fields.
struct SiteFields {
    /// To find one in its metadata is to walk through those before it.
    names: Box<[&'static str]>,
    marks: Marks,
}

impl SiteFields {
    #[inline]
    fn name<'a>(&self, key: Key<'a, [u8]>) -> &'a [u8] {
        match key {
            Key::Name(name) => name,
            Key::Index(index) => self.names.get(usize::from(index)).map_or(b"", |name| name.as_bytes()),
        }
    }
}

/// Which fields of a call site are more than attributes, by their index, so that no name is looked at for the others.
#[derive(Clone, Copy, Default)]
struct Marks {
    /// They have secret names. `#[traced]` has none but those that were said to be meant; what others' macros record, as
    /// `#[instrument]` does every argument, is hidden as it is in log lines.
    secret: u64,
    /// [`Said`] hears them.
    heard: u64,
}

impl Marks {
    fn of(head: &Head) -> Self {
        let mut marks = Self::default();
        for field in head.meta.iter().flat_map(|meta| meta.fields()) {
            let (bit, name) = (Self::bit(field.index()), field.name());
            if head.site.is_none() && is_secret(name) {
                marks.secret |= bit;
            }
            if name.starts_with(OF_SPAN) || is_told(name) {
                marks.heard |= bit;
            }
        }
        marks
    }

    /// Call sites have no more than some dozens of fields; those beyond share the last bit, and its fate.
    fn bit(index: usize) -> u64 {
        1 << index.min(63)
    }

    #[inline]
    fn is_plain(self, key: Key<'_, [u8]>) -> bool {
        matches!(key, Key::Index(index) if (self.secret | self.heard) & Self::bit(index.into()) == 0)
    }

    fn hides(self, key: Key<'_, [u8]>) -> bool {
        matches!(key, Key::Index(index) if self.secret & Self::bit(index.into()) != 0)
    }
}

/// Call sites are static, so they are few; this bounds it for a program that makes them as it goes.
const MOST_PLACES: usize = 16 * 1024;

impl Places {
    fn of(&mut self, head: &Head) -> &Place {
        let address = |place: Option<*const ()>| place.map_or(0, |place| place as usize);
        let key = (
            address(head.meta.map(|meta| std::ptr::from_ref(meta).cast())),
            address(head.site.map(|site| std::ptr::from_ref(site).cast())),
        );
        if self.known.len() > MOST_PLACES {
            self.known.clear();
        }
        self.known.entry(key).or_insert_with(|| {
            let mut out = Vec::new();
            place(&mut out, head);
            let fields = head.meta.into_iter().flat_map(|meta| meta.fields().iter());
            Place {
                attributes: out.into(),
                fields: SiteFields {
                    names: fields.map(|field| field.name()).collect(),
                    marks: Marks::of(head),
                },
            }
        })
    }
}

/// A `spans` field of `ScopeSpans`.
pub(crate) fn span(out: &mut Vec<u8>, head: &Head, body: &[u8], places: &mut Places) {
    tag(out, 2, LENGTH);
    // Almost every span is between 128 bytes and 16 KiB long, whose length takes two bytes.
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    message(out, head, body, places);
    let length = out.len() - at - 2;
    if (0x80..0x4000).contains(&length) {
        out[at] = length as u8 | 0x80;
        out[at + 1] = (length >> 7) as u8;
    } else {
        out.remove(at + 1);
        patch(out, at);
    }
}

fn message(out: &mut Vec<u8>, head: &Head, body: &[u8], places: &mut Places) {
    let mut ids = [0; 28];
    ids[..2].copy_from_slice(&[1 << 3 | LENGTH as u8, 16]);
    ids[2..10].copy_from_slice(&head.trace[0].to_be_bytes());
    ids[10..18].copy_from_slice(&head.trace[1].to_be_bytes());
    ids[18..20].copy_from_slice(&[2 << 3 | LENGTH as u8, 8]);
    ids[20..].copy_from_slice(&head.span.to_be_bytes());
    out.extend_from_slice(&ids);
    if head.parent != 0 {
        bytes(out, 4, &head.parent.to_be_bytes());
    }
    let (body, repeated) = once(head, body);
    let body = &*body;
    let mut said = Said::default();
    let place = places.of(head);
    items(out, body, repeated, &place.fields, &mut said);
    if said.place {
        place_beside(out, head, body);
    } else {
        out.extend_from_slice(&place.attributes);
    }
    times(out, head, said.times);
    if let Some(outcome) = head.outcome()
        && outcome != CallOutcome::Ok
        && !said.outcome
    {
        attribute(out, 9, OUTCOME, Scalar::Text(outcome.as_str()));
    }
    let name = said
        .name
        .or(head.meta.map(|meta| meta.name().as_bytes()))
        .unwrap_or_default();
    bytes(out, 5, name);
    let kind = said.kind.map_or(head.kind(), |kind| kind as u8);
    number(out, 6, u64::from(kind) + 1);
    status(out, said.status_beside(head.status()), said.message);
    let remote = if head.parent_remote() { IS_REMOTE } else { 0 };
    fixed32(out, 16, u32::from(head.flags().of_w3c().0) | HAS_IS_REMOTE | remote);
}

/// The body, and whether names may stand twice in it. To look behind each attribute for its name takes the square of their number,
/// which a limit that was raised leaves open: they are sorted out of a long body at once.
fn once<'a>(head: &Head, body: &'a [u8]) -> (Cow<'a, [u8]>, bool) {
    const LONG: usize = 4096;
    if !head.repeated() {
        return (Cow::Borrowed(body), false);
    }
    if body.len() <= LONG {
        return (body::spelled_out(body), true);
    }
    let mut body = body.to_vec();
    body::tidy(&mut body, head.meta.map(tracing_core::Metadata::fields), None);
    (Cow::Owned(body), false)
}

fn times(out: &mut Vec<u8>, head: &Head, [start, end]: [u64; 2]) {
    let from = if start == 0 {
        clock::unix_nanos(head.start)
    } else {
        start
    };
    let to = if end == 0 {
        clock::unix_nanos(head.end.max(head.start))
    } else {
        end
    };
    fixed64(out, 7, from);
    // A start that was said may be later, and the clock may have been set back.
    fixed64(out, 8, to.max(from));
}

fn status(out: &mut Vec<u8>, code: u8, message: Option<&[u8]>) {
    if code == 0 {
        return;
    }
    nested(out, 15, |out| {
        if let (STATUS_ERROR, Some(message)) = (code, message) {
            bytes(out, 2, message); // the specification ignores a description without an error
        }
        number(out, 3, code.into());
    });
}

/// Whether an encoded span, as [`span`] writes it, has the status Error.
pub(crate) fn is_error(span: &[u8]) -> bool {
    let mut fields = Fields(span);
    let Some((2, Field::Bytes(message))) = fields.next() else {
        return false;
    };
    Fields(message).any(|field| {
        let (15, Field::Bytes(status)) = field else {
            return false;
        };
        Fields(status).any(|field| matches!(field, (3, Field::Varint(code)) if code == u64::from(STATUS_ERROR)))
    })
}

/// As much of protobuf as it takes to find a field in what was written here.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()? as u32;
        let field = match tag & 7 {
            VARINT => Field::Varint(self.varint()?),
            FIXED64 => self.take(8).map(|_| Field::Fixed)?,
            FIXED32 => self.take(4).map(|_| Field::Fixed)?,
            LENGTH => {
                let length = self.varint()?;
                Field::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

/// [`place`] without what the span says itself.
#[cold]
fn place_beside(out: &mut Vec<u8>, head: &Head, body: &[u8]) {
    let mut all = Vec::new();
    place(&mut all, head);
    let fields = head.meta.map(tracing_core::Metadata::fields);
    let mut rest = Fields(&all);
    loop {
        let before = rest.0;
        let Some((_, Field::Bytes(pair))) = rest.next() else {
            return;
        };
        let known = match Fields(pair).next() {
            Some((1, Field::Bytes(key))) => std::str::from_utf8(key).unwrap_or_default(),
            _ => "",
        };
        if !body::has_attribute(body, known, fields) {
            out.extend_from_slice(&before[..before.len() - rest.0.len()]);
        }
    }
}

/// `code.*`, from static metadata.
fn place(out: &mut Vec<u8>, head: &Head) {
    if head.site.is_some_and(|site| site.def.function.is_empty()) {
        return; // a layer of ours: no line of the user's program
    }
    if let Some(site) = head.site {
        nested(out, 9, |out| {
            bytes(out, 1, b"code.function.name");
            nested(out, 2, |out| {
                nested(out, 1, |out| {
                    out.extend_from_slice(site.def.module.as_bytes());
                    out.extend_from_slice(b"::");
                    out.extend_from_slice(site.def.function.as_bytes());
                });
            });
        });
    }
    if let Some(meta) = head.meta {
        if let Some(file) = meta.file() {
            attribute(out, 9, "code.file.path", Scalar::Text(file));
        }
        if let Some(line) = meta.line() {
            attribute(out, 9, "code.line.number", Scalar::I64(line.into()));
        }
    }
}

/// Attributes, events and links.
fn items<'a>(out: &mut Vec<u8>, body: &'a [u8], repeated: bool, fields: &SiteFields, said: &mut Said<'a>) {
    let marks = fields.marks;
    let mut items = Items(body);
    while let Some(item) = items.next() {
        match item {
            Item::Attribute(key, value) if marks.is_plain(key) && !repeated => {
                attribute(out, 9, fields.name(key), value);
            }
            Item::Common(common) => {
                out.extend_from_slice(&common.encoded);
                said.name = Some(common.name.as_bytes());
            }
            Item::Attribute(key, value) => {
                let name = fields.name(key);
                let value = if marks.hides(key) {
                    Scalar::Text(REDACTED.as_bytes())
                } else {
                    value
                };
                if said.hears(name, value) || (repeated && stands_again(fields, items.clone(), name)) {
                    continue;
                }
                attribute(out, 9, name, value);
            }
            Item::Event { ticks, name, line } => nested(out, 11, |out| {
                fixed64(out, 1, clock::unix_nanos(ticks));
                bytes(out, 2, name);
                let dropped = inner(out, 3, fields, &mut items, line);
                number(out, 4, dropped.into());
            }),
            Item::EventAt { nanos, name } => nested(out, 11, |out| {
                fixed64(out, 1, nanos);
                bytes(out, 2, name);
                let dropped = inner(out, 3, fields, &mut items, false);
                number(out, 4, dropped.into());
            }),
            Item::Times { start, end } => said.times = [start, end],
            Item::Link { context } => nested(out, 13, |out| {
                link(out, &context);
                let dropped = inner(out, 4, fields, &mut items, false);
                number(out, 5, dropped.into());
            }),
            Item::Dropped(counts @ [attributes, events, links]) => {
                crate::trace::limited(counts);
                number(out, 10, attributes.into());
                number(out, 12, events.into());
                number(out, 14, links.into());
            }
            Item::State(state) => bytes(out, 3, state),
            Item::End { .. } => {}
        }
    }
}

/// The attributes of an event or a link, of two with one name the later; returns how many were dropped. Those of a `line` are hidden
/// under secret names, as they are in the logs.
fn inner(out: &mut Vec<u8>, field: u32, fields: &SiteFields, items: &mut Items<'_>, line: bool) -> u32 {
    while let Some(item) = items.next() {
        match item {
            Item::Attribute(key, value) => {
                let name = fields.name(key);
                let attributes = items.clone().map_while(|item| match item {
                    Item::Attribute(key, _) => Some(fields.name(key)),
                    _ => None,
                });
                if attributes.into_iter().any(|later| later == name) {
                    continue;
                }
                let hidden = line && std::str::from_utf8(name).is_ok_and(is_secret);
                let redacted = Scalar::Text(REDACTED.as_bytes());
                attribute(out, field, name, if hidden { redacted } else { value });
            }
            Item::End { dropped } => return dropped,
            _ => return 0,
        }
    }
    0
}

fn link(out: &mut Vec<u8>, context: &SpanContext) {
    bytes(out, 1, &context.trace_id.0.to_be_bytes());
    bytes(out, 2, &context.span_id.0.to_be_bytes());
    if let Some(state) = &context.trace_state {
        bytes(out, 3, state.as_bytes());
    }
    let remote = if context.is_remote { IS_REMOTE } else { 0 };
    fixed32(out, 6, u32::from(context.flags.of_w3c().0) | HAS_IS_REMOTE | remote);
}

/// Whether an attribute of that name follows, on the span itself.
fn stands_again(fields: &SiteFields, items: Items<'_>, name: &[u8]) -> bool {
    let mut inside = false;
    for item in items {
        match item {
            Item::Attribute(key, _) if !inside && fields.name(key) == name => return true,
            Item::Attribute(..) => {}
            Item::Event { .. } | Item::EventAt { .. } | Item::Link { .. } => inside = true,
            _ => inside = false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use prost::Message as _;

    #[test]
    fn attributes_of_every_length_are_read_back() {
        let text = "x".repeat(40_000);
        let lengths = [
            0, 1, 63, 110, 119, 120, 121, 122, 123, 124, 127, 128, 200, 16_383, 16_384, 40_000,
        ];
        for key in lengths {
            for length in lengths {
                let (key, text) = (&text[..key], &text[..length]);
                for (value, expected) in [
                    (Scalar::Text(text), Value::StringValue(text.to_owned())),
                    (Scalar::Bytes(text.as_bytes()), Value::BytesValue(text.into())),
                ] {
                    assert_eq!(read(key, value), expected, "{} {}", key.len(), text.len());
                }
            }
        }
        for number in [0, 1, 127, 128, 16_383, 16_384, i64::MAX, -1, i64::MIN] {
            assert_eq!(read("n", Scalar::I64(number)), Value::IntValue(number));
        }
        assert_eq!(read("f", Scalar::F64(0.5)), Value::DoubleValue(0.5));
        assert_eq!(read("b", Scalar::Bool(true)), Value::BoolValue(true));
    }

    fn read(key: &str, value: Scalar<'_>) -> Value {
        let mut out = vec![7];
        attribute(&mut out, 9, key, value);
        assert_eq!(out[..2], [7, 9 << 3 | 2], "behind what was there");
        let mut rest = &out[2..];
        let read = KeyValue::decode_length_delimited(&mut rest).unwrap();
        assert!(rest.is_empty() && read.key == key);
        read.value.unwrap().value.unwrap()
    }
}
