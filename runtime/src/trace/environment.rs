//! The environment as a carrier: `TRACEPARENT`, `TRACESTATE`, `BAGGAGE` and the variables of b3 and Jaeger, for child processes.

use super::carrier::AsParent;
use super::context::SpanContext;
use super::propagate::{BAGGAGE_PREFIX, Extract, Inject, extract};
use std::collections::BTreeMap;
use std::process::Command;

/// Variables of an environment that a context can be read from: those of the process that started this one.
///
/// # Examples
///
/// A program that goes on with the trace of whoever started it:
///
/// ```
/// use vitalsign::trace::Environment;
///
/// #[vitalsign::traced(parent = Environment::of_process())]
/// fn nightly_import() {}
/// # nightly_import();
/// ```
///
/// And one that starts another:
///
/// ```no_run
/// let mut command = std::process::Command::new("nightly-import");
/// vitalsign::current().inject(&mut command);
/// command.spawn().expect("it starts");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process, as it is now.
    #[must_use]
    pub fn of_process() -> Self {
        // A value that is no text stays malformed, and is refused as such.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect()
    }
}

/// Of any variables: those of a job's description, of a container.
impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().filter(|(name, _)| is_ours(name)).collect())
    }
}

/// The names that formats of contexts use; nothing else of an environment is kept.
fn is_ours(name: &str) -> bool {
    matches!(name, "TRACEPARENT" | "TRACESTATE" | "BAGGAGE" | "B3" | "UBER_TRACE_ID") || name.starts_with("X_B3_")
}

/// The name of a header as that of a variable: upper case, and `_` for what is no letter or digit.
fn variable(header: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    header.chars().map(plain).collect()
}

impl Extract for Environment {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        self.0.get(&variable(name)).map(String::as_str).into_iter().collect()
    }
}

impl AsParent for Environment {
    fn as_parent(&self) -> Option<SpanContext> {
        extract(self)
    }
}

/// Sets the variables of the child; of a `tokio::process::Command`, by way of its `as_std_mut()`.
impl Inject for Command {
    fn set(&mut self, name: &str, value: String) {
        // An environment cannot hold a zero byte, and a command with one does not start. The keys of Jaeger's baggage would not
        // come back from the names of variables.
        if !value.contains('\0') && !name.starts_with(BAGGAGE_PREFIX) {
            self.env(variable(name), value);
        }
    }

    /// The child has our own environment otherwise, and with it what came to us.
    fn remove(&mut self, name: &str) {
        self.env_remove(variable(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Baggage, SpanId, TraceFlags, TraceId, inject};

    #[test]
    fn what_a_child_is_given_it_reads() {
        let context = SpanContext {
            trace_id: TraceId(0xabc),
            span_id: SpanId(0xdef),
            flags: TraceFlags::SAMPLED,
            trace_state: Some("a=1".into()),
            baggage: Baggage::parse("tenant=acme"),
            ..SpanContext::default()
        };
        let mut command = Command::new("env");
        inject(&context, &mut command);
        let output = command.output().expect("env runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let environment: Environment = variables.map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(environment.0.len(), 3, "{environment:?}");
        let read = environment.as_parent().expect("a context");
        assert!(read.is_remote);
        assert_eq!(
            SpanContext {
                is_remote: false,
                ..read
            },
            context
        );
    }

    #[test]
    fn a_child_inherits_no_state_of_another_trace() {
        let context = SpanContext {
            trace_id: TraceId(1),
            span_id: SpanId(2),
            ..SpanContext::default()
        };
        let mut command = Command::new("env");
        inject(&context, &mut command);
        let state = command.get_envs().find(|(name, _)| *name == "TRACESTATE");
        assert_eq!(state, Some(("TRACESTATE".as_ref(), None)), "taken away");
    }

    #[test]
    fn names_are_normalised() {
        assert_eq!(variable("x-b3-traceid"), "X_B3_TRACEID");
        assert_eq!(variable("traceparent"), "TRACEPARENT");
    }

    #[test]
    fn a_malformed_environment_is_no_parent() {
        let environment = |value: &str| Environment::from_iter([("TRACEPARENT".to_owned(), value.to_owned())]);
        for value in ["", "00-1-2-3", "\u{fffd}"] {
            assert_eq!(environment(value).as_parent(), None, "{value}");
        }
    }
}
