//! The caller's location survives, also where the body leaves early.
#![deny(warnings)]

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;
use vitalsign::observed;

#[observed]
#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

#[observed]
#[track_caller]
fn asserts(ok: bool) -> u32 {
    assert!(ok, "not {ok}");
    Location::caller().line()
}

#[observed]
#[track_caller]
fn leaves_early<T: ToString>(value: T) -> Result<u32, std::num::ParseIntError> {
    let n: u32 = value.to_string().parse()?;
    Ok(n - n + Location::caller().line())
}

/// What cannot be seen through leaves a function of its own.
macro_rules! bail {
    () => {
        return None
    };
}

#[observed]
#[track_caller]
fn bails(n: u32) -> Option<u32> {
    if n == 0 {
        bail!();
    }
    Some(Location::caller().line())
}

#[observed]
#[track_caller]
fn patterns((a, b): (Option<u32>, u32), [c, ..]: [u32; 2]) -> Option<u32> {
    if b > c {
        return None;
    }
    Some(a? - a? + Location::caller().line())
}

#[observed]
#[track_caller]
unsafe fn dangerous(n: *const u32) -> Option<u32> {
    if n.is_null() {
        return None;
    }
    Some(unsafe { *n } + Location::caller().line())
}

#[observed]
#[track_caller]
fn prepared(n: Option<u32>) -> impl Future<Output = u32> {
    let line = Location::caller().line() + n.unwrap();
    std::future::ready(line)
}

type Boxed = Pin<Box<dyn Future<Output = u32> + Send>>;

#[observed]
#[track_caller]
fn boxed(n: Option<u32>) -> Boxed {
    let line = Location::caller().line();
    match n {
        None => Box::pin(std::future::ready(0)),
        Some(n) => Box::pin(std::future::ready(n + line)),
    }
}

struct Shelf {
    items: Vec<u32>,
}

/// In an `impl` of no trait such a body leaves a method beside.
impl Shelf {
    #[observed(traced(args))]
    #[track_caller]
    pub fn bails(mut self, mut n: u32) -> Option<(Self, u32)> {
        if n == 0 {
            bail!();
        }
        n -= n;
        self.items.push(n);
        Some((self, n + Location::caller().line()))
    }

    #[observed]
    #[track_caller]
    #[cfg(not(any()))]
    pub fn of<T, const N: usize>(items: [u32; N], more: &impl Sized) -> Option<(Self, T)>
    where
        T: From<u32>,
    {
        if N == 0 && size_of_val(more) > 0 {
            bail!();
        }
        Some((Self { items: items.to_vec() }, T::from(Location::caller().line())))
    }
}

#[observed]
impl<'a> Lent<'a> {
    #[track_caller]
    fn bails(&mut self, n: u32) -> Option<(&mut &'a str, u32)> {
        if n == 0 {
            bail!();
        }
        Some((&mut self.0, Location::caller().line()))
    }
}

struct Lent<'a>(&'a str);

#[derive(Debug, PartialEq)]
struct Error;

impl From<std::num::ParseIntError> for Error {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

impl Shelf {
    #[observed]
    #[track_caller]
    fn here(&self) -> u32 {
        let Self { items: _ } = self;
        Location::caller().line()
    }

    #[observed(traced(args, ret))]
    #[track_caller]
    fn asks(&self, text: &str) -> Result<u32, Error> {
        let n: usize = text.parse()?;
        let Some(item) = self.items.get(n) else { return Err(Error) };
        println!("{}", self.items.first().ok_or(Error)?);
        Ok(*item + Location::caller().line())
    }

    #[observed]
    #[track_caller]
    fn borrows(&mut self, n: usize) -> Option<(&mut u32, u32)> {
        if n > 9 {
            return None;
        }
        self.items.push(0);
        Some((self.items.get_mut(n)?, Location::caller().line()))
    }

    #[observed]
    #[track_caller]
    fn consumes(mut self, (a, b): (u32, Option<u32>)) -> Result<(Self, u32), Error> {
        for item in &mut self.items {
            if *item == a {
                return Ok((self, Location::caller().line()));
            }
            *item += b.ok_or(Error)?;
        }
        Err(Error)
    }

    #[observed]
    #[track_caller]
    fn keeps_theirs(&self) -> Option<u32> {
        fn first(items: &[u32]) -> Option<u32> {
            let item = items.first()?;
            return Some(*item);
        }
        let even = |n: &u32| {
            let n = n.checked_add(2)?;
            if n == 1 {
                return None;
            }
            Some(n % 2)
        };
        drop(async { return 1 });
        let n = first(&self.items)?;
        'found: {
            for item in &self.items {
                if even(item) == Some(0) {
                    break 'found;
                }
            }
            return None;
        }
        Some(n - n + Location::caller().line())
    }

