//! What the user wrote in an attribute's parentheses, with spans; no defaults, no rules.

mod fields;
mod labels;
mod parse;
#[macro_use]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "`ui-tests` includes this file too, and reads all of it"
)]
pub(crate) mod table;

use proc_macro2::Span;
use syn::{Expr, Ident, LitBool, LitInt, LitStr, Path, Type};

pub(crate) use labels::{limit_of, literal_text};
pub(crate) use parse::options;
use table::{Attr, Row};

/// The options of one attribute, as written.
pub(crate) struct Options {
    pub(crate) attr: Attr,
    /// The attribute's name where it was written.
    pub(crate) span: Span,
    /// Written on the block around the function.
    pub(crate) block: bool,
    pub(crate) list: Vec<Opt>,
}

/// One option.
pub(crate) struct Opt {
    pub(crate) key: Ident,
    pub(crate) row: &'static Row,
    pub(crate) value: Value,
}

/// What was written for it, by the form of its row.
pub(crate) enum Value {
    Flag,
    Text(LitStr),
    Expr(Expr),
    Word(Ident),
    Level(Level),
    Path(Path),
    Bool(LitBool),
    Count(LitInt),
    Names(Vec<Ident>),
    Fields(Vec<Field>),
    Labels(Vec<Label>),
    Ret(Show),
    Err(Vec<ErrWord>),
    Floats(Vec<Expr>),
    Exponential(Box<[Expr; 3]>),
    Nested(Options),
}

/// `TRACE` to `ERROR`.
#[derive(Clone)]
pub(crate) struct Level(pub(crate) Ident);

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As its own type.
    Native,
    /// `%`
    Display,
    /// `?`
    Debug,
}

/// One word in `err(…)`.
pub(crate) enum ErrWord {
    Debug(Ident),
    Off(Ident),
    Level(Ident, Level),
}

/// One field of `fields(…)`.
pub(crate) struct Field {
    pub(crate) key: Key,
    /// `None`: a key alone.
    pub(crate) value: Option<FieldValue>,
}

/// A dotted name with the tokens it was written in.
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
    /// Its parts, when it was written without quotes.
    pub(crate) parts: Vec<Ident>,
}

pub(crate) struct FieldValue {
    pub(crate) show: Show,
    pub(crate) wrap: Option<Wrap>,
    pub(crate) expr: Expr,
}

/// A wrapper around a field's value.
#[derive(Clone)]
pub(crate) enum Wrap {
    Hash,
    Redact,
    Truncate(Expr),
    Len,
    Plain,
}

/// One label of `labels(…)`.
pub(crate) struct Label {
    pub(crate) key: Ident,
    /// `k: Type = …`
    pub(crate) ty: Option<Type>,
    pub(crate) value: LabelValue,
}

pub(crate) enum LabelValue {
    Expr(Expr),
    /// `limit(expr, 50)`
    Limit(Expr, LitInt),
}

impl Options {
    /// Marks these options, and those nested in them, as the block's.
    pub(crate) fn set_block(&mut self, block: bool) {
        self.block = block;
        for option in &mut self.list {
            if let Value::Nested(nested) = &mut option.value {
                nested.set_block(block);
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Opt> {
        self.list.iter().find(|option| option.row.name == name)
    }
}
