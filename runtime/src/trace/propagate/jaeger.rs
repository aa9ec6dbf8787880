//! Jaeger's own headers, for neighbours whose clients are older than `OpenTelemetry`: `uber-trace-id`, and a header for each member of
//! the baggage.

use super::{Extract, Inject, SpanContext, SpanId, TraceFlags, TraceId, number};
use crate::trace::baggage::{self, Baggage};

/// Begins the name of a header of the baggage; its key follows.
pub(crate) const BAGGAGE_PREFIX: &str = "uberctx-";

/// Sampled, and asked for by someone who looks for a mistake, which means sampled too.
const SAMPLED: u128 = 1;
const DEBUG: u128 = 2;

/// `uber-trace-id: {trace}:{span}:{parent}:{flags}`. Digits may be fewer than the ids have; the parent says nothing any more.
pub(super) fn context(headers: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    let [header] = headers.values("uber-trace-id")[..] else {
        return None;
    };
    let header = header.trim();
    // Some clients encode values as in a URL.
    let decoded = header
        .contains('%')
        .then(|| header.replace("%3A", ":").replace("%3a", ":"));
    let mut parts = decoded.as_deref().unwrap_or(header).split(':');
    let mut digits = |most: usize| {
        let part = parts.next()?;
        let fits = (1..=most).contains(&part.len());
        fits.then(|| number(&part.to_ascii_lowercase())).flatten()
    };
    let (trace, span, _, flags) = (digits(32)?, digits(16)?, digits(16)?, digits(2)?);
    let context = SpanContext {
        trace_id: TraceId(trace),
        span_id: SpanId(span as u64),
        flags: match (flags & SAMPLED != 0, flags & DEBUG != 0) {
            (_, true) => TraceFlags::SAMPLED.with(TraceFlags::DEBUG),
            (true, false) => TraceFlags::SAMPLED,
            (false, false) => TraceFlags::default(),
        },
        is_remote: true,
        ..SpanContext::default()
    };
    (parts.next().is_none() && context.is_valid()).then_some(context)
}

pub(super) fn inject(context: &SpanContext, headers: &mut (impl Inject + ?Sized)) {
    let flags = match (context.is_sampled(), context.flags.is_debug()) {
        (true, true) => SAMPLED | DEBUG,
        (true, false) => SAMPLED,
        (false, _) => 0,
    };
    let text = format!("{}:{}:0:{flags:x}", context.trace_id, context.span_id);
    headers.set("uber-trace-id", text);
}

/// What the headers have that `known` has not.
pub(super) fn baggage(headers: &(impl Extract + ?Sized), known: Baggage) -> Baggage {
    let mut keys: Vec<_> = headers
        .names()
        .into_iter()
        .filter_map(|name| Some((name, key_of(name)?)))
        .collect();
    // A map has no order, and which members fit must not hang on it.
    keys.sort_unstable();
    known.beside(keys.into_iter().filter_map(|(name, key)| {
        // Of two with one name the first holds.
        Some((key, *headers.values(name).first()?))
    }))
}

fn key_of(name: &str) -> Option<String> {
    let (prefix, key) = name.split_at_checked(BAGGAGE_PREFIX.len())?;
    // Names of headers have no capitals.
    prefix
        .eq_ignore_ascii_case(BAGGAGE_PREFIX)
        .then(|| key.to_ascii_lowercase())
}

