//! Consistent probability sampling: thresholds, and how `tracestate` tells them (`ot=th:…;rv:…`).
//!
//! The specifications are `tracestate-probability-sampling` and `tracestate-handling` of OpenTelemetry. A trace is kept where its 56
//! random bits are not below the threshold; a sampled span says the threshold it passed, so that whoever counts knows how many
//! spans it stands for.

use std::fmt::Write as _;

/// How many values 56 bits have.
pub(crate) const ALL: u64 = 1 << 56;
/// The bits of a trace id that are random, of `rv`, and of a threshold.
pub(crate) const BITS: u64 = ALL - 1;
/// Hexadecimal digits of a threshold; the first that are all `f` are not counted.
const PRECISION: i32 = 4;
/// Characters of the `ot` entry at most.
const LONGEST: usize = 256;
/// Members of a `tracestate` at most.
const MEMBERS: usize = 32;

/// The threshold of a probability between 0 and 1: [`ALL`] keeps none.
pub(crate) fn threshold(probability: f64) -> u64 {
    // The least that 56 bits can tell.
    if probability < 1.0 / ALL as f64 {
        return ALL;
    }
    if probability >= 1.0 {
        return 0;
    }
    // The exponent as `frexp` gives it: the probability is a half to one times two to that power.
    let exponent = ((probability.to_bits() >> 52) & 0x7ff) as i32 - 1022;
    let digits = (PRECISION + (-exponent).div_euclid(4)).clamp(1, 12);
    // Between one and two, so that the mantissa's 13 digits are those of the rejection; half a digit more rounds.
    let rejection = 2.0 - probability + 0.5 * 2f64.powi(-4 * digits);
    let mantissa = if rejection >= 2.0 {
        (1 << 52) - 1
    } else {
        rejection.to_bits() & ((1 << 52) - 1)
    };
    let beyond = 4 * (13 - digits) as u32;
    (mantissa >> beyond << beyond) << 4
}

/// A threshold as `th` has it.
pub(crate) fn digits(threshold: u64) -> String {
    let text = format!("{threshold:014x}");
    match text.trim_end_matches('0') {
        "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(digits).then(|| u64::from_str_radix(text, 16).ok())?
}

/// What the `ot` entry of a trace state says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ot {
    /// The explicit randomness of the trace.
    pub(crate) random: Option<u64>,
    /// The threshold that the span passed.
    pub(crate) threshold: Option<u64>,
    /// A `th` stands there, understood or not.
    pub(crate) has_threshold: bool,
}

impl Ot {
    pub(crate) fn of(state: &str) -> Self {
        let mut ot = Self::default();
        for (key, value) in entry(state).into_iter().flat_map(fields) {
            match key {
                "rv" if value.len() == 14 => ot.random = hex(value),
                "th" => {
                    ot.has_threshold = true;
                    if (1..=14).contains(&value.len()) {
                        ot.threshold = hex(value).map(|digits| digits << (4 * (14 - value.len())));
                    }
                }
                _ => {}
            }
        }
        ot
    }

    /// The random bits: said outright, or those of the trace id.
    pub(crate) fn randomness(self, trace: [u64; 2]) -> u64 {
        self.random.unwrap_or(trace[1] & BITS)
    }
}

/// The value of the `ot` entry.
fn entry(state: &str) -> Option<&str> {
    state.split(',').find_map(|member| member.trim().strip_prefix("ot="))
}

fn fields(entry: &str) -> impl Iterator<Item = (&str, &str)> {
    entry.split(';').filter_map(|field| field.split_once(':'))
}

