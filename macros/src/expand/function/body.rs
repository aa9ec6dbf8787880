//! The user's body in its new place: arguments bound again, tied to the declared type.

use std::iter::Peekable;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned as _;
use syn::{Attribute, ReturnType, Type};

use crate::lower::apart::is_read;
use crate::model::{Apart, Rebind, Receiver};
use crate::tokens::{mentions, mentions_ident};

/// Inner attributes of the body become outer ones of the function: they mean the same there.
pub(super) fn inner_attributes(body: &Group) -> (Vec<TokenStream>, Group) {
    let mut trees = body.stream().into_iter().collect::<Vec<_>>();
    let mut attrs = Vec::new();
    while let [
        TokenTree::Punct(pound),
        TokenTree::Punct(bang),
        TokenTree::Group(group),
        ..,
    ] = trees.as_slice()
        && pound.as_char() == '#'
        && bang.as_char() == '!'
        && group.delimiter() == Delimiter::Bracket
    {
        attrs.push(emit!(#pound #group));
        trees.drain(..3);
    }
    if attrs.is_empty() {
        return (attrs, body.clone());
    }
    let mut rest = Group::new(body.delimiter(), trees.into_iter().collect());
    rest.set_span(body.span());
    (attrs, rest)
}

/// The body behind `before`, in braces of its own span, so that errors about it point there. Where it has items, the braces are
/// ours as to lints: to clippy those items would stand behind statements.
pub(super) fn braced(body: &Group, before: &TokenStream) -> Group {
    let stream = body.stream();
    let items = !before.is_empty() && has_items(&stream);
    let mut group = Group::new(body.delimiter(), emit!(#before #stream));
    group.set_span(if items {
        body.span().resolved_at(Span::mixed_site())
    } else {
        body.span()
    });
    group
}

/// A word that begins an item stands among the statements.
fn has_items(body: &TokenStream) -> bool {
    const ITEMS: &[&str] = &[
        "fn", "use", "const", "static", "struct", "enum", "union", "type", "impl", "trait", "mod", "extern",
    ];
    body.clone()
        .into_iter()
        .any(|tree| matches!(&tree, TokenTree::Ident(word) if ITEMS.iter().any(|item| word == item)))
}

/// The conditions under which an argument is there.
pub(in crate::expand) fn conditions(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

/// `let x = x;` as rustc's lowering of `async fn` has it: same order of drops, same lints. A name that only `said` uses is
/// used.
pub(super) fn rebinds<'a>(rebinds: impl IntoIterator<Item = &'a Rebind>, said: Option<&TokenStream>) -> TokenStream {
    rebinds.into_iter().map(|rebind| rebound(rebind, said)).collect()
}

fn rebound(rebind: &Rebind, said: Option<&TokenStream>) -> TokenStream {
    let Rebind {
        attrs,
        pattern,
        source,
        names,
        hidden,
    } = rebind;
    let used = said.is_some_and(|said| names.iter().any(|name| mentions_ident(said, name)));
    let used = used.then(|| emit!(#[allow(unused_variables)]));
    if *hidden {
        let source_again = again(rebind);
        return emit!(#source_again #(#attrs)* #used let #pattern = #source;);
    }
    let underscore = underscored(source)
        .then(|| emit!(#[allow(clippy::used_underscore_binding, clippy::no_effect_underscore_binding)]));
    emit!(#(#attrs)* #used #underscore let #pattern = #source;)
}

/// A name that says it is not used.
pub(super) fn underscored(name: &Ident) -> bool {
    name.to_string().starts_with('_')
}

/// A hidden argument under its own name, of which the pattern may borrow mutably.
fn again(
    Rebind {
        attrs, pattern, source, ..
    }: &Rebind,
) -> TokenStream {
    let mutable = count(&pattern.to_token_stream(), &["ref", "mut"]) > 0;
    let mutable = mutable.then(|| emit!(mut));
    emit!(#(#attrs)* let #mutable #source = #source;)
}

/// How often these words stand one after the other.
fn count(pattern: &TokenStream, words: &[&str]) -> usize {
    let (mut next, mut found) = (0, 0);
    for tree in pattern.clone() {
        if let TokenTree::Group(group) = &tree {
            found += count(&group.stream(), words);
        }
        let matched = matches!(&tree, TokenTree::Ident(word) if word == words[next]);
        next = if matched { next + 1 } else { 0 };
        if next == words.len() {
            (next, found) = (0, found + 1);
        }
    }
    found
}

/// What is said, of arguments that are taken apart for it alone.
pub(super) fn lend(apart: &[Apart], said: &TokenStream) -> TokenStream {
    let read = apart.iter().filter(|apart| is_read(apart, said));
    let parts = read.map(
        |Apart {
             cfg, pattern, source, ..
         }| emit!(#(#cfg)* #[allow(unused_variables)] let #pattern = &#source;),
    );
    let parts: TokenStream = parts.collect();
    if parts.is_empty() {
        said.clone()
    } else {
        emit!({ #parts #said })
    }
}

/// Keeps an owned `self` in the body.
pub(super) fn hold(receiver: &Receiver) -> TokenStream {
    match receiver {
        Receiver::None => TokenStream::new(),
        Receiver::Owned(token) => emit!(let _ = &#token;),
    }
}

/// What ties a closure to the declared type: its annotation, or where that has `impl` an edge inside.
pub(super) fn tie(output: &ReturnType) -> (TokenStream, TokenStream) {
    let ReturnType::Type(arrow, ty) = output else {
        return (emit!(-> ()), TokenStream::new());
    };
    let tokens = ty.to_token_stream();
    if has_impl(&tokens) {
        (TokenStream::new(), edge(&erased(&tokens), ty.span()))
    } else {
        (emit!(#arrow #ty), TokenStream::new())
    }
}

/// The same for a block, which cannot be annotated.
pub(super) fn edge_inside(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => edge(&emit!(()), Span::mixed_site()),
        ReturnType::Type(_, ty) => edge(&erased(&ty.to_token_stream()), ty.span()),
    }
}

/// The same for the block of a future that the function returns.
pub(super) fn edge_of_future(output: &ReturnType) -> TokenStream {
    let ReturnType::Type(_, ty) = output else {
        return TokenStream::new();
    };
    let tokens = ty.to_token_stream();
    let said = has_impl(&tokens).then(|| associated(&tokens, "Output")).flatten();
    match said {
        Some(output) => edge(&erased(&output), ty.span()),
        None if matches!(**ty, Type::ImplTrait(_)) => TokenStream::new(),
        None => {
            let erased = erased(&tokens);
            let output = emit!(<#erased as ::core::future::Future>::Output);
            edge(&output, ty.span())
        }
    }
}

/// The type of a stream's items, as far as `-> impl Stream<Item = …>` says it; a boxed one is tied by its own type.
pub(super) fn item(output: &ReturnType) -> Option<TokenStream> {
    let ReturnType::Type(_, ty) = output else { return None };
    Some(erased(&associated(&ty.to_token_stream(), "Item")?))
}

/// The type behind `Output =`, or another name.
fn associated(tokens: &TokenStream, name: &str) -> Option<TokenStream> {
    let mut trees = tokens.clone().into_iter().peekable();
    trees.find(|tree| matches!(tree, TokenTree::Ident(word) if word == name))?;
    trees.next_if(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '='))?;
    let rest = trees.clone().count();
    skip_bounds(&mut trees);
    let taken = rest - trees.count();
    let mut trees = tokens
        .clone()
        .into_iter()
        .skip_while(|tree| !matches!(tree, TokenTree::Ident(word) if word == name));
    Some(trees.by_ref().skip(2).take(taken).collect())
}

/// A return that never runs: it tells inference the type, so that `?` and coercions work as in the bare function. It stands on
/// the return type, where a mismatch is explained.
fn edge(ty: &TokenStream, span: Span) -> TokenStream {
    let mut trees = ty.clone().into_iter();
    if let (Some(TokenTree::Ident(word)), None) = (trees.next(), trees.next())
        && word == "_"
    {
        return TokenStream::new();
    }
    let ret = Ident::new("ret", Span::mixed_site().located_at(span));
    emit! {
        #[allow(unreachable_code, clippy::all, clippy::pedantic)]
        if false {
            let #ret: #ty = loop {};
            return #ret;
        }
    }
}

fn has_impl(tokens: &TokenStream) -> bool {
    mentions(tokens, &|tree| matches!(tree, TokenTree::Ident(word) if word == "impl"))
}

/// The type with every `impl …` replaced by `_`.
pub(super) fn erased(tokens: &TokenStream) -> TokenStream {
    if !has_impl(tokens) {
        return tokens.clone();
    }
    let mut out = TokenStream::new();
    let mut trees = tokens.clone().into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Ident(word) if word == "impl" => {
                out.extend(emit!(_));
                skip_bounds(&mut trees);
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), erased(&group.stream()));
                inner.set_span(group.span());
                out.extend([TokenTree::Group(inner)]);
            }
            tree => out.extend([tree]),
        }
    }
    out
}

/// Passes the bounds behind `impl`, up to a comma or a bracket that was opened before.
fn skip_bounds(trees: &mut Peekable<IntoIter>) {
    let mut depth = 0_u32;
    let mut dash = false;
    while let Some(tree) = trees.peek() {
        let char = match tree {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        match char {
            '<' => depth += 1,
            '>' if !dash && depth == 0 => return,
            '>' if !dash => depth -= 1,
            ',' | ';' | '=' if depth == 0 => return,
            _ => {}
        }
        dash = char == '-';
        trees.next();
    }
}

#[cfg(test)]
mod tests {
    use super::{associated, erased};

    #[test]
    fn the_output_of_a_future_is_read_off() {
        let output = |source: &str| {
            associated(&source.parse().unwrap(), "Output").map(|output| output.to_string().replace(' ', ""))
        };
        assert_eq!(
            output("impl Future<Output = Result<u8, Box<dyn Fn() -> u8>>> + Send").as_deref(),
            Some("Result<u8,Box<dynFn()->u8>>")
        );
        assert_eq!(output("impl Future").as_deref(), None);
    }

    #[test]
    fn impl_types_are_left_to_inference() {
        let erase = |source: &str| erased(&source.parse().unwrap()).to_string().replace(' ', "");
        assert_eq!(
            erase("Result<Option<impl Iterator<Item = u8> + 'a>, Error>"),
            "Result<Option<_>,Error>"
        );
        assert_eq!(erase("(impl Fn(u8) -> u8, u8)"), "(_,u8)");
        assert_eq!(erase("Box<dyn Fn(u8) -> Vec<u8>>"), "Box<dynFn(u8)->Vec<u8>>");
        assert_eq!(erase("impl Fn() -> Box<dyn Fn()>"), "_");
    }
}
