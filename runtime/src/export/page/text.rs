//! The text formats: Prometheus 0.0.4 and 1.0.0, `OpenMetrics`.

use super::super::snapshot::{Exemplar, Kind, Number, Point, PointValue};
use super::names::Named;
use std::borrow::Cow;
use std::io::Write as _;

/// Prometheus text: the suffixes stand in HELP and TYPE, no units, no examples.
pub(super) fn classic(families: &[Named]) -> Vec<u8> {
    Writer::new(families, false).write(families)
}

/// `OpenMetrics` 1.0.
pub(super) fn open_metrics(families: &[Named]) -> Vec<u8> {
    let mut page = Writer::new(families, true).write(families);
    page.extend_from_slice(b"# EOF\n");
    page
}

struct Writer {
    out: Vec<u8>,
    open: bool,
}

impl Writer {
    fn new(families: &[Named], open: bool) -> Self {
        let points: usize = families.iter().map(|family| family.points.len()).sum();
        Self {
            out: Vec::with_capacity(points * 128 + 256),
            open,
        }
    }

    fn write(mut self, families: &[Named]) -> Vec<u8> {
        for family in families {
            self.head(family);
            for point in &family.points {
                self.point(family, point);
            }
        }
        self.out
    }

    fn head(&mut self, family: &Named) {
        let (suffix, kind) = match family.kind {
            Kind::Counter if self.open => ("", "counter"),
            Kind::Counter => ("_total", "counter"),
            Kind::UpDownCounter | Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
            Kind::Summary => ("", "summary"),
            Kind::Info if self.open => ("", "info"),
            Kind::Info => ("_info", "gauge"),
        };
        let name = &family.name;
        let _ = write!(self.out, "# HELP {name}{suffix} ");
        escape(&mut self.out, &family.help, self.open);
        let _ = writeln!(self.out, "\n# TYPE {name}{suffix} {kind}");
        if self.open && !family.unit.is_empty() {
            let _ = writeln!(self.out, "# UNIT {name} {}", family.unit);
        }
    }

    fn point(&mut self, family: &Named, point: &Point) {
        let labels = &point.labels;
        match &point.value {
            PointValue::Number { value, exemplar } => {
                let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
                self.series(&family.name, suffix, labels, None);
                self.number(*value);
                self.example(exemplar.as_deref().filter(|_| family.kind == Kind::Counter));
            }
            PointValue::Info => {
                self.series(&family.name, "_info", labels, None);
                self.out.extend_from_slice(b"1\n");
            }
            PointValue::Histogram {
                bounds,
                counts,
                sum,
                exemplars,
            } => {
                let mut count = 0;
                let mut below = f64::NEG_INFINITY;
                for (at, in_bucket) in counts.iter().enumerate() {
                    count += in_bucket;
                    let bound = bounds.get(at).copied().unwrap_or(f64::INFINITY);
                    self.series(&family.name, "_bucket", labels, Some(("le", bound)));
                    self.whole(count);
                    let last = at == bounds.len();
                    let fits = |e: &&Exemplar| e.value > below && (e.value <= bound || last);
                    let example = exemplars.iter().filter(fits).max_by_key(|e| e.unix_nanos);
                    self.example(example);
                    below = bound;
                }
                self.tail(family, labels, *sum, count);
            }
            PointValue::Exponential {
                sum, count, exemplars, ..
            } => {
                // The buckets travel by protobuf only, as other clients have it.
                self.series(&family.name, "_bucket", labels, Some(("le", f64::INFINITY)));
                self.whole(*count);
                self.example(exemplars.iter().max_by_key(|e| e.unix_nanos));
                self.tail(family, labels, *sum, *count);
            }
            PointValue::Summary { quantiles, sum, count } => {
                for &(quantile, value) in quantiles {
                    self.series(&family.name, "", labels, Some(("quantile", quantile)));
                    self.float(value);
                    self.out.push(b'\n');
                }
                self.tail(family, labels, *sum, *count);
            }
        }
    }

    fn tail(&mut self, family: &Named, labels: &[(Cow<'static, str>, Cow<'static, str>)], sum: f64, count: u64) {
        self.series(&family.name, "_sum", labels, None);
        self.float(sum);
        self.out.push(b'\n');
        self.series(&family.name, "_count", labels, None);
        self.whole(count);
        self.out.push(b'\n');
    }

    /// `name_suffix{labels} `
    fn series(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(Cow<'static, str>, Cow<'static, str>)],
        bound: Option<(&str, f64)>,
    ) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        if !labels.is_empty() || bound.is_some() {
            let mut before = b'{';
            for (key, value) in labels {
                self.out.push(before);
                before = b',';
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"=\"");
                escape(&mut self.out, value, true);
                self.out.push(b'"');
            }
            if let Some((key, bound)) = bound {
                self.out.push(before);
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"=\"");
                self.float(bound);
                self.out.push(b'"');
            }
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }

    /// Ends a sample's line.
    fn example(&mut self, exemplar: Option<&Exemplar>) {
        if let Some(exemplar) = exemplar.filter(|_| self.open) {
            let _ = write!(
                self.out,
                " # {{trace_id=\"{}\",span_id=\"{}\"}} ",
                exemplar.trace_id, exemplar.span_id
            );
            self.float(exemplar.value);
            let millis = exemplar.unix_nanos / 1_000_000;
            let _ = write!(self.out, " {}.{:03}", millis / 1000, millis % 1000);
        }
        self.out.push(b'\n');
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::U64(n) => self.whole(n),
            Number::I64(n) => {
                if n < 0 {
                    self.out.push(b'-');
                }
                self.whole(n.unsigned_abs());
            }
            Number::F64(n) => self.float(n),
        }
    }

    fn whole(&mut self, mut n: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    fn float(&mut self, n: f64) {
        if n == f64::INFINITY {
            self.out.extend_from_slice(b"+Inf");
        } else if n == f64::NEG_INFINITY {
            self.out.extend_from_slice(b"-Inf");
        } else {
            let _ = write!(self.out, "{n:?}");
        }
    }
}

/// Backslash and line feed, and the quote where one ends the text.
fn escape(out: &mut Vec<u8>, text: &str, quote: bool) {
    // All of them, without a branch between: most texts have none.
    let special = |c: u8| matches!(c, b'\\' | b'\n' | b'"');
    if !text.bytes().fold(false, |any, c| any | special(c)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.bytes() {
        match c {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quote => out.extend_from_slice(b"\\\""),
            c => out.push(c),
        }
    }
}
