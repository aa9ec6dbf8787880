//! As much of protobuf as framing needs: items come encoded and go out inside a resource and a scope.

use super::framed::Framed;
use crate::config::{AttrValue, Resource};
use bytes::{BufMut, Bytes, BytesMut};

/// The same as [`request`] around scopes that stay where they are; and those scopes in it.
pub(crate) fn framed(resource: &EncodedResource, mut scopes: Framed) -> (Bytes, Bytes) {
    let length = scopes.len();
    scopes.end().extend_from_slice(&resource.schema);
    scopes.put_before(&resource.resource);
    scopes.enclose(1);
    let request = Bytes::from(scopes);
    let end = request.len() - resource.schema.len();
    let scopes = request.slice(end - length..end);
    (request, scopes)
}

/// The fields that the three `Export…ServiceRequest`s have alike: `resource_…` = 1, in it `resource` = 1, `scope_…` = 2,
/// `schema_url` = 3. `scopes` are fields 2 of it, tags included.
pub(crate) fn request(resource: &EncodedResource, scopes: &[Bytes]) -> Bytes {
    let inner = resource.resource.len() + scopes.iter().map(Bytes::len).sum::<usize>() + resource.schema.len();
    let mut out = BytesMut::with_capacity(inner + 8);
    out.put_u8(0x0a);
    varint(&mut out, inner as u64);
    out.put_slice(&resource.resource);
    for scope in scopes {
        out.put_slice(scope);
    }
    out.put_slice(&resource.schema);
    out.freeze()
}

/// Puts items (fields 2 of a `Scope…`, tags included) in our own scope.
pub(crate) fn put_in_scope(items: &mut Framed) {
    let mut scope = BytesMut::new();
    field(&mut scope, 1, b"vitalsign");
    field(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
    items.put_in_scope(&scope, "");
}

/// What stands around every batch, encoded once.
#[derive(Clone, Debug)]
pub(crate) struct EncodedResource {
    resource: Bytes,
    schema: Bytes,
}

impl EncodedResource {
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut attributes = BytesMut::new();
        for (key, value) in resource.attributes() {
            field(&mut attributes, 1, &key_value(key, value));
        }
        let mut framed = BytesMut::new();
        field(&mut framed, 1, &attributes);
        let mut schema = BytesMut::new();
        if let Some(url) = resource.schema_url() {
            field(&mut schema, 3, url.as_bytes());
        }
        Self {
            resource: framed.freeze(),
            schema: schema.freeze(),
        }
    }
}

fn key_value(key: &str, value: &AttrValue) -> BytesMut {
    let mut out = BytesMut::new();
    field(&mut out, 1, key.as_bytes());
    field(&mut out, 2, &any_value(value));
    out
}

fn any_value(value: &AttrValue) -> BytesMut {
    let mut out = BytesMut::new();
    match value {
        AttrValue::Str(text) => field(&mut out, 1, text.as_bytes()),
        AttrValue::Bool(on) => {
            out.put_u8(0x10);
            out.put_u8(u8::from(*on));
        }
        AttrValue::I64(number) => {
            out.put_u8(0x18);
            varint(&mut out, *number as u64);
        }
        AttrValue::F64(number) => {
            out.put_u8(0x21);
            out.put_f64_le(*number);
        }
        AttrValue::StrArray(texts) => {
            let mut array = BytesMut::new();
            for text in texts {
                let mut value = BytesMut::new();
                field(&mut value, 1, text.as_bytes());
                field(&mut array, 1, &value);
            }
            field(&mut out, 5, &array);
        }
    }
    out
}

/// A length-delimited field; its number is below 16.
pub(crate) fn field(out: &mut impl BufMut, number: u8, content: &[u8]) {
    out.put_u8(number << 3 | 2);
    varint(out, content.len() as u64);
    out.put_slice(content);
}

