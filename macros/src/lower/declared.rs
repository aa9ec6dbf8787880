//! One metric of `metrics!`: what it says is looked at while its tokens know where they stand. What only constant evaluation can
//! know is asked there, in calls that stand where the value does.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Expr, Lit, LitStr, Token};

use super::metric::{float, number, plain_name, ucum, without};
use crate::diag::{Diagnostics, nearest};

/// `{the path of Definition} {the type} {base name} {other arguments of its new} {the labels} {options}`
struct Declared {
    definition: TokenStream,
    kind: Ident,
    base: LitStr,
    others: TokenStream,
    labels: TokenStream,
    options: Vec<(Ident, TokenTree)>,
}

impl Parse for Declared {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let part = || input.parse::<Group>().map(|group| group.stream());
        let (definition, kind, base, others, labels, options) = (part()?, part()?, part()?, part()?, part()?, part()?);
        let options_of = |input: ParseStream<'_>| {
            let mut options = Vec::new();
            while !input.is_empty() {
                options.push((input.parse()?, input.parse()?));
            }
            Ok(options)
        };
        let kind_of = |input: ParseStream<'_>| {
            let kind: Ident = input.parse()?;
            input.parse::<TokenStream>().map(|_| kind)
        };
        Ok(Self {
            definition,
            kind: kind_of.parse2(kind)?,
            base: syn::parse2(bare(base))?,
            others,
            labels,
            options: options_of.parse2(options)?,
        })
    }
}

