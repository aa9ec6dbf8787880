//! Reads options by the forms of their rows. A mistake in one does not hide those in the next.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprLit, Ident, Lit, LitInt, LitStr, Member, Path, Token, Type, parenthesized, token};

use super::table::{ALL, Attr, Form, Row};
use super::{ErrWord, Field, FieldValue, Key, Label, LabelValue, Level, Opt, Options, Show, Value, Wrap};
use crate::diag::{Diagnostics, nearest};

/// The options of one attribute; every mistake goes to `diag`.
pub(crate) fn options(attr: Attr, span: Span, tokens: TokenStream, diag: &mut Diagnostics) -> Options {
    let list = list(tokens, diag, |input, diag| option(attr, input, diag));
    Options {
        attr,
        span,
        block: false,
        list,
    }
}

/// A comma-separated list whose entries fail one by one.
fn list<T>(
    tokens: TokenStream,
    diag: &mut Diagnostics,
    mut entry: impl FnMut(ParseStream<'_>, &mut Diagnostics) -> syn::Result<Option<T>>,
) -> Vec<T> {
    let mut found = Vec::new();
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match entry(input, diag) {
                Ok(value) => {
                    found.extend(value);
                    if !input.is_empty() && !input.peek(Token![,]) {
                        diag.push(input.error("expected `,`"));
                    }
                }
                Err(error) => diag.push(error),
            }
            skip_past_comma(input)?;
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(tokens) {
        diag.push(error);
    }
    found
}

fn skip_past_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    input.parse::<Option<Token![,]>>().map(drop)
}

fn option(attr: Attr, input: ParseStream<'_>, diag: &mut Diagnostics) -> syn::Result<Option<Opt>> {
    if !input.peek(Ident::peek_any) {
        return Err(not_an_option(attr, input));
    }
    let key = input.call(Ident::parse_any)?;
    let Some(row) = attr.rows().iter().find(|row| key == row.name) else {
        return Err(syn::Error::new(key.span(), unknown(attr, &key.to_string())));
    };
    let value = value(row, &key, input, diag)?;
    Ok(value.map(|value| Opt { key, row, value }))
}

fn not_an_option(attr: Attr, input: ParseStream<'_>) -> syn::Error {
    let attr_name = attr.name();
    match (input.peek(LitStr), attr.rows().iter().any(|row| row.name == "name")) {
        (true, true) => {
            let text = input.parse::<LitStr>().map(|text| text.value()).unwrap_or_default();
            let write = format!("write `#[{attr_name}(name = \"{text}\")]`");
            syn::Error::new(input.span(), format!("a value without its option; {write}"))
        }
        _ => input.error(format!("expected an option of `{attr_name}`; {}", all_of(attr))),
    }
}

fn unknown(attr: Attr, typed: &str) -> String {
    let name = attr.name();
    let rows = attr.rows();
    if let Some(near) = nearest(typed, rows.iter().map(|row| row.name))
        && let Some(row) = rows.iter().find(|row| row.name == near)
    {
        return format!(
            "`{name}` has no option `{typed}`; did you mean `{near}`? write `{}`",
            row.write
        );
    }
    let others = [Attr::Traced, Attr::Counted, Attr::Timed];
    let belongs = others
        .into_iter()
        .find_map(|other| Some((other, other.rows().iter().find(|row| row.name == typed)?)));
    match belongs {
        Some((other, row)) if ALL.iter().take(4).any(|(known, ..)| *known == attr) => {
            let (other, write) = (other.name(), row.write);
            format!("`{name}` has no option `{typed}`, `{other}` has; write `#[{other}({write})]`")
        }
        _ => format!("`{name}` has no option `{typed}`; {}", all_of(attr)),
    }
}

fn all_of(attr: Attr) -> String {
    let names: Vec<String> = attr.rows().iter().map(|row| format!("`{}`", row.name)).collect();
    format!("it has {}", names.join(", "))
}

