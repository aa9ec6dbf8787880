//! Gathers the attributes stacked on one item, so that they expand together, once.
//!
//! An attribute that sees a sibling below hops over it: it emits the item again with its own arguments in a carrier
//! attribute behind the last sibling. So rustc resolves every attribute by itself: none looks unused, a foreign one of the
//! same name does its own work, and a sibling behind an alias still works, as a second wrapper.

use proc_macro2::{Delimiter, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{LitStr, Path};

use crate::args::table::Attr;
use crate::paths::{Root, is_carried};
use crate::tokens::{self, Item};

/// The attributes that fuse.
const FUSING: [Attr; 4] = [Attr::Traced, Attr::Counted, Attr::Timed, Attr::Observed];

/// One attribute of the stack: its name, its arguments, and where it was written.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) attr: Attr,
    pub(crate) span: Span,
    pub(crate) arguments: TokenStream,
    /// Written on the block around the function.
    pub(crate) block: bool,
}

/// All of one item's attributes.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    pub(crate) entries: Vec<Entry>,
    /// The type or trait around a function in a block.
    pub(crate) within: Option<String>,
    /// The names of the block's own generic parameters, which a static in the function cannot use.
    pub(crate) outer: Vec<String>,
    /// The block is an `impl` of no trait: it takes further methods.
    pub(crate) inherent: bool,
}

pub(crate) enum Gathered {
    /// Siblings are still to come: the item with everything carried on.
    Hop(TokenStream),
    /// This was the last.
    Whole(Stack, Item),
}

/// Adds the attribute now expanded to what the item carries.
pub(crate) fn gather(mut stack: Stack, item: TokenStream) -> Gathered {
    let mut item = Item::new(item);
    item.attrs.retain(|attr| {
        let carried = is_carried(&attr.path);
        if carried {
            stack.absorb(Stack::carried(attr.arguments()));
        }
        !carried
    });
    let sibling = item.attrs.iter().rposition(is_sibling);
    let Some(sibling) = sibling else {
        return Gathered::Whole(stack, item);
    };
    let siblings: Vec<TokenStream> = item
        .attrs
        .iter()
        .filter(|attr| is_sibling(attr))
        .map(tokens::Attr::arguments)
        .collect();
    let carrier = stack.carrier(&siblings);
    let (above, below) = item.attrs.split_at(sibling + 1);
    let rest: TokenStream = item.rest.iter().cloned().collect();
    Gathered::Hop(quote!(#(#above)* #carrier #(#below)* #rest))
}

fn is_sibling(attr: &tokens::Attr) -> bool {
    FUSING.iter().any(|fusing| attr.ends_in(fusing.name()))
}

impl Stack {
    /// A stack of one.
    pub(crate) fn one(attr: Attr, arguments: TokenStream) -> Self {
        let entry = Entry {
            attr,
            span: Span::call_site(),
            arguments,
            block: false,
        };
        Self {
            entries: vec![entry],
            ..Self::default()
        }
    }

    /// What a carrier holds. Only [`Stack::carrier`] writes it, so what is not understood is passed over.
    pub(crate) fn carried(tokens: TokenStream) -> Self {
        let mut stack = Self::default();
        let mut block = false;
        let mut name: Option<Ident> = None;
        for tree in tokens {
            match tree {
                TokenTree::Ident(word) if word == "block" => block = true,
                TokenTree::Ident(word) if word == "inherent" => stack.inherent = true,
                TokenTree::Ident(word) => name = Some(word),
                TokenTree::Literal(literal) => stack.within = text(&literal),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    stack.outer = group.stream().into_iter().map(|name| name.to_string()).collect();
                }
                TokenTree::Group(group) => {
                    let Some(name) = name.take() else { continue };
                    let Some(attr) = FUSING.into_iter().find(|attr| name == attr.name()) else {
                        continue;
                    };
                    stack.entries.push(Entry {
                        attr,
                        span: name.span(),
                        arguments: group.stream(),
                        block,
                    });
                    block = false;
                }
                TokenTree::Punct(_) => {}
            }
        }
        stack
    }

    fn absorb(&mut self, other: Self) {
        self.entries.splice(0..0, other.entries);
        self.within = self.within.take().or(other.within);
        self.outer.extend(other.outer);
        self.inherent |= other.inherent;
    }

    /// The attribute that carries this stack on; `siblings`, the arguments of those still to come, may say where the crate is.
    pub(crate) fn carrier(&self, siblings: &[TokenStream]) -> TokenStream {
        let own = self.entries.iter().map(|entry| &entry.arguments);
        let root = Root::new(own.chain(siblings).find_map(crate_path).as_ref());
        let path = root.carried();
        let within = self.within.as_ref().map(|name| Literal::string(name));
        let outer = self.outer.iter().map(|name| Ident::new(name, Span::call_site()));
        let inherent = self.inherent.then(|| Ident::new("inherent", Span::call_site()));
        let entries = &self.entries;
        quote!(#[#path(#within [#(#outer)*] #inherent #(#entries)*)])
    }
}

impl ToTokens for Entry {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let name = Ident::new(self.attr.name(), self.span);
        let arguments = &self.arguments;
        let block = self.block.then(|| Ident::new("block", self.span));
        tokens.extend(quote_spanned!(self.span=> #block #name(#arguments)));
    }
}

fn text(literal: &Literal) -> Option<String> {
    syn::parse2::<LitStr>(literal.to_token_stream())
        .ok()
        .map(|text| text.value())
}

/// The path of `crate = path` among an attribute's arguments.
fn crate_path(arguments: &TokenStream) -> Option<Path> {
    let trees: Vec<TokenTree> = arguments.clone().into_iter().collect();
    let options = trees.split(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ','));
    for option in options {
        if let [TokenTree::Ident(word), TokenTree::Punct(equals), path @ ..] = option
            && word == "crate"
            && equals.as_char() == '='
        {
            return syn::parse2(path.iter().cloned().collect()).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Group;

    #[test]
    fn a_sibling_handed_on_by_macro_rules_fuses() {
        let hidden = TokenTree::Group(Group::new(Delimiter::None, quote!(timed(busy))));
        let Gathered::Hop(item) = gather(
            Stack::one(Attr::Counted, TokenStream::new()),
            quote!(#[#hidden] fn f() {}),
        ) else {
            panic!("it was not seen")
        };
        let Gathered::Whole(stack, _) = gather(Stack::one(Attr::Timed, quote!(busy)), {
            // What rustc hands to the sibling: everything but the sibling itself.
            let mut item = Item::new(item);
            item.attrs.retain(|attr| !is_sibling(attr));
            let (attrs, rest) = (item.attrs, item.rest);
            quote!(#(#attrs)* #(#rest)*)
        }) else {
            panic!("it was the last")
        };
        assert_eq!(stack.entries.len(), 2);
    }
}
