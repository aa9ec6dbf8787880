//! OTLP/JSON from the protobuf bytes, by a table of the messages: ids in hex, enums as integers, names in lowerCamelCase,
//! 64-bit integers as strings (OTLP specification, "JSON Protobuf Encoding").

use super::wire::{Fields, Malformed, Value};
use crate::export::transport::{Accepted, SendError, Signal};
use bytes::Bytes;
use std::fmt::Write as _;

/// The fields of a message.
type Message = [Field];

struct Field {
    number: u32,
    name: &'static str,
    form: Form,
    repeated: bool,
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    /// Ids.
    Hex,
    Base64,
    Bool,
    /// Up to 32 bits, enums too: a number.
    Int,
    /// Zigzag, 32 bits.
    Sint,
    /// `int64`, `sfixed64`: a string.
    Long,
    /// `uint64`, `fixed64`: a string.
    Ulong,
    /// The same, packed as variable-length numbers where it repeats; the others repeat in eight bytes each.
    Packed,
    Double,
    Message(&'static Message),
}

const fn one(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        number,
        name,
        form,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        number,
        name,
        form,
        repeated: true,
    }
}

use Form::{Base64, Bool, Double, Hex, Int, Long, Message as Of, Packed, Sint, Text, Ulong};

static ANY_VALUE: [Field; 7] = [
    one(1, "stringValue", Text),
    one(2, "boolValue", Bool),
    one(3, "intValue", Long),
    one(4, "doubleValue", Double),
    one(5, "arrayValue", Of(&ARRAY_VALUE)),
    one(6, "kvlistValue", Of(&KEY_VALUE_LIST)),
    one(7, "bytesValue", Base64),
];
static ARRAY_VALUE: [Field; 1] = [many(1, "values", Of(&ANY_VALUE))];
static KEY_VALUE_LIST: [Field; 1] = [many(1, "values", Of(&KEY_VALUE))];
static KEY_VALUE: [Field; 2] = [one(1, "key", Text), one(2, "value", Of(&ANY_VALUE))];
static SCOPE: [Field; 4] = [
    one(1, "name", Text),
    one(2, "version", Text),
    many(3, "attributes", Of(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Int),
];
static RESOURCE: [Field; 2] = [
    many(1, "attributes", Of(&KEY_VALUE)),
    one(2, "droppedAttributesCount", Int),
];

/// `ResourceSpans` and the like: the three signals differ in names only.
const fn resource_of(name: &'static str, scopes: &'static Message) -> [Field; 3] {
    [
        one(1, "resource", Of(&RESOURCE)),
        many(2, name, Of(scopes)),
        one(3, "schemaUrl", Text),
    ]
}

/// `ScopeSpans` and the like.
const fn scope_of(name: &'static str, items: &'static Message) -> [Field; 3] {
    [
        one(1, "scope", Of(&SCOPE)),
        many(2, name, Of(items)),
        one(3, "schemaUrl", Text),
    ]
}

static TRACES: [Field; 1] = [many(1, "resourceSpans", Of(&RESOURCE_SPANS))];
static RESOURCE_SPANS: [Field; 3] = resource_of("scopeSpans", &SCOPE_SPANS);
static SCOPE_SPANS: [Field; 3] = scope_of("spans", &SPAN);
static SPAN: [Field; 16] = [
    one(1, "traceId", Hex),
    one(2, "spanId", Hex),
    one(3, "traceState", Text),
    one(4, "parentSpanId", Hex),
    one(16, "flags", Int),
    one(5, "name", Text),
    one(6, "kind", Int),
    one(7, "startTimeUnixNano", Ulong),
    one(8, "endTimeUnixNano", Ulong),
    many(9, "attributes", Of(&KEY_VALUE)),
    one(10, "droppedAttributesCount", Int),
    many(11, "events", Of(&EVENT)),
    one(12, "droppedEventsCount", Int),
    many(13, "links", Of(&LINK)),
    one(14, "droppedLinksCount", Int),
    one(15, "status", Of(&STATUS)),
];
static EVENT: [Field; 4] = [
    one(1, "timeUnixNano", Ulong),
    one(2, "name", Text),
    many(3, "attributes", Of(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Int),
];
static LINK: [Field; 6] = [
    one(1, "traceId", Hex),
    one(2, "spanId", Hex),
    one(3, "traceState", Text),
    many(4, "attributes", Of(&KEY_VALUE)),
    one(5, "droppedAttributesCount", Int),
    one(6, "flags", Int),
];
static STATUS: [Field; 2] = [one(2, "message", Text), one(3, "code", Int)];

static LOGS: [Field; 1] = [many(1, "resourceLogs", Of(&RESOURCE_LOGS))];
static RESOURCE_LOGS: [Field; 3] = resource_of("scopeLogs", &SCOPE_LOGS);
static SCOPE_LOGS: [Field; 3] = scope_of("logRecords", &LOG_RECORD);
static LOG_RECORD: [Field; 11] = [
    one(1, "timeUnixNano", Ulong),
    one(11, "observedTimeUnixNano", Ulong),
    one(2, "severityNumber", Int),
    one(3, "severityText", Text),
    one(5, "body", Of(&ANY_VALUE)),
    many(6, "attributes", Of(&KEY_VALUE)),
    one(7, "droppedAttributesCount", Int),
    one(8, "flags", Int),
    one(9, "traceId", Hex),
    one(10, "spanId", Hex),
    one(12, "eventName", Text),
];

static METRICS: [Field; 1] = [many(1, "resourceMetrics", Of(&RESOURCE_METRICS))];
static RESOURCE_METRICS: [Field; 3] = resource_of("scopeMetrics", &SCOPE_METRICS);
static SCOPE_METRICS: [Field; 3] = scope_of("metrics", &METRIC);
static METRIC: [Field; 9] = [
    one(1, "name", Text),
    one(2, "description", Text),
    one(3, "unit", Text),
    one(5, "gauge", Of(&GAUGE)),
    one(7, "sum", Of(&SUM)),
    one(9, "histogram", Of(&HISTOGRAM)),
    one(10, "exponentialHistogram", Of(&EXPONENTIAL)),
    one(11, "summary", Of(&SUMMARY)),
    many(12, "metadata", Of(&KEY_VALUE)),
];
static GAUGE: [Field; 1] = [many(1, "dataPoints", Of(&NUMBER_POINT))];
static SUM: [Field; 3] = [
    many(1, "dataPoints", Of(&NUMBER_POINT)),
    one(2, "aggregationTemporality", Int),
    one(3, "isMonotonic", Bool),
];
/// Points that hold since some time.
const fn points_of(points: &'static Message) -> [Field; 2] {
    [many(1, "dataPoints", Of(points)), one(2, "aggregationTemporality", Int)]
}
static HISTOGRAM: [Field; 2] = points_of(&HISTOGRAM_POINT);
static EXPONENTIAL: [Field; 2] = points_of(&EXPONENTIAL_POINT);
static SUMMARY: [Field; 1] = [many(1, "dataPoints", Of(&SUMMARY_POINT))];
static NUMBER_POINT: [Field; 7] = [
    many(7, "attributes", Of(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Ulong),
    one(3, "timeUnixNano", Ulong),
    one(4, "asDouble", Double),
    one(6, "asInt", Long),
    many(5, "exemplars", Of(&EXEMPLAR)),
    one(8, "flags", Int),
];
static HISTOGRAM_POINT: [Field; 11] = [
    many(9, "attributes", Of(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Ulong),
    one(3, "timeUnixNano", Ulong),
    one(4, "count", Ulong),
    one(5, "sum", Double),
    many(6, "bucketCounts", Ulong),
    many(7, "explicitBounds", Double),
    many(8, "exemplars", Of(&EXEMPLAR)),
    one(10, "flags", Int),
    one(11, "min", Double),
    one(12, "max", Double),
];
static EXPONENTIAL_POINT: [Field; 14] = [
    many(1, "attributes", Of(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Ulong),
    one(3, "timeUnixNano", Ulong),
    one(4, "count", Ulong),
    one(5, "sum", Double),
    one(6, "scale", Sint),
    one(7, "zeroCount", Ulong),
    one(8, "positive", Of(&BUCKETS)),
    one(9, "negative", Of(&BUCKETS)),
    one(10, "flags", Int),
    many(11, "exemplars", Of(&EXEMPLAR)),
    one(12, "min", Double),
    one(13, "max", Double),
    one(14, "zeroThreshold", Double),
];
static BUCKETS: [Field; 2] = [one(1, "offset", Sint), many(2, "bucketCounts", Packed)];
static SUMMARY_POINT: [Field; 7] = [
    many(7, "attributes", Of(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Ulong),
    one(3, "timeUnixNano", Ulong),
    one(4, "count", Ulong),
    one(5, "sum", Double),
    many(6, "quantileValues", Of(&QUANTILE)),
    one(8, "flags", Int),
];
static QUANTILE: [Field; 2] = [one(1, "quantile", Double), one(2, "value", Double)];
static EXEMPLAR: [Field; 6] = [
    many(7, "filteredAttributes", Of(&KEY_VALUE)),
    one(2, "timeUnixNano", Ulong),
    one(3, "asDouble", Double),
    one(6, "asInt", Long),
    one(4, "spanId", Hex),
    one(5, "traceId", Hex),
];

/// Values nest at most so deep; beyond it they are cut.
const MAX_DEPTH: usize = 100;

/// A request as JSON.
pub(crate) fn request(signal: Signal, body: &[u8]) -> Result<Bytes, SendError> {
    text(signal, body)
        .map(Bytes::from)
        .map_err(|Malformed| SendError::too_large("a batch could not be written as JSON".to_owned()))
}

/// The same as text: one line.
pub(crate) fn text(signal: Signal, body: &[u8]) -> Result<String, Malformed> {
    let message: &Message = match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    };
    let mut out = String::with_capacity(body.len() * 2);
    object(&mut out, message, body, 0)?;
    Ok(out)
}

fn object(out: &mut String, message: &Message, body: &[u8], depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        out.push_str("{}");
        return Ok(());
    }
    let fields = Fields(body).collect::<Result<Vec<_>, _>>()?;
    out.push('{');
    let mut first = true;
    for field in message {
        let mut found = fields
            .iter()
            .filter(|(number, _)| *number == field.number)
            .map(|(_, value)| *value);
        let comma = if first { "" } else { "," };
        if field.repeated {
            let Some(head) = found.next() else { continue };
            let _ = write!(out, "{comma}\"{}\":[", field.name);
            let mut empty = true;
            for one in std::iter::once(head).chain(found) {
                each(out, field.form, one, depth, &mut empty)?;
            }
            out.push(']');
        } else {
            // Of a field that stands twice the last holds.
            let Some(last) = found.next_back() else { continue };
            let _ = write!(out, "{comma}\"{}\":", field.name);
            scalar(out, field.form, last, depth)?;
        }
        first = false;
    }
    out.push('}');
    Ok(())
}

/// One element of a repeated field, or several that are packed.
fn each(out: &mut String, form: Form, value: Value<'_>, depth: usize, empty: &mut bool) -> Result<(), Malformed> {
    let mut item = |out: &mut String, value| {
        if !std::mem::take(empty) {
            out.push(',');
        }
        scalar(out, form, value, depth)
    };
    match (form, value) {
        (Ulong | Double, Value::Bytes(packed)) => {
            for eight in packed.chunks(8) {
                let bits = u64::from_le_bytes(eight.try_into().map_err(|_| Malformed)?);
                item(out, Value::Fixed64(bits))?;
            }
            Ok(())
        }
        (Packed, Value::Bytes(packed)) => {
            let mut rest = Fields(packed);
            while !rest.0.is_empty() {
                let number = rest.varint()?;
                item(out, Value::Varint(number))?;
            }
            Ok(())
        }
        (_, value) => item(out, value),
    }
}

fn scalar(out: &mut String, form: Form, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
    let written = match (form, value) {
        (Text, Value::Bytes(text)) => {
            quoted(out, &String::from_utf8_lossy(text));
            Ok(())
        }
        (Hex, Value::Bytes(bytes)) => {
            out.push('"');
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
            Ok(())
        }
        (Base64, Value::Bytes(bytes)) => {
            base64(out, bytes);
            Ok(())
        }
        (Of(message), Value::Bytes(body)) => return object(out, message, body, depth + 1),
        (Bool, Value::Varint(on)) => write!(out, "{}", on != 0),
        (Int, Value::Varint(number)) => write!(out, "{}", number as i32),
        (Int, Value::Fixed32(number)) => write!(out, "{number}"),
        (Sint, Value::Varint(number)) => write!(out, "{}", (number as u32 >> 1) as i32 ^ -((number & 1) as i32)),
        (Long, Value::Varint(number) | Value::Fixed64(number)) => write!(out, "\"{}\"", number as i64),
        (Ulong | Packed, Value::Varint(number) | Value::Fixed64(number)) => write!(out, "\"{number}\""),
        (Double, Value::Fixed64(bits)) => double(out, f64::from_bits(bits)),
        _ => return Err(Malformed),
    };
    written.map_err(|_| Malformed)
}

fn double(out: &mut String, number: f64) -> std::fmt::Result {
    if number.is_nan() {
        out.write_str("\"NaN\"")
    } else if number.is_infinite() {
        out.write_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
    } else {
        // The shortest form that reads back the same.
        write!(out, "{number:?}")
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push('"');
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            if at <= three.len() {
                out.push(ALPHABET[(word >> (18 - 6 * at) & 63) as usize] as char);
            } else {
                out.push('=');
            }
        }
    }
    out.push('"');
}

#[cfg(all(test, feature = "grpc"))]
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    let mut out = String::new();
    base64(&mut out, bytes);
    out.trim_matches('"').to_owned()
}

/// What a JSON answer says of rejected items. `None` when it is no JSON object.
pub(crate) fn response(body: &[u8]) -> Option<Accepted> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader { text, at: 0 };
    let mut accepted = Accepted::default();
    reader.object(0, &mut |key, value| match key {
        "rejectedSpans" | "rejectedDataPoints" | "rejectedLogRecords" => {
            accepted.rejected = value.parse().unwrap_or(0);
        }
        "errorMessage" => value.clone_into(&mut accepted.message),
        _ => {}
    })?;
    reader.space();
    (reader.at == text.len()).then_some(accepted)
}

/// Reads JSON and reports each scalar with its key.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.space();
        self.text[self.at..].starts_with(c).then(|| self.at += c.len_utf8())
    }

    fn object(&mut self, depth: usize, tell: &mut dyn FnMut(&str, &str)) -> Option<()> {
        if depth > 32 {
            return None;
        }
        self.eat('{')?;
        if self.eat('}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.eat(':')?;
            self.value(&key, depth, tell)?;
            if self.eat(',').is_none() {
                return self.eat('}');
            }
        }
    }

    fn value(&mut self, key: &str, depth: usize, tell: &mut dyn FnMut(&str, &str)) -> Option<()> {
        self.space();
        match self.text[self.at..].chars().next()? {
            '{' => self.object(depth + 1, tell),
            '[' if depth < 32 => {
                self.eat('[')?;
                if self.eat(']').is_some() {
                    return Some(());
                }
                loop {
                    self.value("", depth + 1, tell)?;
                    if self.eat(',').is_none() {
                        return self.eat(']');
                    }
                }
            }
            '"' => {
                let value = self.string()?;
                tell(key, &value);
                Some(())
            }
            _ => {
                let rest = &self.text[self.at..];
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                    .unwrap_or(rest.len());
                tell(key, &rest[..end]);
                self.at += end;
                (end > 0).then_some(())
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        if chars.next()?.1 != '"' {
            return None;
        }
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Some(out);
                }
                '\\' => match chars.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' | 'b' | 'f' => out.push(' '),
                    'u' => {
                        let code = (0..4).try_fold(0, |code, _| Some(code << 4 | chars.next()?.1.to_digit(16)?))?;
                        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    c => out.push(c),
                },
                c => out.push(c),
            }
        }
        None
    }
}
