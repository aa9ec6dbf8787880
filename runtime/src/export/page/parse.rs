//! `OpenMetrics` text as `prometheus-client` writes it, read back: the way a foreign registry's metrics come to us.

use crate::export::snapshot::{Exemplar, Family, Histogram, Kind, Number, Point, PointValue};
use crate::metrics::registry::started;
use crate::trace::{SpanId, TraceId};
use std::borrow::Cow;

type Labels = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// The families of a page; lines that cannot be read are left out.
pub(super) fn families(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = String::new();
    let mut in_help = false;
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            text.split_once(' ').map_or("", |(_, help)| help).clone_into(&mut help);
            in_help = true;
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = text.rsplit_once(' ') {
                families.push(Family {
                    name: name.to_owned().into(),
                    help: help.replace("\\n", "\n").replace("\\\\", "\\").into(),
                    unit: "".into(),
                    kind: match kind {
                        "counter" => Kind::Counter,
                        "histogram" => Kind::Histogram,
                        "info" => Kind::Info,
                        _ => Kind::Gauge,
                    },
                    observed: kind == "counter",
                    scope: Vec::new(),
                    points: Vec::new(),
                });
            }
            help.clear();
            in_help = false;
        } else if in_help {
            // That crate writes it as it is: a line feed is one, and what follows is no sample of the family before.
            help.push('\n');
            help.push_str(line);
        } else if let Some(text) = line.strip_prefix("# UNIT ") {
            if let (Some(family), Some((_, unit))) = (families.last_mut(), text.rsplit_once(' ')) {
                family.unit = ucum(unit).to_owned().into();
            }
        } else if let (Some(family), Some(sample)) = (families.last_mut(), Sample::parse(line)) {
            add(family, sample);
        }
    }
    families
}

/// The words of that crate's units as what is pushed has them; on the page they are words again.
fn ucum(word: &str) -> &str {
    match word {
        "amperes" => "A",
        "bytes" => "By",
        "celsius" => "Cel",
        "grams" => "g",
        "joules" => "J",
        "meters" => "m",
        "seconds" => "s",
        "volts" => "V",
        other => other,
    }
}

fn add(family: &mut Family, mut sample: Sample<'_>) {
    let Some(suffix) = sample.name.strip_prefix(&*family.name) else {
        return;
    };
    let value = match family.kind {
        Kind::Histogram => {
            let bound = sample
                .labels
                .iter()
                .position(|(key, _)| key == "le")
                .map(|at| sample.labels.remove(at).1);
            return histogram(family, suffix, bound.as_deref(), sample);
        }
        Kind::Info => PointValue::Info,
        _ => PointValue::Number {
            value: number(sample.value),
            exemplar: sample.exemplar.map(Box::new),
        },
    };
    family.points.push(Point {
        labels: sample.labels.into(),
        value,
        typed: 0,
        start_unix_nanos: started(),
    });
}

/// The lines of one histogram stand together: sum, count, buckets.
fn histogram(family: &mut Family, suffix: &str, bound: Option<&str>, sample: Sample<'_>) {
    let labels = sample.labels.into();
    if family.points.last().is_none_or(|point| point.labels != labels) {
        family.points.push(Point {
            labels,
            value: PointValue::histogram(Histogram {
                bounds: [].into(),
                counts: Vec::new(),
                sum: 0.0,
                exemplars: Vec::new(),
            }),
            typed: 0,
            start_unix_nanos: started(),
        });
    }
    let Some(Point {
        value: PointValue::Histogram(histogram),
        ..
    }) = family.points.last_mut()
    else {
        return;
    };
    let Histogram {
        bounds,
        counts,
        sum,
        exemplars,
    } = &mut **histogram;
    let value: f64 = sample.value.parse().unwrap_or(0.0);
    match suffix {
        "_sum" => *sum = value,
        "_bucket" => {
            let before: u64 = counts.iter().sum();
            counts.push((value as u64).saturating_sub(before));
            if let Some(bound) = bound.and_then(|bound| bound.parse::<f64>().ok())
                && bound.is_finite()
            {
                *bounds = bounds.iter().copied().chain([bound]).collect();
            }
            exemplars.extend(sample.exemplar);
        }
        _ => {}
    }
}

