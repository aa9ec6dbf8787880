//! The only place that spells a path of the runtime.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Path;

/// `quote!` for generated code: our locals are ours, whatever the user calls theirs.
macro_rules! emit {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}

/// Where the user's crate finds `vitalsign`.
#[derive(Clone)]
pub(crate) struct Root(TokenStream);

impl Root {
    /// The path of `crate = path`, else `::vitalsign`.
    pub(crate) fn new(renamed: Option<&Path>) -> Self {
        Self(renamed.map_or_else(|| quote!(::vitalsign), ToTokens::to_token_stream))
    }

    /// The crate itself.
    pub(crate) fn krate(&self) -> &TokenStream {
        &self.0
    }

    /// The door for generated code.
    pub(crate) fn private(&self) -> TokenStream {
        let root = &self.0;
        quote!(#root::__private)
    }

    /// The attribute that carries gathered arguments over a sibling.
    pub(crate) fn carried(&self) -> TokenStream {
        let root = &self.0;
        quote!(#root::__private::carried)
    }
}

/// Whether these segments name the carrier, wherever the crate was found.
pub(crate) fn is_carried(segments: &[String]) -> bool {
    matches!(segments, [.., private, carried] if private == "__private" && carried == "carried")
}

/// The label of the block that a body leaves instead of its function.
pub(crate) fn label(at: Span) -> syn::Lifetime {
    syn::Lifetime::new("'vitalsign", Span::mixed_site().located_at(at))
}

/// `::core::future::Future`
pub(crate) fn future(span: Span) -> TokenStream {
    quote_spanned!(span=> ::core::future::Future)
}
