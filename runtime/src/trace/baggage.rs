//! Baggage: names and values that travel with a request, beside its trace (W3C Baggage).
//!
//! It rides where the trace state rides, in what the spans of one request share ([`Carried`]), so that a request without any
//! costs nothing. Where no span is current it stands in the thread's `Local` and goes to the first span that opens.

use super::local::{self, Carried};
use super::slab::Handle;
use super::store;
use crate::export::diag;
use crate::future::poll_held;
use pin_project_lite::pin_project;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

/// Members that are carried at most; the specification asks for no fewer.
const MEMBERS: usize = 64;
/// Bytes of the header at most; the specification asks for no fewer.
const BYTES: usize = 8192;

/// Names and values that go along with a request, to every service it reaches.
///
/// A server reads it from the header `baggage`, spans and tasks hand it on, and every outgoing call writes it again. It is plain text for
/// whoever the request meets: nothing secret belongs into it, and what comes in says what its sender says.
///
/// It holds at most 64 members and 8192 bytes; what does not fit is left out whole and counted
/// (`vitalsign_baggage_dropped_total`). `VITALSIGN_BAGGAGE_KEYS` names the keys that spans and log lines show.
///
/// A value of this type never changes; a changed copy is made current for a closure or a future.
///
/// # Examples
///
/// ```
/// let baggage = vitalsign::current().baggage().with("tenant", "Zoë & Co");
/// assert_eq!(baggage.get("tenant"), Some("Zoë & Co"));
/// baggage.run(|| {
///     let mut headers = std::collections::HashMap::<String, String>::new();
///     vitalsign::current().inject(&mut headers);
///     assert_eq!(headers["baggage"], "tenant=Zo%C3%AB%20&%20Co");
/// });
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Baggage(Option<Arc<[Member]>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Member {
    key: Box<str>,
    value: Box<str>,
    /// The properties behind the value, as they came.
    metadata: Box<str>,
}

impl Baggage {
    /// Of a header's value. What is malformed or too much is left out and counted.
    ///
    /// # Examples
    ///
    /// ```
    /// let baggage = vitalsign::trace::Baggage::parse("user=alice%20b;ttl=1, not a member, tenant=acme");
    /// assert_eq!(baggage.iter().collect::<Vec<_>>(), [("user", "alice b"), ("tenant", "acme")]);
    /// assert_eq!(baggage.metadata("user"), Some("ttl=1"));
    /// ```
    #[must_use]
    pub fn parse(header: &str) -> Self {
        Self::of(&[header])
    }

    /// Of all headers of that name.
    pub(super) fn of(headers: &[&str]) -> Self {
        let mut filling = Filling::default();
        for text in headers.iter().flat_map(|header| header.split(',')) {
            let text = text.trim_matches([' ', '\t']);
            if !text.is_empty() {
                filling.add(Member::parse(text));
            }
        }
        filling.done()
    }

    /// This and what others have under keys that it has not; their values as they stand in headers.
    pub(super) fn beside<'v>(self, others: impl Iterator<Item = (String, &'v str)>) -> Self {
        let mut filling = Filling::default();
        for member in self.members() {
            filling.add(Some(member.clone()));
        }
        for (key, value) in others {
            // Names of headers have lost the capitals that a key has where it stands in a value.
            if !filling.members.iter().any(|known| known.key.eq_ignore_ascii_case(&key)) {
                filling.add(is_token(&key).then(|| Member {
                    key: key.into(),
                    value: decoded(value).into(),
                    metadata: Box::default(),
                }));
            }
        }
        filling.done()
    }

    fn made(members: Vec<Member>) -> Self {
        Self((!members.is_empty()).then(|| members.into()))
    }

    fn members(&self) -> &[Member] {
        self.0.as_deref().unwrap_or_default()
    }

    fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| &*member.key == key)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.member(key).map(|member| &*member.value)
    }

    /// The properties of a key, as they stand behind its value: `ttl=1;local`.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let metadata = &*self.member(key)?.metadata;
        (!metadata.is_empty()).then_some(metadata)
    }

    /// Keys and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members().iter().map(|member| (&*member.key, &*member.value))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// This and another member, in the place of one that has its key.
    ///
    /// A key is a token of HTTP: letters, digits and `` !#$%&'*+-.^_`|~ ``. One that is not, and a member that does not fit, is
    /// left out, counted and told once a minute.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        self.with_metadata(key, value, "")
    }

    /// [`Baggage::with`], and properties of the member: `ttl=1;local`.
    #[must_use]
    pub fn with_metadata(&self, key: &str, value: &str, metadata: &str) -> Self {
        let refuse = |why: &str| {
            lose(1);
            diag::say_once(
                diag::Level::Warn,
                ("baggage", "key"),
                format_args!("baggage `{}` is not carried: {why}", diag::tame(key)),
            );
            self.clone()
        };
        if !is_token(key) {
            return refuse("a key has letters, digits and !#$%&'*+-.^_`|~ only, such as `tenant.id`");
        }
        if !is_metadata(metadata) {
            return refuse("its properties have the form `ttl=1;local`");
        }
        let member = Member {
            key: key.into(),
            value: value.into(),
            metadata: metadata.trim_matches([' ', '\t']).into(),
        };
        let mut members = self.members().to_vec();
        match members.iter_mut().find(|known| known.key == member.key) {
            Some(known) => *known = member,
            None => members.push(member),
        }
        if members.len() > MEMBERS || !fits(members.iter().map(Member::length).sum()) {
            return refuse("a request carries 64 members and 8192 bytes at most");
        }
        Self::made(members)
    }

    /// This without a key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let others = self.members().iter().filter(|member| &*member.key != key);
        Self::made(others.cloned().collect())
    }

    /// Calls `f` with this as the current baggage: of the spans and calls made inside.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        f()
    }

    /// The same future, with this as the current baggage while it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn place(_: u64) {}
    /// # async fn example() {
    /// vitalsign::current().baggage().with("tenant", "acme").follow(place(7)).await;
    /// # }
    /// ```
    pub fn follow<F: Future>(self, future: F) -> WithBaggage<F> {
        WithBaggage {
            future: Some(future),
            baggage: self,
        }
    }

    pub(super) fn enter(&self) -> Entered {
        local::with(|local| {
            store::settle_own(local);
            let Some(frame) = local.top() else {
                let carried = Carried::of(None, self);
                return Entered::Base(std::mem::replace(&mut local.base, carried));
            };
            let Some(meta) = frame.metadata() else {
                return Entered::Not;
            };
            let mut ids = frame.ids().clone();
            let state = ids.carried.as_ref().and_then(|carried| carried.trace_state.clone());
            ids.carried = Carried::of(state, self);
            let entered = Entered::Frame(ids.span);
            let again = frame.again(ids, meta);
            local.stack.push(again);
            entered
        })
        .unwrap_or(Entered::Not)
    }

    /// The members that `VITALSIGN_BAGGAGE_KEYS` lets spans and log lines show.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = if self.is_empty() {
            None
        } else {
            SHOWN.read().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.iter().filter(move |(key, _)| {
            let mut shown = shown.iter().flat_map(|shown| shown.iter());
            shown.any(|known| &**known == *key || &**known == "*")
        })
    }
}

