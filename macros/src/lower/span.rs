//! The rules of `traced`.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt as _;
use syn::{Expr, LitStr, Member};

use super::signals::{Job, Said};
use super::{Argument, Subject, operation, secret};
use crate::args::{ErrWord, Field, FieldValue, Show, Value, Wrap};
use crate::diag::{Diagnostics, nearest};
use crate::model::{Capture, ErrMode, FieldModel, ParentModel, SpanModel};

pub(super) fn span(
    said: &Said<'_>,
    shared_name: Option<&LitStr>,
    job: Option<Job<'_>>,
    subject: &Subject,
    diag: &mut Diagnostics,
) -> SpanModel {
    let (err, err_level) = err(said, diag);
    let written = non_empty(said, "name", diag).or_else(|| shared_name.cloned());
    let operation = operation::operation(said, job, written.is_some(), subject, diag);
    SpanModel {
        name: written
            .or_else(|| operation.as_ref().map(operation::span_name))
            .unwrap_or_else(|| LitStr::new(&subject.name, Span::mixed_site())),
        target: non_empty(said, "target", diag),
        level: said.level("level").cloned(),
        kind: kind(said, job).or_else(|| operation.as_ref().map(operation::span_kind)),
        fields: fields(said, subject, diag),
        ret: said
            .nearest(&["ret", "stream"])
            .into_iter()
            .find_map(|option| match &option.value {
                Value::Ret(show) => Some(*show),
                _ => None,
            }),
        err,
        err_level,
        parent: parent(said, diag),
        link: said.expr("link").cloned(),
        when: said.expr("when").cloned(),
        operation,
    }
}

fn non_empty(said: &Said<'_>, option: &str, diag: &mut Diagnostics) -> Option<LitStr> {
    let text = said.text(option)?;
    if text.value().trim().is_empty() {
        let row = said.option(option).map_or("", |option| option.row.write);
        diag.error(text, format!("`{option}` is empty; write `{row}` or leave it out"));
    }
    Some(text.clone())
}

fn kind(said: &Said<'_>, job: Option<Job<'_>>) -> Option<Ident> {
    let word = operation::written_kind(said, job)?;
    let text = word.to_string();
    let (first, rest) = text.split_at(1);
    Some(Ident::new(
        &format!("{}{rest}", first.to_uppercase()),
        Span::mixed_site(),
    ))
}

fn err(said: &Said<'_>, diag: &mut Diagnostics) -> (ErrMode, Option<crate::args::Level>) {
    let Some(Value::Err(words)) = said.option("err").map(|option| &option.value) else {
        return (ErrMode::Auto, None);
    };
    let (mut mode, mut level) = (ErrMode::Auto, None);
    for word in words {
        let (key, given) = match word {
            ErrWord::Debug(key) => (key, std::mem::replace(&mut mode, ErrMode::Debug) != ErrMode::Auto),
            ErrWord::Off(key) => (key, std::mem::replace(&mut mode, ErrMode::Off) != ErrMode::Auto),
            ErrWord::Level(key, value) => (key, level.replace(value.clone()).is_some()),
        };
        if given {
            diag.error(key, "`err` says one of `debug` and `off`, and one `level`; keep one");
        }
    }
    if mode == ErrMode::Off
        && let Some(ErrWord::Level(key, _)) = words.iter().find(|word| matches!(word, ErrWord::Level(..)))
    {
        diag.error(key, "`err(off)` writes no line that could have a level; keep one");
    }
    (mode, level)
}

fn parent(said: &Said<'_>, diag: &mut Diagnostics) -> ParentModel {
    let given = said.nearest(&["root", "parent"]);
    match given.as_slice() {
        [root, _] => {
            diag.error(&root.key, "a span has a `parent` or begins a trace as `root`; keep one");
            ParentModel::Root
        }
        [one] => match &one.value {
            Value::Expr(parent) => ParentModel::Of(parent.clone()),
            _ => ParentModel::Root,
        },
        _ => ParentModel::Current,
    }
}

fn fields(said: &Said<'_>, subject: &Subject, diag: &mut Diagnostics) -> Vec<FieldModel> {
    let mut fields: Vec<FieldModel> = Vec::new();
    if let Some(Value::Fields(written)) = said.option("fields").map(|option| &option.value) {
        for field in written {
            if fields.iter().any(|before| before.key.value() == field.key.text) {
                diag.error_at(
                    field.key.span,
                    format!("field `{}` is given twice; keep one", field.key.text),
                );
            }
            guard(field, subject, diag);
            let first = field.key.parts.first();
            if field.value.is_none()
                && subject.opaque
                && first.is_some_and(|first| first != "self" && !subject.has(first))
            {
                let message = format!(
                    "`{0}` may be part of an argument that another macro took apart, where it is not seen; give the argument a name and write `{0} = name.{0}`",
                    field.key.text
                );
                diag.error_at(field.key.span, message);
            }
            fields.push(FieldModel {
                cfg: match (&field.value, first.and_then(|first| subject.argument(first))) {
                    (None, Some(argument)) => argument.cfg.clone(),
                    _ => Vec::new(),
                },
                key: LitStr::new(&field.key.text, field.key.span),
                capture: capture(field, subject),
            });
        }
    }
    arguments(said, subject, &mut fields, diag);
    fields
}

