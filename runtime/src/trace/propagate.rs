//! What travels between processes: `traceparent` and `tracestate` of W3C Trace Context, Level 2; `baggage` of W3C Baggage; b3; Jaeger's.

mod b3;
mod jaeger;

use super::baggage::Baggage;
use super::carrier::AsParent;
use super::context::{SpanContext, SpanId, TraceFlags, TraceId};
use crate::hex;
pub(crate) use jaeger::BAGGAGE_PREFIX;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

/// Headers that a context can be read from.
pub trait Extract {
    /// Every value of a header, asked for in lower case.
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str>;

    /// The value of a header that there is one of. A carrier that finds it without making a list says so here.
    fn only<'a>(&'a self, name: &str) -> Option<&'a str> {
        match self.values(name)[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The names of all headers. Only Jaeger's baggage is looked for in them, since its keys stand there: `uberctx-KEY`. Without
    /// this there is none of it.
    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Headers that a context can be written to.
pub trait Inject {
    /// Sets a header, its name in lower case, in place of any that is there.
    fn set(&mut self, name: &str, value: String);

    /// Takes a header away, its name in lower case. Headers that were copied from elsewhere, as a proxy does, may hold a part of
    /// another context, which would go along with this one. Without this it does.
    fn remove(&mut self, name: &str) {
        let _ = name;
    }
}

/// The context of the caller, as the headers say.
///
/// `None` where they say nothing or what no one may read as a context; the specification then asks for a new trace. Headers that
/// bring baggage and no trace give an invalid context with that baggage.
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
    extract_by(FORMATS.load(Ordering::Relaxed), headers)
}

/// The same by these formats; where several have a trace, the first of them counts.
pub(crate) fn extract_by(formats: u8, headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    extract_with(formats, headers, |headers| {
        headers.only("traceparent").map(str::as_bytes)
    })
}

/// The same of headers that were looked through: `parent` has the one `traceparent`, which need not be looked at whether it is text.
#[cfg(feature = "tower")]
pub(crate) fn extract_seen<H: Extract>(headers: &H, parent: Option<&[u8]>) -> Option<SpanContext> {
    extract_with(FORMATS.load(Ordering::Relaxed), headers, |_| parent)
}

fn extract_with<'a, H: Extract + ?Sized>(
    formats: u8,
    headers: &'a H,
    parent: impl FnOnce(&'a H) -> Option<&'a [u8]>,
) -> Option<SpanContext> {
    let mut context = None;
    if formats & TRACE_CONTEXT != 0 {
        context = parent(headers).and_then(|parent| w3c(parent, headers));
    }
    // Which of the two forms is written says nothing of which comes in.
    if formats & (B3 | B3_MULTI) != 0 && context.is_none() {
        context = b3::single(headers).or_else(|| b3::multi(headers));
    }
    if formats & JAEGER != 0 && context.is_none() {
        context = jaeger::context(headers);
    }
    let mut baggage = Baggage::default();
    if formats & BAGGAGE != 0 {
        let values = headers.values("baggage");
        if !values.is_empty() {
            baggage = Baggage::of(&values);
        }
    }
    if formats & JAEGER != 0 {
        baggage = jaeger::baggage(headers, baggage);
    }
    if !baggage.is_empty() {
        context.get_or_insert_default().baggage = baggage;
    }
    context
}

/// Bit of `tracecontext`.
const TRACE_CONTEXT: u8 = 1;
/// Bit of `b3`: the single header is written, and either form read, as the specification has it.
const B3: u8 = 2;
/// Bit of `b3multi`: several headers are written, and either form read.
const B3_MULTI: u8 = 4;
/// Bit of `baggage`.
const BAGGAGE: u8 = 8;
/// Bit of `jaeger`.
const JAEGER: u8 = 16;

/// `OTEL_PROPAGATORS`, as bits; none of them is `none`: nothing is read from headers, nothing written to them.
static FORMATS: AtomicU8 = AtomicU8::new(TRACE_CONTEXT | BAGGAGE);

/// Chooses the headers that are read and written from here on.
pub(crate) fn set_formats(names: &[&str]) {
    let formats = names.iter().fold(0, |formats, name| {
        formats
            | match *name {
                "tracecontext" => TRACE_CONTEXT,
                "b3" => B3,
                "b3multi" => B3_MULTI,
                "baggage" => BAGGAGE,
                "jaeger" => JAEGER,
                _ => 0,
            }
    });
    FORMATS.store(formats, Ordering::Relaxed);
}

