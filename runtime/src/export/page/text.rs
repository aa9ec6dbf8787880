//! The text formats: Prometheus 0.0.4 and 1.0.0, `OpenMetrics`.

use super::super::labels::{Labels, Row};
use super::super::snapshot::{Exemplar, Histogram, Kind, Number, Point, PointValue};
use super::names::Named;
use crate::metrics::columns::Columned;
use std::io::Write as _;
use std::ptr;

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

struct Writer<'a> {
    out: Vec<u8>,
    open: bool,
    /// The labels of the point at hand, `key="value"` after `key="value"`.
    labels: Vec<u8>,
    /// What stands between the values of a table's labels, for as long as its points follow one another.
    between: Option<Between>,
    /// The ends of the lines of a histogram's buckets, for as long as histograms of these bounds follow one another.
    bounds: Option<(&'a [f64], Vec<Vec<u8>>)>,
}

/// See [`Writer::between`].
struct Between {
    of: &'static Columned,
    /// What stands before the value of each label, the first one's with the name.
    before: Vec<Vec<u8>>,
}

impl<'a> Writer<'a> {
    fn new(families: &[Named], open: bool) -> Self {
        let points: usize = families.iter().map(|family| family.points.len()).sum();
        Self {
            out: Vec::with_capacity(points * 128 + 256),
            open,
            labels: Vec::new(),
            between: None,
            bounds: None,
        }
    }

    fn write(mut self, families: &'a [Named]) -> Vec<u8> {
        for family in families {
            self.head(family);
            self.between = None;
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

    fn point(&mut self, family: &Named, point: &'a Point) {
        let name = &family.name;
        match (&point.value, &point.labels) {
            (PointValue::Number { value, exemplar }, labels) => {
                let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
                match labels {
                    Labels::Row(of, row) if of.len() > 0 => self.row(name, suffix, of, *row),
                    _ => {
                        self.pairs(labels);
                        self.series(name, suffix);
                    }
                }
                self.number(*value);
                self.example(exemplar.as_deref().filter(|_| family.kind == Kind::Counter));
            }
            (PointValue::Info, labels) => {
                self.pairs(labels);
                self.series(name, "_info");
                self.out.extend_from_slice(b"1\n");
            }
            (PointValue::Histogram(histogram), labels) => {
                self.pairs(labels);
                self.histogram(name, histogram);
            }
            (PointValue::Exponential(histogram), labels) => {
                self.pairs(labels);
                // The buckets travel by protobuf only, as other clients have it.
                self.series_of(name, "_bucket", "le", f64::INFINITY);
                self.whole(histogram.count);
                self.example(histogram.exemplars.iter().max_by_key(|e| e.unix_nanos));
                self.tail(name, histogram.sum, histogram.count);
            }
            (PointValue::Summary(summary), labels) => {
                self.pairs(labels);
                for &(quantile, value) in &summary.quantiles {
                    self.series_of(name, "", "quantile", quantile);
                    self.float(value);
                    self.out.push(b'\n');
                }
                self.tail(name, summary.sum, summary.count);
            }
        }
    }

    fn histogram(&mut self, name: &str, histogram: &'a Histogram) {
        let bounds = &*histogram.bounds;
        let ends = match self.bounds.take() {
            Some((known, ends)) if ptr::eq(known, bounds) => ends,
            _ => bounds
                .iter()
                .chain([&f64::INFINITY])
                .map(|&bound| end_of(bound))
                .collect(),
        };
        let (mut count, mut below) = (0, f64::NEG_INFINITY);
        for (at, in_bucket) in histogram.counts.iter().enumerate() {
            count += in_bucket;
            self.open(name, "_bucket", !self.labels.is_empty());
            self.out.extend_from_slice(&ends[at.min(bounds.len())]);
            self.whole(count);
            if histogram.exemplars.is_empty() {
                self.out.push(b'\n');
            } else {
                let bound = bounds.get(at).copied().unwrap_or(f64::INFINITY);
                let last = at == bounds.len();
                let fits = |e: &&Exemplar| e.value > below && (e.value <= bound || last);
                self.example(histogram.exemplars.iter().filter(fits).max_by_key(|e| e.unix_nanos));
                below = bound;
            }
        }
        self.bounds = Some((bounds, ends));
        self.tail(name, histogram.sum, count);
    }

    fn tail(&mut self, name: &str, sum: f64, count: u64) {
        self.series(name, "_sum");
        self.float(sum);
        self.out.push(b'\n');
        self.series(name, "_count");
        self.whole(count);
        self.out.push(b'\n');
    }

    /// The labels of the lines that follow.
    fn pairs(&mut self, labels: &Labels) {
        let out = &mut self.labels;
        out.clear();
        labels.each(|key, value| {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        });
    }

    /// `name_suffix{labels} `
    fn series(&mut self, name: &str, suffix: &str) {
        if self.labels.is_empty() {
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(suffix.as_bytes());
        } else {
            self.open(name, suffix, false);
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }

    /// `name_suffix{labels,key="value"} `
    fn series_of(&mut self, name: &str, suffix: &str, key: &str, value: f64) {
        self.open(name, suffix, !self.labels.is_empty());
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"=\"");
        label_of(&mut self.out, value);
        self.out.extend_from_slice(b"\"} ");
    }

    /// `name_suffix{labels`, and a comma.
    fn open(&mut self, name: &str, suffix: &str, comma: bool) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        self.out.push(b'{');
        self.out.extend_from_slice(&self.labels);
        if comma {
            self.out.push(b',');
        }
    }

    /// `name_suffix{labels} ` of a series in a large table.
    fn row(&mut self, name: &str, suffix: &str, of: &'static Columned, row: Row) {
        let between = match self.between.take() {
            Some(between) if ptr::eq(between.of, of) => between,
            _ => Between::new(name, suffix, of),
        };
        for (before, (_, value)) in between.before.iter().zip(of.iter(row)) {
            self.out.extend_from_slice(before);
            escape(&mut self.out, value, true);
        }
        self.out.extend_from_slice(b"\"} ");
        self.between = Some(between);
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
            Number::I64(n) => self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Number::F64(n) => self.float(n),
        }
    }