/// `args` and `skip`.
fn arguments(said: &Said<'_>, subject: &Subject, fields: &mut Vec<FieldModel>, diag: &mut Diagnostics) {
    let mut skipped: &[Ident] = &[];
    if let Some(option) = said.option("skip")
        && let Value::Names(names) = &option.value
    {
        skipped = names;
        if !said.flag("args") {
            diag.error(
                &option.key,
                "`skip` leaves arguments out of `args`, which is off; write `args, skip(…)` or leave it out",
            );
        }
        let known = || subject.arguments.iter().map(|argument| argument.name.to_string());
        for name in names.iter().filter(|_| !subject.in_block) {
            if !known().any(|known| name == &known) {
                let known: Vec<String> = known().collect();
                let near = nearest(&name.to_string(), known.iter().map(String::as_str));
                let meant = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                diag.error(name, format!("the function has no argument `{name}`{meant}"));
            }
        }
    }
    if !said.flag("args") {
        return;
    }
    for argument in &subject.arguments {
        let Argument { name, cfg, .. } = argument;
        let text = name.unraw().to_string();
        if skipped.iter().any(|skipped| skipped == name) || fields.iter().any(|field| field.key.value() == text) {
            continue;
        }
        if let Some(word) = secret::word(&text) {
            diag.error(
                name,
                secret_message(&text, &text, word, "", &format!(", or `skip({name})`")),
            );
        }
        fields.push(FieldModel {
            cfg: cfg.clone(),
            key: LitStr::new(&text, name.span()),
            capture: Capture::Arg(argument.given().value),
        });
    }
}

fn capture(field: &Field, subject: &Subject) -> Capture {
    let Some(FieldValue { show, wrap, expr }) = &field.value else {
        return match field.key.parts.split_first() {
            // `x` and `x.y` of an argument are its value; any other key alone is recorded later.
            Some((first, rest)) if first == "self" || subject.has(first) => {
                Capture::Value(Show::Native, member(first, rest))
            }
            _ => Capture::Empty,
        };
    };
    let expr = expr.clone();
    match wrap {
        Some(Wrap::Hash) => Capture::Hash(expr),
        Some(Wrap::Redact) => Capture::Redact(expr),
        Some(Wrap::Truncate(max)) => Capture::Truncate(expr, max.clone()),
        Some(Wrap::Len) => Capture::Len(expr),
        Some(Wrap::Plain) | None => Capture::Value(*show, expr),
    }
}

fn member(first: &Ident, rest: &[Ident]) -> Expr {
    let start = Expr::Path(syn::ExprPath {
        attrs: Vec::new(),
        qself: None,
        path: first.clone().into(),
    });
    rest.iter().fold(start, |base, name| {
        Expr::Field(syn::ExprField {
            attrs: Vec::new(),
            base: Box::new(base),
            dot_token: syn::Token![.](name.span()),
            member: Member::Named(name.clone()),
        })
    })
}

/// No secret in clear by oversight: neither under its own name nor under another.
fn guard(field: &Field, subject: &Subject, diag: &mut Diagnostics) {
    let clear = match &field.value {
        Some(value) => matches!(value.wrap, None | Some(Wrap::Truncate(_))),
        None => matches!(capture(field, subject), Capture::Value(..)),
    };
    if !clear {
        return;
    }
    let key = &field.key.text;
    let written = field.value.as_ref().map(|value| &value.expr);
    let value = written.map_or_else(
        || key.clone(),
        |expr| quote::ToTokens::to_token_stream(expr).to_string().replace(' ', ""),
    );
    let prefix = if field.key.text == value {
        String::new()
    } else {
        format!("{key} = ")
    };
    if let Some(word) = secret::word(key) {
        let part = field
            .key
            .parts
            .iter()
            .find(|part| secret::word(&part.to_string()).is_some());
        diag.error_at(
            part.map_or(field.key.span, Ident::span),
            secret_message(key, &value, word, &prefix, ""),
        );
    } else if let Some(last) = written.and_then(last_name)
        && let Some(word) = secret::word(&last.to_string())
    {
        diag.error(last, secret_message(&last.to_string(), &value, word, &prefix, ""));
    }
}

fn last_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(path) => path.path.get_ident(),
        Expr::Reference(reference) => last_name(&reference.expr),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Deref(_)) => last_name(&unary.expr),
        Expr::Paren(paren) => last_name(&paren.expr),
        Expr::Field(field) => match &field.member {
            Member::Named(name) => Some(name),
            Member::Unnamed(_) => None,
        },
        _ => None,
    }
}

fn secret_message(name: &str, value: &str, word: &str, prefix: &str, or: &str) -> String {
    let of = if name == word {
        String::new()
    } else {
        format!(", by its word `{word}`")
    };
    format!(
        "`{name}` looks like a secret{of}; write `{prefix}hash({value})` to tell values apart, `{prefix}redact({value})` to show only \
         that there is one, `{prefix}plain({value})` if it is meant in clear{or}"
    )
}
