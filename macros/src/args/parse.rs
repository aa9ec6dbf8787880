//! Reads options by the forms of their rows. A mistake in one does not hide those in the next.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Ident, LitStr, Path, Token, parenthesized, token};

use super::fields::field;
use super::labels::label;
use super::table::{Attr, Form, Row};
use super::{ErrWord, Level, Opt, Options, Show, Value};
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
                        diag.push(no_comma(input));
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

/// Something stands where an entry ought to have ended.
fn no_comma(input: ParseStream<'_>) -> syn::Error {
    let message = match input.fork().parse() {
        Ok(next @ (TokenTree::Ident(_) | TokenTree::Literal(_))) => {
            format!("a `,` is missing before `{next}`; write `, {next}`")
        }
        Ok(TokenTree::Punct(next)) if next.as_char() == ':' => {
            "expected `,`; a value is written `key = value`".to_owned()
        }
        _ => "expected `,`".to_owned(),
    };
    input.error(message)
}

fn skip_past_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
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
            let span = input.span();
            let text = input.parse::<LitStr>().map(|text| text.value()).unwrap_or_default();
            let write = format!("write `#[{attr_name}(name = \"{text}\")]`");
            syn::Error::new(span, format!("a value without its option; {write}"))
        }
        _ => input.error(format!("expected an option of `{attr_name}`; {}", all_of(attr))),
    }
}

fn unknown(attr: Attr, typed: &str) -> String {
    let name = attr.name();
    let rows = attr.rows();
    if let Some((other, write)) = elsewhere(attr, typed) {
        let write = match attr {
            Attr::Observed => format!("{other}({write})"),
            _ => format!("#[{other}({write})]"),
        };
        return format!("`{name}` has no option `{typed}`, `{other}` has; write `{write}`");
    }
    if let Some(instead) = of_instrument(attr, typed) {
        return format!("`{name}` has no option `{typed}`; {instead}");
    }
    let near = nearest(typed, rows.iter().map(|row| row.name));
    match near.and_then(|near| rows.iter().find(|row| row.name == near)) {
        Some(Row { name: near, write, .. }) => {
            format!("`{name}` has no option `{typed}`; did you mean `{near}`? write `{write}`")
        }
        None => format!("`{name}` has no option `{typed}`; {}", all_of(attr)),
    }
}

/// The sibling that has an option of exactly that name, and how it is written there.
fn elsewhere(attr: Attr, typed: &str) -> Option<(&'static str, &'static str)> {
    let siblings = [Attr::Traced, Attr::Counted, Attr::Timed];
    if attr != Attr::Observed && !siblings.contains(&attr) {
        return None;
    }
    let rows = siblings
        .into_iter()
        .flat_map(|other| other.rows().iter().map(move |row| (other, row)));
    rows.filter(|(_, row)| row.name == typed)
        .map(|(other, row)| (other.name(), row.write))
        .next()
}

/// What users of `#[tracing::instrument]` write where they leave out what is not here.
fn of_instrument(attr: Attr, typed: &str) -> Option<&'static str> {
    match (attr, typed) {
        (Attr::Traced, "skip_all") => {
            Some("no argument is recorded unless `args` or `fields(…)` asks for it: leave it out")
        }
        (Attr::Traced, "follows_from") => Some("write `link = causes`"),
        _ => None,
    }
}

fn all_of(attr: Attr) -> String {
    let names: Vec<String> = attr.rows().iter().map(|row| format!("`{}`", row.name)).collect();
    format!("it has {}", names.join(", "))
}

