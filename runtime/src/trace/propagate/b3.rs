//! The headers of Zipkin, for neighbours that know no other.

use super::{Extract, Inject, SpanContext, SpanId, TraceFlags, TraceId, number};

/// `b3: {trace}-{span}[-{sampled}[-{parent}]]`
pub(super) fn single(headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    let [header] = headers.values("b3")[..] else {
        return None;
    };
    let mut parts = header.trim().split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    context(trace, span, parts.next())
}

/// `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags`.
pub(super) fn multi(headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    let one = |name| match headers.values(name)[..] {
        [value] => Some(value.trim()),
        _ => None,
    };
    let sampled = if one("x-b3-flags") == Some("1") {
        Some("d")
    } else {
        one("x-b3-sampled")
    };
    context(one("x-b3-traceid")?, one("x-b3-spanid")?, sampled)
}

/// A trace id of 16 digits is the lower half. Debug means sampled, too; no word on it leaves the decision to us, which a
/// context cannot say, so it counts as not sampled.
fn context(trace: &str, span: &str, sampled: Option<&str>) -> Option<SpanContext> {
    if !matches!(trace.len(), 16 | 32) || span.len() != 16 {
        return None;
    }
    let flags = match sampled {
        Some("1" | "true") => TraceFlags::SAMPLED,
        Some("d") => TraceFlags::SAMPLED.with(TraceFlags::DEBUG),
        Some("0" | "false") | None => TraceFlags::default(),
        Some(_) => return None,
    };
    let context = SpanContext {
        trace_id: TraceId(number(trace)?),
        span_id: SpanId(number(span)? as u64),
        flags,
        is_remote: true,
        ..SpanContext::default()
    };
    context.is_valid().then_some(context)
}

pub(super) fn inject_single(context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    let sampled = match (context.is_sampled(), context.flags.is_debug()) {
        (true, true) => 'd',
        (true, false) => '1',
        (false, _) => '0',
    };
    headers.set("b3", format!("{}-{}-{sampled}", context.trace_id, context.span_id));
}

pub(super) fn inject_multi(context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    headers.set("x-b3-traceid", context.trace_id.to_string());
    headers.set("x-b3-spanid", context.span_id.to_string());
    // One says it: debug is a decision, too.
    if context.is_sampled() && context.flags.is_debug() {
        headers.set("x-b3-flags", "1".to_owned());
        headers.remove("x-b3-sampled");
    } else {
        headers.set("x-b3-sampled", u8::from(context.is_sampled()).to_string());
        headers.remove("x-b3-flags");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn both_forms_come_back() {
        let context = SpanContext {
            trace_id: TraceId(0xabc),
            span_id: SpanId(0xdef),
            flags: TraceFlags::SAMPLED,
            is_remote: true,
            ..SpanContext::default()
        };
        let (mut one, mut many) = (HashMap::<String, String>::new(), HashMap::<String, String>::new());
        inject_single(&context, &mut one);
        inject_multi(&context, &mut many);
        assert_eq!(single(&one), Some(context.clone()));
        assert_eq!(multi(&many), Some(context));
        many.insert("x-b3-sampled".to_owned(), "0".to_owned());
        assert!(!multi(&many).expect("a context").is_sampled());
        many.insert("x-b3-flags".to_owned(), "1".to_owned());
        assert!(multi(&many).expect("a context").is_sampled());
    }

    #[test]
    fn debug_is_passed_on() {
        let (trace, span) = (format!("{:032x}", 1), format!("{:016x}", 2));
        let one = HashMap::from([("b3".to_owned(), format!("{trace}-{span}-d"))]);
        let many = HashMap::from([
            ("x-b3-traceid".to_owned(), trace),
            ("x-b3-spanid".to_owned(), span),
            ("x-b3-flags".to_owned(), "1".to_owned()),
        ]);
        let context = single(&one).expect("a context");
        assert!(context.is_sampled() && context.flags.is_debug());
        assert_eq!(multi(&many), Some(context.clone()));
        let (mut back, mut forth) = (HashMap::new(), HashMap::new());
        // What the headers said before goes.
        forth.insert("x-b3-sampled".to_owned(), "0".to_owned());
        inject_single(&context, &mut back);
        inject_multi(&context, &mut forth);
        assert_eq!((back, forth), (one, many));
        // One that is not sampled after all is not asked for.
        let not = SpanContext {
            flags: TraceFlags::DEBUG,
            ..context
        };
        let (mut back, mut forth) = (HashMap::new(), HashMap::new());
        inject_single(&not, &mut back);
        inject_multi(&not, &mut forth);
        assert!(back["b3"].ends_with("-0"), "{back:?}");
        assert_eq!((forth["x-b3-sampled"].as_str(), forth.get("x-b3-flags")), ("0", None));
    }

    /// The specification's rule: which form is written is chosen, and both are read, the single one first.
    #[test]
    fn either_format_reads_both_forms() {
        let one = ("b3".to_owned(), format!("{:032x}-{:016x}-1", 1, 2));
        let many = [
            ("x-b3-traceid".to_owned(), format!("{:032x}", 3)),
            ("x-b3-spanid".to_owned(), format!("{:016x}", 4)),
        ];
        let of = |formats, headers: Vec<(String, String)>| {
            super::super::extract_by(formats, &headers).map(|context| context.trace_id.0)
        };
        for formats in [super::super::B3, super::super::B3_MULTI] {
            assert_eq!(of(formats, vec![one.clone()]), Some(1));
            assert_eq!(of(formats, many.to_vec()), Some(3));
            assert_eq!(
                of(formats, [&many[..], std::slice::from_ref(&one)].concat()),
                Some(1),
                "the single one first"
            );
        }
        assert_eq!(of(super::super::TRACE_CONTEXT, vec![one]), None);
    }

    #[test]
    fn malformed_is_none() {
        let zeros = format!("{}-{}-1", "0".repeat(32), "0".repeat(16));
        for header in ["", "0", "1", "-", "abc-def-1", &*zeros, "zz-", "é"] {
            let headers = HashMap::from([("b3".to_owned(), header.to_owned())]);
            assert_eq!(single(&headers), None, "{header}");
        }
        let short = HashMap::from([("b3".to_owned(), "00000000000000aa-00000000000000bb".to_owned())]);
        assert_eq!(single(&short).expect("a context").trace_id, TraceId(0xaa));
    }
}
