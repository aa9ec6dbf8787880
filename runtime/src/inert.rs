//! What a program finds where the feature `record` is off: the same names, and nothing behind them. So it compiles as it stands
//! with `default-features = false`, and pays nothing.
//!
//! Here is what stands between `init()` and `shutdown()`, and what is said of a call by hand. What names a type of a signal
//! (`metrics!`, `testing::capture()`, `layer()`) needs the feature it belongs to.
//!
//! # Examples
//!
//! ```
//! #[vitalsign::traced]
//! fn brew(beans: u32) -> Option<u32> {
//!     vitalsign::current().set("beans", beans);
//!     beans.checked_sub(18)
//! }
//!
//! let vitals = vitalsign::builder().service_name("coffee").install()?;
//! assert_eq!(brew(20), Some(2));
//! drop(vitals);
//! # Ok::<(), vitalsign::InitError>(())
//! ```

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

/// Begins nothing.
///
/// # Errors
///
/// None.
pub fn init() -> Result<Vitals, InitError> {
    builder().install()
}

/// Hears everything and keeps nothing.
pub fn builder() -> Builder {
    Builder
}

/// What the program says over its variables: nothing comes of it.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is installed before `install()`"]
pub struct Builder;

/// Methods that change nothing.
macro_rules! heard {
    ($($name:ident($($argument:ident: $ty:ty),*);)*) => {$(
        /// Changes nothing.
        pub fn $name(self, $($argument: $ty),*) -> Self {
            $(let _ = $argument;)*
            self
        }
    )*};
}

impl Builder {
    heard! {
        variable(name: impl Into<String>, value: impl Into<String>);
        service_name(name: impl Into<String>);
        resource_attribute(key: impl Into<String>, value: impl Into<String>);
        otlp_endpoint(url: impl Into<String>);
        admin(address: impl Into<String>);
        metric_series(most: usize);
        drain_delay(delay: Duration);
        shutdown_timeout(timeout: Duration);
        handle_signals(handle: bool);
        not_ready_until_set();
        include_health_check(name: impl Into<String>);
        otel_context(attach: bool);
        otel_globals(install: bool);
        log_filter(filter: impl Into<String>);
        redact(name: impl Into<String>);
        redact_with(hook: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static);
    }

    /// Installs nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub fn install(self) -> Result<Vitals, InitError> {
        Ok(Vitals(()))
    }
}

/// What `init()` returns: nothing runs behind it.
#[derive(Debug)]
#[must_use = "dropping it is the end of what it stands for"]
pub struct Vitals(());

impl Vitals {
    /// Never resolves, for no signal is listened for: one ends the process as it ends any program without a handler.
    pub fn shutdown_signal(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        pending()
    }

    /// Resolves at once.
    ///
    /// # Errors
    ///
    /// None.
    #[expect(clippy::unused_async, reason = "awaited where there is something to wait for")]
    pub async fn shutdown(self) -> Result<Report, ShutdownError> {
        Ok(Report(()))
    }

    /// Nothing is pending: true.
    pub fn flush(&self, timeout: Duration) -> bool {
        let _ = timeout;
        true
    }

    /// Nothing became of nothing.
    pub fn report(&self) -> Report {
        Report(())
    }

    /// There is no admin server: `None`.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Registers nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub fn register_health<C>(&self, name: impl Into<String>, check: C) -> Result<(), health::RegisterError> {
        let _ = (name, check);
        Ok(())
    }

    /// Nobody asks.
    pub fn set_ready(&self, ready: bool) {
        let _ = ready;
    }
}

/// The names of the health checks' errors.
pub mod health {
    /// There is nothing to be refused.
    pub type RegisterError = super::InitError;
}

/// An error that does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitError(Infallible);

/// An error that does not happen.
pub type ShutdownError = InitError;

impl Display for InitError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for InitError {}

/// What became of everything recorded: there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report(());

impl Report {
    /// Nothing is missing: true.
    pub fn is_complete(&self) -> bool {
        true
    }
}

/// The span that is current: none ever is.
pub fn current() -> Current {
    Current(())
}

/// No span.
#[derive(Clone, Copy, Debug)]
pub struct Current(());

impl Current {
    /// Sets nothing.
    pub fn set<V>(&self, key: &str, value: V) {
        let _ = (key, value);
    }

    /// Records nothing.
    pub fn record_error<E: std::error::Error>(&self, error: &E) {
        let _ = error;
    }

    /// Writes no context: there is none.
    pub fn inject<C: ?Sized>(&self, headers: &mut C) {
        let _ = headers;
    }

    /// False.
    pub fn is_recording(&self) -> bool {
        false
    }
}

/// The future, as it is.
pub fn in_context<F: Future>(future: F) -> F {
    future
}

/// Threads as std has them.
pub mod thread {
    /// `std::thread::spawn`.
    pub fn spawn<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> std::thread::JoinHandle<R> {
        std::thread::spawn(f)
    }
}
