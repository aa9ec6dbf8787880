//! What `LabelValue` and `ErrorLabel` share: an enum whose variants are texts.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{Data, DataEnum, DeriveInput, Fields, LitStr, Path, Variant};

use crate::diag::{Diagnostics, nearest};
use crate::paths::Root;

/// The styles of `rename_all`, as serde names them.
const STYLES: [&str; 8] = [
    "lowercase",
    "UPPERCASE",
    "PascalCase",
    "camelCase",
    "snake_case",
    "SCREAMING_SNAKE_CASE",
    "kebab-case",
    "SCREAMING-KEBAB-CASE",
];

/// An enum of label values.
pub(super) struct Variants<'a> {
    pub(super) root: Root,
    pub(super) list: Vec<(&'a Variant, String)>,
    /// Whether `outcome = "ok"` stands on a variant.
    pub(super) harmless: Vec<bool>,
}

/// What a derive asks of its variants.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) derive: &'static str,
    pub(super) style: &'static str,
    /// Variants carry data.
    pub(super) data: bool,
    /// `outcome = "ok"`
    pub(super) outcome: bool,
}

pub(super) fn variants<'a>(input: &'a DeriveInput, rules: Rules, diag: &mut Diagnostics) -> Option<Variants<'a>> {
    let Data::Enum(DataEnum { variants, .. }) = &input.data else {
        let derive = rules.derive;
        diag.error(
            &input.ident,
            format!("`{derive}` is derived for an enum, whose variants are the label's values"),
        );
        return None;
    };
    if variants.is_empty() {
        diag.error(&input.ident, "an enum without variants has no value to show");
        return None;
    }
    let container = container(input, diag);
    let style = container.style.as_deref().unwrap_or(rules.style);
    let mut list: Vec<(&Variant, String)> = Vec::new();
    let mut harmless = Vec::new();
    for variant in variants {
        if !rules.data && !matches!(variant.fields, Fields::Unit) {
            diag.error(
                &variant.fields,
                "a label's value carries no data: the set would not be bounded; remove it, or use `limit(expr, 50)`",
            );
        }
        let said = said(variant, rules, diag);
        let text = said
            .rename
            .as_ref()
            .map_or_else(|| styled(&variant.ident, style), LitStr::value);
        if let Some((other, _)) = list.iter().find(|(_, other)| *other == text) {
            diag.error(
                &variant.ident,
                format!(
                    "`{}` already has the value \"{text}\"; write `#[label(rename = \"…\")]`",
                    other.ident
                ),
            );
        }
        list.push((variant, text));
        harmless.push(said.harmless);
    }
    Some(Variants {
        root: Root::new(container.krate.as_ref()),
        list,
        harmless,
    })
}

#[derive(Default)]
struct Container {
    krate: Option<Path>,
    style: Option<String>,
}

fn container(input: &DeriveInput, diag: &mut Diagnostics) -> Container {
    let mut found = Container::default();
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("label")) {
        let parsed = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("crate") {
                found.krate = Some(meta.value()?.parse()?);
                Ok(())
            } else if meta.path.is_ident("rename_all") {
                found.style = Some(style(&meta, diag)?);
                Ok(())
            } else {
                Err(unknown(&meta, &["rename_all", "crate"], "rename_all = \"kebab-case\""))
            }
        });
        diag.take(parsed);
    }
    found
}

fn style(meta: &ParseNestedMeta<'_>, diag: &mut Diagnostics) -> syn::Result<String> {
    let text: LitStr = meta.value()?.parse()?;
    let value = text.value();
    if !STYLES.contains(&value.as_str()) {
        let begun = |style: &str| style.to_lowercase().starts_with(&value.to_lowercase());
        let begun = STYLES.into_iter().find(|style| !value.is_empty() && begun(style));
        let near = begun.or_else(|| nearest(&value, STYLES)).unwrap_or("kebab-case");
        diag.error(
            &text,
            format!("no style is called \"{value}\"; write `rename_all = \"{near}\"`"),
        );
    }
    Ok(value)
}

