//! Log records as OTLP, from the same views the lines are made of.

use crate::logs::{LogLimits, Value, View};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use prost::Message;
use prost::encoding::{WireType, encode_key};
use std::borrow::Cow;
use tracing_core::Level;

/// `ScopeLogs.log_records`
const LOG_RECORDS: u32 = 2;

/// Appends one `log_records` field of a `ScopeLogs`.
pub(crate) fn record(view: &View<'_>, limits: &LogLimits, out: &mut Vec<u8>) {
    let record = log_record(view, limits);
    encode_key(LOG_RECORDS, WireType::LengthDelimited, out);
    // Encoding into a Vec fails only for want of memory.
    let _ = record.encode_length_delimited(out);
}

fn log_record(view: &View<'_>, limits: &LogLimits) -> LogRecord {
    let mut attributes = Attributes {
        limits,
        kept: Vec::with_capacity(view.fields.len() + 3),
        dropped: 0,
    };
    // Keys are unique; a field of the user's own holds against what is added under its name.
    let is_field = |key: &str| view.fields.iter().any(|(name, _)| name == key);
    for (name, value) in &view.fields {
        match value {
            // The names of the semantic conventions for exceptions.
            Value::Error(chain) if name == "error" => {
                if !is_field("exception.message") {
                    attributes.put(
                        "exception.message",
                        text(chain.first().map_or("", |message| message), limits),
                    );
                }
                if chain.len() > 1 && !is_field("exception.sources") {
                    attributes.put("exception.sources", array(&chain[1..], limits));
                }
            }
            Value::Text(name_of_type) if name == "error.type" => {
                if !is_field("exception.type") && name_of_type != "_OTHER" {
                    attributes.put("exception.type", text(name_of_type, limits));
                }
                attributes.put(name, text(name_of_type, limits));
            }
            value => attributes.put(name, any(value, limits)),
        }
    }
    if !is_field("target") {
        attributes.put("target", text(&view.target, limits));
    }
    // Both or neither: a line belongs to its file.
    if let Some((file, line)) = view.place
        && !is_field("code.file.path")
        && !is_field("code.line.number")
    {
        attributes.put("code.file.path", text(file, limits));
        attributes.put("code.line.number", Any::IntValue(line.into()));
    }
    let severity = match view.level {
        Level::ERROR => SeverityNumber::Error,
        Level::WARN => SeverityNumber::Warn,
        Level::INFO => SeverityNumber::Info,
        Level::DEBUG => SeverityNumber::Debug,
        Level::TRACE => SeverityNumber::Trace,
    };
    let mut record = LogRecord {
        time_unix_nano: view.unix_nanos,
        observed_time_unix_nano: view.unix_nanos,
        severity_number: severity.into(),
        severity_text: view.level.as_str().to_owned(),
        body: view.message.as_ref().map(|message| AnyValue {
            value: Some(Any::StringValue(message.clone().into_owned())),
        }),
        attributes: attributes.kept,
        dropped_attributes_count: attributes.dropped,
        ..LogRecord::default()
    };
    if let Some(ids) = &view.ids {
        record.trace_id = ids.trace_id.0.to_be_bytes().to_vec();
        record.span_id = ids.span_id.0.to_be_bytes().to_vec();
        record.flags = ids.flags.0.into();
    }
    record
}

struct Attributes<'a> {
    limits: &'a LogLimits,
    kept: Vec<KeyValue>,
    dropped: u32,
}

impl Attributes<'_> {
    fn put(&mut self, key: &str, value: Any) {
        if self.kept.len() < self.limits.attributes {
            self.kept.push(key_value(key, value));
        } else {
            self.dropped += 1;
        }
    }
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn any(value: &Value<'_>, limits: &LogLimits) -> Any {
    match value {
        Value::Bool(v) => Any::BoolValue(*v),
        Value::I64(v) => Any::IntValue(*v),
        Value::U64(v) => i64::try_from(*v).map_or_else(|_| Any::StringValue(v.to_string()), Any::IntValue),
        Value::I128(v) => i64::try_from(*v).map_or_else(|_| Any::StringValue(v.to_string()), Any::IntValue),
        Value::U128(v) => i64::try_from(*v).map_or_else(|_| Any::StringValue(v.to_string()), Any::IntValue),
        Value::F64(v) => Any::DoubleValue(*v),
        Value::Bytes(v) => Any::BytesValue(v.to_vec()),
        Value::Text(v) => text(v, limits),
        Value::Error(chain) => Any::KvlistValue(KeyValueList {
            values: vec![
                key_value("message", text(chain.first().map_or("", |message| message), limits)),
                key_value("sources", array(chain.get(1..).unwrap_or_default(), limits)),
            ],
        }),
    }
}

