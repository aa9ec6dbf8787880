//! vitalsign installed in this test process, once, with a receiver of its own. Tests of one program run beside each other, so each
//! looks only at the functions it alone calls.

use crate::otlp::Receiver;
use crate::page::Page;
use std::sync::LazyLock;
use std::time::Duration;

/// What [`live`] installed.
pub struct Live {
    /// Where spans, and what else is exported, arrive.
    pub receiver: Receiver,
    /// The guard.
    pub vitals: vitalsign::Vitals,
}

/// Installs on the first call.
///
/// # Panics
/// When that fails.
pub fn live() -> &'static Live {
    static LIVE: LazyLock<Live> = LazyLock::new(|| {
        let receiver = Receiver::start();
        let vitals = vitalsign::builder()
            .variable("OTEL_SERVICE_NAME", "tests")
            .variable(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                format!("{}/v1/traces", receiver.http()),
            )
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
            .variable("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
            .variable("VITALSIGN_ADMIN", "127.0.0.1:0")
            // Panics on purpose would fill the terminal.
            .variable("OTEL_LOGS_EXPORTER", "none")
            .install()
            .expect("vitalsign is installed");
        Live { receiver, vitals }
    });
    &LIVE
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
