//! Functions that `macro_rules` macros write: return types, patterns, blocks and expressions that they were given come wrapped.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(clippy::toplevel_ref_arg)]

use std::fmt::Display;
use std::future::ready;
use std::pin::Pin;
use vitalsign::{LabelValue, counted, observed, timed, traced};

#[derive(Debug)]
pub struct Failed(u8);

macro_rules! made {
    ($name:ident -> $ret:ty = $body:block) => {
        #[traced]
        #[counted]
        #[timed]
        fn $name() -> $ret $body
    };
    (async $name:ident -> $ret:ty = $body:block) => {
        #[observed]
        async fn $name() -> $ret $body
    };
    (with $name:ident($pattern:pat => $ty:ty) = $value:expr) => {
        #[observed]
        fn $name($pattern: $ty) -> u8 {
            $value
        }
    };
    (async with $name:ident($pattern:pat => $ty:ty) = $value:expr) => {
        #[traced(args)]
        async fn $name($pattern: $ty) -> u8 {
            ready($value).await
        }
    };
    (generic $name:ident<$lifetime:lifetime, $param:ident: $bound:path>) => {
        #[observed]
        fn $name<$lifetime, $param: $bound>(value: &$lifetime $param) -> &$lifetime $param {
            value
        }
    };
    (asks $name:ident $value:expr) => {
        #[observed]
        fn $name() -> Result<u8, Failed> {
            let value = $value?;
            Ok(value)
        }
    };
    (named $name:ident $value:expr) => {
        #[observed]
        fn $name(call: u8) -> u8 {
            let ret = $value;
            call + ret
        }
    };
    (method $name:ident($this:ident) $body:block) => {
        impl Failed {
            #[observed]
            fn $name(&$this) -> u8 $body
        }
    };
}

made!(iterates -> impl Iterator<Item = u8> = { 0..3 });
made!(fails -> Result<u8, Failed> = { Err(Failed(1))? });
made!(unit -> () = {});
made!(later -> impl Future<Output = u8> = { async { 4 } });
made!(boxed -> Pin<Box<dyn Future<Output = u8>>> = { Box::pin(async { 5 }) });
made!(never -> ! = { std::process::exit(0) });
made!(closure -> impl Fn(&str) -> usize = { |text| text.len() });
made!(nested -> Result<impl Display, Failed> = { Ok(9) });
made!(async fails_later -> Result<u8, Failed> = { Err(Failed(1))? });
made!(async iterates_later -> impl Iterator<Item = u8> = { 0..2 });
made!(async closure_later -> Box<dyn Fn(&str) -> &str> = { Box::new(|text| &text[1..]) });
made!(async never_later -> ! = { std::process::exit(0) });
made!(with mutable(mut x => u8) = { x += 1; x });
made!(with apart((a, mut b) => (u8, u8)) = { b += 1; a + b });
made!(with borrowed(ref mut x => u8) = { *x += 1; *x });
made!(async with mutable_later(mut x => u8) = { x += 1; x });
made!(async with apart_later((a, mut b) => (u8, u8)) = { b += 1; a + b });
made!(async with borrowed_later(ref mut x => u8) = { *x += 1; *x });
made!(generic same<'value, T: Copy>);
made!(asks asked Ok::<u8, Failed>(3));
made!(named called 1 + 2 * 3);
made!(method code(self) { self.0 });

#[derive(Clone, Copy, LabelValue)]
enum Channel {
    Web,
}

const REGION: &str = "eu";

macro_rules! said {
    ($name:ident($text:ident, $number:ident), $op:literal, $region:expr, $of:expr, $by:expr, $amount:expr, $field:expr, $most:literal) => {
        #[traced(fields(%$field, sum = $amount * 2, hashed = hash($field), size = $field.len()))]
        #[counted(by = $by, labels(op = $op, region = $region, of = $of, text = limit($field, $most)))]
        #[timed(labels(op = $op), buckets = [0.5, 1.0])]
        async fn $name($text: String, $number: u64) -> u64 {
            ready($number + $text.len() as u64).await
        }
    };
}

said!(by_value(text, a), "read", REGION, |_| Channel::Web, |sum| *sum, a + 1, text, 5);
said!(by_text(text, a), 7, "us", Channel::Web, a, a + 1, text, 6);

/// Its parameter is called as one of a helper's might be.
#[observed]
fn parameter<R: Clone>(value: R) -> impl Fn(&u8) -> R {
    move |_| value.clone()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let capture = vitalsign::testing::capture();
    assert_eq!(iterates().count(), 3);
    assert_eq!(fails().unwrap_err().code(), 1);
    unit();
    assert_eq!(later().await + boxed().await, 9);
    assert_eq!((closure()("abc"), nested().unwrap().to_string()), (3, "9".to_owned()));
    assert_eq!(fails_later().await.unwrap_err().0, 1);
    assert_eq!(iterates_later().await.count(), 2);
    assert_eq!(closure_later().await("abc"), "bc");
    assert_eq!((mutable(1), apart((1, 2)), borrowed(1)), (2, 4, 2));
    let later = (mutable_later(1).await, apart_later((1, 2)).await, borrowed_later(1).await);
    assert_eq!(later, (2, 4, 2));
    assert_eq!((*same(&1), asked().unwrap(), called(1)), (1, 3, 8));
    assert_eq!(parameter("x")(&1), "x");
    let (_, _): (fn() -> !, _) = (never, never_later());
    assert_eq!(by_value("x".to_owned(), 1).await + by_text("y".to_owned(), 2).await, 5);
    let spans = capture.spans();
    assert_eq!(spans.len(), 23);
    let shown = format!("{:?}", spans.iter().find(|span| span.name == "by_value"));
    assert!(shown.contains('4') && shown.contains("text"), "{shown}");
}