fn value(row: &Row, key: &Ident, input: ParseStream<'_>, diag: &mut Diagnostics) -> syn::Result<Option<Value>> {
    let wrong = |found: &str| syn::Error::new(key.span(), format!("`{}` {found}; write `{}`", row.name, row.write));
    let parses = |error: syn::Error| syn::Error::new(error.span(), format!("{error}; write `{}`", row.write));
    match row.form {
        Form::Unbuilt => {
            skip_to_comma(input)?;
            Err(syn::Error::new(
                key.span(),
                format!("`{}` is not supported yet", row.name),
            ))
        }
        Form::Flag | Form::Ret if !input.peek(Token![=]) && !input.peek(token::Paren) => {
            Ok(Some(if row.form == Form::Flag {
                Value::Flag
            } else {
                Value::Ret(Show::Native)
            }))
        }
        Form::Flag => Err(wrong("takes no value")),
        Form::Ret | Form::Err | Form::Names | Form::Fields | Form::Labels | Form::Exponential | Form::Nested(_) => {
            if !input.peek(token::Paren) {
                return Err(wrong("takes its values in parentheses"));
            }
            let content;
            parenthesized!(content in input);
            in_parentheses(row, key, content.parse()?, diag)
        }
        _ => {
            if !input.peek(Token![=]) {
                return Err(wrong("needs a value"));
            }
            input.parse::<Token![=]>()?;
            after_equals(row, input).map(Some).map_err(parses)
        }
    }
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

fn after_equals(row: &Row, input: ParseStream<'_>) -> syn::Result<Value> {
    let expected = |what: &str| input.error(format!("`{}` takes {what}", row.name));
    match row.form {
        Form::Text => input.parse().map(Value::Text).map_err(|_| expected("a string")),
        Form::Bool => input
            .parse()
            .map(Value::Bool)
            .map_err(|_| expected("`true` or `false`")),
        Form::Count => input.parse().map(Value::Count).map_err(|_| expected("a whole number")),
        Form::Path => input
            .call(Path::parse_mod_style)
            .map(Value::Path)
            .map_err(|_| expected("a path")),
        Form::Level => level(input).map(Value::Level),
        Form::Word(words) => {
            let list = words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let one_of = if words.len() == 1 {
                list
            } else {
                format!("one of {list}")
            };
            let word = Ident::parse_any(input).map_err(|_| expected(&one_of))?;
            if words.iter().any(|known| word == known) {
                return Ok(Value::Word(word));
            }
            let near = nearest(&word.to_string(), words.iter().copied());
            let meant = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            Err(syn::Error::new(
                word.span(),
                format!("`{}` takes {one_of}{meant}", row.name),
            ))
        }
        Form::Floats => {
            let array: syn::ExprArray = input.parse().map_err(|_| expected("an array of numbers"))?;
            Ok(Value::Floats(array.elems.into_iter().collect()))
        }
        _ => input.parse().map(Value::Expr).map_err(|_| expected("an expression")),
    }
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// `"info"` or `Level::INFO`.
fn level(input: ParseStream<'_>) -> syn::Result<Level> {
    let (typed, span) = if let Ok(text) = input.parse::<LitStr>() {
        (text.value(), text.span())
    } else if let Ok(path) = input.call(Path::parse_mod_style) {
        let last = path.segments.last().map(|segment| segment.ident.clone());
        (
            last.as_ref().map(ToString::to_string).unwrap_or_default(),
            last.map_or(input.span(), |last| last.span()),
        )
    } else {
        return Err(input.error("a level is one of \"trace\", \"debug\", \"info\", \"warn\", \"error\""));
    };
    let lower = typed.to_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(Level(Ident::new(&lower.to_uppercase(), Span::mixed_site())));
    }
    let meant = nearest(&lower, LEVELS)
        .map(|near| format!(", did you mean \"{near}\"?"))
        .unwrap_or_default();
    Err(syn::Error::new(span, format!("no level is called \"{typed}\"{meant}")))
}

fn in_parentheses(row: &Row, key: &Ident, tokens: TokenStream, diag: &mut Diagnostics) -> syn::Result<Option<Value>> {
    if tokens.is_empty() && !matches!(row.form, Form::Nested(_)) {
        return Err(syn::Error::new(
            key.span(),
            format!("`{}` is empty; write `{}`", row.name, row.write),
        ));
    }
    Ok(Some(match row.form {
        Form::Names => Value::Names(list(tokens, diag, |input, _| {
            let name = || {
                input.error(format!(
                    "`{}` takes names of arguments; write `{}`",
                    row.name, row.write
                ))
            };
            input.call(Ident::parse_any).map(Some).map_err(|_| name())
        })),
        Form::Fields => Value::Fields(list(tokens, diag, |input, _| field(input).map(Some))),
        Form::Labels => Value::Labels(list(tokens, diag, |input, _| label(input, row).map(Some))),
        Form::Nested(attr) => Value::Nested(options(attr, key.span(), tokens, diag)),
        Form::Ret => {
            let shows = list(tokens, diag, |input, _| ret(input).map(Some));
            Value::Ret(shows.into_iter().next().unwrap_or(Show::Native))
        }
        Form::Err => Value::Err(list(tokens, diag, |input, _| err(input).map(Some))),
        _ => {
            let numbers = list(tokens.clone(), diag, |input, _| input.parse::<Expr>().map(Some));
            let three: Result<[Expr; 3], _> = numbers.try_into();
            let three = three.map_err(|_| {
                syn::Error::new_spanned(
                    tokens,
                    format!(
                        "`{}` takes a start, a factor and a count; write `{}`",
                        row.name, row.write
                    ),
                )
            })?;
            Value::Exponential(Box::new(three))
        }
    }))
}

fn ret(input: ParseStream<'_>) -> syn::Result<Show> {
    let word = input.call(Ident::parse_any)?;
    match word.to_string().as_str() {
        "display" => Ok(Show::Display),
        "debug" => Ok(Show::Debug),
        _ => Err(syn::Error::new(
            word.span(),
            "the returned value is shown by `ret`, `ret(display)` or `ret(debug)`",
        )),
    }
}

fn err(input: ParseStream<'_>) -> syn::Result<ErrWord> {
    let word = input.call(Ident::parse_any)?;
    match word.to_string().as_str() {
        "debug" => Ok(ErrWord::Debug(word)),
        "off" => Ok(ErrWord::Off(word)),
        "level" => {
            input
                .parse::<Token![=]>()
                .map_err(|_| syn::Error::new(word.span(), "`level` needs a value; write `err(level = \"warn\")`"))?;
            Ok(ErrWord::Level(word, level(input)?))
        }
        _ => Err(syn::Error::new(
            word.span(),
            "an error is shown by `err(debug)`, `err(off)` or `err(level = \"warn\")`",
        )),
    }
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

fn field(input: ParseStream<'_>) -> syn::Result<Field> {
    let fork = input.fork();
    let show = sigil(&fork)?;
    if show != Show::Native || (fork.peek(Ident) && fork.peek2(token::Paren)) {
        return shorthand(input);
    }
    let key = key(input)?;
    if input.parse::<Option<Token![=]>>()?.is_some() {
        let value = Some(field_value(input)?);
        return Ok(Field { key, value });
    }
    Ok(Field { key, value: None })
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
    let text = parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
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
    let text = parts
        .iter()
        .map(|part| part.unraw().to_string())
        .collect::<Vec<_>>()
        .join(".");
    Ok(Key {
        text,
        span: parts[0].span(),
        parts,
    })
}

fn field_value(input: ParseStream<'_>) -> syn::Result<FieldValue> {
    let show = sigil(input)?;
    if show == Show::Native && input.peek(Ident) && input.peek2(token::Paren) {
        let fork = input.fork();
        let name: Ident = fork.parse()?;
        if let Some(takes) = wrapper(&name) {
            let name: Ident = input.parse()?;
            let content;
            parenthesized!(content in input);
            return wrapped(&name, takes, &content);
        }
    }
    let expr = input.parse()?;
    Ok(FieldValue { show, wrap: None, expr })
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
    let expr: Expr = input.parse().map_err(|_| wrapper_form(name))?;
    let wrap = if takes == 2 {
        input.parse::<Token![,]>().map_err(|_| wrapper_form(name))?;
        Wrap::Truncate(input.parse().map_err(|_| wrapper_form(name))?)
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
        expr,
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

fn label(input: ParseStream<'_>, row: &Row) -> syn::Result<Label> {
    let key = input
        .call(Ident::parse_any)
        .map_err(|_| input.error(format!("expected a label; write `{}`", row.write)))?;
    if input.peek(Token![.]) {
        let message = format!("a label's name has no dots; write `{key} = …`");
        return Err(syn::Error::new(key.span(), message));
    }
    let ty: Option<Type> = input.parse::<Option<Token![:]>>()?.map(|_| input.parse()).transpose()?;
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(
            key.span(),
            format!("label `{key}` has no value; write `{key} = {key}`"),
        ));
    }
    input.parse::<Token![=]>()?;
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
