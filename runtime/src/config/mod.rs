//! What the environment says: the variables, and the resource that this process is.
//!
//! Every variable is a row of one table, [`variables()`]; the parser, this documentation and the tests are fed from it.
//!
//! Unset and empty are the same. Only `true` is true. What cannot be taken as it stands gives one warning that names the
//! variable, its value and what holds instead. The words of the [`builder`](crate::builder) win over all of them.
//!
#![doc = include_str!("variables.md")]

#[cfg(feature = "_aws")]
mod aws;
pub(crate) mod env;
pub(crate) mod parse;
pub(crate) mod resource;
pub(crate) mod table;
pub(crate) mod url;

pub use resource::{AttrValue, Resource};
pub use table::{Variable, variables};
