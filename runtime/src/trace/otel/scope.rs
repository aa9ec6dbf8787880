//! Instrumentation scopes of the `opentelemetry` API as call sites, so that everything behind the store treats their spans as any
//! others. They are leaked, once for each different one, and bounded.

use super::span;
use crate::export::otlp::traces;
use opentelemetry::InstrumentationScope;
use std::sync::{PoisonError, RwLock};
use tracing_core::callsite::Identifier;
use tracing_core::field::FieldSet;
use tracing_core::{Callsite, Interest, Kind, Level, Metadata};

/// What is said of a scope beside its name.
pub(crate) struct Scope {
    /// An `InstrumentationScope` of OTLP.
    pub(crate) message: Vec<u8>,
    pub(crate) schema_url: String,
}

/// A program that makes scopes as it goes shares one from here on.
const MOST: usize = 1000;
/// Begins the key of a scope of which more is said than its name; no target has it.
const MARK: char = '\u{1}';

struct Known {
    scope: InstrumentationScope,
    meta: &'static Metadata<'static>,
    more: Option<&'static Scope>,
}

static KNOWN: RwLock<Vec<Known>> = RwLock::new(Vec::new());

/// The call site that stands for a scope.
pub(super) fn metadata(scope: &InstrumentationScope) -> &'static Metadata<'static> {
    let find = |known: &[Known]| known.iter().find(|known| known.scope == *scope).map(|known| known.meta);
    if let Some(meta) = find(&KNOWN.read().unwrap_or_else(PoisonError::into_inner)) {
        return meta;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(meta) = find(&known) {
        return meta;
    }
    if known.len() > MOST {
        return known[MOST].meta;
    }
    let scope = if known.len() == MOST {
        InstrumentationScope::builder("other").build()
    } else {
        scope.clone()
    };
    let named = scope.version().is_none() && scope.schema_url().is_none() && scope.attributes().next().is_none();
    let more = (!named).then(|| &*Box::leak(Box::new(encoded(&scope))));
    let key = more.map(|_| &*format!("{MARK}{}", known.len()).leak());
    let meta = Box::leak(Box::new(Metadata::new(
        "",
        scope.name().to_owned().leak(),
        Level::INFO,
        None,
        None,
        key,
        FieldSet::new(&[], Identifier(&ApiCallsite)),
        Kind::SPAN,
    )));
    known.push(Known { scope, meta, more });
    meta
}

/// What spans are sorted into scopes by.
pub(crate) fn scope_key(meta: &'static Metadata<'static>) -> &'static str {
    match meta.module_path() {
        Some(key) if key.starts_with(MARK) => key,
        _ => meta.target(),
    }
}

/// The scope behind a key, where it is more than a name.
pub(crate) fn scope_of(key: &str) -> Option<&'static Scope> {
    let index: usize = key.strip_prefix(MARK)?.parse().ok()?;
    KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(index)
        .and_then(|known| known.more)
}

fn encoded(scope: &InstrumentationScope) -> Scope {
    let mut message = Vec::new();
    traces::bytes(&mut message, 1, scope.name().as_bytes());
    if let Some(version) = scope.version() {
        traces::bytes(&mut message, 2, version.as_bytes());
    }
    for attribute in scope.attributes() {
        span::scalar(&attribute.value, u32::MAX, |value| {
            traces::attribute(&mut message, 3, attribute.key.as_str(), value);
        });
    }
    Scope {
        message,
        schema_url: scope.schema_url().unwrap_or_default().to_owned(),
    }
}

/// Stands behind all of them: none is ever asked whether it is enabled.
struct ApiCallsite;

static API: Metadata<'static> = Metadata::new(
    "",
    "opentelemetry",
    Level::INFO,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&ApiCallsite)),
    Kind::SPAN,
);

impl Callsite for ApiCallsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &API
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::KeyValue;

    #[test]
    fn equal_scopes_are_one_and_more_than_a_name_is_kept() {
        let plain = InstrumentationScope::builder("scope-test").build();
        let rich = InstrumentationScope::builder("scope-test")
            .with_version("1.2")
            .with_schema_url("https://example.org/1")
            .with_attributes([KeyValue::new("a", 1)])
            .build();
        let (one, other) = (metadata(&plain), metadata(&rich));
        assert!(std::ptr::eq(one, metadata(&plain)) && !std::ptr::eq(one, other));
        assert_eq!((scope_key(one), other.target()), ("scope-test", "scope-test"));
        assert!(scope_of("scope-test").is_none());
        assert_eq!(
            scope_of(scope_key(other)).expect("it").schema_url,
            "https://example.org/1"
        );
    }
}