pub(crate) fn varint(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Walks the fields of a message; ends with `Err` where it is none.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// Not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?)),
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The content of an `Export…ServiceResponse`: items rejected and what was said to it. Alike for the three signals.
pub(crate) fn response(body: &[u8]) -> Result<super::super::transport::Accepted, Malformed> {
    let mut accepted = super::super::transport::Accepted::default();
    for field in Fields(body) {
        let (1, Value::Bytes(partial)) = field? else { continue };
        for field in Fields(partial) {
            match field? {
                (1, Value::Varint(rejected)) => accepted.rejected = u64::try_from(rejected as i64).unwrap_or(0),
                (2, Value::Bytes(message)) => accepted.message = String::from_utf8_lossy(message).into_owned(),
                _ => {}
            }
        }
    }
    Ok(accepted)
}

/// The message of a `google.rpc.Status`, and the delay of a `RetryInfo` in its details.
pub(crate) fn status(body: &[u8]) -> Result<(String, Option<std::time::Duration>), Malformed> {
    let (mut message, mut delay) = (String::new(), None);
    for field in Fields(body) {
        match field? {
            (2, Value::Bytes(text)) => message = String::from_utf8_lossy(text).into_owned(),
            (3, Value::Bytes(any)) => delay = delay.or(retry_info(any)?),
            _ => {}
        }
    }
    Ok((message, delay))
}

fn retry_info(any: &[u8]) -> Result<Option<std::time::Duration>, Malformed> {
    let (mut is_retry_info, mut content) = (false, &[][..]);
    for field in Fields(any) {
        match field? {
            (1, Value::Bytes(url)) => is_retry_info = url.ends_with(b"/google.rpc.RetryInfo"),
            (2, Value::Bytes(value)) => content = value,
            _ => {}
        }
    }
    if !is_retry_info {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(content) {
        let (1, Value::Bytes(duration)) = field? else { continue };
        for field in Fields(duration) {
            match field? {
                (1, Value::Varint(value)) => seconds = value as i64,
                (2, Value::Varint(value)) => nanos = value as i64,
                _ => {}
            }
        }
    }
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanos = u32::try_from(nanos.clamp(0, 999_999_999)).unwrap_or(0);
    Ok(Some(std::time::Duration::new(seconds.min(u64::from(u32::MAX)), nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    #[test]
    fn a_foreign_decoder_reads_the_request() {
        let mut resource = Resource::new([("a", AttrValue::I64(-1)), ("b", true.into()), ("c", 1.5.into())]);
        resource.set("d", vec!["x".to_owned(), "y".to_owned()]);
        resource.set("e", "z".repeat(300));
        let span = |name: &str| {
            let span = Span {
                name: name.to_owned(),
                ..Span::default()
            };
            let mut spans = Framed::default();
            field(spans.end(), 2, &span.encode_to_vec());
            put_in_scope(&mut spans);
            Bytes::from(spans)
        };
        let resource = EncodedResource::new(&resource);
        let scopes = [span("one"), span(&"two".repeat(100))];
        let body = request(&resource, &scopes);
        let mut stay = Framed::default();
        stay.end().extend_from_slice(&scopes.concat());
        assert_eq!(framed(&resource, stay), (body.clone(), scopes.concat().into()));
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let spans = &request.resource_spans[0];
        let attributes = &spans.resource.as_ref().unwrap().attributes;
        assert_eq!(attributes.len(), 5);
        assert_eq!(
            format!("{:?}", attributes[0].value.as_ref().unwrap().value),
            "Some(IntValue(-1))"
        );
        assert_eq!(spans.scope_spans[0].scope.as_ref().unwrap().name, "vitalsign");
        let names: Vec<_> = spans.scope_spans.iter().map(|s| s.spans[0].name.len()).collect();
        assert_eq!(names, [3, 300]);
    }

    #[test]
    fn responses() {
        let full = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "no".into(),
            }),
        };
        let accepted = response(&full.encode_to_vec()).unwrap();
        assert_eq!((accepted.rejected, accepted.message.as_str()), (3, "no"));
        let less_than_none = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: -1,
                error_message: String::new(),
            }),
        };
        assert_eq!(response(&less_than_none.encode_to_vec()).unwrap().rejected, 0);
        assert_eq!(response(b"").unwrap().rejected, 0);
        assert_eq!(response(b"<html>"), Err(Malformed));
    }

    #[test]
    fn retry_info_of_a_status() {
        // google.rpc.Status { code: 8, message: "busy", details: [RetryInfo { 2.5 s }] }
        let mut duration = BytesMut::new();
        duration.put_slice(&[0x08, 2, 0x10]);
        varint(&mut duration, 500_000_000);
        let mut info = BytesMut::new();
        field(&mut info, 1, &duration);
        let mut any = BytesMut::new();
        field(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
        field(&mut any, 2, &info);
        let mut body = BytesMut::new();
        body.put_slice(&[0x08, 8]);
        field(&mut body, 2, b"busy");
        field(&mut body, 3, &any);
        let (message, delay) = status(&body).unwrap();
        assert_eq!(
            (message.as_str(), delay),
            ("busy", Some(std::time::Duration::from_millis(2500)))
        );
        assert_eq!(status(b"\xff"), Err(Malformed));
    }

    #[test]
    fn every_cut_of_a_message_is_refused_or_read() {
        let body = request(&EncodedResource::new(&Resource::new([("a", "b")])), &[]);
        for end in 0..body.len() {
            for field in Fields(&body[..end]) {
                let _ = field;
            }
        }
    }
}
