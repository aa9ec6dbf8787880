//! `#[derive(HealthCheck)]`

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Field, Index, LitStr, Member, Meta, Path, Type};

use super::derived;
use crate::args::{self, table::Attr};
use crate::diag::Diagnostics;
use crate::expand::health::{check_impl, health, options, status, thread_safe};
use crate::lower;
use crate::model::CheckModel;
use crate::paths::Root;
use crate::tokens::mentions;

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    derived(input, |input, diag| {
        let root = Root::new(crate_path(input, diag).as_ref());
        let checks = checks(input, diag);
        if cfg!(feature = "health") && diag.is_empty() {
            expand(input, &root, &checks)
        } else {
            TokenStream::new()
        }
    })
}

/// One field that is checked.
struct Check<'a> {
    member: Member,
    field: &'a Field,
    model: CheckModel,
    blocking: bool,
}

fn checks<'a>(input: &'a DeriveInput, diag: &mut Diagnostics) -> Vec<Check<'a>> {
    let Data::Struct(data) = &input.data else {
        diag.error(
            &input.ident,
            "`HealthCheck` is derived for a struct whose fields are checks; implement it by hand for other types",
        );
        return Vec::new();
    };
    let checks: Vec<Check<'_>> = data
        .fields
        .iter()
        .enumerate()
        .filter_map(|(index, field)| check(index, field, diag))
        .collect();
    if checks.is_empty() && diag.is_empty() {
        diag.error(
            &input.ident,
            "no field is checked; write `#[health(readiness)]` on each that is",
        );
    }
    checks
}

fn check<'a>(index: usize, field: &'a Field, diag: &mut Diagnostics) -> Option<Check<'a>> {
    let mut marks = field.attrs.iter().filter(|attr| attr.path().is_ident("health"));
    let mark = marks.next()?;
    if let Some(second) = marks.next() {
        diag.error(
            second.path(),
            "`#[health]` is written twice on this field; keep one, with the options of both",
        );
    }
    let arguments = match &mark.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let options = args::options(Attr::Health, mark.path().span(), arguments, diag);
    let model = lower::health::check(&options, diag);
    lower::health::field(&options, &model, diag);
    if options.find("skip").is_some() {
        return None;
    }
    let member = match &field.ident {
        Some(name) => Member::Named(name.clone()),
        None => Member::Unnamed(Index::from(index)),
    };
    let blocking = options.find("blocking").is_some();
    Some(Check {
        member,
        field,
        model,
        blocking,
    })
}

/// `#[health(crate = path)]` on the struct.
fn crate_path(input: &DeriveInput, diag: &mut Diagnostics) -> Option<Path> {
    let mark = input.attrs.iter().find(|attr| attr.path().is_ident("health"))?;
    let mut found = None;
    let parsed = mark.parse_nested_meta(|meta| {
        if meta.path.is_ident("crate") {
            found = Some(meta.value()?.parse()?);
            return Ok(());
        }
        Err(meta.error("on the struct itself stands only `#[health(crate = path)]`; options go on its fields"))
    });
    diag.take(parsed);
    found
}

fn expand(input: &DeriveInput, root: &Root, checks: &[Check<'_>]) -> TokenStream {
    let h = health(root);
    let (mut parts, mut arms) = (TokenStream::new(), TokenStream::new());
    let mut generics = input.generics.clone();
    let params: Vec<Ident> = generics.type_params().map(|param| param.ident.clone()).collect();
    thread_safe(&mut generics);
    for Check {
        member,
        field,
        model,
        blocking,
    } in checks
    {
        let name = model.name.clone().unwrap_or_else(|| name_of(member));
        let options = options(&h, model);
        let span = Span::mixed_site().located_at(field.ty.span());
        if let Some(path) = &model.check {
            parts.extend(emit!(parts.function(#name, #options);));
            let call = if *blocking {
                emit!(#path(&self.#member))
            } else {
                emit!(#path(&self.#member).await)
            };
            let status = status(&h, path);
            arms.extend(emit!(if at.here() { let ret = #call; return #status; }));
            continue;
        }
        let value = quote_spanned!(span=> &self.#member);
        parts.extend(emit!(parts.field(#name, #options, #value);));
        arms.extend(emit! {
            if let ::core::option::Option::Some(part) = at.within(#value) {
                return #h::HealthCheck::check_part(#value, part).await;
            }
        });
        // Behind a reference it is one where what it refers to is.
        let mut ty = &field.ty;
        while let Type::Reference(reference) = ty {
            ty = &reference.elem;
        }
        if needs_bound(ty, &params) {
            generics
                .make_where_clause()
                .predicates
                .push(syn::parse_quote!(#ty: #h::HealthCheck));
        }
    }
    let ident = &input.ident;
    let (params, arguments, clause) = generics.split_for_impl();
    let methods = check_impl(&h, &parts, &arms);
    emit! {
        #[automatically_derived]
        impl #params #h::HealthCheck for #ident #arguments #clause { #methods }
    }
}

/// Whether the field's type is a check only if a parameter is. With a lifetime in it the bound would stand for that lifetime
/// alone, and the futures could no longer be proved `Send`; there rustc finds the implementation by itself.
fn needs_bound(ty: &Type, params: &[Ident]) -> bool {
    let tokens = ty.to_token_stream();
    mentions(
        &tokens,
        &|tree| matches!(tree, TokenTree::Ident(word) if params.iter().any(|param| word == param)),
    ) && !mentions(
        &tokens,
        &|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '\''),
    )
}

fn name_of(member: &Member) -> LitStr {
    match member {
        Member::Named(name) => LitStr::new(&name.unraw().to_string(), name.span()),
        Member::Unnamed(index) => LitStr::new(&index.index.to_string(), index.span),
    }
}
