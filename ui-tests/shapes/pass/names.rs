//! Arguments and items called like what an expansion might use.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(non_snake_case, clippy::too_many_arguments)]

use vitalsign::observed;

#[observed(traced(fields(call, ret, s, value)), counted(by = |ret| *ret as u64))]
fn locals(call: u32, ret: u32, s: u32, value: u32, site: u32, ended: u32, kind: u32, __arg0: u32) -> u32 {
    call + ret + s + value + site + ended + kind + __arg0
}

#[observed(traced(fields(call, ret, s, value)))]
async fn locals_later(call: u32, ret: u32, s: u32, value: u32, future: u32, (__arg0, at): (u32, u32)) -> u32 {
    call + ret + s + value + future + __arg0 + at
}

#[derive(Debug, PartialEq)]
enum Kind {
    Probe,
}
#[derive(Debug)]
struct Probe;

impl Probe {
    fn settle(&self, _: &mut u8) -> Kind {
        Kind::Probe
    }
    fn kind(&self) -> Kind {
        Kind::Probe
    }
}

#[observed(ok_if = |probe: &Probe| probe.kind() == Kind::Probe)]
fn own_types(n: &mut u8) -> Probe {
    assert_eq!(Probe.settle(n), Kind::Probe);
    Probe
}

macro_rules! made {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($arg:ident: $ty:ty) -> $out:ty $body:block) => {
        $(#[$attr])*
        #[observed(traced(args))]
        $vis fn $name($arg: $ty) -> $out $body
    };
}
made! {
    /// Made by a macro.
    pub(crate) fn by_macro(n: Vec<u8>) -> Result<usize, std::num::ParseIntError> {
        let m: usize = "1".parse()?;
        Ok(n.len() + m)
    }
}

macro_rules! passed_on {
    ($($item:item)*) => { $(#[observed] $item)* };
}
passed_on! {
    fn first() -> u8 { 1 }
    pub(crate) async fn second(n: u8) -> u8 { n }
}

fn main() {
    assert_eq!(locals(1, 1, 1, 1, 1, 1, 1, 1), 8);
    drop(locals_later(1, 1, 1, 1, 1, (1, 1)));
    own_types(&mut 1);
    assert_eq!(by_macro(vec![1]), Ok(2));
    assert_eq!(first(), 1);
    drop(second(1));
}
