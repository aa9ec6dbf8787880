//! Why `init()` did not.

use std::fmt;

/// Why [`init`](crate::init) installed nothing. The text names what is wrong and how to mend it.
#[non_exhaustive]
pub enum InitError {
    /// It was called before, in this process.
    Twice,
    /// A variable or a word of the builder cannot be obeyed.
    Configuration(String),
    /// Two places declare one metric differently.
    Families(String),
    /// The admin server cannot listen where it was told to.
    Admin(String),
    /// An exporter cannot be built as it was asked for.
    Export(String),
    /// Two health checks share a name.
    Health(String),
    /// Another global `tracing` subscriber is installed.
    Subscriber,
    /// The system gave no thread or no event queue.
    System(std::io::Error),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str(
                "vitalsign is already installed in this process: call init() once, in main(), and keep what it returns",
            ),
            Self::Configuration(text)
            | Self::Families(text)
            | Self::Admin(text)
            | Self::Export(text)
            | Self::Health(text) => f.write_str(text),
            Self::Subscriber => f.write_str(
                "another global `tracing` subscriber is installed: install vitalsign first and nothing else, \
                 or add `vitalsign::layer()` to your own Registry before it becomes the global default",
            ),
            Self::System(error) => write!(f, "vitalsign could not start its thread: {error}"),
        }
    }
}

/// The same text: a `main` that returns the error shows it so.
impl fmt::Debug for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}
