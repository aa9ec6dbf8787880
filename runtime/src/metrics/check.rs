//! Families must agree wherever they are declared.

use super::bucket;
use super::cell::MAX_UNITS;
use super::registry::{CALLS, DURATION, sites};
use crate::outcome::CallOutcome;
use crate::site::{LabelDef, LabelSource};
use std::collections::HashMap;
use std::fmt;

/// What is wrong with the metrics of this program; `init()` refuses to start on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The metric.
    pub metric: String,
    /// What its declarations disagree on, or what is wrong with its one declaration.
    pub what: String,
    /// Where: one place, or two.
    pub places: Vec<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric `{}`: {}", self.metric, self.what)?;
        for (at, place) in self.places.iter().enumerate() {
            write!(f, "{} {place}", if at == 0 { " at" } else { " and" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Conflict {}

/// One declaration of a family.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) metric: String,
    pub(crate) kind: &'static str,
    pub(crate) unit: &'static str,
    /// `None`: the default families, whose functions may each have labels of their own.
    pub(crate) labels: Option<Vec<&'static str>>,
    /// Only if it was written as an option.
    pub(crate) help: Option<&'static str>,
    /// Of a histogram with classic buckets. Not of the default family, whose functions may each have buckets of their own.
    pub(crate) bounds: Option<Vec<f64>>,
    /// So many its labels can make, as far as their types are known.
    pub(crate) series: usize,
    pub(crate) place: String,
}

/// Finds the first thing that is wrong.
pub(crate) fn check() -> Result<(), Conflict> {
    let declarations = declarations()?;
    #[cfg(feature = "page")]
    crate::export::page::agree(&declarations)?;
    agree(declarations)
}

/// All that is declared, in the order of the source.
fn declarations() -> Result<Vec<Declaration>, Conflict> {
    let mut declarations = Vec::new();
    for site in sites() {
        let def = &site.def;
        let named = def.counter.as_ref().and_then(|counter| counter.errors);
        // Errors that have names have cells of their own.
        let of_set = named.map_or(0, |errors| errors.len).max(CallOutcome::ALL.len());
        let place = || format!("{}:{} ({})", def.file, def.line, def.function);
        if let Some(counter) = &def.counter {
            let labels = counter.name.map(|_| keys(counter.labels));
            let metric = counter.name.unwrap_or(CALLS);
            declarations.push(Declaration {
                metric: metric.to_owned(),
                kind: "counter",
                unit: counter.unit,
                labels: labels.map(|mut labels| {
                    if counter.outcome {
                        labels.push("outcome");
                    }
                    labels
                }),
                help: counter.explicit_help.then_some(counter.help),
                bounds: None,
                series: of_set.saturating_mul(sets(counter.labels)),
                place: place(),
            });
            if counter.in_flight {
                declarations.push(Declaration {
                    metric: format!("{metric}.in_flight"),
                    kind: "up-down counter",
                    unit: counter.unit,
                    labels: counter.name.map(|_| keys(counter.labels)),
                    help: None,
                    bounds: None,
                    series: sets(counter.labels),
                    place: place(),
                });
            }
        }
        if let Some(timer) = &def.timer {
            let metric = timer.name.unwrap_or(DURATION);
            let bounds = bucket::bounds(timer.buckets);
            if let Some(bounds) = &bounds
                && let Err(bad) = bucket::check(bounds)
            {
                return Err(Conflict {
                    metric: metric.to_owned(),
                    what: bad.to_string(),
                    places: vec![place()],
                });
            }
            declarations.push(Declaration {
                metric: metric.to_owned(),
                kind: "histogram",
                unit: "s",
                labels: timer.name.map(|_| keys(timer.labels)),
                help: timer.explicit_help.then_some(timer.help),
                bounds: bounds.filter(|_| timer.name.is_some()),
                series: of_set.saturating_mul(sets(timer.labels)),
                place: place(),
            });
        }
    }
    declarations.extend(super::declared::declarations());
    Ok(declarations)
}

fn keys(labels: &'static [LabelDef]) -> Vec<&'static str> {
    let mut keys: Vec<_> = labels.iter().map(|label| label.key).collect();
    keys.sort_unstable();
    keys
}

/// Sets of values that labels can have; a type that only a call knows counts as one.
pub(super) fn sets(labels: &[LabelDef]) -> usize {
    let values = |label: &LabelDef| match label.source {
        LabelSource::Limited(limit) | LabelSource::ReturnedLimited(limit) => limit.len(),
        LabelSource::Entry(of) | LabelSource::Returned(of) => of.map_or(1, |of| of.len),
        LabelSource::Const(_) => 1,
    };
    labels.iter().map(values).fold(1, usize::saturating_mul)
}

fn agree(declarations: Vec<Declaration>) -> Result<(), Conflict> {
    let mut first: HashMap<String, Declaration> = HashMap::new();
    for this in declarations {
        if this.series > MAX_UNITS {
            // The last ones would have no cells, and of a limit that is `other`.
            return Err(Conflict {
                metric: this.metric,
                what: format!(
                    "its labels can make {} series and {MAX_UNITS} fit, lower a limit,",
                    this.series
                ),
                places: vec![this.place],
            });
        }
        // `orders.placed` and `orders_placed` are one name on the page.
        let name = this.metric.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let Some(known) = first.get_mut(&name) else {
            first.insert(name, this);
            continue;
        };
        let differs = |what: &str, a: &dyn fmt::Debug, b: &dyn fmt::Debug| {
            Err(Conflict {
                metric: this.metric.clone(),
                what: format!("{what} differs, {a:?} and {b:?},"),
                places: vec![known.place.clone(), this.place.clone()],
            })
        };
        if known.metric != this.metric {
            return differs("the spelling of its name", &known.metric, &this.metric);
        }
        if known.kind != this.kind {
            return differs("its kind", &known.kind, &this.kind);
        }
        if known.unit != this.unit {
            return differs("its unit", &known.unit, &this.unit);
        }
        match (&known.labels, &this.labels) {
            (None, None) => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return differs("its set of labels", a, b),
            (Some(own), None) | (None, Some(own)) => {
                return differs("its set of labels", &"the default family's", own);
            }
        }
        match (&known.bounds, &this.bounds) {
            (Some(a), Some(b)) if a != b => return differs("its set of buckets", a, b),
            (Some(own), None) | (None, Some(own)) => return differs("its set of buckets", &"native", own),
            _ => {}
        }
        match (known.help, this.help) {
            (Some(a), Some(b)) if a != b => return differs("its help", &a, &b),
            (None, Some(help)) => known.help = Some(help),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration(metric: &str, place: &str) -> Declaration {
        Declaration {
            metric: metric.to_owned(),
            kind: "counter",
            unit: "{call}",
            labels: Some(vec!["channel"]),
            help: None,
            bounds: None,
            series: 8,
            place: place.to_owned(),
        }
    }

    #[test]
    fn more_series_than_fit_are_refused() {
        let declared = |series| Declaration {
            series,
            ..declaration("orders.placed", "a.rs:1 (a)")
        };
        assert_eq!(agree(vec![declared(MAX_UNITS)]), Ok(()));
        assert_eq!(
            agree(vec![declared(361_201)]).unwrap_err().to_string(),
            "metric `orders.placed`: its labels can make 361201 series and 262144 fit, lower a limit, at a.rs:1 (a)"
        );
    }

    #[test]
    fn both_places_are_named() {
        let one = declaration("orders.placed", "a.rs:1 (a)");
        let same = declaration("orders.placed", "b.rs:2 (b)");
        assert_eq!(agree(vec![one.clone(), same.clone()]), Ok(()));
        for (other, expected) in [
            (
                Declaration {
                    labels: Some(vec!["channel", "size"]),
                    ..same.clone()
                },
                "metric `orders.placed`: its set of labels differs, [\"channel\"] and [\"channel\", \"size\"], at a.rs:1 (a) and b.rs:2 (b)",
            ),
            (
                Declaration {
                    unit: "By",
                    ..same.clone()
                },
                "metric `orders.placed`: its unit differs, \"{call}\" and \"By\", at a.rs:1 (a) and b.rs:2 (b)",
            ),
            (
                declaration("orders_placed", "b.rs:2 (b)"),
                "metric `orders_placed`: the spelling of its name differs, \"orders.placed\" and \"orders_placed\", at a.rs:1 (a) and b.rs:2 (b)",
            ),
        ] {
            assert_eq!(agree(vec![one.clone(), other]).unwrap_err().to_string(), expected);
        }
        let buckets = |bounds: Option<&[f64]>| Declaration {
            bounds: bounds.map(<[f64]>::to_vec),
            ..same.clone()
        };
        let classic = buckets(Some(&[0.1, 1.0]));
        assert_eq!(agree(vec![classic.clone(), classic.clone()]), Ok(()));
        for (other, expected) in [
            (buckets(Some(&[5.0])), "[0.1, 1.0] and [5.0]"),
            (buckets(None), "\"native\" and [0.1, 1.0]"),
        ] {
            let conflict = agree(vec![classic.clone(), other]).unwrap_err();
            assert_eq!(conflict.what, format!("its set of buckets differs, {expected},"));
        }
        let help = |help| Declaration {
            help: Some(help),
            ..same.clone()
        };
        assert_eq!(agree(vec![one.clone(), help("x"), help("x")]), Ok(()));
        assert!(agree(vec![one, help("x"), help("y")]).is_err());
    }
}
