//! One JSON object a line.
//!
//! `timestamp`, `level`, `message`, `target`, then the ids at the top level (as OpenTelemetry asks of logs outside OTLP), then the
//! fields under their own names. A field that bears one of those names is written as `fields.NAME`, one that bears that as
//! `fields.fields.NAME`, so that no key stands twice.

use super::super::record::Value;
use super::super::view::View;
use super::time;
use crate::hex;
use std::io::Write;

const OURS: [&str; 7] = [
    "timestamp",
    "level",
    "message",
    "target",
    "trace_id",
    "span_id",
    "trace_flags",
];

/// Appends one line.
pub(crate) fn write(out: &mut Vec<u8>, view: &View<'_>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    time::write(out, view.unix_nanos);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(view.level.as_str().as_bytes());
    out.push(b'"');
    if let Some(message) = &view.message {
        out.extend_from_slice(b",\"message\":");
        string(out, message);
    }
    out.extend_from_slice(b",\"target\":");
    string(out, &view.target);
    if let Some(ids) = &view.ids {
        out.extend_from_slice(b",\"trace_id\":\"");
        out.extend_from_slice(&hex::digits_of_long((ids.trace_id.0 >> 64) as u64));
        out.extend_from_slice(&hex::digits_of_long(ids.trace_id.0 as u64));
        out.extend_from_slice(b"\",\"span_id\":\"");
        out.extend_from_slice(&hex::digits_of_long(ids.span_id.0));
        out.extend_from_slice(b"\",\"trace_flags\":\"");
        out.extend_from_slice(&hex::digits(ids.flags.0.into())[6..]);
        out.push(b'"');
    }
    for (name, value) in &view.fields {
        out.push(b',');
        if is_ours(name) {
            string(out, &format!("fields.{name}"));
        } else {
            string(out, name);
        }
        out.push(b':');
        write_value(out, value);
    }
    out.extend_from_slice(b"}\n");
}

/// Whether a field of that name, or one that was moved out of its way, would stand beside a key of the line's own.
fn is_ours(mut name: &str) -> bool {
    while let Some(rest) = name.strip_prefix("fields.") {
        name = rest;
    }
    OURS.contains(&name)
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    // Writing into a Vec cannot fail.
    let _ = match value {
        Value::Bool(v) => out.write_all(if *v { b"true" } else { b"false" }),
        Value::I64(v) => out.write_all(itoa::Buffer::new().format(*v).as_bytes()),
        Value::U64(v) => out.write_all(itoa::Buffer::new().format(*v).as_bytes()),
        // Readers keep 64 bits at most; a longer number would come back as another one.
        Value::I128(v) => write!(out, "\"{v}\""),
        Value::U128(v) => write!(out, "\"{v}\""),
        Value::F64(v) if v.is_finite() => write!(out, "{v:?}"),
        Value::F64(v) => write!(out, "\"{v}\""),
        Value::Bytes(v) => {
            out.push(b'"');
            for byte in *v {
                let _ = write!(out, "{byte:02x}");
            }
            out.push(b'"');
            Ok(())
        }
        Value::Text(v) => {
            string(out, v);
            Ok(())
        }
        Value::Error(chain) => {
            error(out, chain);
            Ok(())
        }
    };
}

/// `{"message":"…","sources":["…"]}`
fn error(out: &mut Vec<u8>, chain: &[std::borrow::Cow<'_, str>]) {
    out.extend_from_slice(b"{\"message\":");
    string(out, chain.first().map_or("", |message| message));
    if chain.len() > 1 {
        out.extend_from_slice(b",\"sources\":[");
        for (i, source) in chain[1..].iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(out, source);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// Appends a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut kept = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[kept..i]);
        kept = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[kept..]);
    out.push(b'"');
}
