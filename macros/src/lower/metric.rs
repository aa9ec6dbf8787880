//! The rules of `counted` and `timed`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, ExprLit, Lit, LitStr};

use super::Subject;
use super::label::labels;
use super::signals::Said;
use crate::args::Value;
use crate::diag::Diagnostics;
use crate::model::{Buckets, Counter, Family, Help, Timer};

pub(super) fn counter(
    said: &Said<'_>,
    shared_name: Option<&LitStr>,
    subject: &Subject,
    diag: &mut Diagnostics,
) -> Counter {
    let name = said.text("name").cloned();
    if let Some(name) = &name {
        counter_name(name, diag);
    }
    let unit = said.text("unit").cloned();
    if let Some(unit) = &unit {
        ucum(unit, diag);
    }
    if name.is_none() && shared_name.is_none() {
        fixed(said, &["help", "unit"], "name = \"orders.placed\"", diag);
    }
    Counter {
        family: family(
            said,
            name,
            shared_name.map(|name| (name, "calls")),
            subject,
            "COUNT",
            diag,
        ),
        by: said.expr("by").cloned(),
        unit,
        in_flight: said.flag("in_flight"),
        outcome: !said.flag("outcome"),
    }
}

pub(super) fn timer(said: &Said<'_>, shared_name: Option<&LitStr>, subject: &Subject, diag: &mut Diagnostics) -> Timer {
    let name = said.text("name").cloned();
    if let Some(name) = &name {
        timer_name(name, diag);
    }
    if name.is_none() && shared_name.is_none() {
        fixed(said, &["help"], "name = \"orders.latency\"", diag);
    }
    Timer {
        family: family(
            said,
            name,
            shared_name.map(|name| (name, "duration")),
            subject,
            "TIME",
            diag,
        ),
        buckets: buckets(said, diag),
        busy: said.flag("busy"),
        exemplars: !said.flag("exemplars"),
    }
}

/// What the default family has once for all functions.
fn fixed(said: &Said<'_>, options: &[&str], write: &str, diag: &mut Diagnostics) {
    for option in options.iter().filter_map(|name| said.option(name)) {
        let message = format!(
            "the default family has one `{}` for all functions; write `{write}` beside it for a family of its own",
            option.row.name
        );
        diag.error(&option.key, message);
    }
}

fn family(
    said: &Said<'_>,
    name: Option<LitStr>,
    shared: Option<(&LitStr, &str)>,
    subject: &Subject,
    store: &str,
    diag: &mut Diagnostics,
) -> Family {
    let shared = || shared.map(|(name, suffix)| LitStr::new(&format!("{}.{suffix}", name.value()), name.span()));
    Family {
        name: name.or_else(shared),
        help: help(said, subject, diag),
        labels: labels(said, subject, store, diag),
    }
}

fn help(said: &Said<'_>, subject: &Subject, diag: &mut Diagnostics) -> Help {
    if let Some(text) = said.text("help") {
        if text.value().trim().is_empty() {
            diag.error(text, "`help` is empty; say what is measured, or leave it out");
        }
        return Help::Explicit(text.clone());
    }
    subject.doc.clone().map_or(Help::None, Help::Doc)
}

/// A name of OpenTelemetry's form, for counters and for the shared name of `observed`.
pub(super) fn valid_name(name: &LitStr, diag: &mut Diagnostics) -> bool {
    let fixed = plain_name(&name.value());
    if let Some(fixed) = &fixed {
        let message = format!(
            "a metric's name begins with a letter and has letters, digits, `_`, `.`, `-`, `/`; write `name = \"{fixed}\"`"
        );
        diag.error(name, message);
    }
    fixed.is_none()
}

/// What would do, where this is no name.
pub(super) fn plain_name(text: &str) -> Option<String> {
    let fits = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.len() <= 255
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_.-/".contains(char));
    (!fits).then(|| fixed_name(text))
}

fn fixed_name(text: &str) -> String {
    let fixed: String = text
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() || "_.-/".contains(char) {
                char
            } else {
                '_'
            }
        })
        .collect();
    let fixed = fixed.trim_start_matches(|char: char| !char.is_ascii_alphabetic());
    if fixed.is_empty() {
        "orders.placed".to_owned()
    } else {
        fixed.to_owned()
    }
}

/// Suffixes that the metrics page adds by unit, with the UCUM code.
const UNITS: &[(&str, &str)] = &[
    ("seconds", "s"),
    ("milliseconds", "ms"),
    ("microseconds", "us"),
    ("nanoseconds", "ns"),
    ("minutes", "min"),
    ("hours", "h"),
    ("days", "d"),
    ("bytes", "By"),
    ("kibibytes", "KiBy"),
    ("mebibytes", "MiBy"),
    ("gibibytes", "GiBy"),
    ("ratio", "1"),
    ("percent", "%"),
    ("celsius", "Cel"),
    ("meters", "m"),
    ("grams", "g"),
    ("joules", "J"),
    ("volts", "V"),
    ("amperes", "A"),
];

