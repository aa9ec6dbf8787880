//! `labels(…)`

use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Ident, Lit, LitInt, Token, Type};

use super::parse::expr;
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

/// What stands behind the `=`.
fn label_value(input: ParseStream<'_>) -> syn::Result<LabelValue> {
    let value = expr(input)?;
    match limit_of(&value)? {
        Some((expr, max)) => Ok(LabelValue::Limit(expr.clone(), max.clone())),
        None => Ok(LabelValue::Expr(value)),
    }
}

/// The parts of `limit(expr, 50)`, which is a word of the attribute and no function: a call by that name of any other shape is an error
/// here, not one of rustc's that finds no such function.
pub(crate) fn limit_of(value: &Expr) -> syn::Result<Option<(&Expr, &LitInt)>> {
    let Expr::Call(call) = value else { return Ok(None) };
    let Expr::Path(function) = &*call.func else {
        return Ok(None);
    };
    let ours = function.path.is_ident("limit")
        || function
            .path
            .segments
            .first()
            .is_some_and(|first| first.ident == "vitalsign")
            && function.path.segments.last().is_some_and(|last| last.ident == "limit");
    if !ours {
        return Ok(None);
    }
    let mut arguments = call.args.iter();
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(expr), Some(Expr::Lit(ExprLit { lit: Lit::Int(max), .. })), None)
            if function.path.get_ident().is_some() =>
        {
            Ok(Some((expr, max)))
        }
        _ => Err(syn::Error::new_spanned(
            &function.path,
            "`limit` is written `limit(expr, 50)`: an expression and how many values get a series",
        )),
    }
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