/// The form of the header.
impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, member) in self.members().iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            write!(f, "{}={}", member.key, Encoded(&member.value))?;
            if !member.metadata.is_empty() {
                write!(f, ";{}", member.metadata)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Members as they come in, within the bounds.
#[derive(Default)]
struct Filling {
    members: Vec<Member>,
    length: usize,
    lost: u64,
}

impl Filling {
    /// None is a malformed one.
    fn add(&mut self, member: Option<Member>) {
        let Some(member) = member else {
            self.lost += 1;
            return;
        };
        // The later of two says what holds, as it does wherever baggage is set.
        let members = self.members.len();
        let mut known = self.members.iter_mut().find(|known| known.key == member.key);
        let others = self.length - known.as_ref().map_or(0, |known| known.length());
        let length = others + member.length();
        if !fits(length) || known.is_none() && members == MEMBERS {
            self.lost += 1;
            return;
        }
        self.length = length;
        match &mut known {
            Some(known) => **known = member,
            None => self.members.push(member),
        }
    }

    fn done(self) -> Baggage {
        lose(self.lost);
        Baggage::made(self.members)
    }
}

impl Member {
    fn parse(text: &str) -> Option<Self> {
        let (member, metadata) = text.split_once(';').unwrap_or((text, ""));
        let (key, value) = member.split_once('=')?;
        let (key, value) = (key.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
        let metadata = metadata.trim_matches([' ', '\t']);
        let good = is_token(key) && value.bytes().all(|byte| is_plain(byte) || byte == b'%') && is_metadata(metadata);
        good.then(|| Self {
            key: key.into(),
            value: decoded(value).into(),
            metadata: metadata.into(),
        })
    }

    /// Its bytes in the header, with the comma.
    fn length(&self) -> usize {
        let value = self.value.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 });
        let metadata = self.metadata.len() + usize::from(!self.metadata.is_empty());
        self.key.len() + 1 + value.sum::<usize>() + metadata + 1
    }
}

