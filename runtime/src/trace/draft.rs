//! What was said of the last root on a thread that the sampler dropped: its parent may be named only now, and may be sampled.
//!
//! `info_span!(…)` and then `set_parent(headers)` is how a span of `tracing` comes under its caller. Its fields are there before its
//! parent is, so that those of a root that is dropped are kept until the next one comes. Of one that has a parent nothing is.

use super::local::{self, Local};
use super::pipeline::Shared;
use super::sampler::Sampler;
use super::slab::Handle;
use super::store;
use super::visit::Fields;
use tracing_core::span::Attributes;

pub(crate) struct Draft {
    of: Option<Handle>,
    said: Vec<u8>,
    written: u32,
    dropped: u32,
}

impl Draft {
    pub(super) const fn new() -> Self {
        Self {
            of: None,
            said: Vec::new(),
            written: 0,
            dropped: 0,
        }
    }
}

/// Keeps what is said of a span at its beginning, where a parent could still change the sampler's mind.
#[inline]
pub(crate) fn keep(shared: &Shared, of: Handle, attributes: &Attributes<'_>) {
    let hopeless = matches!(shared.sampler, Sampler::AlwaysOff);
    if !hopeless && !attributes.values().is_empty() {
        write(shared, of, attributes);
    }
}

#[inline(never)]
fn write(shared: &Shared, of: Handle, attributes: &Attributes<'_>) {
    local::formatted(
        |out| {
            let mut fields = Fields {
                out,
                by_index: true,
                room: shared.limits.attributes,
                dropped: 0,
                written: 0,
                longest: shared.limits.value_length,
            };
            attributes.record(&mut fields);
            (fields.written, fields.dropped)
        },
        |(written, dropped), bytes, local| {
            let draft = &mut local.draft;
            draft.of = Some(of);
            draft.said.clear();
            draft.said.shrink_to(KEPT);
            draft.said.extend_from_slice(bytes);
            (draft.written, draft.dropped) = (written, dropped);
        },
    );
}

/// Memory that a thread keeps for it, beyond what one span needs.
const KEPT: usize = 4096;

/// A span is recorded after all, at that place: what was said of it goes there.
pub(crate) fn hand_on(local: &mut Local, of: Handle, to: Handle) {
    let draft = &mut local.draft;
    if draft.of == Some(of) {
        draft.of = None;
        store::said(to, &draft.said, draft.written, draft.dropped);
    }
}
