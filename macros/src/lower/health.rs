//! The rules of `health_check`, `check` and `#[health(…)]`.

use quote::ToTokens;
use syn::{FnArg, ItemImpl, LitInt, LitStr, Path, ReceiverKind, Safety};

use super::signals::no_option_twice;
use crate::args::{Options, Value};
use crate::diag::Diagnostics;
use crate::model::{CheckModel, CheckOption};
use crate::tokens::{Function, mentions};

/// What is said of one check, in the order of the runtime's builder.
pub(crate) fn check(options: &Options, diag: &mut Diagnostics) -> CheckModel {
    no_option_twice(options, diag);
    let mut said = Vec::new();
    for option in &options.list {
        let name = option.row.name;
        match &option.value {
            Value::Flag if name != "skip" => said.push(CheckOption::Flag(name)),
            Value::Text(text) if name != "name" => {
                said.extend(nanos(text, option.row.write, diag).map(|nanos| CheckOption::Duration(name, nanos)));
            }
            Value::Bool(value) => said.push(CheckOption::Bool(name, value.clone())),
            Value::Count(count) => {
                in_a_row(count, option.row.write, diag);
                said.push(CheckOption::Count(name, count.clone()));
            }
            _ => {}
        }
    }
    one_schedule(options, diag);
    CheckModel {
        name: name(options, diag),
        check: path(options, "check"),
        said,
    }
}

fn name(options: &Options, diag: &mut Diagnostics) -> Option<LitStr> {
    let Value::Text(name) = &options.find("name")?.value else {
        return None;
    };
    let text = name.value();
    let fits = !text.is_empty()
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_-.".contains(char));
    if !fits {
        let fixed: String = text
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
            .collect();
        let fixed = if fixed.trim_matches('-').is_empty() {
            "orders-db"
        } else {
            fixed.trim_matches('-')
        };
        diag.error(
            name,
            format!("a check's name stands in paths: letters, digits, `-`, `_`, `.`; write `name = \"{fixed}\"`"),
        );
    }
    Some(name.clone())
}

pub(crate) fn path(options: &Options, option: &str) -> Option<Path> {
    match &options.find(option)?.value {
        Value::Path(path) => Some(path.clone()),
        _ => None,
    }
}

fn one_schedule(options: &Options, diag: &mut Diagnostics) {
    if let (Some(_), Some(interval)) = (options.find("cache"), options.find("interval")) {
        diag.error(
            &interval.key,
            "a check runs on demand with a `cache` or in the background at an `interval`; keep one",
        );
    }
}

fn in_a_row(count: &LitInt, write: &str, diag: &mut Diagnostics) {
    if !count
        .base10_parse::<u32>()
        .is_ok_and(|count| (1..=1000).contains(&count))
    {
        diag.error(count, format!("from 1 to 1000 in a row; write `{write}`"));
    }
}

/// `500ms`, `2s`, `1.5m`, `1h`
fn nanos(text: &LitStr, write: &str, diag: &mut Diagnostics) -> Option<u64> {
    let value = text.value();
    let nanos = parse_nanos(value.trim());
    if nanos.is_none() {
        diag.error(
            text,
            format!("a time is a number above 0 with `ms`, `s`, `m` or `h`; write `{write}`"),
        );
    }
    nanos
}

fn parse_nanos(text: &str) -> Option<u64> {
    let unit = text.find(|char: char| char.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    let nanos = number * seconds * 1e9;
    (1.0..1e18).contains(&nanos).then_some(nanos as u64)
}

/// A function that is registered at link time: it can be called as it is.
pub(crate) fn function(function: &Function, check: &CheckModel, diag: &mut Diagnostics) {
    let signature = &function.signature;
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            diag.error(
                receiver,
                "a method is a check of its block; write `#[check]` here and `#[health_check]` on the `impl`",
            );
        }
        Some(argument) => diag.error(argument, NO_ARGUMENTS),
        None => {}
    }
    if let Some(param) = signature.generics.params.first() {
        diag.error(
            param,
            "a generic function is no one check; write a function without parameters that calls it",
        );
    }
    callable(function, check, diag);
}

const NO_ARGUMENTS: &str =
    "a check is called without arguments; derive `HealthCheck` for a struct that holds what it needs";

/// A method that is a check of its block.
pub(crate) fn method(function: &Function, check: &CheckModel, diag: &mut Diagnostics) {
    let signature = &function.signature;
    let by_reference = signature.receiver().is_some_and(|receiver| match &receiver.kind {
        ReceiverKind::Reference(_, _, exclusive) => exclusive.is_none(),
        _ => false,
    });
    if !by_reference {
        diag.error(
            &signature.ident,
            format!("a check takes `&self`; write `fn {}(&self)`", signature.ident),
        );
    } else if let Some(argument) = signature.inputs.iter().nth(1) {
        diag.error(argument, NO_ARGUMENTS);
    }
    callable(function, check, diag);
}

fn callable(function: &Function, check: &CheckModel, diag: &mut Diagnostics) {
    if let Safety::Unsafe(word) = &function.signature.safety {
        diag.error(word, "a check is called by others, so it cannot be `unsafe`");
    }
    let blocking = check.said.iter().any(|option| option.name() == "blocking");
    if let (Some(word), true) = (&function.signature.asyncness, blocking) {
        diag.error(word, "`blocking` is for a plain `fn`; remove it or `async`");
    }
}

/// Whether its value is awaited.
pub(crate) fn is_async(function: &Function) -> bool {
    let output = function.signature.output.to_token_stream();
    let future = |tree: &proc_macro2::TokenTree| matches!(tree, proc_macro2::TokenTree::Ident(word) if word == "Future" || word == "BoxFuture");
    function.signature.asyncness.is_some() || mentions(&output, &future)
}

/// A block has no name: its methods have.
pub(crate) fn block_options(options: &Options, diag: &mut Diagnostics) {
    if let Some(name) = options.find("name") {
        diag.error(
            &name.key,
            "a block's checks are named when it is registered; write `name` on one of its `#[check]` methods",
        );
    }
}

/// An `impl` of a type, not of a trait.
pub(crate) fn inherent(block: &ItemImpl, diag: &mut Diagnostics) {
    if let Some((path, _)) = &block.trait_ {
        diag.error(
            path,
            "`#[health_check]` goes on an `impl` of the type itself, whose methods are checks",
        );
    }
}

/// A field of a struct that derives `HealthCheck`.
pub(crate) fn field(options: &Options, check: &CheckModel, diag: &mut Diagnostics) {
    if let Some(skip) = options.find("skip") {
        if let Some(other) = options.list.iter().find(|option| option.row.name != "skip") {
            diag.error(
                &skip.key,
                format!("a field is left out or has `{}`; keep one", other.row.name),
            );
        }
    } else if let (Some(blocking), None) = (options.find("blocking"), &check.check) {
        diag.error(
            &blocking.key,
            "`blocking` is for a plain function; write `check = ping, blocking`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::parse_nanos;

    #[test]
    fn times() {
        assert_eq!(parse_nanos("500ms"), Some(500_000_000));
        assert_eq!(parse_nanos("1.5s"), Some(1_500_000_000));
        assert_eq!(parse_nanos("2 m"), Some(120_000_000_000));
        for wrong in ["", "5", "s", "0s", "-1s", "1d", "5 seconds"] {
            assert_eq!(parse_nanos(wrong), None, "{wrong}");
        }
    }
}
