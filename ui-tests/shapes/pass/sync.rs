//! Plain functions: what compiles bare compiles annotated.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![warn(rust_2018_idioms, trivial_casts, trivial_numeric_casts, unused_lifetimes, unused_qualifications, let_underscore_drop, unit_bindings)]

use std::collections::HashMap;
use std::fmt::Display;
use vitalsign::observed;

struct Error;

#[observed]
fn nothing() {}

#[observed]
fn reborrows<'a>(mut longest: &'a str, text: &'a str) -> usize {
    let local = text.to_owned();
    if local.len() > longest.len() {
        longest = &local;
    }
    longest.len()
}

#[observed]
fn exclusive(map: &mut HashMap<u8, String>, key: u8) -> Result<&String, Error> {
    map.entry(key).or_default().push('x');
    map.get(&key).ok_or(Error)
}

#[observed]
fn hands_back(values: &mut Vec<u8>) -> Option<&mut u8> {
    values.push(1);
    values.last_mut()
}

#[observed]
fn boxes(n: u32) -> Result<Box<dyn Fn(u32) -> u32>, Error> {
    if n == 0 {
        return Err(Error);
    }
    Ok(Box::new(move |m| m + n))
}

#[observed]
fn unsizes(values: &Vec<u8>) -> Option<&[u8]> {
    Some(values)
}

#[observed]
fn asks(text: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let n: u32 = text.parse()?;
    if n == 7 {
        Err("seven")?;
    }
    Ok(n)
}

#[observed]
fn hidden(n: u8) -> impl Iterator<Item = u8> {
    (0..n).map(|n| n * 2)
}

#[observed]
fn hidden_deep(n: u8) -> Result<Option<impl Iterator<Item = u8>>, std::num::ParseIntError> {
    let m: u8 = "3".parse()?;
    Ok(Some(0..n + m))
}

#[observed]
fn hidden_pair(n: u8) -> (impl Fn(u8) -> u8, u8) {
    (move |m| m + n, n)
}

#[observed]
fn patterns((a, mut b): (u8, u8), [c, ..]: [u8; 3], _: String, &d: &u8, Wrap { inner: e }: Wrap) -> u8 {
    b += 1;
    a + b + c + d + e
}

struct Wrap {
    inner: u8,
}

#[observed]
fn generic<'a, T, const N: usize>(values: &'a [T; N], show: impl Display) -> (&'a T, String)
where
    T: PartialOrd + 'a,
    [T; N]: Sized,
{
    (&values[0], show.to_string())
}

struct Sized2<const N: usize>;

#[observed]
fn braces_in_the_signature(_: Sized2<{ 1 + 1 }>) -> Sized2<{ 2 * 2 }> {
    Sized2
}

#[observed]
fn owned(mut text: String, _guard: Wrap, numbers: Vec<u8>) -> String {
    text.push_str(&numbers.len().to_string());
    text
}

#[observed]
fn recursive(n: u64) -> u64 {
    if n < 2 { n } else { recursive(n - 1) + recursive(n - 2) }
}

#[observed]
fn inner_attributes() -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

#[observed]
fn inner_items() -> u8 {
    const N: u8 = 3;
    #[observed]
    fn inner(n: u8) -> u8 {
        n + N
    }
    inner(1)
}

#[observed]
fn generic_return<T: Default>() -> T {
    T::default()
}

#[observed]
fn function_pointer() -> fn(u8) -> u8 {
    |n| n + 1
}

#[observed]
fn slices(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("")
}

#[observed]
fn dynamic<'a>(values: &'a [u8]) -> Box<dyn Iterator<Item = &'a u8> + 'a> {
    Box::new(values.iter())
}

#[observed]
#[must_use]
#[inline]
pub fn attributes(#[allow(unused_variables)] unused: u8) -> u8 {
    1
}

#[observed]
#[expect(clippy::unnecessary_wraps)]
fn options() -> Option<()> {
    None?;
    Some(())
}

#[observed(traced(args, ret))]
fn labelled_loops(n: u8) -> u8 {
    let found = 'outer: loop {
        for m in 0.. {
            if m == n {
                break 'outer m;
            }
        }
    };
    found
}

struct Loud(&'static str, std::rc::Rc<std::cell::RefCell<Vec<&'static str>>>);
impl Drop for Loud {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

macro_rules! drops {
    ($(#[$attr:meta])* $name:ident) => {
        $(#[$attr])*
        #[allow(unused_variables)]
        fn $name(a: Loud, (b, _): (Loud, Loud), _: Loud, _d: Loud, mut e: Loud) {
            let local = Loud("local", a.1.clone());
            e.0 = "e";
        }
    };
}
drops!(bare_drops);
drops!(#[observed] annotated_drops);

fn order(run: impl FnOnce([Loud; 6])) -> Vec<&'static str> {
    let seen = std::rc::Rc::default();
    run(["a", "b", "b2", "c", "d", "x"].map(|name| Loud(name, std::rc::Rc::clone(&seen))));
    seen.take()
}

fn main() {
    nothing();
    assert_eq!(reborrows("a", "bc"), 2);
    assert!(exclusive(&mut HashMap::new(), 1).is_ok());
    assert_eq!(hands_back(&mut vec![]), Some(&mut 1));
    assert_eq!(boxes(1).ok().unwrap()(2), 3);
    assert_eq!(unsizes(&vec![1]).unwrap().len(), 1);
    assert!(asks("x").is_err() && asks("7").is_err() && asks("8").is_ok());
    assert_eq!(hidden(2).sum::<u8>(), 2);
    assert_eq!(hidden_deep(2).unwrap().unwrap().count(), 5);
    assert_eq!(hidden_pair(2).0(1), 3);
    assert_eq!(patterns((1, 2), [3, 0, 0], String::new(), &4, Wrap { inner: 5 }), 16);
    assert_eq!(generic(&[1, 2], 'x'), (&1, "x".to_owned()));
    let Sized2::<4> = braces_in_the_signature(Sized2);
    assert_eq!(owned("a".into(), Wrap { inner: 0 }, vec![1]), "a1");
    assert_eq!(recursive(10), 55);
    assert_eq!(inner_attributes() + inner_items() + generic_return::<u8>(), 6);
    assert_eq!(function_pointer()(1), 2);
    assert_eq!(slices(b"x"), "x");
    assert_eq!(dynamic(&[1, 2]).count(), 2);
    assert_eq!(attributes(2), 1);
    assert_eq!(options(), None);
    assert_eq!(labelled_loops(3), 3);
    let bare = order(|[a, b, b2, c, d, e]| bare_drops(a, (b, b2), c, d, e));
    let annotated = order(|[a, b, b2, c, d, e]| annotated_drops(a, (b, b2), c, d, e));
    assert_eq!(bare, annotated);
}
