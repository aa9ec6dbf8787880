//! What has to hold of headers that anybody may send. The fuzz target `context` and the test `fuzz_corpora` ask it.

use vitalsign::trace::propagate::{Extract, Inject};
use vitalsign::trace::{Baggage, SpanContext, extract, inject};

/// Headers in their order; names may repeat.
#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl Extract for Headers {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let named = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

impl Inject for Headers {
    fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }
}

/// Each line is a header, `name: value`; a line of another form is the value of each of ours.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut headers = Headers::default();
    for line in text.split('\n') {
        match line.split_once(": ") {
            Some((name, value)) => headers.0.push((name.to_owned(), value.to_owned())),
            None => {
                for name in ["traceparent", "tracestate", "baggage"] {
                    headers.0.push((name.to_owned(), line.to_owned()));
                }
            }
        }
        baggage(line);
    }
    if let Some(context) = extract(&headers) {
        passed_on(&context);
    }
}

/// What was read is bounded, and written it reads the same.
fn passed_on(context: &SpanContext) {
    assert!(context.is_valid() || !context.baggage.is_empty());
    if let Some(state) = &context.trace_state {
        assert!(
            state.len() <= 512 && (1..=32).contains(&state.split(',').count()),
            "{state}"
        );
    }
    let mut written = Headers::default();
    inject(context, &mut written);
    for (name, value) in &written.0 {
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t'),
            "{name}: {value}"
        );
    }
    let mut read = extract(&written).expect("what we write we read");
    assert_eq!(
        read.flags.0,
        context.flags.0 & 3,
        "bits that nobody defined go no further"
    );
    read.flags = context.flags;
    assert_eq!(&read, context);
}

fn baggage(header: &str) {
    let baggage = Baggage::parse(header);
    let written = baggage.to_string();
    assert!(written.len() <= 8192 && baggage.len() <= 64);
    assert_eq!(Baggage::parse(&written), baggage);
}
