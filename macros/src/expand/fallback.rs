//! What stands where something is wrong: every mistake, and the item as it was written.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::diag::Diagnostics;

pub(crate) fn fallback(diag: &Diagnostics, item: &impl ToTokens) -> TokenStream {
    quote!(#diag #item)
}