#[derive(Default)]
struct Said {
    rename: Option<LitStr>,
    harmless: bool,
}

fn said(variant: &Variant, rules: Rules, diag: &mut Diagnostics) -> Said {
    let mut said = Said::default();
    for attr in variant.attrs.iter().filter(|attr| attr.path().is_ident("label")) {
        if let Ok(text) = attr.parse_args::<LitStr>() {
            diag.error(
                &text,
                format!("a text alone says nothing; write `#[label(rename = {})]`", text.token()),
            );
            said.rename = Some(text);
            continue;
        }
        let parsed = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                let text: LitStr = meta.value()?.parse()?;
                if text.value().is_empty() {
                    diag.error(&text, "a label's value is not empty; write `rename = \"other\"`");
                }
                said.rename = Some(text);
                Ok(())
            } else if rules.outcome && meta.path.is_ident("outcome") {
                let text: LitStr = meta.value()?.parse()?;
                if text.value() != "ok" {
                    diag.error(&text, "a variant is an error unless `outcome = \"ok\"` says it is none");
                }
                said.harmless = true;
                Ok(())
            } else {
                let known: &[&str] = if rules.outcome {
                    &["rename", "outcome"]
                } else {
                    &["rename"]
                };
                Err(unknown(&meta, known, "rename = \"app\""))
            }
        });
        diag.take(parsed);
    }
    said
}

fn unknown(meta: &ParseNestedMeta<'_>, known: &[&'static str], write: &str) -> syn::Error {
    let typed = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
    let near = nearest(&typed, known.iter().copied())
        .map(|near| format!(" did you mean `{near}`?"))
        .unwrap_or_default();
    syn::Error::new(
        meta.path.span(),
        format!("`label` has no option `{typed}` here;{near} write `#[label({write})]`"),
    )
}

fn styled(ident: &Ident, style: &str) -> String {
    let name = ident.unraw().to_string();
    let words = words(&name);
    let join = |separator: &str, each: fn(&str) -> String| {
        words.iter().map(|word| each(word)).collect::<Vec<_>>().join(separator)
    };
    match style {
        "lowercase" => name.to_lowercase(),
        "UPPERCASE" => name.to_uppercase(),
        "camelCase" => {
            let joined = join("", capitalized);
            let mut chars = joined.chars();
            chars
                .next()
                .map(|first| first.to_lowercase().chain(chars).collect())
                .unwrap_or_default()
        }
        "snake_case" => join("_", str::to_lowercase),
        "SCREAMING_SNAKE_CASE" => join("_", str::to_uppercase),
        "kebab-case" => join("-", str::to_lowercase),
        "SCREAMING-KEBAB-CASE" => join("-", str::to_uppercase),
        _ => name,
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
        .unwrap_or_default()
}

/// `HttpError` is two words, `HTTPError` too.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let begins = char.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_ascii_digit() || after.is_some_and(|after| after.is_lowercase())
            });
        if (begins || *char == '_') && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if *char != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(*char);
        }
    }
    words
}

/// `index` of the trait, as arms of a `match`.
pub(super) fn index_arms(variants: &Variants<'_>) -> TokenStream {
    variants
        .list
        .iter()
        .enumerate()
        .map(|(index, (variant, _))| {
            let ident = &variant.ident;
            emit!(Self::#ident { .. } => #index,)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles() {
        let ident = Ident::new("HttpError2Way", proc_macro2::Span::call_site());
        assert_eq!(styled(&ident, "snake_case"), "http_error2_way");
        assert_eq!(styled(&ident, "kebab-case"), "http-error2-way");
        assert_eq!(styled(&ident, "camelCase"), "httpError2Way");
        assert_eq!(styled(&ident, "PascalCase"), "HttpError2Way");
        assert_eq!(words("HTTPError"), ["HTTP", "Error"]);
        assert_eq!(words("Eur"), ["Eur"]);
    }
}
