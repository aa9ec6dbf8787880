//! Stacked attributes fuse in any order.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::{counted, observed, timed, traced};

macro_rules! orders {
    ($($name:ident: $(#[$attr:meta])*;)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$attr])*
            pub(super) fn sync(n: u8) -> Result<u8, std::num::ParseIntError> {
                let m: u8 = "1".parse()?;
                Ok(n + m)
            }

            $(#[$attr])*
            pub(super) async fn asynchronous<'a>(n: &'a u8) -> Result<&'a u8, std::num::ParseIntError> {
                let _: u8 = "1".parse()?;
                Ok(n)
            }

            $(#[$attr])*
            pub(super) fn boxed(n: u8) -> std::pin::Pin<Box<dyn Future<Output = u8> + Send>> {
                Box::pin(async move { n })
            }

            pub(super) struct Method;
            impl Method {
                $(#[$attr])*
                #[doc = "Between others."]
                pub(super) async fn method(&self) -> &Self {
                    self
                }
            }
        }
    )*};
}

orders! {
    a: #[traced] #[counted] #[timed];
    b: #[traced] #[timed] #[counted];
    c: #[counted] #[traced] #[timed];
    d: #[counted] #[timed] #[traced];
    e: #[timed] #[traced] #[counted];
    f: #[timed] #[counted] #[traced];
    g: #[traced(level = "debug")] #[allow(unused)] #[counted(in_flight)];
    h: #[vitalsign::traced] #[::vitalsign::timed];
    i: #[observed];
    j: #[counted];
    k: #[timed];
    l: #[counted(ok_if = |_| true)] #[timed];
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    macro_rules! call {
        ($($name:ident)*) => {$(
            assert_eq!($name::sync(1), Ok(2));
            assert_eq!($name::asynchronous(&1).await, Ok(&1));
            assert_eq!($name::boxed(1).await, 1);
            $name::Method.method().await;
        )*};
    }
    call!(a b c d e f g h i j k l);
}