fn value(row: &Row, key: &Ident, input: ParseStream<'_>, diag: &mut Diagnostics) -> syn::Result<Option<Value>> {
    let wrong = |found: &str| syn::Error::new(key.span(), format!("`{}` {found}; write `{}`", row.name, row.write));
    match row.form {
        Form::Flag | Form::Ret if !input.peek(Token![=]) && !input.peek(token::Paren) => {
            Ok(Some(if row.form == Form::Flag {
                Value::Flag
            } else {
                Value::Ret(Show::Native)
            }))
        }
        Form::Flag => Err(wrong("takes no value")),
        Form::TextOrNested(attr) if input.peek(token::Paren) => {
            let content;
            parenthesized!(content in input);
            let tokens = content.parse()?;
            Ok(Some(Value::Nested(options(attr, key.span(), tokens, diag))))
        }
        Form::Err if !input.peek(token::Paren) => Err(wrong("is on by itself: leave it out, or say how")),
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
            if input.is_empty() || input.peek(Token![,]) {
                return Err(wrong("needs a value"));
            }
            after_equals(row, input).map(Some)
        }
    }
}

fn after_equals(row: &Row, input: ParseStream<'_>) -> syn::Result<Value> {
    // Read before the token is passed.
    let at = input.span();
    let expected = |what: &str| syn::Error::new(at, format!("`{}` takes {what}; write `{}`", row.name, row.write));
    match row.form {
        Form::Text | Form::TextOrNested(_) => input.parse().map(Value::Text).map_err(|_| expected("a string")),
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
        Form::Word(words) => word(row, words, input).map(Value::Word),
        Form::Floats => {
            let Ok(Expr::Array(array)) = expr(input) else {
                return Err(expected("an array of numbers"));
            };
            Ok(Value::Floats(array.elems.into_iter().collect()))
        }
        _ => expr(input).map(Value::Expr).map_err(|_| expected("an expression")),
    }
}

/// An expression as it was written, out of the invisible groups that fragments of a `macro_rules!` stand in.
pub(super) fn expr(input: ParseStream<'_>) -> syn::Result<Expr> {
    let mut expr: Expr = input.parse()?;
    Opened.visit_expr_mut(&mut expr);
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    Ok(expr)
}

/// Opens groups around what binds tighter than anything beside it.
struct Opened;

impl VisitMut for Opened {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        if let Expr::Group(group) = expr
            && matches!(
                &*group.expr,
                Expr::Path(_) | Expr::Lit(_) | Expr::Field(_) | Expr::Call(_) | Expr::MethodCall(_) | Expr::Macro(_)
            )
        {
            *expr = (*group.expr).clone();
        }
    }
}

/// One of the words that an option takes, written without quotes.
fn word(row: &Row, words: &[&str], input: ParseStream<'_>) -> syn::Result<Ident> {
    let at = input.span();
    let typed = Ident::parse_any(input);
    if let Ok(word) = &typed
        && words.iter().any(|known| word == known)
    {
        return Ok(word.clone());
    }
    let list: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let one_of = if words.len() == 1 { "" } else { "one of " };
    let near = typed
        .ok()
        .and_then(|typed| nearest(&typed.to_string(), words.iter().copied()));
    let write = near.map_or_else(|| row.write.to_owned(), |near| format!("{} = {near}", row.name));
    let message = format!("`{}` takes {one_of}{}; write `{write}`", row.name, list.join(", "));
    Err(syn::Error::new(at, message))
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// `"info"` or `Level::INFO`.
fn level(input: ParseStream<'_>) -> syn::Result<Level> {
    let at = input.span();
    let (typed, span) = if let Ok(text) = input.parse::<LitStr>() {
        (text.value(), text.span())
    } else {
        let path = input.call(Path::parse_mod_style).ok();
        let last = path.and_then(|path| path.segments.last().map(|segment| segment.ident.clone()));
        last.map_or((String::new(), at), |last| (last.to_string(), last.span()))
    };
    let lower = typed.to_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(Level(Ident::new(&lower.to_uppercase(), Span::mixed_site())));
    }
    let near = nearest(&lower, LEVELS).unwrap_or("info");
    let message =
        format!("a level is one of \"trace\", \"debug\", \"info\", \"warn\", \"error\"; write `level = \"{near}\"`");
    Err(syn::Error::new(span, message))
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
            let numbers = list(tokens.clone(), diag, |input, _| expr(input).map(Some));
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
