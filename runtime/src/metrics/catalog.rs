//! What a program records, known before its first call.

use super::bucket;
use super::registry::{CALLS, DURATION, sites};
use super::table::Values;
use crate::operation::Described;
use crate::site::{Def, LabelDef, LabelSource, SpanKind};
use std::fmt::{self, Write as _};

/// Everything that attributes in this program and its dependencies declare, in the order of module and line.
///
/// # Examples
///
/// ```
/// for function in vitalsign::catalog().functions {
///     println!("{} at {}:{}", function.function, function.file, function.line);
/// }
/// ```
pub fn catalog() -> Catalog {
    Catalog {
        functions: sites()
            .iter()
            .map(|site| {
                let def = &site.def;
                Function {
                    function: def.function,
                    module: def.module,
                    file: def.file,
                    line: def.line,
                    span: def.span.as_ref().map(|span| Span {
                        name: span.name,
                        kind: match span.kind {
                            SpanKind::Internal => "internal",
                            SpanKind::Server => "server",
                            SpanKind::Client => "client",
                            SpanKind::Producer => "producer",
                            SpanKind::Consumer => "consumer",
                        },
                        fields: span.fields,
                    }),
                    counter: def.counter.as_ref().map(|counter| Counter {
                        name: counter.name.unwrap_or(CALLS),
                        help: counter.help,
                        unit: counter.unit,
                        labels: labels(counter.labels),
                        in_flight: counter.in_flight,
                    }),
                    histogram: def.timer.as_ref().map(|timer| Histogram {
                        name: timer.name.unwrap_or(DURATION),
                        help: timer.help,
                        unit: "s",
                        labels: labels(timer.labels),
                        bounds: bucket::bounds(timer.buckets),
                    }),
                    metrics: of_operation(def),
                }
            })
            .collect(),
        metrics: metrics(),
    }
}

fn metrics() -> Vec<Metric> {
    let mut metrics: Vec<_> = super::declared::DECLARED
        .iter()
        .map(|metric| {
            let definition = metric.definition();
            Metric {
                name: definition.name,
                kind: definition.kind,
                help: definition.help.trim(),
                unit: definition.unit,
                file: definition.file,
                line: definition.line,
                labels: labels(definition.labels),
                bounds: match definition.kind {
                    "histogram" => bucket::bounds(definition.buckets),
                    _ => None,
                },
                quantiles: match definition.kind {
                    "summary" => definition.quantiles,
                    _ => &[],
                },
            }
        })
        .collect();
    metrics.sort_by_key(|metric| (metric.file, metric.line));
    metrics
}

fn of_operation(def: &Def) -> Vec<Metric> {
    let Some(operation) = def.operation() else {
        return Vec::new();
    };
    let of = |family: Described| Metric {
        name: family.name,
        kind: family.kind,
        help: family.help,
        unit: family.unit,
        file: def.file,
        line: def.line,
        labels: family
            .labels
            .into_iter()
            .map(|(key, value)| Label {
                key,
                values: value.map(|value| vec![value]),
                limit: None,
            })
            .collect(),
        bounds: family.bounds,
        quantiles: &[],
    };
    operation.described().into_iter().map(of).collect()
}

/// The answer of [`catalog`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Catalog {
    /// The annotated functions.
    pub functions: Vec<Function>,
    /// What [`metrics!`](crate::metrics!) declares, in the order of file and line.
    pub metrics: Vec<Metric>,
}

/// A metric declared by hand.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Without a suffix for the unit, and without `_total`.
    pub name: &'static str,
    /// `counter`, `up-down counter`, `gauge`, `histogram`, `summary` or `info`.
    pub kind: &'static str,
    /// Its help.
    pub help: &'static str,
    /// In UCUM.
    pub unit: &'static str,
    /// Its file, as the compiler was given it.
    pub file: &'static str,
    /// The line of its declaration.
    pub line: u32,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The upper bounds of a histogram's buckets; `None` for a native one.
    pub bounds: Option<Vec<f64>>,
    /// The quantiles of a summary.
    pub quantiles: &'static [f64],
}

