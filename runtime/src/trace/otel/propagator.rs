//! Headers for those who write and read them by the `opentelemetry` API.

use super::convert;
use crate::trace::AsParent as _;
use crate::trace::baggage::Baggage;
use crate::trace::context::{SpanContext, SpanId, TraceId};
use crate::trace::propagate::{self, Extract, Inject};
use crate::trace::store;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;

/// The propagator that [`init`](crate::init) makes the global one of the `opentelemetry` API. It writes and reads the headers that
/// `OTEL_PROPAGATORS` names, and where a context holds no span, or the current one, it writes the span that is current here.
///
/// # Examples
///
/// ```
/// use opentelemetry::propagation::TextMapPropagator as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// use std::collections::HashMap;
///
/// let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
/// let context = vitalsign::trace::otel::Propagator::new().extract(&headers);
/// assert_eq!(context.span().span_context().span_id().to_string(), "b7ad6b7169203331");
/// ```
#[derive(Debug, Clone)]
pub struct Propagator {
    fields: Vec<String>,
}

impl Propagator {
    /// For the headers that are in force now.
    pub fn new() -> Self {
        struct Names(Vec<String>);
        impl Inject for Names {
            fn set(&mut self, name: &str, _: String) {
                // Jaeger's baggage has no names that are known before.
                if !name.starts_with(propagate::BAGGAGE_PREFIX) {
                    self.0.push(name.to_owned());
                }
            }
        }
        let mut names = Names(Vec::new());
        let any = SpanContext {
            trace_id: TraceId(1),
            span_id: SpanId(1),
            trace_state: Some("a=b".into()),
            baggage: Baggage::default().with("a", "b"),
            ..SpanContext::default()
        };
        propagate::inject(&any, &mut names);
        Self { fields: names.0 }
    }
}

impl Default for Propagator {
    fn default() -> Self {
        Self::new()
    }
}

/// What the API writes to, as what ours does.
struct To<'a>(&'a mut dyn Injector);

impl Inject for To<'_> {
    fn set(&mut self, name: &str, value: String) {
        self.0.set(name, value);
    }
}

/// What the API reads from, as what ours does.
struct From<'a>(&'a dyn Extractor);

impl Extract for From<'_> {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        self.0.get_all(name).unwrap_or_default()
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys()
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let held = cx.as_parent().unwrap_or_default();
        let attached = || Context::map_current(|current| current.span().span_context().span_id());
        // A copy of the attached context means what is current, as the attached one does: that may be a span of ours.
        let named = held.is_valid() && cx.span().span_context().span_id() != attached();
        let context = match store::current() {
            Some(current) if !named => SpanContext {
                baggage: convert::baggage(cx, current.baggage.clone()),
                ..if current.is_valid() { current } else { held }
            },
            _ => held,
        };
        propagate::inject(&context, &mut To(injector));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let Some(context) = propagate::extract(&From(extractor)) else {
            return cx.clone();
        };
        let cx = if context.baggage.is_empty() {
            cx.clone()
        } else {
            convert::with_baggage(cx, &context.baggage)
        };
        if !context.is_valid() {
            return cx;
        }
        super::set_used();
        cx.with_remote_span_context((&context).into())
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}
