//! Reading one variable: the specification's rules, and a warning for what they refuse.

use super::table::{Kind, Variable, broader, find, shown};
use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

/// A value that was not taken as it stands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) variable: &'static str,
    text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that no `Debug` shows.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Longer than any process runs: what 0 means where it is a limit.
pub(crate) const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Asks for variables by name; keeps what was wrong with them.
pub(crate) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: RefCell<Vec<Warning>>,
    #[cfg(test)]
    pub(crate) asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            warnings: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }

    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "tests count what is asked for"))]
    /// The row of the table: a name that has none is a mistake in this module, found by its tests.
    fn row(&self, name: &'static str) -> Variable {
        #[cfg(test)]
        self.asked.borrow_mut().push(name);
        debug_assert!(find(name).is_some(), "{name} has no row");
        find(name).copied().unwrap_or(Variable {
            name,
            kind: Kind::Text,
            default: "",
            doc: "",
        })
    }

    /// The value, trimmed; empty counts as unset.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        let row = self.row(name);
        let value = (self.lookup)(row.name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Something is wrong with the value: says what, and what holds instead.
    pub(crate) fn warn(&self, variable: &'static str, value: &str, problem: &str, instead: &str) {
        let value = shown(variable, value);
        let text = format!("{variable}={value} {problem}; {instead}");
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.iter().any(|w| w.variable == variable) {
            warnings.push(Warning { variable, text });
        }
    }

    fn using(&self, row: &Variable) -> String {
        if let Some(broader) = broader(row.name).filter(|name| self.text(name).is_some()) {
            format!("using {broader}")
        } else if row.default.is_empty() {
            "ignoring it".to_owned()
        } else {
            format!("using {}", row.default)
        }
    }

    pub(crate) fn bool(&self, name: &'static str) -> Option<bool> {
        let value = self.text(name)?;
        if value.eq_ignore_ascii_case("true") {
            return Some(true);
        }
        if !value.eq_ignore_ascii_case("false") {
            self.warn(name, &value, "is neither true nor false", "using false");
        }
        Some(false)
    }

    fn number(&self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.text(name)?;
        let row = self.row(name);
        // No sign in front.
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        let problem = match value.parse::<u64>() {
            Ok(number) if digits && (least..=most).contains(&number) => return Some(number),
            Ok(number) if digits && number < least => format!("is less than {least}"),
            _ if digits => format!("is more than {most}"),
            _ if row.kind == Kind::Millis => "is no whole number of milliseconds".to_owned(),
            _ => "is no whole number of 0 or more".to_owned(),
        };
        self.warn(name, &value, &problem, &self.using(&row));
        None
    }

    /// A count from `least` up, else the table's default.
    pub(crate) fn count(&self, name: &'static str, least: u64) -> u64 {
        self.optional_count(name, least)
            .unwrap_or_else(|| self.row(name).default.parse().unwrap_or_default())
    }

    pub(crate) fn optional_count(&self, name: &'static str, least: u64) -> Option<u64> {
        self.number(name, least, u64::from(u32::MAX) * 1024)
    }

    pub(crate) fn port(&self, name: &'static str) -> Option<u16> {
        self.number(name, 0, 65535).map(|port| port as u16)
    }

    /// Milliseconds that limit something: 0 is no limit.
    pub(crate) fn limit(&self, name: &'static str) -> Option<Duration> {
        let millis = self.number(name, 0, u64::from(u32::MAX))?;
        Some(if millis == 0 {
            NO_LIMIT
        } else {
            Duration::from_millis(millis)
        })
    }

    /// The same, else the table's default.
    pub(crate) fn limit_or_default(&self, name: &'static str) -> Duration {
        self.limit(name).unwrap_or_else(|| self.default_millis(name))
    }

    /// Milliseconds between two things.
    pub(crate) fn interval(&self, name: &'static str) -> Duration {
        match self.number(name, 1, u64::from(u32::MAX)) {
            Some(millis) => Duration::from_millis(millis),
            None => self.default_millis(name),
        }
    }

    pub(crate) fn default_millis(&self, name: &'static str) -> Duration {
        Duration::from_millis(self.row(name).default.parse().unwrap_or_default())
    }

    pub(crate) fn ratio(&self, name: &'static str) -> Option<f64> {
        let value = self.text(name)?;
        match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Some(ratio),
            _ => {
                let using = self.using(&self.row(name));
                self.warn(name, &value, "is no number from 0 to 1", &using);
                None
            }
        }
    }

    /// One of the values that the table lists, in lower case.
    pub(crate) fn one_of(&self, name: &'static str) -> Option<&'static str> {
        let value = self.text(name)?;
        let row = self.row(name);
        let Kind::OneOf(values) = row.kind else { return None };
        let found = values.iter().find(|v| v.eq_ignore_ascii_case(&value)).copied();
        if found.is_none() {
            let problem = if row.kind == Kind::OneOf(super::table::SAMPLERS) && is_foreign_sampler(&value) {
                "is not supported".to_owned()
            } else {
                format!("is none of {}", values.join(", "))
            };
            self.warn(name, &value, &problem, &self.using(&row));
        }
        found
    }

    /// Several of the values that the table lists; `None` when unset or when nothing of it is known. `none` is an empty list.
    pub(crate) fn any_of(&self, name: &'static str) -> Option<Vec<&'static str>> {
        let value = self.text(name)?;
        let row = self.row(name);
        let Kind::AnyOf(values) = row.kind else { return None };
        let (mut known, mut foreign) = (Vec::new(), Vec::new());
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match values.iter().find(|v| v.eq_ignore_ascii_case(item)) {
                Some(v) if !known.contains(v) => known.push(*v),
                Some(_) => {}
                None => foreign.push(item),
            }
        }
        if known.contains(&"none") {
            if known.len() > 1 || !foreign.is_empty() {
                self.warn(name, &value, "says none beside others", "using none");
            }
            return Some(Vec::new());
        }
        if known.is_empty() && foreign.is_empty() {
            self.warn(name, &value, "lists nothing", &self.using(&row));
        }
        if !foreign.is_empty() {
            let supported = foreign
                .iter()
                .all(|item| !NOT_SUPPORTED.contains(&item.to_ascii_lowercase().as_str()));
            let problem = if supported {
                format!("is none of {}", values.join(", "))
            } else {
                format!("asks for {}, which is not supported", foreign.join(", "))
            };
            let using = if known.is_empty() {
                self.using(&row)
            } else {
                format!("using {}", known.join(","))
            };
            self.warn(name, &value, &problem, &using);
        }
        (!known.is_empty()).then_some(known)
    }

    /// Setting this does nothing but a warning.
    pub(crate) fn not_supported(&self, name: &'static str) {
        if let Some(value) = self.text(name) {
            self.warn(name, &value, "is not supported", "ignoring it");
        }
    }
}

/// Known to the specification, not included here.
const NOT_SUPPORTED: &[&str] = &[
    "zipkin",
    "xray",
    "ottrace",
    "otlp/stdout",
    "logging",
    "jaeger",
    "baggage",
    "b3",
    "b3multi",
];

fn is_foreign_sampler(value: &str) -> bool {
    ["jaeger_remote", "parentbased_jaeger_remote", "xray"]
        .iter()
        .any(|v| v.eq_ignore_ascii_case(value))
}

/// `key=value` pairs as in a baggage header: separated by commas, values percent-encoded, space around both ignored.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some((key, value)) = item.split_once('=') else {
            return Err("has an entry without =".to_owned());
        };
        let key = percent_decode(key.trim()).ok_or("has a key that is badly percent-encoded")?;
        let value = percent_decode(value.trim()).ok_or("has a value that is badly percent-encoded")?;
        if key.is_empty() {
            return Err("has an entry without a key".to_owned());
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
            bytes.push(hex(rest.next()?)? << 4 | hex(rest.next()?)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
