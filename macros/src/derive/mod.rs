//! The derives.

pub(crate) mod error_label;
pub(crate) mod health_check;
pub(crate) mod label_value;
mod variants;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::DeriveInput;

use crate::diag::Diagnostics;

/// Parses the item, derives, and shows what went wrong; a derive never re-emits the item. What is derived stands beside the errors, so that
/// a slip is not followed by an error wherever the trait is used.
fn derived(input: TokenStream, expand: impl FnOnce(&DeriveInput, &mut Diagnostics) -> TokenStream) -> TokenStream {
    let mut diag = Diagnostics::default();
    let Some(input) = diag.take(syn::parse2(input)) else {
        return diag.into_token_stream();
    };
    let tokens = expand(&input, &mut diag);
    let mut errors = diag.into_token_stream();
    errors.extend(tokens);
    errors
}
