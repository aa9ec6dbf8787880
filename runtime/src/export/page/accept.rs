//! Which format a scraper wants.

/// The formats of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// Prometheus text 1.0.0; the names are such that nothing has to be quoted.
    Text1,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
    /// `OpenMetrics` 0.0.1, which is the same in all that we write.
    OpenMetrics0,
    /// `io.prometheus.client.MetricFamily`, each with its length before it.
    Protobuf,
}

/// A header longer than this is not read to its end.
const MAX_RANGES: usize = 64;

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Text1 => "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::OpenMetrics0 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=underscores"
            }
        }
    }

    /// The format with the highest `q`, the first of equals; text 0.0.4 where nothing else is asked for.
    pub(super) fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.unwrap_or_default().split(',').take(MAX_RANGES) {
            let (media, parameters) = split(range);
            let q = quality(&parameters);
            if q > best.1
                && let Some(format) = Self::of(&media, &parameters)
            {
                best = (format, q);
            }
        }
        best.0
    }

    fn of(media: &str, parameters: &[(String, String)]) -> Option<Self> {
        let parameter = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        match media {
            "*/*" | "text/*" => Some(Self::Text),
            "text/plain" => match parameter("version") {
                None | Some("0.0.4") => Some(Self::Text),
                Some("1.0.0") => Some(Self::Text1),
                Some(_) => None,
            },
            "application/openmetrics-text" => match parameter("version") {
                None | Some("1.0.0") => Some(Self::OpenMetrics),
                Some("0.0.1") => Some(Self::OpenMetrics0),
                Some(_) => None,
            },
            "application/vnd.google.protobuf" => (parameter("proto") == Some("io.prometheus.client.metricfamily")
                && parameter("encoding") == Some("delimited"))
            .then_some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Whether gzip is welcome.
pub(super) fn gzip(accept_encoding: Option<&str>) -> bool {
    let mut any = false;
    for range in accept_encoding.unwrap_or_default().split(',').take(MAX_RANGES) {
        let (coding, parameters) = split(range);
        let welcome = quality(&parameters) > 0.0;
        match coding.as_str() {
            "gzip" | "x-gzip" => return welcome,
            "*" => any = welcome,
            _ => {}
        }
    }
    any
}

/// `text/plain; version=0.0.4` in lower case.
fn split(range: &str) -> (String, Vec<(String, String)>) {
    let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let parameters = parts
        .filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        })
        .collect();
    (media, parameters)
}

/// `q`, 0 to 1; what cannot be read is 0.
fn quality(parameters: &[(String, String)]) -> f32 {
    match parameters.iter().find(|(key, _)| key == "q") {
        None => 1.0,
        Some((_, value)) => match value.parse::<f32>() {
            Ok(q) if (0.0..=1.0).contains(&q) => q,
            _ => 0.0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_quality() {
        const OM: &str = "application/openmetrics-text";
        let protobuf =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7";
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            (&format!("{OM};version=1.0.0"), Format::OpenMetrics),
            (&format!("{OM}; version=0.0.1"), Format::OpenMetrics0),
            (&format!("{OM};q=0.1,text/plain;version=0.0.4;q=0.9"), Format::Text),
            (&format!("{OM};q=0,text/plain"), Format::Text),
            (
                &format!("{OM};version=2.0.0,text/plain;version=1.0.0;q=0.4,*/*;q=0.1"),
                Format::Text1,
            ),
            (
                &format!("{protobuf},{OM};version=1.0.0;q=0.6,*/*;q=0.2"),
                Format::Protobuf,
            ),
            (&format!("{OM};q=nan,{OM};q=2,{OM};q=-1"), Format::Text),
            (&format!("{}{OM}", "x/y,".repeat(1000)), Format::Text),
            (";;;=,=;q,\0,\u{fffd};q=1e999", Format::Text),
        ] {
            assert_eq!(Format::negotiate(Some(accept)), format, "{accept}");
        }
        assert_eq!(Format::negotiate(None), Format::Text);
    }

    #[test]
    fn gzip_when_welcome() {
        for (accept, welcome) in [
            ("gzip", true),
            ("gzip;q=0", false),
            ("br, gzip;q=0.5", true),
            ("*;q=0.1", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
        ] {
            assert_eq!(gzip(Some(accept)), welcome, "{accept}");
        }
        assert!(!gzip(None));
    }
}
