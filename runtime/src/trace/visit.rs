//! The fields of a span or event on their way into its body: cut to the limits, and what user code shows of them caught and cleaned.

use super::body::{Key, NAMED, Scalar, attribute, is_of_span, name_of};
use crate::secret::{REDACTED, hidden, is_secret};
#[cfg(any(feature = "tower", feature = "actix-web", feature = "db-sqlx"))]
use crate::site::Site;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing_core::field::{Field, FieldSet, Visit};

/// What a field says whose `Debug` or `Display` panicked.
pub(crate) const PANICKED: &str = "<panicked while formatting>";

/// Writes the fields of a span or event into a body.
pub(crate) struct Fields<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    /// Fields are the span's own, so their index names them.
    pub(crate) by_index: bool,
    /// How many attributes may still follow, and how many did not fit.
    pub(crate) room: u32,
    pub(crate) dropped: u32,
    pub(crate) written: u32,
    /// Longest text, in characters, and longest value of bytes.
    pub(crate) longest: u32,
}

impl Fields<'_> {
    #[inline]
    fn put(&mut self, field: &Field, value: Scalar<'_>) {
        let index = field.index();
        let key = if self.by_index && index < NAMED as usize {
            Key::Index(index as u8)
        } else {
            Key::Name(field.name())
        };
        if self.is_usual(value) {
            self.append(key, value);
        } else {
            self.append_otherwise(key, field.name(), value);
        }
    }

    /// Appends an attribute if there is room.
    #[inline]
    pub(crate) fn named(&mut self, key: Key<'_>, value: Scalar<'_>) {
        self.held(key, None, value);
    }

    /// The same of a value that was held; `fields` are those of its call site.
    #[inline]
    pub(crate) fn held(&mut self, key: Key<'_>, fields: Option<&FieldSet>, value: Scalar<'_>) {
        if self.is_usual(value) {
            self.append(key, value);
        } else {
            self.append_otherwise(key, name_of(key, fields), value);
        }
    }

    /// Appends the field of a site that stands at that place.
    #[cfg(any(feature = "tower", feature = "actix-web", feature = "db-sqlx"))]
    #[inline]
    pub(crate) fn placed(&mut self, site: &'static Site, index: usize, value: Scalar<'_>) {
        if self.is_usual(value) {
            self.append(Key::Index(index as u8), value);
        } else if let Some(field) = site.metadata().fields().iter().nth(index) {
            self.append_otherwise(Key::Index(index as u8), field.name(), value);
        }
    }

    /// There is room, and it need not be cut.
    #[inline]
    fn is_usual(&self, value: Scalar<'_>) -> bool {
        let length = match value {
            Scalar::Text(text) => text.len(), // no fewer bytes than characters
            Scalar::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.room != 0 && length <= self.longest as usize
    }

    #[inline]
    fn append(&mut self, key: Key<'_>, value: Scalar<'_>) {
        self.room -= 1;
        self.written += 1;
        attribute(self.out, key, value);
    }

    #[cold]
    fn append_otherwise(&mut self, key: Key<'_>, name: &str, value: Scalar<'_>) {
        let of_span = is_of_span(name);
        let value = if of_span { value } else { cut(value, self.longest) };
        if self.room != 0 {
            self.append(key, value);
        } else if of_span {
            attribute(self.out, key, value);
        } else {
            self.dropped += 1;
        }
    }

    /// Appends several texts under one name.
    #[cfg(feature = "tower")]
    pub(crate) fn texts<'t>(&mut self, key: Key<'_>, values: impl Iterator<Item = &'t str>) {
        let mut array = Vec::new();
        for value in values {
            crate::export::otlp::traces::array_value(&mut array, Scalar::Text(truncated(value, self.longest)));
        }
        self.named(key, Scalar::Array(&array));
    }

    /// Appends a text that user code writes: it may panic, and then the field says so.
    fn formatted(&mut self, field: &Field, args: fmt::Arguments<'_>) {
        if let Some(text) = args.as_str() {
            return self.put(field, Scalar::Text(text));
        }
        if self.room == 0 && !is_of_span(field.name()) {
            self.dropped += 1;
            return;
        }
        self.put(field, Scalar::Text(""));
        let start = self.out.len();
        if !append(self.out, args) {
            self.out.truncate(start);
            self.out.extend_from_slice(PANICKED.as_bytes());
        }
        if self.longest != u32::MAX
            && !is_of_span(field.name())
            && let Ok(text) = std::str::from_utf8(&self.out[start..])
        {
            let kept = truncated(text, self.longest).len();
            self.out.truncate(start + kept);
        }
        let n = (self.out.len() - start) as u32;
        self.out[start - 4..start].copy_from_slice(&n.to_le_bytes());
    }
}