fn w3c(parent: &[u8], headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    let mut context = parse(parent.trim_ascii())?;
    let states = headers.values("tracestate");
    if !states.is_empty() {
        context.trace_state = trace_state(&states).map(Into::into);
    }
    Some(context)
}

/// Writes a context where the next process will look for it, with its baggage. Of an invalid one it writes the baggage alone.
///
/// # Examples
///
/// ```
/// # use std::collections::HashMap;
/// # use vitalsign::trace::{SpanContext, SpanId, TraceFlags, TraceId, extract, inject};
/// let context = SpanContext { trace_id: TraceId(1), span_id: SpanId(2), flags: TraceFlags::SAMPLED, ..SpanContext::default() };
/// let mut headers = HashMap::<String, String>::new();
/// inject(&context, &mut headers);
/// assert_eq!(headers["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
/// assert!(extract(&headers).expect("a context").is_remote);
/// ```
pub fn inject(context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    inject_by(FORMATS.load(Ordering::Relaxed), context, headers);
}

/// The same by these formats.
pub(crate) fn inject_by(formats: u8, context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    if !context.baggage.is_empty() {
        if formats & BAGGAGE != 0 {
            headers.set("baggage", context.baggage.to_string());
        }
        if formats & JAEGER != 0 {
            jaeger::inject_baggage(&context.baggage, headers);
        }
    }
    if !context.is_valid() {
        return;
    }
    if formats & B3 != 0 {
        b3::inject_single(context, headers);
    }
    if formats & B3_MULTI != 0 {
        b3::inject_multi(context, headers);
    }
    if formats & JAEGER != 0 {
        jaeger::inject(context, headers);
    }
    if formats & TRACE_CONTEXT == 0 {
        return;
    }
    headers.set("traceparent", traceparent(context));
    match &context.trace_state {
        Some(state) => headers.set("tracestate", state.to_string()),
        None => headers.remove("tracestate"),
    }
}

/// The header's text.
pub(crate) fn traceparent(context: &SpanContext) -> String {
    let flags = context.flags.of_w3c();
    let mut text = String::with_capacity(55);
    let _ = write!(text, "00-{}-{}-{flags}", context.trace_id, context.span_id);
    text
}

/// Version 00, and of later versions what 00 defines.
fn parse(text: &[u8]) -> Option<SpanContext> {
    let (known, more) = text.split_first_chunk::<55>()?;
    let ([v0, v1, b'-'], rest) = known.split_first_chunk()? else {
        return None;
    };
    let (trace, [b'-', rest @ ..]) = rest.split_first_chunk()? else {
        return None;
    };
    let (span, [b'-', f0, f1]) = rest.split_first_chunk()? else {
        return None;
    };
    // Version and flags.
    let ends = hex::word([b'0', b'0', *v0, *v1, b'0', b'0', *f0, *f1])?;
    let well_formed = match ends >> 16 {
        0 => more.is_empty(),
        0xff => false,
        _ => matches!(more, [] | [b'-', ..]),
    };
    let context = SpanContext {
        trace_id: TraceId(trace_id(trace)?),
        span_id: SpanId(hex::long(span)?),
        flags: TraceFlags(ends as u8).of_w3c(),
        is_remote: true,
        ..SpanContext::default()
    };
    (well_formed && context.is_valid()).then_some(context)
}

/// Lower case only, as the specification has it; no sign, no underscore.
fn trace_id(digits: &[u8; 32]) -> Option<u128> {
    let (high, low) = digits.split_first_chunk()?;
    let (high, low) = (hex::long(high)?, hex::long(low.try_into().ok()?)?);
    Some(u128::from(high) << 64 | u128::from(low))
}

/// The same of fewer digits, too.
fn number(digits: &str) -> Option<u128> {
    let mut padded = [b'0'; 32];
    let room = padded.len().checked_sub(digits.len())?;
    padded[room..].copy_from_slice(digits.as_bytes());
    trace_id(&padded)
}

