//! `fields(…)`

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, Ident, LitStr, Member, Token, parenthesized, token};

use super::parse::expr;
use super::{Field, FieldValue, Key, Show, Wrap};

pub(super) fn field(input: ParseStream<'_>) -> syn::Result<Field> {
    let fork = input.fork();
    let show = sigil(&fork)?;
    if show != Show::Native || (fork.peek(Ident) && fork.peek2(token::Paren)) {
        return shorthand(input);
    }
    let key = key(input)?;
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Ok(Field { key, value: None });
    }
    if input.is_empty() || input.peek(Token![,]) {
        let message = format!("field `{0}` has no value; write `{0} = expr`", key.text);
        return Err(syn::Error::new(key.span, message));
    }
    let value = Some(field_value(input)?);
    Ok(Field { key, value })
}

/// `%x`, `?x.y`, `hash(x)`: the key is the name of the value.
fn shorthand(input: ParseStream<'_>) -> syn::Result<Field> {
    let value = field_value(input)?;
    let mut parts = Vec::new();
    let span = value
        .expr
        .to_token_stream()
        .into_iter()
        .next()
        .map_or_else(Span::call_site, |tree| tree.span());
    if !name_parts(&value.expr, &mut parts) {
        let typed = value.expr.to_token_stream();
        let message = format!("this value has no name; write `key = {typed}`");
        return Err(syn::Error::new_spanned(&value.expr, message));
    }
    let text = dotted(&parts);
    Ok(Field {
        key: Key { text, span, parts },
        value: Some(value),
    })
}

/// The names of `a.b.c`, references left out.
fn name_parts(expr: &Expr, parts: &mut Vec<Ident>) -> bool {
    match expr {
        Expr::Path(path) => path.path.get_ident().map(|ident| parts.push(ident.clone())).is_some(),
        Expr::Field(field) => {
            name_parts(&field.base, parts)
                && match &field.member {
                    Member::Named(name) => {
                        parts.push(name.clone());
                        true
                    }
                    Member::Unnamed(_) => false,
                }
        }
        Expr::Reference(reference) => name_parts(&reference.expr, parts),
        Expr::Paren(paren) => name_parts(&paren.expr, parts),
        _ => false,
    }
}

fn key(input: ParseStream<'_>) -> syn::Result<Key> {
    if let Ok(text) = input.parse::<LitStr>() {
        return Ok(Key {
            text: text.value(),
            span: text.span(),
            parts: Vec::new(),
        });
    }
    let first = input
        .call(Ident::parse_any)
        .map_err(|_| input.error("expected a field; write `key = expr`"))?;
    let mut parts = vec![first];
    while input.parse::<Option<Token![.]>>()?.is_some() {
        parts.push(input.call(Ident::parse_any)?);
    }
    let text = dotted(&parts);
    Ok(Key {
        text,
        span: parts[0].span(),
        parts,
    })
}

fn dotted(parts: &[Ident]) -> String {
    let names: Vec<String> = parts.iter().map(|part| part.unraw().to_string()).collect();
    names.join(".")
}

fn field_value(input: ParseStream<'_>) -> syn::Result<FieldValue> {
    let show = sigil(input)?;
    if input.peek(Ident) && input.peek2(token::Paren) {
        let fork = input.fork();
        let name: Ident = fork.parse()?;
        if let Some(takes) = wrapper(&name) {
            let name: Ident = input.parse()?;
            let content;
            parenthesized!(content in input);
            let value = wrapped(&name, takes, &content)?;
            let sign = match show {
                Show::Native => return Ok(value),
                Show::Display => '%',
                Show::Debug => '?',
            };
            let message = format!("`{sign}` stands inside of `{name}(…)`; write `{name}({sign}…)`");
            return Err(syn::Error::new(name.span(), message));
        }
    }
    let expr = expr(input)?;
    Ok(FieldValue { show, wrap: None, expr })
}

fn sigil(input: ParseStream<'_>) -> syn::Result<Show> {
    Ok(if input.parse::<Option<Token![%]>>()?.is_some() {
        Show::Display
    } else if input.parse::<Option<Token![?]>>()?.is_some() {
        Show::Debug
    } else {
        Show::Native
    })
}

/// How many arguments a wrapper of that name takes.
fn wrapper(name: &Ident) -> Option<usize> {
    match name.to_string().as_str() {
        "hash" | "redact" | "len" | "plain" => Some(1),
        "truncate" => Some(2),
        _ => None,
    }
}

fn wrapped(name: &Ident, takes: usize, input: ParseStream<'_>) -> syn::Result<FieldValue> {
    let show = sigil(input)?;
    let value = expr(input).map_err(|_| wrapper_form(name))?;
    let wrap = if takes == 2 {
        input.parse::<Token![,]>().map_err(|_| wrapper_form(name))?;
        Wrap::Truncate(expr(input).map_err(|_| wrapper_form(name))?)
    } else {
        match name.to_string().as_str() {
            "hash" => Wrap::Hash,
            "redact" => Wrap::Redact,
            "len" => Wrap::Len,
            _ => Wrap::Plain,
        }
    };
    input.parse::<Option<Token![,]>>()?;
    if !input.is_empty() {
        return Err(wrapper_form(name));
    }
    Ok(FieldValue {
        show,
        wrap: Some(wrap),
        expr: value,
    })
}

fn wrapper_form(name: &Ident) -> syn::Error {
    let write = if name == "truncate" {
        "truncate(x, 16)".to_owned()
    } else {
        format!("{name}(x)")
    };
    syn::Error::new(name.span(), format!("`{name}` is written `{write}`"))
}
