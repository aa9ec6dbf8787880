//! `labels(…)`

use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Ident, Lit, LitInt, Token, Type, parenthesized, token};

use super::table::Row;
use super::{Label, LabelValue};

pub(super) fn label(input: ParseStream<'_>, row: &Row) -> syn::Result<Label> {
    let key = input
        .call(Ident::parse_any)
        .map_err(|_| input.error(format!("expected a label; write `{}`", row.write)))?;
    if input.peek(Token![.]) {
        let message = format!("a label's name has no dots; write `{key} = …`");
        return Err(syn::Error::new(key.span(), message));
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
        let expr = content.parse().map_err(|_| form())?;
        content.parse::<Token![,]>().map_err(|_| form())?;
        let max: LitInt = content.parse().map_err(|_| form())?;
        content.parse::<Option<Token![,]>>()?;
        if !content.is_empty() {
            return Err(form());
        }
        return Ok(LabelValue::Limit(expr, max));
    }
    input.parse().map(LabelValue::Expr)
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
