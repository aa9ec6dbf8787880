//! The `opentelemetry` API and SDK beside ours.

mod api;
mod context;
mod sampler;
mod sampler_attributes;
mod sdk;
