//! `LabelValue` and `ErrorLabel`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::{ErrorLabel, LabelValue, counted, observed};

#[derive(LabelValue, Clone, Copy)]
enum Channel {
    Web,
    MobileApp,
    #[label(rename = "partner")]
    Reseller,
}

#[derive(LabelValue)]
#[label(rename_all = "SCREAMING-KEBAB-CASE", crate = ::vitalsign)]
enum Status {
    PaidInFull,
    r#Else,
}

#[derive(ErrorLabel, Debug)]
enum OrderError<'a, T> {
    #[label(outcome = "ok")]
    NotFound,
    #[label(rename = "Database")]
    Db(T),
    Invalid { field: &'a str },
}

impl<T> std::fmt::Display for OrderError<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Db(_) => f.write_str("database"),
            Self::Invalid { field } => write!(f, "{field}"),
        }
    }
}
impl<T: std::fmt::Debug> std::error::Error for OrderError<'_, T> {}

#[derive(ErrorLabel)]
#[label(rename_all = "snake_case")]
enum Silent {
    NoWords,
}

#[observed]
fn with_error(n: u8) -> Result<u8, OrderError<'static, u8>> {
    match n {
        0 => Err(OrderError::NotFound),
        1 => Err(OrderError::Db(1)),
        2 => Err(OrderError::Invalid { field: "n" }),
        n => Ok(n),
    }
}

#[observed]
async fn silent() -> Result<(), Silent> {
    Err(Silent::NoWords)
}

/// One of its values reads as the `None` of an `Option` does: they are one series.
#[derive(LabelValue, Clone, Copy)]
enum Mode {
    Fast,
    None,
    Slow,
}

#[counted(labels(mode = mode))]
fn optional(mode: Option<Mode>) -> bool {
    mode.is_some()
}

/// What a derive writes means the same beside types of these names.
mod shadowed {
    #![allow(non_camel_case_types, dead_code)]
    struct usize;
    struct str;
    struct bool;

    #[derive(vitalsign::LabelValue)]
    pub enum Value {
        None,
    }

    #[derive(vitalsign::ErrorLabel)]
    pub enum Error {
        #[label(outcome = "ok")]
        Fine,
    }
}

fn main() {
    let mode = |mode: Option<Mode>| (mode.index(), <Option<Mode>>::value(mode.index()));
    assert_eq!((mode(None), mode(Some(Mode::None)), mode(Some(Mode::Slow))), ((1, "none"), (1, "none"), (2, "slow")));
    assert_eq!((<Option<Mode>>::LEN, <Option<Option<Mode>>>::LEN, <Option<Option<bool>>>::LEN), (3, 3, 3));
    assert!(!optional(None) && optional(Some(Mode::Fast)));
    assert_eq!((shadowed::Value::None.index(), shadowed::Error::Fine.is_failure()), (0, false));
    let texts = |n| (0..n).map(Channel::value).collect::<Vec<_>>();
    assert_eq!(texts(Channel::LEN), ["web", "mobile_app", "partner"]);
    assert_eq!([Channel::Web, Channel::MobileApp, Channel::Reseller].map(|channel| channel.index()), [0, 1, 2]);
    assert_eq!(Status::value(Status::PaidInFull.index()), "PAID-IN-FULL");
    assert_eq!(Status::value(Status::Else.index()), "ELSE");
    assert_eq!(<OrderError<'_, u8>>::value(1), "Database");
    assert!(!OrderError::<'_, u8>::NotFound.is_failure());
    let invalid: OrderError<'_, u8> = OrderError::Invalid { field: "x" };
    assert!(invalid.is_failure());
    assert_eq!(Silent::value(0), "no_words");
    assert!(with_error(0).is_err() && with_error(1).is_err() && with_error(2).is_err() && with_error(3).is_ok());
    drop(silent());
}