/// The definition as an expression, with the errors in it.
pub(crate) fn definition(input: TokenStream) -> TokenStream {
    let mut diag = Diagnostics::default();
    let Some(declared) = diag.take(syn::parse2::<Declared>(input)) else {
        return diag.to_token_stream();
    };
    let definition = declared.expand(&mut diag);
    let errors = (!diag.is_empty()).then(|| emit!(#diag));
    emit!({ #errors #definition })
}

impl Declared {
    fn expand(self, diag: &mut Diagnostics) -> TokenStream {
        let base = self.name(diag);
        let (others, labels) = (&self.others, &self.labels);
        let new = self.at(base.span(), "new");
        let with_labels = self.at(base.span(), "labels");
        let mut made = quote_spanned!(here(base.span())=> #new(#base, #others));
        made = quote_spanned!(here(base.span())=> #with_labels(#made, #labels));
        for (option, value) in &self.options {
            if let Some(value) = self.value(option, value, diag) {
                let span = value.span;
                let (set, value) = (self.at(span, &option.to_string()), value.tokens);
                made = quote_spanned!(here(span)=> #set(#made, #value));
            }
        }
        made
    }

    /// `Definition::name`, standing there.
    fn at(&self, span: Span, name: &str) -> TokenStream {
        let path = self.definition.clone().into_iter().map(|mut tree| {
            tree.set_span(tree.span().located_at(span));
            tree
        });
        let (path, name): (TokenStream, _) = (path.collect(), Ident::new(name, here(span)));
        quote_spanned!(here(span)=> #path::#name)
    }

    /// The base name; one that can be used where it cannot.
    fn name(&self, diag: &mut Diagnostics) -> LitStr {
        let text = self.base.value();
        let usable = |name: &str| LitStr::new(name, self.base.span());
        if let Some(fixed) = plain_name(&text) {
            diag.error(
                &self.base,
                format!(
                    "a metric's name begins with a letter and has letters, digits, `_`, `.`, `-`, `/`; write `\"{fixed}\"`"
                ),
            );
            return usable(&fixed);
        }
        if let Some(rest) = without(&text, "total") {
            let message = format!("the metrics page adds `_total` itself; write `\"{rest}\"`");
            diag.error(&self.base, message);
            return usable(rest);
        }
        self.base.clone()
    }

    /// The value of an option as an argument; `None` after an error.
    fn value(&self, option: &Ident, value: &TokenTree, diag: &mut Diagnostics) -> Option<Located> {
        let (typed, kind) = (option.to_string(), self.kind.to_string());
        let options: &[&str] = match kind.as_str() {
            "Histogram" => &["unit", "buckets", "native"],
            "Summary" => &["unit", "quantiles"],
            "Info" => &[],
            _ => &["unit"],
        };
        let list = |options: &[&str]| {
            let quoted: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
            quoted.join(", ")
        };
        if !options.contains(&typed.as_str()) {
            let hint = match (nearest(&typed, options.iter().copied()), options) {
                (Some(near), _) => format!("; did you mean `{near}`?"),
                (None, []) => "; leave it out".to_owned(),
                (None, _) => format!("; it has {}", list(options)),
            };
            diag.error(option, format!("`{kind}` has no option `{typed}`{hint}"));
            return None;
        }
        let before = diag.len();
        let span = value.span();
        let tokens = match typed.as_str() {
            "unit" => {
                if let Ok(unit) = syn::parse2::<LitStr>(bare(value.to_token_stream())) {
                    ucum(&unit, diag);
                }
                value.to_token_stream()
            }
            "buckets" | "quantiles" => list_of(option, value, diag),
            _ => value.to_token_stream(),
        };
        (diag.len() == before).then_some(Located { span, tokens })
    }
}

struct Located {
    span: Span,
    tokens: TokenStream,
}

/// Numbers that rise: those that are literals are looked at here.
fn list_of(option: &Ident, value: &TokenTree, diag: &mut Diagnostics) -> TokenStream {
    let quantiles = option == "quantiles";
    let write = if quantiles {
        "quantiles = [0.5, 0.99]"
    } else {
        "buckets = [0.01, 0.1, 1.0]"
    };
    let TokenTree::Group(list) = value else {
        return quote_spanned!(here(value.span())=> &#value);
    };
    if list.delimiter() != Delimiter::Bracket {
        return quote_spanned!(here(value.span())=> &#value);
    }
    let parsed = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(list.stream());
    let Some(numbers) = diag.take(parsed) else {
        return TokenStream::new();
    };
    if numbers.is_empty() {
        diag.error(value, format!("`{option}` is empty; write `{write}`"));
    }
    let mut last = f64::NEG_INFINITY;
    for expr in &numbers {
        if !is_finite(expr) {
            diag.error(
                expr,
                format!("a number that is not finite; `+Inf` is added by itself: write `{write}`"),
            );
            continue;
        }
        let Some(number) = number(expr) else { continue };
        if number <= last {
            diag.error(expr, format!("the numbers ascend, none twice; write `{write}`"));
        } else if quantiles && !(0.0..=1.0).contains(&number) {
            diag.error(expr, format!("a quantile is between 0 and 1; write `{write}`"));
        }
        last = number;
    }
    let numbers = numbers.iter().map(float);
    quote_spanned!(here(value.span())=> &[#(#numbers),*])
}

/// False for what is written as no number: a literal too large, and the names of `f64`.
fn is_finite(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => !path.path.segments.last().is_some_and(|last| {
            ["INFINITY", "NEG_INFINITY", "NAN"]
                .iter()
                .any(|name| last.ident == name)
        }),
        Expr::Unary(unary) => is_finite(&unary.expr),
        expr => number(expr).is_none_or(f64::is_finite),
    }
}

/// What is no metric: a shape that is none, or a type.
pub(crate) fn wrong(input: TokenStream) -> TokenStream {
    let mut trees = input.into_iter();
    let message: Option<Lit> = trees.next().and_then(|tree| syn::parse2(bare(tree.into())).ok());
    let at: TokenStream = trees
        .take_while(|tree| !matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ';'))
        .collect();
    let message = match message {
        Some(Lit::Str(message)) => message.value(),
        _ => String::new(),
    };
    syn::Error::new_spanned(at, message).into_compile_error()
}

/// A span there, with names as in the rest of what is generated.
fn here(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// Without the group that rustc puts around what a macro matched.
fn bare(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => bare(group.stream()),
        _ => tokens,
    }
}