    fn whole(&mut self, n: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn float(&mut self, n: f64) {
        float(&mut self.out, n);
    }
}

impl Between {
    fn new(name: &str, suffix: &str, of: &'static Columned) -> Self {
        let before = of.keys().enumerate().map(|(at, key)| match at {
            0 => format!("{name}{suffix}{{{key}=\"").into_bytes(),
            _ => format!("\",{key}=\"").into_bytes(),
        });
        Self {
            of,
            before: before.collect(),
        }
    }
}

/// What a bucket's line has from the bound on.
fn end_of(bound: f64) -> Vec<u8> {
    let mut end = b"le=\"".to_vec();
    label_of(&mut end, bound);
    end.extend_from_slice(b"\"} ");
    end
}

/// A bound or a quantile. Labels are compared letter by letter, so it is written as `OpenMetrics` wants it and as Prometheus writes what it
/// got by protobuf: Go's `%g`, and a point.
fn label_of(out: &mut Vec<u8>, n: f64) {
    let scientific = format!("{n:e}");
    let (digits, exponent) = match scientific.split_once('e') {
        Some((digits, exponent)) if n.is_finite() => (digits, exponent.parse().unwrap_or(0)),
        _ => return float(out, n),
    };
    if (-4..6).contains(&exponent) {
        return float(out, n);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{digits}e{sign}{:02}", i32::abs(exponent));
}

fn float(out: &mut Vec<u8>, n: f64) {
    if n == f64::INFINITY {
        out.extend_from_slice(b"+Inf");
    } else if n == f64::NEG_INFINITY {
        out.extend_from_slice(b"-Inf");
    } else {
        let _ = write!(out, "{n:?}");
    }
}

/// What [`escape`] may have to change.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    special[b'\\' as usize] = true;
    special[b'\n' as usize] = true;
    special[b'"' as usize] = true;
    special
};

/// Backslash and line feed, and the quote where one ends the text.
fn escape(out: &mut Vec<u8>, text: &str, quote: bool) {
    // All of them, without a branch between: most texts have none.
    if !text.bytes().fold(false, |any, c| any | SPECIAL[usize::from(c)]) {
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