/// The members of all `tracestate` headers in one line; none of them if one is malformed, for the whole is then void.
fn trace_state(values: &[&str]) -> Option<String> {
    const MEMBERS: usize = 32;
    /// What is passed on in any case; beyond it members longer than `LONG` go first, then the oldest, which stand last.
    const LENGTH: usize = 512;
    const LONG: usize = 128;
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
    {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) {
            return None;
        }
        // The first of two is the later one: entries are added in front.
        if members.iter().any(|(known, _)| *known == key) {
            continue;
        }
        if members.len() == MEMBERS {
            return None;
        }
        members.push((key, member));
    }
    let mut length = members.iter().map(|(_, member)| member.len() + 1).sum::<usize>();
    while length > LENGTH + 1 {
        let long = members.iter().rposition(|(_, member)| member.len() > LONG);
        let (_, member) = members.remove(long.unwrap_or(members.len() - 1));
        length -= member.len() + 1;
    }
    let members: Vec<_> = members.into_iter().map(|(_, member)| member).collect();
    (!members.is_empty()).then(|| members.join(","))
}

/// As Level 2 has it: an `@` is a character like others.
fn is_key(key: &str) -> bool {
    let first = key.bytes().next();
    key.len() <= 256
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && key
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 256
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=')
        && !value.ends_with(' ')
}

#[cfg(feature = "_http")]
pub(crate) mod of_http {
    use super::{AsParent, Extract, Inject, SpanContext, extract};
    use http::{HeaderMap, HeaderName, HeaderValue};

    // Names that need no reading: these are asked for, and written, on every request.
    static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

