//! Reads back the spans that the drainer encoded: as much of protobuf as OTLP's trace messages use, so that tests need no
//! further crate.

use super::{Span, Status, Texts};
use crate::trace::{SpanId, TraceId};
use std::fmt::Write as _;

/// One field of a message.
enum Wire<'a> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Wire<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(n) | Self::Fixed64(n) => *n,
            Self::Bytes(_) | Self::Fixed32 => 0,
        }
    }
}

/// The fields of a message, in order; ends where the bytes are no message.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(len).ok()?)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

/// The spans in repeated `scope_spans` fields of a `ResourceSpans`.
pub(super) fn spans(scope_spans: &[u8]) -> Vec<Span> {
    Message(scope_spans)
        .filter(|(field, _)| *field == 2)
        .flat_map(|(_, scope)| Message(scope.bytes()))
        .filter(|(field, _)| *field == 2)
        .map(|(_, span)| self::span(span.bytes()))
        .collect()
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span {
        kind: "internal",
        ..Span::default()
    };
    for (field, value) in Message(bytes) {
        match field {
            1 => span.trace_id = trace_id(&value),
            2 => span.span_id = span_id(&value),
            4 => span.parent_id = Some(span_id(&value)).filter(|id| id.is_valid()),
            5 => span.name = value.text(),
            6 => span.kind = kind(value.number()),
            7 => span.start_unix_nanos = value.number(),
            8 => span.end_unix_nanos = value.number(),
            9 => span.attributes.extend(attribute(value.bytes())),
            11 => span.events.push(event(value.bytes())),
            13 => span.links.push(link(value.bytes())),
            15 => {
                for (field, value) in Message(value.bytes()) {
                    match field {
                        2 => span.message = value.text(),
                        3 => {
                            span.status = match value.number() {
                                1 => Status::Ok,
                                2 => Status::Error,
                                _ => Status::Unset,
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    span
}

fn trace_id(value: &Wire<'_>) -> TraceId {
    TraceId(value.bytes().try_into().map_or(0, u128::from_be_bytes))
}

fn span_id(value: &Wire<'_>) -> SpanId {
    SpanId(value.bytes().try_into().map_or(0, u64::from_be_bytes))
}

fn kind(number: u64) -> &'static str {
    match number {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

fn event(bytes: &[u8]) -> (String, Texts) {
    let mut event = (String::new(), Texts::new());
    for (field, value) in Message(bytes) {
        match field {
            2 => event.0 = value.text(),
            3 => event.1.extend(attribute(value.bytes())),
            _ => {}
        }
    }
    event
}

fn link(bytes: &[u8]) -> (TraceId, SpanId) {
    let mut link = (TraceId::INVALID, SpanId::INVALID);
    for (field, value) in Message(bytes) {
        match field {
            1 => link.0 = trace_id(&value),
            2 => link.1 = span_id(&value),
            _ => {}
        }
    }
    link
}

/// `KeyValue`
fn attribute(bytes: &[u8]) -> Option<(String, String)> {
    let mut key = None;
    let mut text = String::new();
    for (field, value) in Message(bytes) {
        match field {
            1 => key = Some(value.text()),
            2 => text = any_value(value.bytes()),
            _ => {}
        }
    }
    Some((key?, text))
}

/// `AnyValue`
fn any_value(bytes: &[u8]) -> String {
    let Some((field, value)) = Message(bytes).next() else {
        return String::new();
    };
    match field {
        1 => value.text(),
        2 => (value.number() != 0).to_string(),
        3 => (value.number() as i64).to_string(),
        4 => f64::from_bits(value.number()).to_string(),
        5 => {
            let values: Vec<_> = Message(value.bytes())
                .map(|(_, value)| any_value(value.bytes()))
                .collect();
            format!("[{}]", values.join(", "))
        }
        7 => value.bytes().iter().fold(String::new(), |mut hex, byte| {
            // Writing into a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        _ => String::new(),
    }
}
