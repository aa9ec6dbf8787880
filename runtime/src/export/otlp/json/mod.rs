//! OTLP/JSON from the protobuf bytes, by a table of the messages: ids in hex, enums as integers, names in lowerCamelCase,
//! 64-bit integers as strings (OTLP specification, "JSON Protobuf Encoding").

mod answer;
mod messages;

pub(crate) use answer::response;

use super::wire::{Fields, Malformed, Value};
use crate::export::transport::{SendError, Signal};
use bytes::Bytes;
use messages::Form::{self, Base64, Bool, Double, Hex, Int, Long, Message as Of, Packed, Sint, Text, Ulong};
use messages::{LOGS, METRICS, Message, TRACES};
use std::fmt::Write as _;

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
