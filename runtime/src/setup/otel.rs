//! What the program and the environment say of the `opentelemetry` API.

use crate::trace::{Pipeline, otel};
use opentelemetry::global;

/// What the builder says of it.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) context: bool,
    pub(super) globals: bool,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            context: false,
            globals: true,
        }
    }
}

impl Words {
    /// Joins the API's tree to ours. Without spans the headers still travel, as the specification has it.
    pub(super) fn install(&self, spans: Option<&Pipeline>) {
        if self.globals {
            global::set_text_map_propagator(otel::Propagator::new());
        }
        let Some(spans) = spans else { return };
        if self.globals {
            global::set_tracer_provider(spans.tracer_provider());
        }
        if self.context {
            otel::attach_always();
        }
    }
}