    #[observed]
    #[track_caller]
    fn polls(&self, ready: Poll<Result<u32, Error>>) -> Poll<Result<u32, Error>> {
        match ready? {
            Poll::Ready(n) => Poll::Ready(Ok(n + Location::caller().line())),
            Poll::Pending => return Poll::Pending,
        }
    }

    #[observed]
    #[track_caller]
    fn controls(&self, flow: ControlFlow<u32>) -> ControlFlow<u32, u32> {
        flow?;
        ControlFlow::Continue(Location::caller().line())
    }

    #[observed]
    #[track_caller]
    fn hides(&self, n: usize) -> Option<impl Iterator<Item = u32>> {
        if n > 9 {
            return None;
        }
        Some(self.items.iter().map(|_| Location::caller().line()).chain([Location::caller().line()]))
    }

    #[observed]
    #[track_caller]
    fn nothing(&self, lines: &mut Vec<u32>) {
        if lines.len() > 1 {
            return;
        }
        lines.push(Location::caller().line());
    }
}

struct Filled<T>(Vec<T>);

#[observed]
impl<Item: Default> Filled<Item> {
    #[track_caller]
    fn count(n: Option<usize>) -> Option<(usize, u32)> {
        let items = Self((0..n?).map(|_| Item::default()).collect());
        Some((items.0.len(), Location::caller().line()))
    }

    #[track_caller]
    fn bails(n: usize) -> Option<(usize, u32)> {
        if n == 0 {
            bail!();
        }
        let items: Vec<Item> = (0..n).map(|_| Item::default()).collect();
        Some((items.len(), Location::caller().line()))
    }
}

impl<Item: Default> Filled<Item> {
    #[observed]
    #[track_caller]
    pub fn alone(n: Option<usize>, item: Option<Item>) -> Option<(usize, u32)> {
        let items: Vec<Item> = (0..n?).map(|_| Item::default()).chain(item).collect();
        Some((items.len(), Location::caller().line()))
    }
}

trait Located {
    fn located(&self, n: Option<u32>) -> Option<u32>;
}

impl Located for Shelf {
    #[observed]
    #[track_caller]
    fn located(&self, n: Option<u32>) -> Option<u32> {
        Some(n? + Location::caller().line() + Self { items: vec![] }.items.len() as u32)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(here(), line!());
    assert_eq!(asserts(true), line!());
    assert_eq!(leaves_early(1), Ok(line!()));
    assert_eq!((bails(0), bails(1)), (None, Some(line!())));
    assert_eq!(patterns((Some(1), 2), [3, 4]), Some(line!()));
    assert_eq!(unsafe { dangerous(&0) }, Some(line!()));
    assert_eq!(prepared(Some(0)).await, line!());
    assert_eq!(boxed(Some(0)).await, line!());

    let mut shelf = Shelf { items: vec![0, 2] };
    assert_eq!(shelf.here(), line!());
    assert_eq!((shelf.asks("x"), shelf.asks("7")), (Err(Error), Err(Error)));
    assert_eq!(shelf.asks("0"), Ok(line!()));
    assert_eq!(shelf.borrows(0), Some((&mut 0, line!())));
    assert_eq!(shelf.borrows(10), None);
    assert_eq!(shelf.borrows(9), None);
    assert_eq!(shelf.keeps_theirs(), Some(line!()));
    assert_eq!(shelf.polls(Poll::Ready(Ok(0))), Poll::Ready(Ok(line!())));
    assert_eq!(shelf.polls(Poll::Ready(Err(Error))), Poll::Ready(Err(Error)));
    assert_eq!(shelf.controls(ControlFlow::Continue(())), ControlFlow::Continue(line!()));
    assert_eq!(shelf.controls(ControlFlow::Break(1)), ControlFlow::Break(1));
    assert_eq!(shelf.hides(1).and_then(Iterator::last), Some(line!()));
    let mut lines = vec![];
    shelf.nothing(&mut lines);
    assert_eq!(lines, [line!() - 1]);
    assert_eq!(shelf.located(Some(0)), Some(line!()));
    assert_eq!(Shelf { items: vec![] }.bails(1).map(|(_, line)| line), Some(line!()));
    assert!(Shelf { items: vec![] }.bails(0).is_none());
    assert_eq!(Shelf::of::<u64, 1>([0], &"").map(|(_, line)| line), Some(u64::from(line!())));
    assert_eq!(Lent("a").bails(1), Some((&mut "a", line!())));
    assert_eq!(Lent("a").bails(0), None);
    assert_eq!(Filled::<u8>::count(Some(2)), Some((2, line!())));
    assert_eq!((Filled::<u8>::bails(0), Filled::<u8>::bails(2)), (None, Some((2, line!()))));
    assert_eq!(Filled::alone(Some(2), Some(1)), Some((3, line!())));
    assert_eq!(shelf.consumes((2, Some(1))).ok().map(|(_, line)| line), Some(line!()));
}