/// The name without `suffix`, which stands behind `_` or `.`.
pub(super) fn without<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    text.strip_suffix(suffix)?
        .strip_suffix(['_', '.'])
        .filter(|rest| !rest.is_empty())
}

fn counter_name(name: &LitStr, diag: &mut Diagnostics) {
    let text = name.value();
    if !valid_name(name, diag) {
        return;
    }
    if let Some(rest) = without(&text, "total") {
        diag.error(
            name,
            format!("the metrics page adds `_total` itself; write `name = \"{rest}\"`"),
        );
    } else if let Some((rest, code)) = UNITS
        .iter()
        .find_map(|(suffix, code)| Some((without(&text, suffix)?, code)))
    {
        diag.error(
            name,
            format!("the unit is said beside the name; write `name = \"{rest}\", unit = \"{code}\"`"),
        );
    }
}

fn timer_name(name: &LitStr, diag: &mut Diagnostics) {
    let text = name.value();
    if !valid_name(name, diag) {
        return;
    }
    if let Some(rest) = without(&text, "total") {
        diag.error(name, format!("a histogram has no `_total`; write `name = \"{rest}\"`"));
    } else if let Some(rest) = UNITS.iter().find_map(|(suffix, _)| without(&text, suffix)) {
        diag.error(
            name,
            format!("the unit is always seconds and the metrics page adds it; write `name = \"{rest}\"`"),
        );
    }
}

pub(super) fn ucum(unit: &LitStr, diag: &mut Diagnostics) {
    let text = unit.value();
    if text.is_empty() || text.len() > 63 || !text.chars().all(|char| char.is_ascii_graphic()) {
        diag.error(
            unit,
            "a unit is a UCUM code without blanks; write `unit = \"By\"`, `unit = \"{order}\"` or leave it out",
        );
    }
}

fn buckets(said: &Said<'_>, diag: &mut Diagnostics) -> Buckets {
    let given = said.nearest(&["buckets", "exponential", "native"]);
    for option in given.iter().skip(1) {
        diag.error(
            &option.key,
            "a histogram has one of `buckets`, `exponential` and `native`; keep one",
        );
    }
    match given.first().map(|option| (&option.key, &option.value)) {
        Some((key, Value::Floats(bounds))) => Buckets::Classic(bounds_of(key, bounds, diag)),
        Some((_, Value::Exponential(three))) => {
            exponential(three, diag);
            Buckets::Exponential(three.clone())
        }
        Some((_, Value::Flag)) => Buckets::Native,
        _ => Buckets::Default,
    }
}

/// The bounds as floats; those that are literals have to ascend.
fn bounds_of(key: &Ident, bounds: &[Expr], diag: &mut Diagnostics) -> Vec<TokenStream> {
    if bounds.is_empty() {
        diag.error(key, "`buckets` is empty; write `buckets = [0.01, 0.1, 1.0]`");
    }
    let mut last = f64::NEG_INFINITY;
    for bound in bounds {
        let Some(number) = number(bound) else { continue };
        if !number.is_finite() || number <= last {
            diag.error(bound, "bounds ascend, in seconds; write `buckets = [0.01, 0.1, 1.0]`");
        }
        last = number;
    }
    bounds.iter().map(float).collect()
}

fn exponential(three: &[Expr; 3], diag: &mut Diagnostics) {
    let [start, factor, count] = three;
    if number(start).is_some_and(|start| start <= 0.0 || !start.is_finite()) {
        diag.error(
            start,
            "the first bound is above 0, in seconds; write `exponential(0.001, 2.0, 12)`",
        );
    }
    if number(factor).is_some_and(|factor| factor <= 1.0 || !factor.is_finite()) {
        diag.error(factor, "the factor is above 1; write `exponential(0.001, 2.0, 12)`");
    }
    if number(count).is_some_and(|count| !(1.0..=160.0).contains(&count) || count.fract() != 0.0) {
        diag.error(
            count,
            "the count is a whole number from 1 to 160; write `exponential(0.001, 2.0, 12)`",
        );
    }
}

/// A number written as a literal.
pub(super) fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Float(float), ..
        }) => float.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_parse().ok(),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => number(&unary.expr).map(|number| -number),
        _ => None,
    }
}

/// The expression as an `f64`: `1` is meant as `1.0`.
pub(crate) fn float(expr: &Expr) -> TokenStream {
    match (expr, number(expr)) {
        // One that is not finite has been refused, and no literal can be made of it.
        (Expr::Lit(ExprLit { lit, .. }), Some(number)) if number.is_finite() => {
            let mut literal = Literal::f64_suffixed(number);
            literal.set_span(lit.span());
            literal.to_token_stream()
        }
        _ => quote!(#expr),
    }
}

pub(super) fn call_site_ident(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
