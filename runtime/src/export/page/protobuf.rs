//! Prometheus' protobuf format: `MetricFamily` messages, each with its length before it.
//!
//! Written by hand: a dozen field numbers, fixed for ten years, against a code generator and its crates.

use super::super::snapshot::{Exemplar, Exponential, Histogram, Kind, Point, PointValue};
use super::names::Named;

/// All families.
pub(super) fn delimited(families: &[Named]) -> Vec<u8> {
    let points: usize = families.iter().map(|family| family.points.len()).sum();
    let mut out = Message(Vec::with_capacity(points * POINT + 256));
    for named in families {
        out.with_length(named.points.len() * POINT, |out| family(out, named));
    }
    out.0
}

/// About so many bytes of a point.
const POINT: usize = 64;

/// A message being written.
struct Message(Vec<u8>);

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

impl Message {
    fn key(&mut self, field: u64, wire: u64) {
        varint(&mut self.0, field << 3 | wire);
    }

    fn whole(&mut self, field: u64, n: u64) {
        self.key(field, 0);
        varint(&mut self.0, n);
    }

    fn signed(&mut self, field: u64, n: i64) {
        self.whole(field, zigzag(n));
    }

    fn float(&mut self, field: u64, n: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        self.key(field, 2);
        varint(&mut self.0, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.key(field, 2);
        self.with_length(0, write);
    }

    /// What is written, its length before it. Room is left for one of about that much; where it is not enough or too much, the
    /// message moves.
    fn with_length(&mut self, about: usize, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        varint(&mut self.0, about as u64);
        let body = self.0.len();
        write(self);
        let mut len = (self.0.len() - body) as u64;
        let room = &mut self.0[start..body];
        if room.len() == len.max(1).ilog2() as usize / 7 + 1 {
            for byte in room {
                *byte = len as u8 | 0x80;
                len >>= 7;
            }
            self.0[body - 1] &= 0x7f;
        } else {
            let mut length = Vec::with_capacity(10);
            varint(&mut length, len);
            self.0.splice(start..body, length);
        }
    }
}

fn family(out: &mut Message, family: &Named) {
    let (suffix, kind) = match family.kind {
        Kind::Counter => ("_total", 0),
        Kind::UpDownCounter | Kind::Gauge => ("", 1),
        Kind::Info => ("_info", 1),
        Kind::Summary => ("", 2),
        Kind::Histogram => ("", 4),
    };
    out.text(1, &format!("{}{suffix}", family.name));
    out.text(2, &family.help);
    out.whole(3, kind);
    for point in &family.points {
        out.message(4, |metric| self::metric(metric, family.kind, point));
    }
    if !family.unit.is_empty() {
        out.text(5, &family.unit);
    }
}

fn metric(out: &mut Message, kind: Kind, point: &Point) {
    point.labels.each(|key, value| label(out, 1, key, value));
    match &point.value {
        PointValue::Number { value, exemplar } if kind == Kind::Counter => out.message(3, |counter| {
            counter.float(1, value.as_f64());
            if let Some(exemplar) = exemplar {
                counter.message(2, |out| example(out, exemplar));
            }
        }),
        PointValue::Number { value, .. } => out.message(2, |gauge| gauge.float(1, value.as_f64())),
        PointValue::Info => out.message(2, |gauge| gauge.float(1, 1.0)),
        PointValue::Summary(summary) => out.message(4, |out| {
            out.whole(1, summary.count);
            out.float(2, summary.sum);
            for &(quantile, value) in &summary.quantiles {
                out.message(3, |out| {
                    out.float(1, quantile);
                    out.float(2, value);
                });
            }
        }),
        PointValue::Histogram(histogram) => out.message(7, |out| classic(out, histogram)),
        PointValue::Exponential(histogram) => out.message(7, |out| exponential(out, histogram)),
    }
}

fn classic(out: &mut Message, histogram: &Histogram) {
    out.whole(1, histogram.counts.iter().sum());
    out.float(2, histogram.sum);
    let (mut count, mut below) = (0, f64::NEG_INFINITY);
    for (at, in_bucket) in histogram.counts.iter().enumerate() {
        count += in_bucket;
        let bound = histogram.bounds.get(at).copied().unwrap_or(f64::INFINITY);
        out.message(3, |bucket| {
            bucket.whole(1, count);
            bucket.float(2, bound);
            let fits = |e: &&Exemplar| e.value > below && e.value <= bound;
            if let Some(exemplar) = histogram.exemplars.iter().filter(fits).max_by_key(|e| e.unix_nanos) {
                bucket.message(3, |out| example(out, exemplar));
            }
        });
        below = bound;
    }
}

fn exponential(out: &mut Message, histogram: &Exponential) {
    out.whole(1, histogram.count);
    out.float(2, histogram.sum);
    out.signed(5, histogram.schema.into());
    out.float(6, histogram.zero_threshold);
    out.whole(7, histogram.zero_count);
    native(out, &histogram.positive);
    for exemplar in &histogram.exemplars {
        out.message(16, |out| example(out, exemplar));
    }
}

/// Spans of neighbouring buckets, and the counts as differences. A span of nothing says that the histogram is native.
fn native(out: &mut Message, positive: &[(i32, u64)]) {
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let mut next = 0;
    for &(index, _) in positive {
        match spans.last_mut() {
            Some(span) if index == next => span.1 += 1,
            _ => spans.push((index - next, 1)),
        }
        next = index + 1;
    }
    if spans.is_empty() {
        spans.push((0, 0));
    }
    for (offset, length) in spans {
        out.message(12, |span| {
            span.signed(1, offset.into());
            span.whole(2, length.into());
        });
    }
    if !positive.is_empty() {
        out.message(13, |deltas| {
            let mut last = 0;
            for &(_, count) in positive {
                let delta = (count as i64).wrapping_sub(last);
                varint(&mut deltas.0, zigzag(delta));
                last = count as i64;
            }
        });
    }
}

fn label(out: &mut Message, field: u64, key: &str, value: &str) {
    let len = key.len() + value.len() + 4;
    if len < 0x80 {
        // Each length is one byte.
        let out = &mut out.0;
        out.extend_from_slice(&[(field << 3 | 2) as u8, len as u8, 1 << 3 | 2, key.len() as u8]);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&[2 << 3 | 2, value.len() as u8]);
        out.extend_from_slice(value.as_bytes());
    } else {
        out.message(field, |label| {
            label.text(1, key);
            label.text(2, value);
        });
    }
}

fn example(out: &mut Message, exemplar: &Exemplar) {
    label(out, 1, "trace_id", &exemplar.trace_id.to_string());
    label(out, 1, "span_id", &exemplar.span_id.to_string());
    out.float(2, exemplar.value);
    out.message(3, |time| {
        time.whole(1, exemplar.unix_nanos / 1_000_000_000);
        time.whole(2, exemplar.unix_nanos % 1_000_000_000);
    });
}
