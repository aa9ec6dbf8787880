//! A line for people: time, level, message, fields, target, trace.

use super::super::record::Value;
use super::super::view::View;
use super::time;
use std::io::Write;
use tracing_core::Level;

struct Colours {
    on: bool,
}

impl Colours {
    fn put(&self, out: &mut Vec<u8>, code: &str, text: &str) {
        if self.on {
            let _ = write!(out, "\x1b[{code}m{text}\x1b[0m");
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

const DIM: &str = "2";

/// Appends one line, and one more for each source of an error.
pub(crate) fn write(out: &mut Vec<u8>, view: &View<'_>, coloured: bool) {
    let colours = Colours { on: coloured };
    let mut text = Vec::new();
    time::write(&mut text, view.unix_nanos);
    colours.put(out, DIM, &String::from_utf8_lossy(&text));
    out.push(b' ');
    let (level, code) = match view.level {
        Level::ERROR => ("ERROR", "1;31"),
        Level::WARN => (" WARN", "33"),
        Level::INFO => (" INFO", "32"),
        Level::DEBUG => ("DEBUG", "34"),
        Level::TRACE => ("TRACE", "35"),
    };
    colours.put(out, code, level);
    out.push(b' ');
    colours.put(out, DIM, &plain(&view.target));
    colours.put(out, DIM, ":");
    if let Some(message) = &view.message {
        out.push(b' ');
        out.extend_from_slice(plain(message).as_bytes());
    }
    let mut sources = Vec::new();
    for (name, value) in &view.fields {
        out.push(b' ');
        colours.put(out, "36", &plain(name));
        out.push(b'=');
        if let Value::Error(chain) = value {
            sources.extend_from_slice(chain.get(1..).unwrap_or_default());
        }
        write_value(out, value);
    }
    if let Some(ids) = &view.ids {
        colours.put(out, DIM, &format!(" trace_id={} span_id={}", ids.trace_id, ids.span_id));
    }
    out.push(b'\n');
    for source in sources {
        colours.put(out, DIM, "    caused by: ");
        out.extend_from_slice(plain(&source).as_bytes());
        out.push(b'\n');
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    let text = match value {
        Value::Bool(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::I128(v) => v.to_string(),
        Value::U128(v) => v.to_string(),
        Value::F64(v) => format!("{v:?}"),
        Value::Bytes(v) => format!("{v:02x?}"),
        Value::Text(v) => quoted(v),
        Value::Error(chain) => quoted(chain.first().map_or("", |message| message)),
    };
    out.extend_from_slice(text.as_bytes());
}

/// In quotes where it would not stand as one word.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || steers(c) || matches!(c, '"' | '=')) {
        format!("{text:?}")
    } else {
        text.to_owned()
    }
}

/// What a terminal or a reader does rather than shows: control characters, separators of lines and paragraphs, and what turns the
/// direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Those escaped: a value can neither begin a line of its own nor speak to the terminal.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(steers) {
        text.chars()
            .flat_map(|c| {
                if steers(c) {
                    c.escape_default().collect::<Vec<_>>()
                } else {
                    vec![c]
                }
            })
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}