/// What the limit leaves of it.
fn cut(value: Scalar<'_>, longest: u32) -> Scalar<'_> {
    match value {
        Scalar::Text(text) => Scalar::Text(truncated(text, longest)),
        Scalar::Bytes(bytes) => Scalar::Bytes(bytes.get(..longest as usize).unwrap_or(bytes)),
        other => other,
    }
}

/// The first `longest` characters.
#[inline]
pub(crate) fn truncated(text: &str, longest: u32) -> &str {
    if text.len() <= longest as usize {
        return text; // no fewer bytes than characters
    }
    match text.char_indices().nth(longest as usize) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Formats what may be user code; false when it panicked.
pub(crate) fn append(out: &mut Vec<u8>, args: fmt::Arguments<'_>) -> bool {
    struct Text<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Text<'_> {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0.extend_from_slice(s.as_bytes());
            Ok(())
        }
    }
    let start = out.len();
    let formatted = catch_unwind(AssertUnwindSafe(|| {
        // An error of the user's `fmt` leaves what was written until then.
        let _ = fmt::Write::write_fmt(&mut Text(out), args);
    }));
    conceal(out, start);
    formatted.is_ok()
}

/// Hides what a `Debug` shows under secret names, as log lines do.
fn conceal(out: &mut Vec<u8>, start: usize) {
    let written = &out[start..];
    if written.iter().any(|byte| matches!(byte, b':' | b'=' | b','))
        && let Ok(text) = std::str::from_utf8(written)
        && let Some(clean) = hidden(text, is_secret, REDACTED)
    {
        out.truncate(start);
        out.extend_from_slice(clean.as_bytes());
    }
}

impl Visit for Fields<'_> {
    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Scalar::F64(value));
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Scalar::I64(value));
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Ok(value) = i64::try_from(value) {
            self.put(field, Scalar::I64(value));
        } else {
            // OTLP has no unsigned integers; digits keep the value.
            self.formatted(field, format_args!("{value}"));
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        if let Ok(value) = i64::try_from(value) {
            self.put(field, Scalar::I64(value));
        } else {
            self.formatted(field, format_args!("{value}"));
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if let Ok(value) = i64::try_from(value) {
            self.put(field, Scalar::I64(value));
        } else {
            self.formatted(field, format_args!("{value}"));
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Scalar::Bool(value));
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Scalar::Text(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, Scalar::Bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.formatted(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_hides_its_secrets() {
        #[derive(Debug)]
        #[allow(dead_code, reason = "shown")]
        struct Login<'a> {
            user: &'a str,
            password: &'a str,
            tokens: u8,
        }
        let login = Login {
            user: "ada: admin",
            password: "hunter two",
            tokens: 3,
        };
        let mut out = b"password: before ".to_vec();
        assert!(append(&mut out, format_args!("{login:?}")));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"password: before Login { user: "ada: admin", password: [redacted], tokens: 3 }"#
        );
    }

    #[test]
    fn a_debug_of_pairs_hides_its_secrets() {
        let mut out = Vec::new();
        assert!(append(&mut out, format_args!("{:?}", [("password", "hunter2")])));
        assert_eq!(String::from_utf8(out).unwrap(), r#"[("password", [redacted])]"#);
    }

    #[test]
    fn truncation_counts_characters() {
        assert_eq!(truncated("äöü", 2), "äö");
        assert_eq!(truncated("äöü", 3), "äöü");
        assert_eq!(truncated("abc", 0), "");
    }
}
