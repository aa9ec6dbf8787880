//! A live span in the slab: what is known of it so far, and what room the limits leave it.

use super::body::{self, Item, Items, STATUS_DESCRIPTION};
use super::finished::{STATUS_ERROR, STATUS_OK};
use super::local::Ids;
use super::pipeline::Limits;
use super::slab::Handle;
use super::timing;
use super::visit::Fields;
use crate::export::otlp::traces;
use crate::outcome::CallOutcome;
use crate::site::{Site, SpanKind};
use tracing_core::Metadata;
use tracing_core::field::FieldSet;

/// The fixed part of a live span.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fixed {
    pub(crate) meta: Option<&'static Metadata<'static>>,
    pub(crate) site: Option<&'static Site>,
    /// Of the parent, 0 for a root.
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
    pub(crate) kind: SpanKind,
    pub(crate) outcome: Option<CallOutcome>,
    pub(crate) status: u8,
    pub(crate) parent_remote: bool,
    pub(crate) recorded: bool,
    /// Fields were recorded after the beginning, so a key may stand twice; the later one holds.
    pub(crate) repeated: bool,
}

/// A live span.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) fixed: Fixed,
    pub(crate) ids: Ids,
    pub(crate) body: Vec<u8>,
    /// Room left under the limits.
    pub(crate) attributes_left: u32,
    pub(crate) events_left: u32,
    pub(crate) links_left: u32,
    pub(crate) longest: u32,
    pub(crate) parent: Option<Handle>,
    /// Hashes of the error messages that direct children recorded.
    pub(crate) seen: Vec<u64>,
    /// Ticks spent entered, where timings are asked for.
    pub(crate) busy: u64,
}

/// A body that grew beyond this gives its memory back when its slot is freed.
const KEEP_BODY: usize = 4096;

impl Live {
    /// All the room that the limits give.
    #[inline]
    pub(super) fn allow(&mut self, limits: &Limits) {
        self.attributes_left = limits.attributes;
        self.events_left = limits.events;
        self.links_left = limits.links;
        self.longest = limits.value_length;
    }

    /// How it ended.
    #[inline]
    pub(crate) fn ended(&mut self, end: u64, outcome: CallOutcome) {
        self.fixed.end = end;
        self.fixed.outcome = Some(outcome);
        if outcome == CallOutcome::Error {
            self.fail(None);
        }
    }

    /// It is recorded, and has not ended. One that has may be here still, for those who hold it.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.fixed.recorded && self.fixed.end == 0
    }

    /// There is room for an event; one for which there is none is counted.
    pub(super) fn takes_event(&mut self) -> bool {
        if self.events_left == 0 {
            self.fixed.dropped_events += u32::from(self.is_open());
        }
        self.events_left > 0 && self.is_open()
    }

    /// It failed, and what an operator should read. An Ok that the application said is final, as the specification has it.
    pub(crate) fn fail(&mut self, description: Option<&str>) {
        if self.fixed.status == STATUS_OK {
            return;
        }
        self.fixed.status = STATUS_ERROR;
        if let Some(description) = description {
            self.say(STATUS_DESCRIPTION, description);
        }
    }

    /// What few spans have goes into the body.
    #[inline]
    pub(super) fn rarely(&mut self) {
        timing::tell(self);
        if let Some(carried) = self.ids.carried.take() {
            if let Some(state) = &carried.trace_state {
                body::state(&mut self.body, state);
            }
            for (key, value) in carried.baggage.shown() {
                self.shown(key, value);
            }
        }
        let fixed = &self.fixed;
        let dropped = [fixed.dropped_attributes, fixed.dropped_events, fixed.dropped_links];
        if dropped != [0; 3] {
            body::dropped(&mut self.body, dropped);
        }
    }

    /// A member of the baggage, unless the span says something else under that name. It came from a stranger, who has no say in what is
    /// told of the span itself.
    fn shown(&mut self, key: &str, value: &str) {
        let fields = self.fields();
        if !traces::is_told(key) && !body::has_attribute(&self.body, key, fields) {
            self.set(key, body::Scalar::Text(value));
        }
    }

    fn fields(&self) -> Option<&'static FieldSet> {
        self.fixed.meta.map(Metadata::fields)
    }

    /// There may not be room for every field of the call site once more.
    pub(super) fn is_scarce(&self) -> bool {
        let fields = self.fields().map_or(0, FieldSet::len);
        (self.attributes_left as usize) < fields
    }

    /// No room is left, but of two with one name the former need not be there, nor one in whose place this comes.
    #[cold]
    fn make_room_for(&mut self, name: &[u8]) {
        let fields = self.fields();
        self.attributes_left += body::tidy(&mut self.body, fields, None);
        if self.attributes_left == 0 && body::tidy(&mut self.body, fields, Some(name)) > 0 {
            self.attributes_left = 1;
        }
    }

    /// Encoded attributes, each in the place of one with its name where no other is left.
    #[cold]
    pub(super) fn say_again(&mut self, attributes: &[u8]) {
        let fields = self.fields();
        let mut rest = Items(attributes);
        loop {
            let before = rest.0;
            let Some(Item::Attribute(key, _)) = rest.next() else {
                return;
            };
            let name = body::name_of(key, fields);
            if self.attributes_left == 0 {
                self.make_room_for(name);
            }
            if self.attributes_left == 0 && !body::is_of_span(name) {
                self.fixed.dropped_attributes += 1;
                continue;
            }
            self.attributes_left = self.attributes_left.saturating_sub(1);
            self.body.extend_from_slice(&before[..before.len() - rest.0.len()]);
        }
    }

    /// Says something of the span itself that is no attribute. The last word holds; those before are no longer there in a body that has
    /// grown.
    pub(crate) fn say(&mut self, key: &str, text: &str) {
        if !self.fixed.recorded {
            return;
        }
        if self.body.len() > KEEP_BODY {
            let fields = self.fields();
            self.attributes_left += body::tidy(&mut self.body, fields, Some(key.as_bytes()));
        }
        body::attribute(&mut self.body, body::Key::Name(key), body::Scalar::Text(text));
    }

    /// Appends one attribute.
    pub(crate) fn set(&mut self, key: &str, value: body::Scalar<'_>) {
        if !self.fixed.recorded {
            return;
        }
        if let body::Scalar::Text(text) = value
            && body::is_of_span(key)
        {
            return self.say(key, text);
        }
        if self.attributes_left == 0 {
            self.make_room_for(key.as_bytes());
        }
        self.write(false, |fields| fields.named(body::Key::Name(key), value));
        self.fixed.repeated = true;
    }

    /// Appends what is written, as far as there is room.
    pub(super) fn write(&mut self, by_index: bool, write: impl FnOnce(&mut Fields<'_>)) {
        let mut fields = Fields {
            out: &mut self.body,
            by_index,
            room: self.attributes_left,
            dropped: 0,
            written: 0,
            longest: self.longest,
        };
        write(&mut fields);
        self.attributes_left = fields.room;
        self.fixed.dropped_attributes += fields.dropped;
    }

    /// Nothing of it is left for the next span in its slot.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.ids.carried = None;
        self.busy = 0;
        self.body.clear();
        if self.body.capacity() > KEEP_BODY {
            self.body = Vec::new();
        }
        if !self.seen.is_empty() {
            self.seen = Vec::new();
        }
    }
}