/// An annotated function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Function {
    /// Its name, `Type::name` in an annotated block.
    pub function: &'static str,
    /// The path of its module.
    pub module: &'static str,
    /// Its file, as the compiler was given it.
    pub file: &'static str,
    /// The line of its attribute.
    pub line: u32,
    /// What `#[traced]` opens.
    pub span: Option<Span>,
    /// What `#[counted]` moves.
    pub counter: Option<Counter>,
    /// What `#[timed]` fills.
    pub histogram: Option<Histogram>,
    /// What it measures by the semantic conventions, and besides, as a job or as a statement on a database.
    pub metrics: Vec<Metric>,
}

/// A span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its name.
    pub name: &'static str,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// The names of its fields.
    pub fields: &'static [&'static str],
}

/// A counter, under its OpenTelemetry name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Counter {
    /// Without `_total`.
    pub name: &'static str,
    /// Its help.
    pub help: &'static str,
    /// In UCUM.
    pub unit: &'static str,
    /// Its own labels; `function`, `module`, `outcome` and `error_type` come by themselves.
    pub labels: Vec<Label>,
    /// There is a gauge of the calls under way beside it.
    pub in_flight: bool,
}

/// A histogram, under its OpenTelemetry name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Without a suffix for the unit.
    pub name: &'static str,
    /// Its help.
    pub help: &'static str,
    /// In UCUM.
    pub unit: &'static str,
    /// Its own labels; `function`, `module`, `outcome` and `error_type` come by themselves.
    pub labels: Vec<Label>,
    /// The upper bounds of its buckets; `None` for a native histogram.
    pub bounds: Option<Vec<f64>>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// Its name.
    pub key: &'static str,
    /// Its values; `None` where the type could not be named, and of a `limit`.
    pub values: Option<Vec<&'static str>>,
    /// How many values a `limit` lets through.
    pub limit: Option<usize>,
}

fn labels(labels: &'static [LabelDef]) -> Vec<Label> {
    labels
        .iter()
        .map(|def| {
            let (values, limit) = match def.source {
                LabelSource::Const(value) => (Some(vec![value]), None),
                LabelSource::Entry(of) | LabelSource::Returned(of) => (
                    of.map(|of| {
                        let values = Values::of(def, *of);
                        (0..of.len).filter_map(|index| values.text(index)).collect()
                    }),
                    None,
                ),
                LabelSource::Limited(limit) | LabelSource::ReturnedLimited(limit) => (None, Some(limit.len() - 1)),
            };
            Label {
                key: def.key,
                values,
                limit,
            }
        })
        .collect()
}

impl Catalog {
    /// The catalogue as JSON: an object with the keys `functions` and `metrics`, of the fields documented here.
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        json.object(|json| {
            json.list("functions", &self.functions, |json, function| {
                json.object(|json| {
                    json.text("function", function.function);
                    json.text("module", function.module);
                    json.text("file", function.file);
                    json.raw("line", &function.line);
                    if let Some(span) = &function.span {
                        json.key("span");
                        json.object(|json| {
                            json.text("name", span.name);
                            json.text("kind", span.kind);
                            json.texts("fields", span.fields);
                        });
                    }
                    if let Some(counter) = &function.counter {
                        json.key("counter");
                        json.object(|json| {
                            json.text("name", counter.name);
                            json.text("help", counter.help);
                            json.text("unit", counter.unit);
                            json.labels(&counter.labels);
                            json.raw("in_flight", &counter.in_flight);
                        });
                    }
                    if let Some(histogram) = &function.histogram {
                        json.key("histogram");
                        json.object(|json| {
                            json.text("name", histogram.name);
                            json.text("help", histogram.help);
                            json.text("unit", histogram.unit);
                            json.labels(&histogram.labels);
                            if let Some(bounds) = &histogram.bounds {
                                json.list("bounds", bounds, |json, bound| json.number(*bound));
                            }
                        });
                    }
                    if !function.metrics.is_empty() {
                        json.list("metrics", &function.metrics, Json::metric);
                    }
                });
            });
            json.list("metrics", &self.metrics, Json::metric);
        });
        json.out
    }
}

