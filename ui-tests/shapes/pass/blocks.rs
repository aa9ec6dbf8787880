//! An attribute on an `impl`, `trait` or `mod` holds for every function in it.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::{counted, observed, timed, traced};

struct Store<T>(Vec<T>);

#[traced(level = "debug")]
#[counted]
impl<T: Clone> Store<T> {
    const EMPTY: usize = 0;

    const fn new() -> Self {
        Self(Vec::new())
    }

    fn push(&mut self, value: T) -> &mut Self {
        self.0.push(value);
        self
    }

    #[timed(name = "store.first")]
    async fn first(&self) -> Option<T> {
        self.0.first().cloned()
    }

    #[vitalsign(skip)]
    fn hot(&self) -> usize {
        self.0.len() + Self::EMPTY
    }

    #[traced(name = "take all")]
    fn take(self) -> Vec<T> {
        self.0
    }
}

#[observed]
trait Shape {
    const SIDES: u8;
    fn area(&self) -> f64;
    fn twice(&self) -> f64 {
        self.area() * 2.0
    }
}

struct Square(f64);

#[observed]
impl Shape for Square {
    const SIDES: u8 = 4;
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}

#[observed]
mod module {
    #![allow(dead_code)]

    use std::fmt::Debug;

    macro_rules! not_a_function {
        () => {
            fn made_elsewhere() {}
        };
    }
    not_a_function!();

    pub(super) const N: u8 = match 1 {
        n => n + 1,
    };
    pub(super) struct Inner {
        pub(super) n: u8,
    }
    impl Inner {
        pub(super) fn n(&self) -> u8 {
            self.n
        }
    }
    pub(super) fn show(value: impl Debug) -> String {
        format!("{value:?}")
    }
    pub(super) async fn later() -> u8 {
        N
    }
    pub(super) const fn constant() -> u8 {
        N
    }
    #[vitalsign(skip)]
    pub(super) mod left_alone {
        pub(in super::super) fn plain() {}
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut store = Store::new();
    store.push(1).push(2);
    assert_eq!(store.first().await, Some(1));
    assert_eq!(store.hot(), 2);
    assert_eq!(store.take(), [1, 2]);
    assert!((Square(2.0).twice() - 8.0).abs() < 0.1);
    assert_eq!(Square::SIDES, 4);
    assert_eq!(module::show(module::Inner { n: 1 }.n()), "1");
    assert_eq!(module::later().await, module::constant());
    module::left_alone::plain();
}