/// The trace state with that `th`, or with none; everything else stays, `rv` among it. What was changed moves to the front.
pub(crate) fn with_threshold(state: &str, th: Option<&str>) -> Option<String> {
    let mut ot = String::new();
    if let Some(th) = th {
        let _ = write!(ot, "th:{th}");
    }
    let kept = entry(state)
        .into_iter()
        .flat_map(|entry| entry.split(';'))
        .filter(|field| !field.is_empty() && !field.starts_with("th:"));
    let others: Vec<_> = kept.collect();
    for field in &others {
        if !ot.is_empty() {
            ot.push(';');
        }
        ot.push_str(field);
    }
    if ot.len() > LONGEST {
        // It is not said, rather than others' words cut.
        ot = others.join(";");
    }
    let mut members: Vec<_> = state
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty() && !member.starts_with("ot="))
        .collect();
    let ours = format!("ot={ot}");
    if !ot.is_empty() {
        members.truncate(MEMBERS - 1);
        members.insert(0, &ours);
    }
    (!members.is_empty()).then(|| members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the specification, precision 4.
    #[test]
    fn thresholds_are_those_of_the_specification() {
        for (one_in, expected) in [
            (1, "0"),
            (2, "8"),
            (3, "aaab"),
            (4, "c"),
            (5, "cccd"),
            (8, "e"),
            (10, "e666"),
            (16, "f"),
            (100, "fd70a"),
            (1000, "ffbe77"),
            (10_000, "fff9724"),
            (100_000, "ffff583a"),
            (1_000_000, "ffffef39"),
        ] {
            assert_eq!(digits(threshold(1.0 / f64::from(one_in))), expected, "1 in {one_in}");
        }
        assert_eq!(threshold(0.0), ALL);
        assert_eq!(threshold(1.0 / ALL as f64 / 2.0), ALL);
        assert!(threshold(1.0 / ALL as f64) < ALL);
        assert_eq!(digits(threshold(0.999_999_999)), "0");
        // 1 % at 1000038 in 100 million: "Actual probability".
        let probability = (ALL - threshold(0.01)) as f64 / ALL as f64;
        assert_eq!(probability, 0.010_000_228_881_835_938);
    }

    #[test]
    fn entries_are_read() {
        let of = |state| Ot::of(state);
        // The specification's examples.
        assert_eq!(of("ot=th:0").threshold, Some(0));
        assert_eq!(of("ot=th:c").threshold, Some(0xc0_0000_0000_0000));
        assert_eq!(of("ot=rv:6e6d1a75832a2f").random, Some(0x6e_6d1a_7583_2a2f));
        assert_eq!(
            of("ot=rv:7479cfb506891d").randomness([0, u64::MAX]),
            0x74_79cf_b506_891d
        );
        let both = of("a=1, ot=p:8;th:fd70a4;rv:00000000000001,b=2");
        assert_eq!((both.threshold, both.random), (Some(0xfd_70a4_0000_0000), Some(1)));
        assert_eq!(of("a=1").randomness([7, 0xff12_3456_789a_bcde]), 0x12_3456_789a_bcde);
        for malformed in [
            "ot=th:",
            "ot=th:C",
            "ot=th:0123456789abcde",
            "ot=th:-1",
            "ot=th:+1",
            "ot=th:g",
        ] {
            let ot = of(malformed);
            assert_eq!((ot.threshold, ot.has_threshold), (None, true), "{malformed}");
        }
        for malformed in [
            "ot=rv:6e6d1a75832a2",
            "ot=rv:6E6D1A75832A2F",
            "ot=rv",
            "ot",
            "",
            "xot=rv:6e6d1a75832a2f",
        ] {
            assert_eq!(of(malformed), Ot::default(), "{malformed}");
        }
    }

    #[test]
    fn a_threshold_is_set_and_erased_and_the_rest_stays() {
        let set = |state: &str, th| with_threshold(state, th);
        assert_eq!(set("", Some("c")).as_deref(), Some("ot=th:c"));
        assert_eq!(
            set("a=1,ot=p:8;th:0;rv:6e6d1a75832a2f,b=2", Some("c")).as_deref(),
            Some("ot=th:c;p:8;rv:6e6d1a75832a2f,a=1,b=2")
        );
        assert_eq!(
            set("a=1,ot=th:0;rv:6e6d1a75832a2f", None).as_deref(),
            Some("ot=rv:6e6d1a75832a2f,a=1")
        );
        assert_eq!(set("ot=th:0", None), None);
        assert_eq!(set("ot=th:0,a=1", None).as_deref(), Some("a=1"));
        let full = format!("ot={}", "x".repeat(LONGEST));
        assert_eq!(
            set(&full, Some("c")).as_deref(),
            Some(&*full),
            "too long for another word"
        );
        let many = (0..MEMBERS).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        let marked = set(&many, Some("c")).expect("a state");
        assert!(marked.starts_with("ot=th:c,k0=1,") && marked.split(',').count() == MEMBERS && !marked.contains("k31"));
    }
}
