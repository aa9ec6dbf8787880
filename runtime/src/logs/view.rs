//! A record as formatters see it: named, redacted, without doubles.

use super::record::{Head, Ids, Key, Reader, Source, Value};
use super::redact::Redactor;
use std::borrow::Cow;
use tracing_core::Level;

/// One record, ready to be written in any format.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) unix_nanos: u64,
    pub(crate) level: Level,
    pub(crate) target: Cow<'a, str>,
    pub(crate) message: Option<Cow<'a, str>>,
    pub(crate) ids: Option<Ids>,
    /// In order of appearance, those of the scopes and the baggage last; each name once.
    pub(crate) fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// File and line of the call site.
    pub(crate) place: Option<(&'static str, u32)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(head: &'a Head, bytes: &'a [u8], unix_nanos: u64, redactor: &Redactor) -> Self {
        let mut view = View {
            unix_nanos,
            level: head.source.level(),
            target: Cow::Borrowed(""),
            message: None,
            ids: head.ids,
            fields: Vec::new(),
            place: None,
        };
        let mut reader = Reader::new(bytes);
        match head.source {
            Source::Event(metadata) => {
                view.target = Cow::Borrowed(metadata.target());
                view.place = metadata.file().zip(metadata.line());
                view.fields.reserve(metadata.fields().len());
                for (key, value) in reader {
                    let name = match key {
                        Key::Index(index) => metadata
                            .fields()
                            .iter()
                            .nth(index)
                            .map_or("field", |field| field.name()),
                        Key::Name(name) => name,
                    };
                    view.field(name, value, redactor);
                }
            }
            Source::Other(_) => {
                if let Some((_, Value::Text(target))) = reader.next() {
                    view.target = target;
                }
                view.named(reader, redactor);
            }
        }
        let mut scope = head.scope.as_ref();
        while let Some(current) = scope {
            let inner = view.fields.len();
            for (key, value) in Reader::new(current.bytes()) {
                let Key::Name(name) = key else { continue };
                match view.fields.iter().position(|(known, _)| known == name) {
                    // Said within it, which holds.
                    Some(at) if at < inner => {}
                    // Said twice by the scope itself: the last holds.
                    Some(at) => view.fields[at].1 = redactor.apply(name, value),
                    None => view.fields.push((Cow::Borrowed(name), redactor.apply(name, value))),
                }
            }
            scope = current.outer();
        }
        for (key, value) in head.baggage.shown() {
            if !view.fields.iter().any(|(known, _)| known == key) {
                let value = redactor.apply(key, Value::Text(Cow::Borrowed(value)));
                view.fields.push((Cow::Borrowed(key), value));
            }
        }
        view
    }

    fn named(&mut self, reader: Reader<'a>, redactor: &Redactor) {
        for (key, value) in reader {
            if let Key::Name(name) = key {
                self.field(name, value, redactor);
            }
        }
    }

    fn field(&mut self, name: &'a str, value: Value<'a>, redactor: &Redactor) {
        match (name, value) {
            ("message", Value::Text(text)) => self.message = Some(redactor.text(name, text)),
            // What `tracing-log` makes of a record of the `log` crate.
            ("log.target", Value::Text(target)) if self.target == "log" => self.target = target,
            ("log.module_path" | "log.file" | "log.line", _) => {}
            (name, value) => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                let value = redactor.apply(name, value);
                if let Some(known) = self.fields.iter_mut().find(|(known, _)| known == name) {
                    known.1 = value;
                } else {
                    self.fields.push((Cow::Borrowed(name), value));
                }
            }
        }
    }
}