fn number(text: &str) -> Number {
    if let Ok(n) = text.parse::<u64>() {
        Number::U64(n)
    } else if let Ok(n) = text.parse::<i64>() {
        Number::I64(n)
    } else {
        Number::F64(text.parse().unwrap_or(f64::NAN))
    }
}

struct Sample<'a> {
    name: &'a str,
    labels: Labels,
    value: &'a str,
    exemplar: Option<Exemplar>,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let end = line.find(['{', ' '])?;
        let (labels, rest) = labels(&line[end..])?;
        let mut words = rest.split_whitespace();
        let value = words.next()?;
        let exemplar = rest
            .split_once(" # ")
            .and_then(|(_, exemplar)| self::exemplar(exemplar));
        Some(Self {
            name: &line[..end],
            labels,
            value,
            exemplar,
        })
    }
}

/// `{a="b",c="d"}` and what follows.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let Some(mut rest) = text.strip_prefix('{') else {
        return Some((Vec::new(), text));
    };
    let mut labels = Labels::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c => c,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.push((key.to_owned().into(), value.into()));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn exemplar(text: &str) -> Option<Exemplar> {
    let (labels, rest) = labels(text)?;
    let label = |name: &str| labels.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut words = rest.split_whitespace();
    let value = words.next()?.parse().ok()?;
    let seconds: f64 = words.next().and_then(|time| time.parse().ok()).unwrap_or(0.0);
    Some(Exemplar {
        value,
        unix_nanos: (seconds * 1e9) as u64,
        trace_id: TraceId(u128::from_str_radix(label("trace_id")?, 16).ok()?),
        span_id: SpanId(u64::from_str_radix(label("span_id")?, 16).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_of_several_lines_is_no_sample() {
        use prometheus_client::metrics::counter::Counter;
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("a", "A", Counter::<u64>::default());
        registry.register("b", "B\na_total 99", Counter::<u64>::default());
        let mut page = String::new();
        prometheus_client::encoding::text::encode_registry(&mut page, &registry).unwrap();
        let families = families(&page);
        assert_eq!(
            families.iter().map(|family| family.points.len()).collect::<Vec<_>>(),
            [1, 1]
        );
        assert_eq!(families[1].help, "B\na_total 99.");
    }

    #[test]
    fn what_the_crate_writes() {
        let page = "# HELP took_seconds How\\nlong.\n# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n\
            took_seconds_sum{k=\"a\\\"b\\\\,}\"} 3.5\ntook_seconds_count{k=\"a\\\"b\\\\,}\"} 3\n\
            took_seconds_bucket{le=\"0.5\",k=\"a\\\"b\\\\,}\"} 1 # {trace_id=\"0a\",span_id=\"0b\"} 0.25 12.5\n\
            took_seconds_bucket{le=\"+Inf\",k=\"a\\\"b\\\\,}\"} 3\n# HELP n N.\n# TYPE n counter\nn_total 7\n\
            # HELP bad B.\n# TYPE bad gauge\nbad{k=\"open 1\nbad 1.5\n# EOF\n";
        let families = families(page);
        assert_eq!(families.len(), 3);
        assert_eq!(families[0].help, "How\nlong.");
        assert_eq!(families[0].unit, "s");
        assert_eq!(families[0].points.len(), 1);
        let labels: Vec<_> = families[0].points[0].labels.iter().collect();
        assert_eq!(labels, [("k", "a\"b\\,}")]);
        let PointValue::Histogram(histogram) = &families[0].points[0].value else {
            panic!()
        };
        let Histogram {
            bounds,
            counts,
            sum,
            exemplars,
        } = &**histogram;
        assert_eq!((&bounds[..], &counts[..], *sum), (&[0.5][..], &[1, 2][..], 3.5));
        assert_eq!((exemplars[0].trace_id, exemplars[0].value), (TraceId(10), 0.25));
        let PointValue::Number { value, .. } = families[1].points[0].value else {
            panic!()
        };
        assert_eq!(value, Number::U64(7));
        assert_eq!(families[2].points.len(), 1);
    }
}
