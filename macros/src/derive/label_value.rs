//! `#[derive(LabelValue)]`

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::GenericParam;

use super::derived;
use super::variants::{Rules, index_arms, variants};

const RULES: Rules = Rules {
    derive: "LabelValue",
    style: "snake_case",
    data: false,
    outcome: false,
};

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    derived(input, |input, diag| {
        let mut params = input.generics.params.iter();
        let param = params.find(|param| !matches!(param, GenericParam::Lifetime(_)));
        if let Some(param) = param {
            diag.error(
                param,
                "a label's values are a closed set, so its type has no parameters",
            );
        }
        let Some(variants) = variants(input, RULES, diag) else {
            return TokenStream::new();
        };
        if param.is_some() || !cfg!(feature = "record") {
            return TokenStream::new();
        }
        let (krate, ident) = (variants.root.krate().to_token_stream(), &input.ident);
        let arms = index_arms(&variants);
        let len = variants.list.len();
        let none = variants.list.iter().position(|(_, text)| text == "none");
        let none = none.map(|index| {
            emit!(const NONE: ::core::option::Option<::core::primitive::usize> = ::core::option::Option::Some(#index);)
        });
        let texts = variants.list.iter().map(|(_, text)| text);
        let (params, arguments, clause) = input.generics.split_for_impl();
        let lifetimes = input.generics.lifetimes().map(|_| emit!('static));
        let key = if input.generics.params.is_empty() {
            emit!(Self)
        } else {
            emit!(#ident<#(#lifetimes),*>)
        };
        emit! {
            #[automatically_derived]
            impl #params #krate::LabelValue for #ident #arguments #clause {
                const LEN: ::core::primitive::usize = #len;
                #none
                type Key = #key;
                #[inline]
                fn index(&self) -> ::core::primitive::usize {
                    match self { #arms }
                }
                fn value(index: ::core::primitive::usize) -> &'static ::core::primitive::str {
                    const VALUES: [&::core::primitive::str; #len] = [#(#texts),*];
                    VALUES[index]
                }
            }
        }
    })
}
