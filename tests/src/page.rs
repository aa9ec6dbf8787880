//! A metrics page, read by someone else's parser.

use prometheus_parse::{Scrape, Value};
use prost::Message as _;

/// One line of a page.
#[derive(Clone, Debug)]
pub struct Sample {
    /// With its suffix: `orders_placed_total`, `function_duration_seconds_bucket`.
    pub name: String,
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// A page of the Prometheus text format, 0.0.4.
#[derive(Clone, Debug)]
pub struct Page {
    /// Every sample.
    pub samples: Vec<Sample>,
    /// The page as sent.
    pub text: String,
}

/// Reads a page.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn parse(text: &str) -> Page {
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("a page in text format");
    let mut samples = Vec::new();
    for sample in scrape.samples {
        let labels: Vec<_> = sample
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut push = |name: String, more: Option<(&str, f64)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(more.map(|(key, value)| (key.to_owned(), value.to_string())));
            labels.sort();
            samples.push(Sample { name, labels, value });
        };
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => push(sample.metric, None, value),
            Value::Histogram(buckets) => {
                for bucket in buckets {
                    push(
                        format!("{}_bucket", sample.metric),
                        Some(("le", bucket.less_than)),
                        bucket.count,
                    );
                }
            }
            Value::Summary(quantiles) => {
                for quantile in quantiles {
                    push(
                        sample.metric.clone(),
                        Some(("quantile", quantile.quantile)),
                        quantile.count,
                    );
                }
            }
        }
    }
    Page {
        samples,
        text: text.to_owned(),
    }
}

/// Asks a server for its page and reads it.
///
/// # Panics
/// When there is no page.
#[track_caller]
pub fn get(url: &str) -> Page {
    let response = crate::http::get_with(url, &[("Accept", "text/plain;version=0.0.4")]).expect("a page");
    assert_eq!(response.status, 200, "{}", response.text());
    parse(&response.text())
}

/// The page in Prometheus' protobuf format, as samples of the text format: `name{key="value"}` with their values. Native buckets
/// have no such form.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn from_protobuf(mut page: &[u8]) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    while !page.is_empty() {
        let family = messages::MetricFamily::decode_length_delimited(&mut page).expect("a message");
        for metric in &family.metric {
            let mut add = |suffix: &str, more: Option<(&str, f64)>, value: f64| {
                let labels = metric
                    .label
                    .iter()
                    .map(|pair| format!("{}={:?}", pair.name, pair.value));
                let more = more.map(|(key, bound)| match bound {
                    f64::INFINITY => format!("{key}=\"+Inf\""),
                    bound => format!("{key}=\"{bound:?}\""),
                });
                let labels: Vec<_> = labels.chain(more).collect();
                let labels = if labels.is_empty() {
                    String::new()
                } else {
                    format!("{{{}}}", labels.join(","))
                };
                samples.push((format!("{}{suffix}{labels}", family.name), value));
            };
            for number in metric.counter.iter().chain(&metric.gauge) {
                add("", None, number.value);
            }
            if let Some(histogram) = &metric.histogram {
                for bucket in &histogram.bucket {
                    add(
                        "_bucket",
                        Some(("le", bucket.upper_bound)),
                        bucket.cumulative_count as f64,
                    );
                }
                add("_sum", None, histogram.sample_sum);
                add("_count", None, histogram.sample_count as f64);
            }
            if let Some(summary) = &metric.summary {
                for quantile in &summary.quantile {
                    add("", Some(("quantile", quantile.quantile)), quantile.value);
                }
                add("_sum", None, summary.sample_sum);
                add("_count", None, summary.sample_count as f64);
            }
        }
    }
    samples
}

/// What these tests read of `io.prometheus.client`.
mod messages {
    #[derive(prost::Message)]
    pub struct MetricFamily {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
    }

    #[derive(prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub gauge: Option<Number>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Number>,
        #[prost(message, optional, tag = "4")]
        pub summary: Option<Summary>,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }

    #[derive(prost::Message)]
    pub struct LabelPair {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    /// `Gauge` and `Counter` have it at one place.
    #[derive(prost::Message)]
    pub struct Number {
        #[prost(double, tag = "1")]
        pub value: f64,
    }

    #[derive(prost::Message)]
    pub struct Summary {
        #[prost(uint64, tag = "1")]
        pub sample_count: u64,
        #[prost(double, tag = "2")]
        pub sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub quantile: Vec<Quantile>,
    }

    #[derive(prost::Message)]
    pub struct Quantile {
        #[prost(double, tag = "1")]
        pub quantile: f64,
        #[prost(double, tag = "2")]
        pub value: f64,
    }

    #[derive(prost::Message)]
    pub struct Histogram {
        #[prost(uint64, tag = "1")]
        pub sample_count: u64,
        #[prost(double, tag = "2")]
        pub sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub bucket: Vec<Bucket>,
    }

    #[derive(prost::Message)]
    pub struct Bucket {
        #[prost(uint64, tag = "1")]
        pub cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub upper_bound: f64,
    }
}

impl Page {
    /// The value of the only sample of that name that has these labels, whatever others it has.
    ///
    /// # Panics
    /// When several samples fit.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |sample: &Sample, (key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
        let found: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
            .collect();
        assert!(found.len() <= 1, "{name} {labels:?} fits {found:#?}");
        found.first().map(|sample| sample.value)
    }

    /// The sum over the samples that have these labels; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has =
            |sample: &&Sample, (key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
        self.samples
            .iter()
            .filter(|sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
            .map(|sample| sample.value)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_what_prometheus_documents() {
        let page = super::parse(
            "# TYPE calls_total counter\ncalls_total{function=\"f\",outcome=\"ok\"} 3\n\
             # TYPE d_seconds histogram\nd_seconds_bucket{le=\"0.1\"} 1\nd_seconds_bucket{le=\"+Inf\"} 2\nd_seconds_sum 1.5\nd_seconds_count 2\n",
        );
        assert_eq!(page.value("calls_total", &[("outcome", "ok")]), Some(3.0));
        assert_eq!(page.value("d_seconds_bucket", &[("le", "0.1")]), Some(1.0));
        assert_eq!(page.value("d_seconds_count", &[]), Some(2.0));
        assert_eq!(page.value("calls_total", &[("outcome", "error")]), None);
    }
}