fn text(text: &str, limits: &LogLimits) -> Any {
    let end = limits
        .value_length
        .and_then(|length| text.char_indices().nth(length))
        .map_or(text.len(), |(end, _)| end);
    Any::StringValue(text[..end].to_owned())
}

fn array(texts: &[Cow<'_, str>], limits: &LogLimits) -> Any {
    Any::ArrayValue(ArrayValue {
        values: texts
            .iter()
            .map(|item| AnyValue {
                value: Some(text(item, limits)),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Ids;
    use crate::trace::{SpanId, TraceFlags, TraceId};
    use opentelemetry_proto::tonic::logs::v1::ScopeLogs;

    #[test]
    fn every_field_comes_back() {
        let view = View {
            unix_nanos: 5,
            level: Level::WARN,
            target: "shop".into(),
            message: Some("late".into()),
            ids: Some(Ids {
                trace_id: TraceId(0x0102),
                span_id: SpanId(3),
                flags: TraceFlags(1),
            }),
            fields: vec![
                ("n".into(), Value::U64(7)),
                ("long".into(), Value::Text("üüüüü".into())),
                ("error.type".into(), Value::Text("E".into())),
                ("error".into(), Value::Error(vec!["top".into(), "deep".into()])),
                ("late".into(), Value::Bool(true)),
            ],
            place: Some(("src/a.rs", 9)),
        };
        let limits = LogLimits {
            attributes: 7,
            value_length: Some(4),
        };
        let mut records = Vec::new();
        record(&view, &limits, &mut records);
        record(&view, &LogLimits::default(), &mut records);
        let logs = ScopeLogs::decode(&*records).unwrap();
        let [first, second] = &logs.log_records[..] else {
            panic!("{logs:?}")
        };
        assert_eq!(
            (first.time_unix_nano, first.severity_number, &*first.severity_text),
            (5, 13, "WARN")
        );
        assert_eq!(first.trace_id, 0x0102_u128.to_be_bytes());
        assert_eq!(first.span_id, 3_u64.to_be_bytes());
        assert_eq!(first.flags, 1);
        let names: Vec<&str> = first
            .attributes
            .iter()
            .map(|attribute| attribute.key.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "n",
                "long",
                "exception.type",
                "error.type",
                "exception.message",
                "exception.sources",
                "late"
            ]
        );
        assert_eq!(first.dropped_attributes_count, 3);
        assert_eq!(
            first.attributes[1],
            key_value("long", Any::StringValue("üüüü".to_owned()))
        );
        assert_eq!((second.attributes.len(), second.dropped_attributes_count), (10, 0));
    }

    #[test]
    fn a_field_holds_against_what_is_added_under_its_name() {
        let own = |name: &'static str| (name.into(), Value::Text("own".into()));
        let view = View {
            unix_nanos: 5,
            level: Level::ERROR,
            target: "shop".into(),
            message: None,
            ids: None,
            fields: vec![
                ("error".into(), Value::Error(vec!["top".into(), "deep".into()])),
                ("error.type".into(), Value::Text("E".into())),
                own("exception.message"),
                own("exception.sources"),
                own("exception.type"),
                own("target"),
                own("code.line.number"),
            ],
            place: Some(("src/a.rs", 9)),
        };
        let record = log_record(&view, &LogLimits::default());
        let of_user =
            |attribute: &KeyValue| *attribute == key_value(&attribute.key, Any::StringValue("own".to_owned()));
        let names: Vec<_> = record
            .attributes
            .iter()
            .map(|attribute| attribute.key.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "error.type",
                "exception.message",
                "exception.sources",
                "exception.type",
                "target",
                "code.line.number"
            ]
        );
        assert!(record.attributes[1..].iter().all(of_user), "{record:?}");
    }
}
