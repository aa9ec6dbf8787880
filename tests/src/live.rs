//! vitalsign installed in this test process, once, with a receiver of its own. Tests of one program run beside each other, so each
//! looks only at the functions it alone calls.

use crate::otlp::Receiver;
use crate::page::Page;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// What [`live`] installed.
pub struct Live {
    /// Where spans, and what else is exported, arrive.
    pub receiver: Receiver,
    /// The guard.
    pub vitals: vitalsign::Vitals,
    lines: Lines,
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Installs on the first call.
///
/// # Panics
/// When that fails.
pub fn live() -> &'static Live {
    // Panics on purpose would fill the terminal.
    static LIVE: LazyLock<Live> = LazyLock::new(|| installed("none", |builder| builder));
    &LIVE
}

/// The same, with log lines kept in memory; a process has either.
///
/// # Panics
/// When installing fails.
pub fn live_with_lines() -> &'static Live {
    static LIVE: LazyLock<Live> = LazyLock::new(|| installed("console", |builder| builder));
    &LIVE
}

/// The same with what else is said to the builder, for a test program that installs it itself; `logs` is `none` or `console`, the
/// lines of which are kept in memory.
///
/// # Panics
/// When installing fails.
pub fn installed(logs: &str, change: impl FnOnce(vitalsign::Builder) -> vitalsign::Builder) -> Live {
    let receiver = Receiver::start();
    let lines = Lines::default();
    let builder = vitalsign::builder()
        .variable("OTEL_SERVICE_NAME", "tests")
        .variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", receiver.http()),
        )
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
        .variable("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
        .variable("VITALSIGN_ADMIN", "127.0.0.1:0")
        .variable("OTEL_LOGS_EXPORTER", logs)
        .variable("VITALSIGN_LOG_FORMAT", "json")
        .log_output(vitalsign::logs::Output::Writer(Box::new(lines.clone())));
    let vitals = change(builder).install().expect("vitalsign is installed");
    Live {
        receiver,
        vitals,
        lines,
    }
}

impl Live {
    /// Sends what waits.
    pub fn flush(&self) {
        self.vitals.flush(Duration::from_secs(10));
    }

    /// The metrics page now.
    ///
    /// # Panics
    /// When there is none.
    pub fn page(&self) -> Page {
        crate::page::get(&self.url("/metrics"))
    }

    /// The log lines so far; each is JSON.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.flush();
        let lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(lines).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// A URL of the admin server.
    ///
    /// # Panics
    /// When there is none.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.vitals.admin_addr().expect("an admin server"))
    }

    /// The outline of the trace in which the span of that name is, once it has `count` spans.
    #[track_caller]
    pub fn outline(&self, name: &str, count: usize) -> String {
        self.flush();
        self.receiver.trace(name, count).outline()
    }
}