/// A writer of JSON: enough for a catalogue, and no crate.
#[derive(Default)]
struct Json {
    out: String,
}

impl Json {
    fn metric(&mut self, metric: &Metric) {
        self.object(|json| {
            json.text("name", metric.name);
            json.text("kind", metric.kind);
            json.text("help", metric.help);
            json.text("unit", metric.unit);
            json.text("file", metric.file);
            json.raw("line", &metric.line);
            json.labels(&metric.labels);
            if let Some(bounds) = &metric.bounds {
                json.list("bounds", bounds, |json, bound| json.number(*bound));
            }
            if !metric.quantiles.is_empty() {
                json.list("quantiles", metric.quantiles, |json, quantile| json.number(*quantile));
            }
        });
    }

    fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.out.push('{');
        write(self);
        self.out.push('}');
    }

    fn key(&mut self, key: &str) {
        if !self.out.ends_with(['{', '[']) {
            self.out.push(',');
        }
        self.string(key);
        self.out.push(':');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    fn raw(&mut self, key: &str, value: &dyn fmt::Display) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }

    fn number(&mut self, n: f64) {
        if n.is_finite() {
            let _ = write!(self.out, "{n:?}");
        } else {
            self.out.push_str("null");
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.key(key);
        self.out.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(']');
    }

    fn texts(&mut self, key: &str, texts: &[&str]) {
        self.list(key, texts, |json, text| json.string(text));
    }

    fn labels(&mut self, labels: &[Label]) {
        self.list("labels", labels, |json, label| {
            json.object(|json| {
                json.text("key", label.key);
                if let Some(values) = &label.values {
                    json.texts("values", values);
                }
                if let Some(limit) = label.limit {
                    json.raw("limit", &limit);
                }
            });
        });
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                c if c < ' ' => {
                    let _ = write!(self.out, "\\u{:04x}", c as u32);
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json() {
        let catalog = Catalog {
            functions: vec![Function {
                function: "place",
                module: "shop",
                file: "a\"\\\n.rs",
                line: 7,
                span: Some(Span {
                    name: "place",
                    kind: "server",
                    fields: &["order.id"],
                }),
                counter: Some(Counter {
                    name: "orders.placed",
                    help: "",
                    unit: "{call}",
                    labels: vec![
                        Label {
                            key: "channel",
                            values: Some(vec!["web", "shop"]),
                            limit: None,
                        },
                        Label {
                            key: "user",
                            values: None,
                            limit: Some(50),
                        },
                    ],
                    in_flight: false,
                }),
                histogram: Some(Histogram {
                    name: "function.duration",
                    help: "h",
                    unit: "s",
                    labels: vec![],
                    bounds: Some(vec![0.5, 1.0]),
                }),
                metrics: vec![],
            }],
            metrics: vec![Metric {
                name: "page.drawing",
                kind: "summary",
                help: "How long.",
                unit: "s",
                file: "b.rs",
                line: 3,
                labels: vec![],
                bounds: None,
                quantiles: &[0.5, 0.99],
            }],
        };
        assert_eq!(
            catalog.to_json(),
            r#"{"functions":[{"function":"place","module":"shop","file":"a\"\\\u000a.rs","line":7,"span":{"name":"place","kind":"server","fields":["order.id"]},"counter":{"name":"orders.placed","help":"","unit":"{call}","labels":[{"key":"channel","values":["web","shop"]},{"key":"user","limit":50}],"in_flight":false},"histogram":{"name":"function.duration","help":"h","unit":"s","labels":[],"bounds":[0.5,1.0]}}],"metrics":[{"name":"page.drawing","kind":"summary","help":"How long.","unit":"s","file":"b.rs","line":3,"labels":[],"quantiles":[0.5,0.99]}]}"#
        );
    }
}