    fn all<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let all = match name {
            "traceparent" => headers.get_all(&TRACEPARENT),
            "tracestate" => headers.get_all(&TRACESTATE),
            "baggage" => headers.get_all(&BAGGAGE),
            name => headers.get_all(name),
        };
        all.iter().map(text)
    }

    /// A value that is not text counts: it makes what it stands in malformed. One that is, and not ASCII, makes a member malformed.
    pub(crate) fn text(value: &HeaderValue) -> &str {
        std::str::from_utf8(value.as_bytes()).unwrap_or("\u{0}")
    }

    impl Extract for HeaderMap {
        fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
            all(self, name).collect()
        }

        fn only<'a>(&'a self, name: &str) -> Option<&'a str> {
            let mut all = all(self, name);
            all.next().filter(|_| all.next().is_none())
        }

        fn names(&self) -> Vec<&str> {
            self.keys().map(HeaderName::as_str).collect()
        }
    }

    impl Inject for HeaderMap {
        fn set(&mut self, name: &str, value: String) {
            let Ok(value) = HeaderValue::try_from(value) else {
                return;
            };
            let name = match name {
                "traceparent" => TRACEPARENT.clone(),
                "tracestate" => TRACESTATE.clone(),
                "baggage" => BAGGAGE.clone(),
                name => match HeaderName::try_from(name) {
                    Ok(name) => name,
                    Err(_) => return,
                },
            };
            self.insert(name, value);
        }

        fn remove(&mut self, name: &str) {
            if name == "tracestate" {
                self.remove(&TRACESTATE);
            } else {
                self.remove(name);
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
    use std::collections::{BTreeMap, HashMap};

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
        let mut headers = HashMap::<String, String>::new();
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
        for state in ["a", "A=1", "a=1=2", "=1", "a =1", "@a=2", "a.b=2", "a=", "a=\u{e9}"] {
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
    fn of_two_states_under_one_key_the_first_stays() {
        for state in [&["a=1,b=3,a=2"][..], &["a=1", "b=3,a=2"]] {
            let context = of(GOOD, state).expect("a context");
            assert_eq!(context.trace_state.as_deref(), Some("a=1,b=3"));
        }
    }

    #[test]
    fn keys_and_values_are_as_long_as_specified() {
        let key = |length: usize| format!("a=1,{}=2", "z".repeat(length));
        let state = |text: &str| of(GOOD, &[text]).expect("a context").trace_state;
        assert_eq!(state(&key(256)).as_deref(), Some(&*key(256)));
        assert_eq!(state(&key(257)), None);
        let value = |length: usize| format!("a@={}", "z".repeat(length));
        assert_eq!(state(&value(256)).as_deref(), Some(&*value(256)));
        assert_eq!(state(&value(257)), None);
    }

    #[test]
    fn too_much_state_loses_whole_members_the_long_and_the_old_first() {
        let member = |key: char, length: usize| format!("{key}={}", "v".repeat(length - 2));
        let state = |members: &[String]| of(GOOD, &[&members.join(",")]).expect("a context").trace_state;
        let short: Vec<_> = "abcd".chars().map(|key| member(key, 127)).collect();
        assert_eq!(short.join(",").len(), 511);
        assert_eq!(state(&short).as_deref(), Some(&*short.join(",")), "fits");
        let with_long = [&short[..1], &[member('x', 129)], &short[1..]].concat();
        assert_eq!(
            state(&with_long).as_deref(),
            Some(&*short.join(",")),
            "the long one goes"
        );
        let with_old = [&short[..], &[member('y', 9)]].concat();
        assert_eq!(state(&with_old).as_deref(), Some(&*short.join(",")), "the oldest goes");
    }

    #[test]
    fn flags_that_are_not_defined_go_no_further() {
        let context = of(&GOOD.replace("-01", "-ff"), &[]).expect("a context");
        let mut headers = HashMap::<String, String>::new();
        inject(&context, &mut headers);
        assert!(headers["traceparent"].ends_with("-03"), "sampled and random");
        let random = of(&GOOD.replace("-01", "-02"), &[]).expect("a context");
        inject(&random, &mut headers);
        assert!(headers["traceparent"].ends_with("-02"), "random alone");
    }

    #[test]
    fn baggage_comes_with_a_trace_or_alone() {
        let mut headers = HashMap::from([
            ("traceparent".to_owned(), GOOD.to_owned()),
            ("baggage".to_owned(), "tenant=acme".to_owned()),
        ]);
        let context = extract(&headers).expect("a context");
        assert_eq!(context.baggage.get("tenant"), Some("acme"));
        headers.remove("traceparent");
        let alone = extract(&headers).expect("baggage");
        assert!(!alone.is_valid() && alone.baggage.get("tenant") == Some("acme"));
        let mut out = HashMap::<String, String>::new();
        inject(&alone, &mut out);
        assert_eq!(out, HashMap::from([("baggage".to_owned(), "tenant=acme".to_owned())]));
        headers.insert("baggage".to_owned(), "\0".to_owned());
        assert_eq!(extract(&headers), None);
    }

    #[cfg(feature = "_http")]
    #[test]
    fn text_beyond_ascii_costs_the_member_it_stands_in() {
        let mut headers = http::HeaderMap::new();
        let mut add = |name, value: &[u8]| {
            headers.append(name, http::HeaderValue::from_bytes(value).expect("a value"));
        };
        add("traceparent", GOOD.as_bytes());
        add("tracestate", "a=\u{e9}".as_bytes());
        add("baggage", "user=Zo\u{eb},tenant=acme".as_bytes());
        add("baggage", b"\xff=1,x=2");
        let context = extract(&headers).expect("a context");
        assert_eq!(context.trace_state, None);
        assert_eq!(context.baggage.iter().collect::<Vec<_>>(), [("tenant", "acme")]);
        headers.append("traceparent", http::HeaderValue::from_bytes(b"\xff").expect("a value"));
        assert!(!extract(&headers).expect("baggage").is_valid(), "two parents are none");
    }

    #[test]
    fn nothing_of_another_context_goes_along() {
        fn goes_alone(mut headers: impl Inject + Extract, formats: u8) {
            let context = SpanContext {
                trace_id: TraceId(1),
                span_id: SpanId(2),
                ..SpanContext::default()
            };
            headers.set("tracestate", "a=1".to_owned());
            headers.set("x-b3-flags", "1".to_owned());
            inject_by(formats, &context, &mut headers);
            assert_eq!(
                extract_by(formats, &headers),
                Some(SpanContext {
                    is_remote: true,
                    ..context
                })
            );
        }
        for formats in [TRACE_CONTEXT, B3_MULTI] {
            goes_alone(HashMap::<String, String>::new(), formats);
            goes_alone(BTreeMap::<String, String>::new(), formats);
            goes_alone(Vec::<(String, String)>::new(), formats);
            #[cfg(feature = "serde")]
            goes_alone(serde_json::Map::new(), formats);
            #[cfg(feature = "_http")]
            goes_alone(http::HeaderMap::new(), formats);
        }
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
        let mut headers = BTreeMap::<String, String>::new();
        inject(&SpanContext::default(), &mut headers);
        assert!(headers.is_empty());
    }
}