pub(super) fn inject_baggage(baggage: &Baggage, headers: &mut (impl Inject + ?Sized)) {
    for (key, value) in baggage.iter() {
        let name = format!("{BAGGAGE_PREFIX}{}", key.to_ascii_lowercase());
        headers.set(&name, baggage::Encoded(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BAGGAGE, JAEGER, extract_by, inject_by};
    use super::*;
    use std::collections::HashMap;

    fn of(header: &str) -> Option<SpanContext> {
        context(&HashMap::from([("Uber-Trace-Id".to_owned(), header.to_owned())]))
    }

    #[test]
    fn what_goes_out_comes_back() {
        let context = SpanContext {
            trace_id: TraceId(0xabc),
            span_id: SpanId(0xdef),
            flags: TraceFlags::SAMPLED,
            is_remote: true,
            baggage: Baggage::default().with("tenant", "Zo\u{eb} & Co, 100 %").with("n", ""),
            ..SpanContext::default()
        };
        let mut headers = HashMap::<String, String>::new();
        inject_by(JAEGER, &context, &mut headers);
        assert_eq!(
            headers["uber-trace-id"],
            "00000000000000000000000000000abc:0000000000000def:0:1"
        );
        assert_eq!(headers["uberctx-tenant"], "Zo%C3%AB%20&%20Co%2C%20100%20%25");
        assert_eq!(headers.len(), 3);
        let read = extract_by(JAEGER, &headers).expect("a context");
        assert_eq!(
            (&read.baggage.get("tenant"), read.baggage.len()),
            (&Some("Zo\u{eb} & Co, 100 %"), 2)
        );
        assert_eq!(
            (read.trace_id, read.span_id, read.flags),
            (context.trace_id, context.span_id, context.flags)
        );
        assert_eq!(extract_by(BAGGAGE, &headers), None, "nobody asked for it");
        // So does a wish for the whole trace.
        let looked_for = SpanContext {
            flags: TraceFlags::SAMPLED.with(TraceFlags::DEBUG),
            ..context
        };
        inject_by(JAEGER, &looked_for, &mut headers);
        assert!(headers["uber-trace-id"].ends_with(":0:3"), "{headers:?}");
        let read = extract_by(JAEGER, &headers).expect("a context");
        assert_eq!(read.flags, looked_for.flags);
        // Of the same key in both forms the specification's holds, whatever its capitals.
        headers.insert("baggage".to_owned(), "N=1,tenant=acme".to_owned());
        let read = extract_by(JAEGER | BAGGAGE, &headers).expect("a context");
        assert_eq!(
            read.baggage.iter().collect::<Vec<_>>(),
            [("N", "1"), ("tenant", "acme")]
        );
    }

    #[test]
    fn short_ids_are_padded_and_flags_are_bits() {
        let context = of("ABC:d:0:3").expect("a context");
        assert_eq!((context.trace_id, context.span_id), (TraceId(0xabc), SpanId(0xd)));
        assert!(context.is_sampled());
        for (flags, sampled) in [
            ("0", false),
            ("1", true),
            ("2", true),
            ("00", false),
            ("0d", true),
            ("8", false),
        ] {
            assert_eq!(
                of(&format!("1:2:0:{flags}")).expect("a context").is_sampled(),
                sampled,
                "{flags}"
            );
        }
        assert!(of("1%3A2%3a0%3A1").is_some(), "as in a URL");
    }

    #[test]
    fn malformed_is_none() {
        let long = format!("{}:2:0:1", "a".repeat(33));
        for header in [
            "",
            ":",
            "1:2:0",
            "1:2:0:",
            "1:2:0:1:1",
            "0:2:0:1",
            "1:0:0:1",
            "1:2:x:1",
            "1:2:0:100",
            "-1:2:0:1",
            "\0",
            &*long,
        ] {
            assert_eq!(of(header), None, "{header}");
        }
    }

    #[test]
    fn two_are_none_and_bad_baggage_harms_nothing() {
        let headers = vec![("uber-trace-id".to_owned(), "1:2:0:1".to_owned()); 2];
        assert_eq!(extract_by(JAEGER, &headers), None);
        let headers = vec![
            ("uber-trace-id".to_owned(), "1:2:0:1".to_owned()),
            ("uberctx-".to_owned(), "no key".to_owned()),
            ("uberctx-a b".to_owned(), "no token".to_owned()),
            ("uberctx-big".to_owned(), "x".repeat(9000)),
            ("uberctx-Fine".to_owned(), "%ff%".to_owned()),
        ];
        let read = extract_by(JAEGER, &headers).expect("a context");
        assert_eq!(read.baggage.iter().collect::<Vec<_>>(), [("fine", "\u{fffd}%")]);
    }
}
