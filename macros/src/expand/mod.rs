//! The model becomes tokens. Nothing can fail here: whatever is wrong was said by `lower`.

mod block;
mod entry;
mod fallback;
mod function;
pub(crate) mod health;
mod settle;
mod site;

use proc_macro2::TokenStream;
use quote::quote;

use crate::diag::Diagnostics;
use crate::lower;
use crate::stack::Stack;
use crate::tokens::{Item, Kind};

pub(crate) use fallback::fallback;

/// An item under its whole stack of attributes.
pub(crate) fn item(stack: &Stack, item: &Item) -> TokenStream {
    let mut diag = Diagnostics::default();
    match item.kind() {
        Kind::Function { constant } => match function(stack, item, constant, &mut diag) {
            Some(tokens) if diag.is_empty() => tokens,
            _ => fallback(&diag, item),
        },
        Kind::Block(keyword) => {
            let block = block::block(stack, item, keyword, &mut diag);
            fallback(&diag, &block)
        }
        Kind::Other => {
            lower::misplaced(stack, &mut diag);
            fallback(&diag, item)
        }
    }
}

fn function(stack: &Stack, item: &Item, constant: bool, diag: &mut Diagnostics) -> Option<TokenStream> {
    let function = diag.take(item.function())?;
    let (Some(body), false) = (item.body(), constant) else {
        lower::unmeasurable(&function, stack, diag);
        return None;
    };
    let model = lower::function(function, body, stack, diag);
    if !cfg!(feature = "record") {
        // What only an option reads, nothing reads now.
        let read = stack.entries.iter().any(|entry| !entry.arguments.is_empty());
        let unused = read.then(|| emit!(#[allow(unused_variables)]));
        return Some(quote!(#unused #item));
    }
    Some(function::function(&model, body))
}

/// `#[vitalsign(…)]` that no annotated block around it took away.
pub(crate) fn alone(item: &TokenStream) -> TokenStream {
    let mut diag = Diagnostics::default();
    lower::alone(&mut diag);
    fallback(&diag, item)
}
