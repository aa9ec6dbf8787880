//! The rules of `stream`.

use syn::{Expr, Signature};

use super::flow;
use super::signals::{Said, Signals};
use crate::args::{LabelValue, Value};
use crate::diag::Diagnostics;
use crate::model::Flow;

/// How the stream is wrapped; `None` where none is said, or, with its reason told, where there is none.
pub(super) fn flow(signals: &Signals<'_>, signature: &Signature, diag: &mut Diagnostics) -> Option<Flow> {
    let given = signals.traced.as_ref()?.nearest(&["stream", "ret"]);
    let (stream, ret) = match given.as_slice() {
        [stream, ret @ ..] if stream.row.name == "stream" => (stream, ret.first()),
        _ => return None,
    };
    let flow = flow::stream(signature);
    if flow.is_none() {
        let message = if signature.asyncness.is_some() {
            "`stream` is for a plain `fn` that returns a stream; an `async fn` returns when it has one: leave `stream` out here, \
             and write it on a `fn` that makes the stream"
        } else {
            "`stream` is for a function that returns a stream: `-> impl Stream<Item = …>` or `-> Pin<Box<dyn Stream<Item = …>>>`; \
             leave it out"
        };
        diag.error(&stream.key, message);
    }
    if let Some(ret) = ret {
        diag.error(
            &ret.key,
            "a stream has many items and none is recorded; leave `ret` out",
        );
    }
    for said in [&signals.counted, &signals.timed].into_iter().flatten() {
        asks_returned(said, diag);
    }
    flow
}

/// Labels and amounts are taken once, at the call.
fn asks_returned(said: &Said<'_>, diag: &mut Diagnostics) {
    if let Some(by @ Expr::Closure(_)) = said.expr("by") {
        diag.error(
            by,
            "a stream has no returned value to ask; take the amount from the arguments",
        );
    }
    let Some(Value::Labels(labels)) = said.option("labels").map(|option| &option.value) else {
        return;
    };
    for label in labels {
        if let LabelValue::Expr(Expr::Closure(_)) | LabelValue::Limit(Expr::Closure(_), _) = &label.value {
            diag.error(
                &label.key,
                "a stream has no returned value to ask; take the label from the arguments",
            );
        }
    }
}
