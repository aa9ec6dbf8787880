//! An attribute on an `impl`, `trait` or `mod`: each function in it gets a carrier, and expands as if it had been annotated.
//!
//! So one expansion serves both forms, a function's own attributes fuse with the block's, and an `#[async_trait]` below
//! the block's attribute still sees the functions as they were written.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::diag::Diagnostics;
use crate::lower;
use crate::stack::Stack;
use crate::tokens::{Attr, Item, Keyword, Kind, Part, items};

pub(super) fn block(stack: &Stack, item: &Item, keyword: Keyword, diag: &mut Diagnostics) -> TokenStream {
    lower::block(stack, diag);
    let mut below = stack.clone();
    below.within = within(item, keyword);
    // A trait's parameters follow its name.
    let begin = keyword.at + 1 + usize::from(keyword.name == "trait");
    below.outer = item.rest.get(begin..).map(parameters).unwrap_or_default();
    below.inherent = keyword.name == "impl" && item.rest.get(begin..).is_some_and(|head| !is_of_a_trait(head));
    below.entries.iter_mut().for_each(|entry| entry.block = true);
    let carried = with_each(item, Some(&below.carrier(&[])), diag);
    if diag.is_empty() {
        carried
    } else {
        with_each(item, None, &mut Diagnostics::default())
    }
}

/// The block with `#[vitalsign(skip)]` taken away, and the carrier given to those that are not left out.
fn with_each(item: &Item, carrier: Option<&TokenStream>, diag: &mut Diagnostics) -> TokenStream {
    let Some(body) = item.body() else {
        return item.to_token_stream();
    };
    let parts = items(body).into_iter().map(|part| match part {
        Part::Item(item) => part_of(item, carrier, diag),
        Part::Other(tokens) => tokens,
    });
    let mut group = Group::new(body.delimiter(), parts.collect());
    group.set_span(body.span());
    let attrs = &item.attrs;
    let head = &item.rest[..item.rest.len() - 1];
    quote!(#(#attrs)* #(#head)* #group)
}

/// A function, or a block with functions, is given the carrier; all else is left alone.
fn part_of(mut item: Item, carrier: Option<&TokenStream>, diag: &mut Diagnostics) -> TokenStream {
    let skipped = take_skip(&mut item.attrs, diag);
    let measured = match item.kind() {
        Kind::Function { constant } => !constant && item.body().is_some(),
        Kind::Block(_) => true,
        Kind::Other => false,
    };
    if skipped || !measured {
        return item.to_token_stream();
    }
    quote!(#carrier #item)
}

/// Takes `#[vitalsign(skip)]` away.
fn take_skip(attrs: &mut Vec<Attr>, diag: &mut Diagnostics) -> bool {
    let mut skipped = false;
    attrs.retain(|attr| {
        let ours = attr.ends_in("vitalsign");
        if ours {
            lower::skip(attr, diag);
            skipped = true;
        }
        !ours
    });
    skipped
}

/// The name before `::` in the functions' names; none for a module's.
fn within(item: &Item, keyword: Keyword) -> Option<String> {
    let head = item.rest.get(keyword.at + 1..item.rest.len() - 1)?;
    match keyword.name {
        "trait" => head.first().map(ToString::to_string),
        "impl" => Some(self_type(head)),
        _ => None,
    }
}

/// The names of the generic parameters with which the head of a block begins: what follows `<` or a comma of the outermost list.
fn parameters(head: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut begins, mut dash) = (0_i32, false, false);
    for tree in head {
        match tree {
            TokenTree::Punct(punct) => match punct.as_char() {
                '<' => (depth, begins) = (depth + 1, depth == 0),
                '>' if !dash => depth -= 1,
                ',' if depth == 1 => begins = true,
                // A lifetime has no name that a type could use.
                '\'' => begins = false,
                _ => {}
            },
            TokenTree::Ident(word) if begins && word != "const" => {
                names.push(word.to_string());
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        dash = matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '-');
    }
    names
}

/// `impl Trait for Type`, by its `for`: the one of `for<'a>` belongs to a type.
fn is_of_a_trait(head: &[TokenTree]) -> bool {
    head.iter()
        .enumerate()
        .any(|(at, tree)| is_for(tree) && !is_binder(head, at))
}

fn is_for(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Ident(word) if word == "for")
}

fn is_binder(head: &[TokenTree], at: usize) -> bool {
    matches!(head.get(at + 1), Some(TokenTree::Punct(punct)) if punct.as_char() == '<')
}

/// The last name of the type that an `impl` is for.
pub(super) fn self_type(head: &[TokenTree]) -> String {
    let mut depth = 0_i32;
    let mut name = String::new();
    let (mut dash, mut tick) = (false, false);
    for (at, tree) in head.iter().enumerate() {
        match tree {
            // Further bounds of `dyn`, and what a `fn` pointer returns.
            TokenTree::Punct(punct) if depth == 0 && "+-".contains(punct.as_char()) && !name.is_empty() => break,
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            // `->` closes nothing.
            TokenTree::Punct(punct) if punct.as_char() == '>' && !dash => depth -= 1,
            TokenTree::Ident(word) if depth == 0 && word == "where" => break,
            tree if depth == 0 && is_for(tree) && !is_binder(head, at) => name.clear(),
            TokenTree::Ident(word)
                if depth == 0 && !tick && !["dyn", "mut", "const", "for"].iter().any(|keyword| word == keyword) =>
            {
                name = word.to_string();
            }
            TokenTree::Group(group) if name.is_empty() => name = group.to_string(),
            _ => {}
        }
        dash = matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '-');
        tick = matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '\'');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_type_is_named_by_its_last_word() {
        let name = |source: &str| {
            let item = Item::new(source.parse().unwrap());
            let Kind::Block(keyword) = item.kind() else {
                panic!("no block")
            };
            within(&item, keyword)
        };
        assert_eq!(name("impl<T: Fn() -> u8> Store<T> {}").as_deref(), Some("Store"));
        assert_eq!(
            name("unsafe impl a::Trait<u8> for crate::b::Store<'_, u8> where u8: Copy {}").as_deref(),
            Some("Store")
        );
        assert_eq!(name("impl Trait for &mut Store {}").as_deref(), Some("Store"));
        assert_eq!(name("impl Trait for (u8, u16) {}").as_deref(), Some("(u8 , u16)"));
        assert_eq!(name("pub trait Load: Send {}").as_deref(), Some("Load"));
        assert_eq!(name("impl dyn Handle + Send + 'static {}").as_deref(), Some("Handle"));
        assert_eq!(
            name("impl<'a> Trait for &'a (u8, u16) {}").as_deref(),
            Some("(u8 , u16)")
        );
        assert_eq!(name("impl Trait for fn(u8) -> u16 {}").as_deref(), Some("fn"));
        assert_eq!(name("mod m {}"), None);
    }
}
