//! The rules of `labels(…)`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Expr, LitInt, LitStr, Pat, Type};

use super::metric::call_site_ident;
use super::signals::Said;
use super::{Argument, Subject};
use crate::args::{Label, LabelValue, Value, limit_of, literal_text};
use crate::diag::Diagnostics;
use crate::model::{LabelModel, LabelType, Moment, Source};
use crate::tokens::mentions;

/// What the metrics themselves write.
const RESERVED: [&str; 6] = ["function", "module", "outcome", "error_type", "le", "quantile"];
/// As many as an index is built for.
const MOST: usize = 8;

pub(super) fn labels(said: &Said<'_>, subject: &Subject, store: &str, diag: &mut Diagnostics) -> Vec<LabelModel> {
    let Some(Value::Labels(written)) = said.option("labels").map(|option| &option.value) else {
        return Vec::new();
    };
    let mut labels: Vec<LabelModel> = Vec::new();
    for label in written {
        let key = label.key.unraw().to_string();
        key_rules(label, &key, &labels, diag);
        let store = format_ident!("__VITALSIGN_{}_LIMIT_{}", store, labels.len());
        let source = source(label, subject, call_site_ident(&store.to_string()), diag);
        labels.push(LabelModel {
            key: LitStr::new(&key, label.key.span()),
            source,
        });
    }
    if let Some(label) = written.get(MOST) {
        diag.error(
            &label.key,
            format!("a family has at most {MOST} labels; each multiplies its series"),
        );
    }
    labels
}

fn key_rules(label: &Label, key: &str, before: &[LabelModel], diag: &mut Diagnostics) {
    if RESERVED.contains(&key) || key.starts_with("__") {
        diag.error(
            &label.key,
            format!(
                "label `{key}` is reserved; write `{}_ = …` or another name",
                key.trim_start_matches('_')
            ),
        );
    } else if before.iter().any(|before| before.key.value() == key) {
        diag.error(&label.key, format!("label `{key}` is given twice; keep one"));
    }
}

fn source(label: &Label, subject: &Subject, store: Ident, diag: &mut Diagnostics) -> Source {
    match &label.value {
        LabelValue::Limit(value, max) => limited(value, max, store, diag),
        LabelValue::Expr(Expr::Closure(closure)) => {
            if closure.inputs.len() != 1 {
                diag.error(
                    &closure.body,
                    "a label of the returned value takes it alone; write `|ret| …`",
                );
            }
            match limit_of(&closure.body) {
                Ok(Some((value, max))) => {
                    let mut inner = closure.clone();
                    inner.body = Box::new(value.clone());
                    return limited(&Expr::Closure(inner), max, store, diag);
                }
                Ok(None) => {}
                Err(error) => diag.push(error),
            }
            let ty = label.ty.clone().map_or(LabelType::Unknown, |ty| named(ty, subject));
            Source::Returned(Expr::Closure(closure.clone()), ty)
        }
        LabelValue::Expr(expr) => {
            if let Some(constant) = constant(expr) {
                return Source::Const(constant);
            }
            let ty = match &label.ty {
                Some(ty) => named(ty.clone(), subject),
                None => inferred(expr, subject),
            };
            Source::Entry(expr.clone(), ty)
        }
    }
}

fn limited(value: &Expr, max: &LitInt, store: Ident, diag: &mut Diagnostics) -> Source {
    let number = max.base10_parse::<u32>().unwrap_or(0);
    if !(1..=10_000).contains(&number) {
        diag.error(max, "a limit is from 1 to 10000 values; write `limit(expr, 50)`");
    }
    let at = if matches!(value, Expr::Closure(_)) {
        Moment::Return
    } else {
        Moment::Entry
    };
    Source::Limited {
        at,
        value: value.clone(),
        max: number,
        store,
    }
}

/// A literal, or a path whose last word is in capitals.
fn constant(expr: &Expr) -> Option<TokenStream> {
    if let Some(text) = literal_text(expr) {
        let span = expr
            .to_token_stream()
            .into_iter()
            .next()
            .map_or_else(proc_macro2::Span::mixed_site, |tree| tree.span());
        return Some(LitStr::new(&text, span).to_token_stream());
    }
    let Expr::Path(path) = expr else { return None };
    let last = path.path.segments.last()?.ident.to_string();
    let capitals = last
        .chars()
        .all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_')
        && last.chars().any(|char| char.is_ascii_uppercase());
    capitals.then(|| quote!(#expr))
}

/// A type the user named; a static cannot name what belongs to the function.
fn named(ty: Type, subject: &Subject) -> LabelType {
    // `k: _ = expr` says that there is no name for it here.
    if !matches!(ty, Type::Infer(_)) && subject.nameable(&ty) {
        LabelType::Named(ty)
    } else {
        LabelType::Unknown
    }
}

/// The type of an expression over arguments whose types can be named.
fn inferred(expr: &Expr, subject: &Subject) -> LabelType {
    if let Expr::Path(path) = expr
        && let Some(argument) = path.path.get_ident().and_then(|name| subject.argument(name))
    {
        return argument.ty.clone().map_or(LabelType::Unknown, |ty| named(ty, subject));
    }
    let Some(names) = free_names(&expr.to_token_stream()) else {
        return LabelType::Unknown;
    };
    let mut over: Vec<(Ident, Type)> = Vec::new();
    for name in names {
        match subject.argument(&name) {
            Some(Argument { name, ty: Some(ty), .. }) if subject.nameable(ty) => {
                if !over.iter().any(|(seen, _)| seen == name) {
                    over.push((name.clone(), ty.clone()));
                }
            }
            _ => return LabelType::Unknown,
        }
    }
    if over.is_empty() {
        LabelType::Unknown
    } else {
        LabelType::Of(over)
    }
}

/// The names an expression takes from around it: those not behind `.` or `::` nor before `(`, `::` or `!`. `None` where it
/// has parts of its own that bind names or end early.
fn free_names(tokens: &TokenStream) -> Option<Vec<Ident>> {
    let binds = |tree: &TokenTree| match tree {
        TokenTree::Ident(word) => [
            "self", "Self", "if", "match", "let", "return", "async", "await", "move", "loop", "while", "for", "unsafe",
        ]
        .iter()
        .any(|keyword| word == keyword),
        TokenTree::Punct(punct) => matches!(punct.as_char(), '|' | '?' | '!'),
        _ => false,
    };
    if mentions(tokens, &binds) {
        return None;
    }
    let mut names = Vec::new();
    collect(tokens, &mut names);
    Some(names)
}

fn collect(tokens: &TokenStream, names: &mut Vec<Ident>) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let punct = |at: Option<&TokenTree>, chars: &str| matches!(at, Some(TokenTree::Punct(punct)) if chars.contains(punct.as_char()));
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => collect(&group.stream(), names),
            TokenTree::Ident(name) => {
                let before = at.checked_sub(1).and_then(|at| trees.get(at));
                let after = trees.get(at + 1);
                let called = matches!(after, Some(TokenTree::Group(group)) if group.delimiter() == proc_macro2::Delimiter::Parenthesis);
                let part = punct(before, ".:") || punct(after, ":") || called;
                if !part && !["true", "false", "as", "mut", "ref"].iter().any(|word| name == word) {
                    names.push(name.clone());
                }
            }
            _ => {}
        }
    }
}

/// The names a pattern of an argument binds, for [`Subject`].
pub(super) fn names_of(pat: &Pat) -> Vec<Ident> {
    let mut names = Vec::new();
    super::flow::bound(pat, &mut names);
    names
}
