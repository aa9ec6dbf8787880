//! From a record to a line.

pub(crate) mod json;
pub(crate) mod pretty;
mod time;

/// How lines look: `VITALSIGN_LOG_FORMAT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    Pretty,
    /// No lines. OTLP logs are not affected.
    Off,
}

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            "off" => Ok(Self::Off),
            _ => Err(UnknownFormat(text.to_owned())),
        }
    }
}

/// A format that does not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownFormat(String);

impl std::fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` is no log format; write `json`, `pretty`, `auto` or `off`",
            self.0
        )
    }
}

impl std::error::Error for UnknownFormat {}
