//! `-> impl Fn…`: closures in the body are typed by it, so the body's value passes a function that says the same bound.
//!
//! That function is an item, which sees neither `Self` nor parameters and lifetimes of the block around. Types that name those are
//! its own parameters, given where it is called.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::punctuated::Punctuated;
use syn::{
    GenericArgument, GenericParam, ParenthesizedGenericArguments, PathArguments, ReturnType, Signature, Token,
    TraitBound, Type, TypeParamBound,
};

use crate::model::Tie;
use crate::tokens::mentions;

/// The function for a signature that returns `impl Fn…`, alone or in a tuple; `None` where it does not, or no words are found.
pub(super) fn tie(signature: &Signature, nameable: &dyn Fn(&TokenStream) -> bool) -> Option<Tie> {
    let ReturnType::Type(_, ty) = &signature.output else {
        return None;
    };
    let generics = &signature.generics;
    let (params, clause) = (&generics.params, &generics.where_clause);
    let mut own: Vec<String> = generics
        .lifetimes()
        .map(|param| param.lifetime.ident.to_string())
        .collect();
    let all = quote!(#params #clause);
    let repeats = nameable(&all) && lifetimes_are_known(&all, &mut own.clone());
    if !repeats {
        own.clear();
    }
    let mut words = Words {
        nameable,
        hidden: if repeats {
            Vec::new()
        } else {
            names_of(params).map(ToString::to_string).collect()
        },
        lifetimes: own,
        params: Vec::new(),
        given: Vec::new(),
        closures: 0,
    };
    let returned = words.returned(ty, true)?;
    if words.closures == 0 {
        return None;
    }
    let (more, given) = (words.params, words.given);
    Some(if repeats {
        let comma = (!params.is_empty() && !params.trailing_punct()).then(|| quote!(,));
        let names = names_of(params);
        Tie {
            params: quote!(#params #comma #(#more),*),
            clause: clause.to_token_stream(),
            given: quote!(#(#names,)* #(#given),*),
            returned,
        }
    } else {
        Tie {
            params: quote!(#(#more),*),
            clause: TokenStream::new(),
            given: quote!(#(#given),*),
            returned,
        }
    })
}

/// The parameters that can be named at a call.
pub(crate) fn names_of(params: &Punctuated<GenericParam, Token![,]>) -> impl Iterator<Item = &Ident> {
    params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    })
}

struct Words<'a> {
    nameable: &'a dyn Fn(&TokenStream) -> bool,
    /// Parameters of the function, where the item does not repeat them.
    hidden: Vec<String>,
    /// Lifetimes that mean the same in the item.
    lifetimes: Vec<String>,
    /// What the item has of its own, and what each of it is at the call.
    params: Vec<TokenStream>,
    given: Vec<TokenStream>,
    closures: usize,
}

impl Words<'_> {
    /// The returned type: each `impl Fn…` a parameter with that bound, all else in a tuple one that is inferred.
    fn returned(&mut self, ty: &Type, alone: bool) -> Option<TokenStream> {
        match ty {
            Type::Group(group) => self.returned(&group.elem, alone),
            Type::Paren(paren) => self.returned(&paren.elem, alone),
            Type::Tuple(tuple) => {
                let parts: Option<Vec<_>> = tuple.elems.iter().map(|part| self.returned(part, false)).collect();
                let parts = parts?;
                Some(emit!((#(#parts,)*)))
            }
            Type::ImplTrait(hidden) => {
                let bounds: Option<Vec<_>> = hidden
                    .bounds
                    .iter()
                    .filter_map(closure)
                    .map(|bound| self.bound(bound))
                    .collect();
                let bounds = bounds?;
                self.closures += bounds.len();
                (!alone || !bounds.is_empty()).then(|| self.param(&emit!(#(#bounds)+*), emit!(_)))
            }
            _ if alone => None,
            _ => Some(self.param(&TokenStream::new(), emit!(_))),
        }
    }

    fn param(&mut self, bounds: &TokenStream, given: TokenStream) -> TokenStream {
        let name = format_ident!("__Vitalsign{}", self.params.len(), span = Span::mixed_site());
        self.params.push(emit!(#name: #bounds));
        self.given.push(given);
        name.to_token_stream()
    }

    /// The bound in words of the item.
    fn bound(&mut self, bound: &TraitBound) -> Option<TraitBound> {
        let mut bound = bound.clone();
        let before = self.lifetimes.len();
        if let Some(bounds) = &bound.lifetimes {
            let names = bounds.lifetimes.iter().filter_map(|param| match param {
                GenericParam::Lifetime(param) => Some(param.lifetime.ident.to_string()),
                _ => None,
            });
            self.lifetimes.extend(names);
        }
        let free = self.lifetimes[before..].to_vec();
        let Some(PathArguments::Parenthesized(arguments)) =
            bound.path.segments.last_mut().map(|last| &mut last.arguments)
        else {
            return None;
        };
        let ParenthesizedGenericArguments { inputs, output, .. } = arguments;
        for input in inputs {
            self.part(&mut input.ty, false, &free)?;
        }
        if let ReturnType::Type(_, output) = output {
            self.part(output, false, &free)?;
        }
        self.lifetimes.truncate(before);
        Some(bound)
    }

    /// What the item cannot name becomes a parameter of its own: the largest part without a lifetime that the bound leaves open.
    fn part(&mut self, ty: &mut Type, behind: bool, free: &[String]) -> Option<()> {
        let tokens = ty.to_token_stream();
        if self.names(&tokens) {
            return Some(());
        }
        if !leaves_open(&tokens, free) {
            let bounds = if behind {
                emit!(?::core::marker::Sized)
            } else {
                TokenStream::new()
            };
            *ty = Type::Verbatim(self.param(&bounds, tokens));
            return Some(());
        }
        match ty {
            Type::Group(group) => self.part(&mut group.elem, behind, free),
            Type::Paren(paren) => self.part(&mut paren.elem, behind, free),
            Type::Reference(reference) if self.names(&reference.lifetime.to_token_stream()) => {
                self.part(&mut reference.elem, true, free)
            }
            Type::Slice(slice) => self.part(&mut slice.elem, false, free),
            Type::Tuple(tuple) => tuple.elems.iter_mut().try_for_each(|part| self.part(part, false, free)),
            Type::Path(path) if path.qself.is_none() => {
                let arguments = path.path.segments.last_mut().map(|last| &mut last.arguments);
                let Some(PathArguments::AngleBracketed(arguments)) = arguments else {
                    return None;
                };
                for argument in &mut arguments.args {
                    match argument {
                        GenericArgument::Type(part) => self.part(part, false, free)?,
                        other if self.names(&other.to_token_stream()) => {}
                        _ => return None,
                    }
                }
                self.names(&path.to_token_stream()).then_some(())
            }
            _ => None,
        }
    }

    /// Whether the item can say it.
    fn names(&self, tokens: &TokenStream) -> bool {
        let hidden =
            |tree: &TokenTree| matches!(tree, TokenTree::Ident(word) if self.hidden.iter().any(|name| word == name));
        (self.nameable)(tokens)
            && !mentions(tokens, &hidden)
            && lifetimes_are_known(tokens, &mut self.lifetimes.clone())
    }
}

/// A bound that types closures.
fn closure(bound: &TypeParamBound) -> Option<&TraitBound> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let last = &bound.path.segments.last()?.ident;
    ["Fn", "FnMut", "FnOnce"]
        .iter()
        .any(|name| last == name)
        .then_some(bound)
}

/// Whether a lifetime is left out, or bound by the `for<…>` before.
fn leaves_open(tokens: &TokenStream, free: &[String]) -> bool {
    let (mut and, mut tick) = (false, false);
    for tree in tokens.clone() {
        let punct = match &tree {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        let open = match &tree {
            _ if and && punct != '\'' => true,
            TokenTree::Group(group) => leaves_open(&group.stream(), free),
            TokenTree::Ident(word) => tick && (word == "_" || free.iter().any(|name| word == name)),
            _ => false,
        };
        if open {
            return true;
        }
        (and, tick) = (punct == '&', punct == '\'');
    }
    false
}

/// Whether every lifetime is `'static`, `'_`, one of these, or bound on the spot by `for<…>` or as a label.
pub(super) fn lifetimes_are_known(tokens: &TokenStream, own: &mut Vec<String>) -> bool {
    let (mut tick, mut binder) = (false, false);
    let mut trees = tokens.clone().into_iter().peekable();
    while let Some(tree) = trees.next() {
        match &tree {
            TokenTree::Group(group) if !lifetimes_are_known(&group.stream(), own) => return false,
            TokenTree::Ident(word) if tick => {
                let text = word.to_string();
                let colon = matches!(trees.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
                if binder || colon {
                    own.push(text);
                } else if text != "static" && text != "_" && !own.contains(&text) {
                    return false;
                }
            }
            TokenTree::Ident(word) if word == "for" => binder = true,
            TokenTree::Punct(punct) if punct.as_char() == '>' => binder = false,
            _ => {}
        }
        tick = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '\'');
    }
    true
}
