//! Trace context between processes: the headers `traceparent` and `tracestate` of W3C Trace Context, Level 2.

use super::carrier::AsParent;
use super::context::{SpanContext, SpanId, TraceFlags, TraceId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};

/// `OTEL_PROPAGATORS=none`: nothing is read from headers, nothing written to them.
static OFF: AtomicBool = AtomicBool::new(false);

/// Obeys `OTEL_PROPAGATORS=none`.
pub(crate) fn switch_off() {
    OFF.store(true, Ordering::Relaxed);
}

/// Headers that a context can be read from.
pub trait Extract {
    /// Every value of a header, asked for in lower case.
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str>;
}

/// Headers that a context can be written to.
pub trait Inject {
    /// Sets a header, in lower case, in place of any that is there.
    fn set(&mut self, name: &'static str, value: String);
}

/// The context of the caller, as the headers say.
///
/// `None` where they say nothing or what no one may read as a context; the specification then asks for a new trace.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// let headers = HashMap::from([(
///     "traceparent".to_owned(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
/// )]);
/// let context = vitalsign::trace::extract(&headers).expect("a context");
/// assert_eq!(context.span_id.to_string(), "b7ad6b7169203331");
/// ```
pub fn extract(headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    if OFF.load(Ordering::Relaxed) {
        return None;
    }
    let [traceparent] = headers.values("traceparent")[..] else {
        return None;
    };
    let mut context = parse(traceparent.trim())?;
    context.trace_state = trace_state(&headers.values("tracestate")).map(Into::into);
    Some(context)
}

/// Writes a context where the next process will look for it. Does nothing for an invalid one.
///
/// # Examples
///
/// ```
/// # use std::collections::HashMap;
/// # use vitalsign::trace::{SpanContext, SpanId, TraceFlags, TraceId, extract, inject};
/// let context = SpanContext { trace_id: TraceId(1), span_id: SpanId(2), flags: TraceFlags::SAMPLED, ..SpanContext::default() };
/// let mut headers = HashMap::new();
/// inject(&context, &mut headers);
/// assert_eq!(headers["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
/// assert!(extract(&headers).expect("a context").is_remote);
/// ```
pub fn inject(context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    if !context.is_valid() || OFF.load(Ordering::Relaxed) {
        return;
    }
    // Bits that Level 2 does not define are zero in what we write.
    let flags = context.flags.0 & (TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0);
    let mut text = String::with_capacity(55);
    let _ = write!(text, "00-{}-{}-{flags:02x}", context.trace_id, context.span_id);
    headers.set("traceparent", text);
    if let Some(state) = &context.trace_state {
        headers.set("tracestate", state.to_string());
    }
}

/// Version 00, and of later versions what 00 defines.
fn parse(text: &str) -> Option<SpanContext> {
    let bytes = text.as_bytes();
    let version = hex(text.get(..2)?)?;
    let well_formed = match version {
        0 => bytes.len() == 55,
        0xff => false,
        _ => bytes.len() == 55 || bytes.get(55) == Some(&b'-'),
    };
    if !well_formed || [bytes.get(2), bytes.get(35), bytes.get(52)] != [Some(&b'-'); 3] {
        return None;
    }
    let context = SpanContext {
        trace_id: TraceId(hex(text.get(3..35)?)?),
        span_id: SpanId(hex(text.get(36..52)?)? as u64),
        flags: TraceFlags(hex(text.get(53..55)?)? as u8),
        is_remote: true,
        trace_state: None,
    };
    context.is_valid().then_some(context)
}

/// Lower case only, as the specification has it; no sign, no underscore.
fn hex(digits: &str) -> Option<u128> {
    digits.bytes().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// The members of all `tracestate` headers in one line; none of them if one is malformed, for the whole is then void.
fn trace_state(values: &[&str]) -> Option<String> {
    const MEMBERS: usize = 32;
    const LENGTH: usize = 512;
    let mut keys = Vec::new();
    let mut line = String::new();
    for member in values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
    {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MEMBERS {
            return None;
        }
        // A member that does not fit is left out, the nearest to us stay.
        if line.len() + 1 + member.len() <= LENGTH {
            if !line.is_empty() {
                line.push(',');
            }
            line.push_str(member);
        }
        keys.push(key);
    }
    (!line.is_empty()).then_some(line)
}

fn is_key(key: &str) -> bool {
    let part = |text: &str, longest: usize, digit_first: bool| {
        let first = text.bytes().next();
        text.len() <= longest
            && first.is_some_and(|byte| byte.is_ascii_lowercase() || digit_first && byte.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    match key.split_once('@') {
        None => part(key, 256, true),
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
    }
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 256
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=')
        && !value.ends_with(' ')
}

macro_rules! map {
    ($($generics:ident)? , $map:ty) => {
        impl$(<$generics: BuildHasher>)? Extract for $map {
            fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
                // Whoever filled the map may have kept the sender's capitals.
                self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
            }
        }
        impl$(<$generics: BuildHasher>)? Inject for $map {
            fn set(&mut self, name: &'static str, value: String) {
                self.insert(name.to_owned(), value);
            }
        }
        impl$(<$generics: BuildHasher>)? AsParent for $map {
            fn as_parent(&self) -> Option<SpanContext> {
                extract(self)
            }
        }
    };
}
map!(S, HashMap<String, String, S>);
map!(, BTreeMap<String, String>);

#[cfg(feature = "_http")]
mod of_http {
    use super::{AsParent, Extract, Inject, SpanContext, extract};
    use http::{HeaderMap, HeaderName, HeaderValue};

    impl Extract for HeaderMap {
        fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
            // Names that need no reading: these two are asked for on every request.
            let name = match name {
                "traceparent" => HeaderName::from_static("traceparent"),
                "tracestate" => HeaderName::from_static("tracestate"),
                name => match HeaderName::from_bytes(name.as_bytes()) {
                    Ok(name) => name,
                    Err(_) => return Vec::new(),
                },
            };
            // A value that is not text counts: it makes what it stands in malformed.
            self.get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap_or("\u{0}"))
                .collect()
        }
    }

    impl Inject for HeaderMap {
        fn set(&mut self, name: &'static str, value: String) {
            if let Ok(value) = HeaderValue::try_from(value) {
                self.insert(name, value);
            }
        }
    }

    impl AsParent for HeaderMap {
        fn as_parent(&self) -> Option<SpanContext> {
            extract(self)
        }
    }

    impl<B> AsParent for http::Request<B> {
        fn as_parent(&self) -> Option<SpanContext> {
            extract(self.headers())
        }
    }

    impl AsParent for http::request::Parts {
        fn as_parent(&self) -> Option<SpanContext> {
            extract(&self.headers)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(traceparent: &str, tracestate: &[&str]) -> Option<SpanContext> {
        struct Headers<'h>(&'h str, &'h [&'h str]);
        impl Extract for Headers<'_> {
            fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
                if name == "traceparent" {
                    vec![self.0]
                } else {
                    self.1.to_vec()
                }
            }
        }
        extract(&Headers(traceparent, tracestate))
    }

    #[test]
    fn what_goes_out_comes_back() {
        let context = of(GOOD, &["a=1, b=2", "c@d=3"]).expect("a context");
        assert!(context.is_remote && context.is_sampled());
        assert_eq!(context.trace_state.as_deref(), Some("a=1,b=2,c@d=3"));
        let mut headers = HashMap::new();
        inject(&context, &mut headers);
        assert_eq!(headers["traceparent"], GOOD);
        assert_eq!(extract(&headers), Some(context));
    }

    #[test]
    fn malformed_parents_are_none() {
        let zeros = "0".repeat(32);
        for text in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace('-', "_"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &zeros),
            &GOOD.replace("b7ad6b7169203331", &zeros[..16]),
            &GOOD.replace("-01", "-+1"),
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(of(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_known() {
        assert!(of(&GOOD.replacen("00", "cc", 1), &[]).is_some());
        assert!(of(&format!("{}-what", GOOD.replacen("00", "cc", 1)), &[]).is_some());
        assert!(of(&format!("{}.what", GOOD.replacen("00", "cc", 1)), &[]).is_none());
    }

    #[test]
    fn a_malformed_state_is_dropped_and_the_parent_stays() {
        for state in ["a", "a=1,a=2", "A=1", "a=1=2", "=1", "a@1=2", "a=\u{e9}"] {
            let context = of(GOOD, &[state]).expect("a context");
            assert_eq!(context.trace_state, None, "{state}");
        }
        let many: Vec<_> = (0..33).map(|i| format!("k{i}=v")).collect();
        assert_eq!(of(GOOD, &[&many.join(",")]).expect("a context").trace_state, None);
        assert_eq!(
            of(GOOD, &[&many[..32].join(",")])
                .expect("a context")
                .trace_state
                .map(|s| s.len()),
            Some(181)
        );
    }

    #[test]
    fn two_parents_are_none() {
        let headers = HashMap::from([
            ("traceparent".to_owned(), GOOD.to_owned()),
            ("Traceparent".to_owned(), GOOD.to_owned()),
        ]);
        assert_eq!(extract(&headers), None);
    }

    #[test]
    fn an_invalid_context_writes_nothing() {
        let mut headers = BTreeMap::new();
        inject(&SpanContext::default(), &mut headers);
        assert!(headers.is_empty());
    }
}
