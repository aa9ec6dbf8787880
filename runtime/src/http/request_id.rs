//! `X-Request-ID`: honoured if it is sane, minted if not, echoed, and in every line.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub(super) const NAME: &str = "x-request-id";

/// The header, in requests and responses.
pub const HEADER: HeaderName = HeaderName::from_static(NAME);

/// Longer ids are not honoured.
const MAX: usize = 128;

/// The id of the request being handled. The layer puts it into the request's headers and into the answer's; under actix-web it is an
/// extension of the request, too.
///
/// # Examples
///
/// ```
/// use vitalsign::http::RequestId;
///
/// fn id(request: &http::Request<()>) -> Option<RequestId> {
///     RequestId::in_headers(request.headers())
/// }
///
/// let mut request = http::Request::new(());
/// assert_eq!(id(&request), None);
/// request.headers_mut().insert(vitalsign::http::REQUEST_ID, http::HeaderValue::from_static("7f9c"));
/// assert_eq!(id(&request).unwrap().as_str(), "7f9c");
/// ```
///
/// A handler of axum takes it as an argument:
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn app() -> axum::Router {
/// use axum::{Router, routing::get};
/// use vitalsign::http::{RequestId, layer};
///
/// Router::new()
///     .route("/", get(|id: RequestId| async move { id.to_string() }))
///     .layer(layer())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Both ways of making one allow only visible ASCII.
        self.0.to_str().unwrap_or_default()
    }

    /// The id in a request's headers; none where they have none, or several, or one that is not sane: of more than 128 bytes, or with
    /// others than letters, digits and the punctuation of UUIDs and base64.
    pub fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next()?;
        Self::of(value).filter(|_| values.next().is_none())
    }

    /// The id in the one header of that name, if it may go into lines and headers.
    pub(super) fn of(value: &HeaderValue) -> Option<Self> {
        is_sane(value.as_bytes()).then(|| Self(value.clone()))
    }

    /// The same of another crate's header.
    #[cfg(feature = "actix-web")]
    pub(super) fn sane(value: &[u8]) -> Option<Self> {
        is_sane(value).then(|| HeaderValue::from_bytes(value).ok().map(Self))?
    }

    pub(crate) fn mint() -> Self {
        let id = crate::trace::random_u128();
        let mut text = [0; 32];
        for (digits, word) in text.chunks_exact_mut(8).zip([id >> 96, id >> 64, id >> 32, id]) {
            digits.copy_from_slice(&crate::hex::digits(word as u32));
        }
        // Its clones, in headers and extensions, share it.
        let shared = Bytes::from_owner(text);
        Self(HeaderValue::from_maybe_shared(shared).unwrap_or(HeaderValue::from_static("none")))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }

    /// Puts the id of the request that is handled here into a request that goes out, unless that has one.
    pub(super) fn pass_on(headers: &mut HeaderMap) {
        #[cfg(feature = "logs")]
        if !headers.contains_key(HEADER)
            && let Some(id) = crate::logs::Scope::with_request_id(|id| HeaderValue::from_str(id).ok())
        {
            headers.insert(HEADER, id);
        }
        #[cfg(not(feature = "logs"))]
        let _ = headers;
    }
}

/// Where no layer gave one, as when telemetry is off, the request gets one here: its handler does not fail for that.
#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::in_headers(&parts.headers).unwrap_or_else(|| {
            let id = Self::mint();
            parts.headers.insert(HEADER, id.header());
            id
        }))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Letters, digits and the punctuation of UUIDs, base64 and the trace ids in use.
fn is_sane(value: &[u8]) -> bool {
    (1..=MAX).contains(&value.len())
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=@#~".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_honoured() {
        let of = |value: &[u8]| RequestId::of(&HeaderValue::from_bytes(value).unwrap()).map(|id| id.to_string());
        assert_eq!(of(b"7f9c-ABC_1.2:3").as_deref(), Some("7f9c-ABC_1.2:3"));
        for bad in [&b""[..], b"a b", b"a\tb", b"\"", b"<script>", b"\xff", &[b'a'; 129]] {
            assert_eq!(of(bad), None);
        }
    }

    #[test]
    fn minted_ids_differ_and_are_sane() {
        let (a, b) = (RequestId::mint(), RequestId::mint());
        assert_ne!(a, b);
        assert!(is_sane(a.as_str().as_bytes()) && a.as_str().len() == 32, "{a}");
    }
}