/// Whether members of that length together make a header that is not too long: a comma for each, though none ends it.
fn fits(length: usize) -> bool {
    length <= BYTES + 1
}

/// A value as it stands in headers.
pub(super) struct Encoded<'v>(pub(super) &'v str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if is_plain(byte) {
                f.write_char(byte.into())?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// `%41` as `A`; bytes that are no UTF-8 as U+FFFD, and a `%` that begins no such thing as itself.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let pair = pair.filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if *byte == b'%'
            && let Some(Ok(byte)) = pair.map(|pair| u8::from_str_radix(pair, 16))
        {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_token(key: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !key.is_empty() && key.bytes().all(byte)
}

/// A `baggage-octet` that stands for itself.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\%".contains(&byte)
}

/// Properties: visible characters, and no comma, which would begin another member.
fn is_metadata(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b' ' || byte == b'\t' || byte.is_ascii_graphic() && byte != b',')
}

/// `VITALSIGN_BAGGAGE_KEYS`.
static SHOWN: RwLock<Option<Arc<[Box<str>]>>> = RwLock::new(None);

/// Chooses the keys that spans and log lines show from here on.
pub(crate) fn show(keys: &str) {
    let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
    let keys: Vec<Box<str>> = keys.map(Box::from).collect();
    *SHOWN.write().unwrap_or_else(PoisonError::into_inner) = (!keys.is_empty()).then(|| keys.into());
}

/// Members that were left out.
static LOST: AtomicU64 = AtomicU64::new(0);

fn lose(members: u64) {
    if members > 0 {
        LOST.fetch_add(members, Ordering::Relaxed);
    }
}

pub(super) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The baggage of this thread where no span is current.
pub(crate) fn without_span() -> Baggage {
    local::with(|local| match local.top() {
        Some(frame) => frame.ids().baggage(),
        None => local
            .base
            .as_ref()
            .map(|carried| carried.baggage.clone())
            .unwrap_or_default(),
    })
    .unwrap_or_default()
}

/// Ends [`Baggage::enter`], on the same thread, also when it unwinds.
pub(super) enum Entered {
    /// The thread is ending.
    Not,
    /// What stood there before.
    Base(Option<Arc<Carried>>),
    /// A frame of that span.
    Frame(u64),
}

impl Drop for Entered {
    fn drop(&mut self) {
        let named: Option<Handle> = match self {
            Self::Not => None,
            Self::Base(before) => {
                let before = before.take();
                drop(local::with(|local| std::mem::replace(&mut local.base, before)));
                None
            }
            Self::Frame(span) => {
                let left = local::with(|local| local.stack.take_span(*span, &mut local.rng)).flatten();
                left.and_then(|left| left.owned)
            }
        };
        if let Some(handle) = named {
            store::close(handle, |_| ());
        }
    }
}

