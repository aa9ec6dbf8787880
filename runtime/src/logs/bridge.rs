//! Records of the `log` crate, with the trace of whoever logs.

use super::Logs;
use super::record::{Fields, Key};
use std::sync::Arc;

/// What this crate gives to `log::set_boxed_logger`.
pub(super) struct Bridge(pub(super) Arc<Logs>);

fn level(level: log::Level) -> tracing_core::Level {
    match level {
        log::Level::Error => tracing_core::Level::ERROR,
        log::Level::Warn => tracing_core::Level::WARN,
        log::Level::Info => tracing_core::Level::INFO,
        log::Level::Debug => tracing_core::Level::DEBUG,
        log::Level::Trace => tracing_core::Level::TRACE,
    }
}

/// The cheapest check of the `log` macros.
pub(super) fn max_level(max: tracing_core::LevelFilter) -> log::LevelFilter {
    match max.into_level() {
        None => log::LevelFilter::Off,
        Some(tracing_core::Level::ERROR) => log::LevelFilter::Error,
        Some(tracing_core::Level::WARN) => log::LevelFilter::Warn,
        Some(tracing_core::Level::INFO) => log::LevelFilter::Info,
        Some(tracing_core::Level::DEBUG) => log::LevelFilter::Debug,
        Some(_) => log::LevelFilter::Trace,
    }
}

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.filter.enabled(metadata.target(), level(metadata.level()))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) || crate::trace::local::is_ours() {
            return;
        }
        self.0.record(level(record.level()), record.target(), None, |fields| {
            match record.args().as_str() {
                Some(message) => fields.str(Key::Name("message"), message),
                None => fields.display(Key::Name("message"), record.args()),
            }
            let _ = record.key_values().visit(&mut Pairs(fields));
        });
    }

    fn flush(&self) {}
}

struct Pairs<'a>(&'a mut Fields);

impl<'kvs> log::kv::VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: log::kv::Key<'kvs>, value: log::kv::Value<'kvs>) -> Result<(), log::kv::Error> {
        let key = Key::Name(key.as_str());
        if let Some(v) = value.to_bool() {
            self.0.bool(key, v);
        } else if let Some(v) = value.to_u64() {
            self.0.u64(key, v);
        } else if let Some(v) = value.to_i64() {
            self.0.i64(key, v);
        } else if let Some(v) = value.to_f64() {
            self.0.f64(key, v);
        } else if let Some(v) = value.to_borrowed_str() {
            self.0.str(key, v);
        } else {
            self.0.display(key, &value);
        }
        Ok(())
    }
}
