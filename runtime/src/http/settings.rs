//! What the server layers of all frameworks can be told.

use http::HeaderName;
use std::borrow::Cow;

/// What they were told.
pub(super) struct Settings {
    pub(super) access_line: bool,
    pub(super) request_id: bool,
    pub(super) excluded: Vec<Pattern>,
    pub(super) groups: Vec<(Pattern, Cow<'static, str>)>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_line: true,
            request_id: true,
            excluded: Vec::new(),
            groups: Vec::new(),
            headers: Vec::new(),
        }
    }
}

impl Settings {
    /// Never a header whose name is secret.
    pub(super) fn request_header(&mut self, name: HeaderName) {
        if !crate::secret::is_secret(name.as_str()) {
            let attribute = format!("http.request.header.{}", name.as_str());
            self.headers.push((name, attribute));
        }
    }

    pub(super) fn excludes(&self, path: &str) -> bool {
        self.excluded.iter().any(|pattern| pattern.matches(path))
    }

    /// The route that a path is grouped under.
    pub(super) fn grouped(&self, path: &str) -> Option<&str> {
        let found = self.groups.iter().find(|(pattern, _)| pattern.matches(path));
        found.map(|(_, route)| &**route)
    }
}

/// A path, or all paths that begin so where it ends with `*`.
pub(super) struct Pattern(pub(super) String);

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.0,
        }
    }
}

/// The words of a layer's builder: one set for all frameworks, whose header names are of different types.
macro_rules! words {
    ($layer:ident, $header:ty, |$this:ident| $settings:expr) => {
        /// Configured before it is cloned or made into a service; later it panics.
        impl $layer {
            fn told(mut self, tell: impl FnOnce(&mut $crate::http::settings::Settings)) -> Self {
                let $this = &mut self;
                tell($settings);
                self
            }

            /// No span, no measurement and no line for this path, or for all that begin so: `"/healthz"`, `"/static/*"`.
            #[must_use]
            pub fn exclude(self, path: impl Into<String>) -> Self {
                self.told(|settings| {
                    settings
                        .excluded
                        .push($crate::http::settings::Pattern(path.into()))
                })
            }

            /// One route for all paths that begin so, where no router says it: `group("/static/*", "/static/{file}")`.
            #[must_use]
            pub fn group(self, paths: impl Into<String>, route: impl Into<std::borrow::Cow<'static, str>>) -> Self {
                let group = ($crate::http::settings::Pattern(paths.into()), route.into());
                self.told(|settings| settings.groups.push(group))
            }

            /// Whether each request gets a line at level info (error for 5xx and panics), target `vitalsign::access`. On.
            #[must_use]
            pub fn access_line(self, on: bool) -> Self {
                self.told(|settings| settings.access_line = on)
            }

            /// Whether `X-Request-ID` is honoured or minted, echoed, and a field of every line. On.
            #[must_use]
            pub fn request_id(self, on: bool) -> Self {
                self.told(|settings| settings.request_id = on)
            }

            /// Records a request header as `http.request.header.NAME`. None is recorded unasked, and never one whose name is secret.
            #[must_use]
            pub fn request_header(self, name: $header) -> Self {
                // Frameworks differ in the type of the name, not in what is one.
                match http::HeaderName::from_bytes(name.as_str().as_bytes()) {
                    Ok(name) => self.told(|settings| settings.request_header(name)),
                    Err(_) => self,
                }
            }
        }
    };
}
pub(super) use words;
