//! `#[derive(ErrorLabel)]`

use proc_macro2::{Literal, TokenStream};
use quote::ToTokens;

use super::derived;
use super::variants::{Rules, index_arms, variants};

const RULES: Rules = Rules {
    derive: "ErrorLabel",
    style: "PascalCase",
    data: true,
    outcome: true,
};

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    derived(input, |input, diag| {
        let Some(variants) = variants(input, RULES, diag) else {
            return TokenStream::new();
        };
        if !cfg!(feature = "record") {
            return TokenStream::new();
        }
        let (krate, ident) = (variants.root.krate().to_token_stream(), &input.ident);
        let arms = index_arms(&variants);
        let len = variants.list.len();
        let texts = variants.list.iter().map(|(_, text)| text);
        let harmless: Vec<_> = variants
            .list
            .iter()
            .zip(&variants.harmless)
            .filter(|(_, harmless)| **harmless)
            .map(|((variant, _), _)| &variant.ident)
            .collect();
        let places = variants
            .harmless
            .iter()
            .enumerate()
            .filter(|(_, harmless)| **harmless)
            .map(|(place, _)| Literal::usize_unsuffixed(place));
        let is_failure = (!harmless.is_empty()).then(|| {
            emit! {
                #[inline]
                fn is_failure(&self) -> ::core::primitive::bool {
                    !::core::matches!(self, #(Self::#harmless { .. })|*)
                }
                fn fails(index: ::core::primitive::usize) -> ::core::primitive::bool {
                    !::core::matches!(index, #(#places)|*)
                }
            }
        });
        let (params, arguments, clause) = input.generics.split_for_impl();
        emit! {
            #[automatically_derived]
            impl #params #krate::ErrorLabel for #ident #arguments #clause {
                const LEN: ::core::primitive::usize = #len;
                #[inline]
                fn index(&self) -> ::core::primitive::usize {
                    match self { #arms }
                }
                fn value(index: ::core::primitive::usize) -> &'static ::core::primitive::str {
                    const VALUES: [&::core::primitive::str; #len] = [#(#texts),*];
                    VALUES[index]
                }
                #is_failure
            }
        }
    })
}