pin_project! {
    /// A future with its own baggage; made by [`Baggage::follow`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct WithBaggage<F> {
        #[pin]
        future: Option<F>,
        baggage: Baggage,
    }

    impl<F> PinnedDrop for WithBaggage<F> {
        // Dropped half way, what it holds ends with the baggage, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.baggage.enter();
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for WithBaggage<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.baggage.enter();
        poll_held(this.future, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_out_comes_back() {
        let baggage = Baggage::default()
            .with("tenant", "a,b;c=d \"%\\é")
            .with_metadata("n", "", "ttl=1;local")
            .with("tenant", "Zoë, 100 %");
        assert_eq!(baggage.to_string(), "tenant=Zo%C3%AB%2C%20100%20%25,n=;ttl=1;local");
        assert_eq!(Baggage::parse(&baggage.to_string()), baggage);
        assert!(baggage.without("tenant").without("n").is_empty());
    }

    #[test]
    fn the_later_of_two_holds_and_equal_signs_are_values() {
        let baggage = Baggage::of(&["a=1 , b = x=y== ;p", "a=2"]);
        assert_eq!(baggage.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "x=y==")]);
        assert_eq!((baggage.metadata("a"), baggage.metadata("b")), (None, Some("p")));
    }

    #[test]
    fn malformed_members_are_left_out_and_the_others_stay() {
        for bad in [
            "a",
            "=1",
            "a b=1",
            "a=b c",
            "a=\"1\"",
            "ä=1",
            "a=ä",
            "a=1;\u{1}",
            "\0",
            "a=\\",
        ] {
            let before = lost();
            let baggage = Baggage::parse(&format!("x=1,{bad},y=2"));
            assert_eq!(baggage.iter().collect::<Vec<_>>(), [("x", "1"), ("y", "2")], "{bad}");
            assert!(lost() > before, "{bad}");
        }
        assert_eq!(Baggage::parse("a=%FF%zz%4").get("a"), Some("\u{fffd}%zz%4"));
    }

    #[test]
    fn bombs_are_cut_to_whole_members() {
        let many: Vec<_> = (0..1000).map(|n| format!("k{n}=v")).collect();
        let before = lost();
        let baggage = Baggage::parse(&many.join(","));
        assert_eq!(baggage.len(), MEMBERS);
        assert!(lost() >= before + 936);
        let long = format!("a=1,b={},c=3", "x".repeat(BYTES));
        assert_eq!(Baggage::parse(&long).iter().count(), 2);
        let wide: Vec<_> = (0..60).map(|n| format!("k{n}={}", "v".repeat(200))).collect();
        let baggage = Baggage::parse(&wide.join(","));
        assert!((30..60).contains(&baggage.len()) && baggage.to_string().len() <= BYTES);
        assert!(
            baggage.iter().all(|(_, value)| value.len() == 200),
            "no part of a member"
        );
        assert_eq!(baggage.with("k", &"v".repeat(BYTES)), baggage, "refused");
        assert_eq!(baggage.with("no token", "v"), baggage, "refused");
    }

    #[test]
    fn the_specified_minimum_fits() {
        let members: Vec<_> = (10..74).map(|n| format!("k{n}={}", "v".repeat(123))).collect();
        let header = format!("{}v", members.join(","));
        assert_eq!(header.len(), BYTES);
        assert_eq!(Baggage::parse(&header).to_string(), header);
        let last = format!("{}v", "v".repeat(123));
        assert_eq!(Baggage::parse(&header).with("k73", &last).to_string(), header);
        assert_eq!(Baggage::parse(&format!("{header}v")).len(), 63, "a byte more");
    }

    #[test]
    fn a_member_that_takes_another_s_place_needs_no_more_room_than_that() {
        let (early, late) = ("a".repeat(BYTES - 2), "b".repeat(BYTES - 2));
        let baggage = Baggage::parse(&format!("k={early},k={late}"));
        assert_eq!(baggage.get("k"), Some(&*late));
        let beyond = format!("{late}b");
        assert_eq!(Baggage::parse(&format!("k={early},k={beyond}")).get("k"), Some(&*early));
    }

    proptest! {
        #[test]
        fn any_header_is_read_and_any_value_returns(header in ".{0,300}", key in "[a-z.]{1,9}", value in ".{0,40}") {
            let read = Baggage::parse(&header);
            prop_assert_eq!(Baggage::parse(&read.to_string()), read);
            let baggage = Baggage::default().with(&key, &value);
            let back = Baggage::parse(&baggage.to_string());
            prop_assert_eq!(back.get(&key), Some(&*value));
        }
    }
}
