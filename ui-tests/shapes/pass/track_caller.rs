//! The caller's location survives.
#![deny(warnings)]

use std::panic::Location;
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

struct Guard;

impl Guard {
    #[observed]
    #[track_caller]
    fn here(&self) -> u32 {
        let Self = self;
        Location::caller().line()
    }
}

#[observed]
#[track_caller]
fn leaves_early<T: ToString>(value: T) -> Result<u32, std::num::ParseIntError> {
    let n: u32 = value.to_string().parse()?;
    Ok(n - n + Location::caller().line())
}

fn main() {
    assert_eq!(here(), line!());
    assert_eq!(asserts(true), line!());
    assert_eq!(Guard.here(), line!());
    assert_eq!(leaves_early(1), Ok(line!()));
}
