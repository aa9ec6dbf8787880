//! The metrics page as bytes: Prometheus text 0.0.4 and 1.0.0, `OpenMetrics`, Prometheus protobuf.
//!
//! All formats are written from one gathering of plain snapshots, so they show the same numbers. `prometheus-client` encodes
//! `OpenMetrics` only, has no summaries, and would have to be asked for every format separately; so the encoders are ours, and
//! that crate's registries meet us in [`bridge`].

mod accept;
pub mod bridge;
mod names;
mod parse;
mod protobuf;
mod text;

use super::snapshot::{Family, Kind, Point, PointValue};
use crate::metrics::registry;
use accept::Format;
pub(crate) use names::agree;
use std::borrow::Cow;
use std::io::Write as _;
use std::sync::{PoisonError, RwLock};

/// What the page says besides the metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageContext {
    /// The attributes of the resource: the labels of `target_info`.
    pub(crate) resource: Vec<(String, String)>,
}

/// An answer to a scrape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `Content-Encoding`, where there is to be one.
    pub content_encoding: Option<&'static str>,
    /// The page.
    pub body: Vec<u8>,
}

/// What `init()` found this process to be.
static CONTEXT: RwLock<PageContext> = RwLock::new(PageContext { resource: Vec::new() });

pub(crate) fn set_context(context: PageContext) {
    *CONTEXT.write().unwrap_or_else(PoisonError::into_inner) = context;
}

/// The metrics page for a server of one's own, by the scrape's headers `Accept` and `Accept-Encoding`: what the admin server
/// answers on `/metrics`.
///
/// Callbacks of observed metrics run in here, so it belongs on a thread that may block.
///
/// # Examples
///
/// ```
/// let page = vitalsign::prometheus::page(None, None);
/// assert_eq!(page.content_type, "text/plain; version=0.0.4; charset=utf-8");
/// ```
pub fn page(accept: Option<&str>, accept_encoding: Option<&str>) -> Page {
    let context = CONTEXT.read().unwrap_or_else(PoisonError::into_inner).clone();
    render(accept, accept_encoding, &context)
}

/// Gathers and encodes what the headers `Accept` and `Accept-Encoding` ask for.
pub(crate) fn render(accept: Option<&str>, accept_encoding: Option<&str>, page: &PageContext) -> Page {
    let families = super::families();
    encode(families, Format::negotiate(accept), accept::gzip(accept_encoding), page)
}

fn encode(families: Vec<Family>, format: Format, gzip: bool, page: &PageContext) -> Page {
    // It comes last, but its name is taken first: there is one `target_info`, and it is ours.
    let target = target_info(page);
    let last = usize::from(target.is_some());
    let mut named = names::families(target.into_iter().chain(families));
    named.rotate_left(last);
    let body = match format {
        Format::Text | Format::Text1 => text::classic(&named),
        Format::OpenMetrics | Format::OpenMetrics0 => text::open_metrics(&named),
        Format::Protobuf => protobuf::delimited(&named),
    };
    let zipped = gzip.then(|| zip(&body)).flatten();
    Page {
        content_type: format.content_type(),
        content_encoding: zipped.as_ref().map(|_| "gzip"),
        body: zipped.unwrap_or(body),
    }
}

fn zip(body: &[u8]) -> Option<Vec<u8>> {
    let room = Vec::with_capacity(body.len() / 8);
    let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn target_info(page: &PageContext) -> Option<Family> {
    (!page.resource.is_empty()).then(|| Family {
        name: Cow::Borrowed("target"),
        help: Cow::Borrowed("What is being watched: the attributes of the resource."),
        unit: Cow::Borrowed(""),
        kind: Kind::Info,
        observed: false,
        scope: Vec::new(),
        points: vec![Point {
            labels: page
                .resource
                .iter()
                .map(|(key, value)| (Cow::Owned(key.clone()), Cow::Owned(value.clone())))
                .collect(),
            value: PointValue::Info,
            typed: 0,
            start_unix_nanos: registry::started(),
        }],
    })
}

#[cfg(test)]
mod tests;
