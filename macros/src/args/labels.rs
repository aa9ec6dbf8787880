//! `labels(…)`

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprLit, Ident, Lit, Token, Type, parenthesized, token};

use super::table::Row;
use super::{Label, LabelValue};

pub(super) fn label(input: ParseStream<'_>, row: &Row) -> syn::Result<Label> {
    let key = input
        .call(Ident::parse_any)
        .map_err(|_| input.error(format!("expected a label; write `{}`", row.write)))?;
    if input.peek(Token![.]) {
        let mut words = vec![key.clone()];
        while input.parse::<Option<Token![.]>>()?.is_some() {
            words.push(input.call(Ident::parse_any)?);
        }
        let name: Vec<String> = words.iter().map(ToString::to_string).collect();
        let message = format!("a label's name has no dots; write `{} = …`", name.join("_"));
        return Err(syn::Error::new_spanned(quote!(#(#words).*), message));
    }
    let ty: Option<Type> = input.parse::<Option<Token![:]>>()?.map(|_| input.parse()).transpose()?;
    let equals: Option<Token![=]> = input.parse()?;
    if equals.is_none() || input.is_empty() || input.peek(Token![,]) {
        let message = format!("label `{key}` has no value; write `{key} = {key}`");
        return Err(syn::Error::new(key.span(), message));
    }
    Ok(Label {
        key,
        ty,
        value: label_value(input)?,
    })
}

fn label_value(input: ParseStream<'_>) -> syn::Result<LabelValue> {
    if input.peek(Ident) && input.peek2(token::Paren) && input.fork().parse::<Ident>()? == "limit" {
        let name: Ident = input.parse()?;
        let form = || {
            syn::Error::new(
                name.span(),
                "`limit` is written `limit(expr, 50)`: an expression and how many values get a series",
            )
        };
        let content;
        parenthesized!(content in input);
        // Taken whole, so that a mistake leaves nothing behind to stumble over once more.
        let tokens: TokenStream = content.parse()?;
        return limit_of.parse2(tokens).map_err(|_| form());
    }
    input.parse().map(LabelValue::Expr)
}

/// `expr, 50`
fn limit_of(input: ParseStream<'_>) -> syn::Result<LabelValue> {
    let expr = input.parse()?;
    input.parse::<Token![,]>()?;
    let max = input.parse()?;
    input.parse::<Option<Token![,]>>()?;
    Ok(LabelValue::Limit(expr, max))
}

/// The text of a literal that can stand for a constant label.
pub(crate) fn literal_text(expr: &Expr) -> Option<String> {
    let Expr::Lit(ExprLit { lit, .. }) = expr else {
        return None;
    };
    match lit {
        Lit::Str(text) => Some(text.value()),
        Lit::Int(number) => Some(number.base10_digits().to_owned()),
        Lit::Bool(flag) => Some(flag.value.to_string()),
        Lit::Char(char) => Some(char.value().to_string()),
        _ => None,
    }
}
