//! A trace as text: names under their parents. One formatter for the console, for tests and for whoever receives spans.

use super::context::{SpanId, TraceId};
use std::fmt::{self, Write as _};

/// What the tree shows of a span.
///
/// # Examples
///
/// ```
/// use vitalsign::trace::tree::{Node, Tree};
/// use vitalsign::trace::{SpanId, TraceId};
///
/// let node = |id, parent, name: &str, start| Node {
///     trace_id: TraceId(1),
///     span_id: SpanId(id),
///     parent: parent,
///     name: name.to_owned(),
///     service: "shop".to_owned(),
///     start_unix_nanos: start,
///     end_unix_nanos: start + 5_000_000,
///     error: None,
/// };
/// let spans = [
///     node(1, None, "place_order", 0),
///     node(2, Some(SpanId(1)), "reserve", 1_000_000),
///     node(3, Some(SpanId(1)), "charge", 2_000_000),
/// ];
/// assert_eq!(Tree::of(&spans).names().to_string(), "\
/// place_order
/// ├ reserve
/// └ charge
/// ");
/// println!("{}", Tree::of(&spans)); // with services and times
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// What it hangs under.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// `service.name` of its process; empty if there is but one.
    pub service: String,
    /// When it began.
    pub start_unix_nanos: u64,
    /// When it ended.
    pub end_unix_nanos: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Spans to be shown as a tree; made by [`Tree::of`].
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    spans: &'a [Node],
    names_only: bool,
}

/// Deeper spans are not shown: a receiver may be given ids that form a ring.
const DEPTH: usize = 200;

impl<'a> Tree<'a> {
    /// A line a span, siblings by their beginning; a span whose parent is not among them is a root. Each line ends with the
    /// time since its root began and its duration.
    pub fn of(spans: &'a [Node]) -> Self {
        Self {
            spans,
            names_only: false,
        }
    }

    /// Nothing but names and errors: what a test compares.
    #[must_use]
    pub fn names(mut self) -> Self {
        self.names_only = true;
        self
    }

    fn known(&self, trace: TraceId, id: SpanId) -> bool {
        self.spans
            .iter()
            .any(|span| span.trace_id == trace && span.span_id == id)
    }

    fn sorted(&self, keep: impl Fn(&Node) -> bool) -> Vec<&'a Node> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| keep(span)).collect();
        spans.sort_by_key(|span| span.start_unix_nanos);
        spans
    }

    fn branch(&self, out: &mut String, span: &Node, root: &Node, lead: &str, below: &str, depth: usize) {
        let name = format!("{lead}{}", printable(&span.name));
        if self.names_only {
            out.push_str(&name);
        } else {
            let at = millis(span.start_unix_nanos.saturating_sub(root.start_unix_nanos));
            let took = millis(span.end_unix_nanos.saturating_sub(span.start_unix_nanos));
            let service = printable(&span.service);
            // Writing into a String cannot fail.
            let _ = write!(out, "{name:<44} {service:<10} {at:>10} {took:>10}");
        }
        if let Some(error) = &span.error {
            let _ = write!(out, "  error: {}", printable(error));
        }
        out.push('\n');
        if depth == DEPTH {
            return;
        }
        let children = self.sorted(|child| child.trace_id == span.trace_id && child.parent == Some(span.span_id));
        for (i, child) in children.iter().enumerate() {
            let (corner, line) = if i + 1 == children.len() {
                ("└ ", "  ")
            } else {
                ("├ ", "│ ")
            };
            let (lead, below) = (format!("{below}{corner}"), format!("{below}{line}"));
            self.branch(out, child, root, &lead, &below, depth + 1);
        }
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        let roots = self.sorted(|span| span.parent.is_none_or(|parent| !self.known(span.trace_id, parent)));
        let mut trace = None;
        for root in roots {
            if !self.names_only && trace.replace(root.trace_id) != Some(root.trace_id) {
                let _ = writeln!(out, "trace {}", root.trace_id);
            }
            self.branch(&mut out, root, root, "", "", 0);
        }
        f.write_str(&out)
    }
}

/// Names come from other processes; they shall not move the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn millis(nanos: u64) -> String {
    format!("{:.2} ms", nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, parent: Option<u64>, start: u64) -> Node {
        Node {
            trace_id: TraceId(7),
            span_id: SpanId(id),
            parent: parent.map(SpanId),
            name: format!("s{id}"),
            service: "shop".to_owned(),
            start_unix_nanos: start,
            end_unix_nanos: start + 1_500_000,
            error: (id == 3).then(|| "sold\nout".to_owned()),
        }
    }

    #[test]
    fn siblings_by_start_and_orphans_as_roots() {
        let spans = [
            node(4, Some(2), 30),
            node(2, Some(1), 20),
            node(3, Some(1), 10),
            node(1, None, 0),
            node(9, Some(8), 5),
        ];
        assert_eq!(
            Tree::of(&spans).names().to_string(),
            "s1\n├ s3  error: sold\u{fffd}out\n└ s2\n  └ s4\ns9\n"
        );
        let timed = Tree::of(&spans).to_string();
        assert!(
            timed.starts_with("trace 00000000000000000000000000000007\ns1  "),
            "{timed}"
        );
        assert!(
            timed
                .lines()
                .nth(1)
                .unwrap()
                .ends_with("shop          0.00 ms    1.50 ms"),
            "{timed}"
        );
    }

    #[test]
    fn forged_rings_end() {
        let spans = [
            node(1, None, 0),
            node(2, Some(1), 1),
            node(1, Some(2), 2),
            node(5, Some(5), 3),
        ];
        assert!(Tree::of(&spans).to_string().lines().count() < 300);
    }
}
