//! `#[expect(…)]` of lints that do not look into generated code, or find nothing in it because an option reads what was unused: it
//! becomes `#[allow(…)]`, for an expectation that nothing meets is a warning.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Signature};

use crate::tokens::Attr;

/// Of rustc's lints those that generated code is spared, or that nothing in it meets.
const SPARED: &[&str] = &[
    "async_fn_in_trait",
    "dead_code",
    "private_interfaces",
    "unconditional_recursion",
];
/// Those that an option's reading of an argument meets.
const UNREAD: &[&str] = &["unused", "unused_variables"];

/// Which expectations become permissions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spared {
    /// Those that the expansion leaves unmet.
    Unmet {
        /// Options read arguments.
        read: bool,
    },
    /// All: the body stands elsewhere.
    All,
}

impl Spared {
    fn holds(self, lint: &TokenStream) -> bool {
        let path = lint.to_string().replace(' ', "");
        let one_of = |list: &[&str]| list.contains(&path.as_str());
        match self {
            Self::All => true,
            Self::Unmet { read } => path.starts_with("clippy::") || one_of(SPARED) || read && one_of(UNREAD),
        }
    }
}

/// Of a function's attributes.
pub(crate) fn of_attributes(attrs: &[Attr], spared: Spared) -> Vec<Attr> {
    let each = attrs.iter().flat_map(|attr| {
        if attr.is("expect") {
            Attr::all(divided(&attr.arguments(), spared))
        } else {
            vec![attr.clone()]
        }
    });
    each.collect()
}

/// Of the arguments'.
pub(super) fn of_arguments(signature: &mut Signature, spared: Spared) {
    for input in &mut signature.inputs {
        let (FnArg::Receiver(syn::Receiver { attrs, .. }) | FnArg::Typed(syn::PatType { attrs, .. })) = input;
        let expects = |attr: &syn::Attribute| attr.path().is_ident("expect");
        if attrs.iter().any(expects) {
            let written: TokenStream = attrs.iter().map(ToTokens::to_token_stream).collect();
            let divided = of_attributes(&Attr::all(written), spared);
            let tokens = quote!(#(#divided)*);
            if let Ok(parsed) = syn::parse::Parser::parse2(syn::Attribute::parse_outer, tokens) {
                *attrs = parsed;
            }
        }
    }
}

/// `#[expect(…)]` for those lints that are met, `#[allow(…)]` for the others; the reason goes with both.
fn divided(arguments: &TokenStream, spared: Spared) -> TokenStream {
    let (mut met, mut unmet, mut reason) = (Vec::new(), Vec::new(), None);
    let trees: Vec<TokenTree> = arguments.clone().into_iter().collect();
    for lint in trees.split(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ',')) {
        let tokens: TokenStream = lint.iter().cloned().collect();
        match lint.first() {
            None => {}
            Some(TokenTree::Ident(word)) if word == "reason" => reason = Some(tokens),
            Some(_) if spared.holds(&tokens) => unmet.push(tokens),
            Some(_) => met.push(tokens),
        }
    }
    let level = |name: &str, lints: &[TokenStream]| {
        let name = Ident::new(name, Span::call_site());
        (!lints.is_empty()).then(|| quote!(#[#name(#(#lints,)* #reason)]))
    };
    let (met, unmet) = (level("expect", &met), level("allow", &unmet));
    quote!(#met #unmet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(written: &str, spared: Spared) -> String {
        let attrs = of_attributes(&Attr::all(written.parse().unwrap()), spared);
        quote!(#(#attrs)*).to_string().replace(' ', "")
    }

    #[test]
    fn what_is_met_stays_expected() {
        let unread = Spared::Unmet { read: false };
        assert_eq!(
            divide(
                "#[expect(clippy::pedantic, unused_mut, reason = \"so\")] #[inline]",
                unread
            ),
            "#[expect(unused_mut,reason=\"so\")]#[allow(clippy::pedantic,reason=\"so\")]#[inline]"
        );
        let written = "#[expect(unused_variables)]";
        assert_eq!(divide(written, unread), "#[expect(unused_variables,)]");
        assert_eq!(
            divide(written, Spared::Unmet { read: true }),
            "#[allow(unused_variables,)]"
        );
        assert_eq!(divide("#[expect(unused_mut)]", Spared::All), "#[allow(unused_mut,)]");
    }
}
