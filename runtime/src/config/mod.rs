//! What the environment says: the variables, and the resource that this process is.
//!
//! Every variable is a row of one table, [`variables()`]; the parser, the documentation and the tests are fed from it.

pub(crate) mod env;
pub(crate) mod parse;
pub(crate) mod resource;
pub(crate) mod table;
pub(crate) mod url;

pub use resource::{AttrValue, Resource};
pub use table::{Variable, variables};
