//! `traceparent` and `tracestate` (W3C Trace Context Level 2).

use crate::trace::{SpanContext, SpanId, TraceFlags, TraceId};
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span that made the request, if the headers name one.
pub(crate) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = parents.next()?;
    if parents.next().is_some() {
        return None;
    }
    let mut context = parse(parent.as_bytes())?;
    context.trace_state = state(headers);
    Some(context)
}

/// Writes the span into the headers of a request it makes.
pub(crate) fn inject(context: &SpanContext, headers: &mut HeaderMap) {
    let text = format!("00-{}-{}-{}", context.trace_id, context.span_id, context.flags);
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(TRACEPARENT, value);
    }
    match context.trace_state.as_deref().map(HeaderValue::from_str) {
        Some(Ok(state)) => {
            headers.insert(TRACESTATE, state);
        }
        _ => {
            headers.remove(TRACESTATE);
        }
    }
}

fn parse(text: &[u8]) -> Option<SpanContext> {
    let text = text.trim_ascii();
    let well_formed = text.len() >= 55 && text[2] == b'-' && text[35] == b'-' && text[52] == b'-';
    if !well_formed {
        return None;
    }
    let version = hex(&text[..2])?;
    // A later version may append fields.
    let fits = match version {
        0 => text.len() == 55,
        0xff => false,
        _ => text.len() == 55 || text[55] == b'-',
    };
    if !fits {
        return None;
    }
    let context = SpanContext {
        trace_id: TraceId(hex(&text[3..35])?),
        span_id: SpanId(hex(&text[36..52])? as u64),
        flags: TraceFlags(hex(&text[53..55])? as u8 & 0x03),
        is_remote: true,
        trace_state: None,
    };
    context.is_valid().then_some(context)
}

/// Lowercase only, as the specification has it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

fn state(headers: &HeaderMap) -> Option<std::sync::Arc<str>> {
    let mut members = Vec::new();
    for header in headers.get_all(TRACESTATE) {
        for member in header.to_str().ok()?.split(',') {
            let member = member.trim();
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let known = |(other, _): &(&str, &str)| *other == key;
            if !is_key(key) || !is_value(value) || members.iter().any(known) {
                return None;
            }
            members.push((key, value));
        }
    }
    if members.is_empty() || members.len() > 32 {
        return None;
    }
    let texts: Vec<String> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(texts.join(",").into())
}

fn is_key(key: &str) -> bool {
    let first = key.as_bytes().first();
    first.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && key.len() <= 256
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b))
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|b| (0x20..=0x7e).contains(&b) && b != b'=' && b != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

    fn of(parent: &str, states: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        for state in states {
            headers.append(TRACESTATE, state.parse().unwrap());
        }
        extract(&headers)
    }

    #[test]
    fn there_and_back() {
        let context = of(GOOD, &["a=1, b=2", "c@d=3"]).unwrap();
        assert!(context.is_remote && context.is_sampled());
        assert_eq!(context.trace_state.as_deref(), Some("a=1,b=2,c@d=3"));
        let mut headers = HeaderMap::new();
        inject(&context, &mut headers);
        assert_eq!(headers[TRACEPARENT], GOOD);
        assert_eq!(headers[TRACESTATE], "a=1,b=2,c@d=3");
    }

    #[test]
    fn what_is_not_well_formed_is_no_parent() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert_eq!(of(bad, &[]), None, "{bad}");
        }
        assert!(of("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more", &[]).is_some());
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, GOOD.parse().unwrap());
        twice.append(TRACEPARENT, GOOD.parse().unwrap());
        assert_eq!(extract(&twice), None);
    }

    #[test]
    fn a_bad_state_leaves_the_parent() {
        for bad in ["A=1", "a=", "a=1,a=2", "novalue", "a=1=2"] {
            let context = of(GOOD, &[bad]).unwrap();
            assert_eq!(context.trace_state, None, "{bad}");
        }
    }
}
