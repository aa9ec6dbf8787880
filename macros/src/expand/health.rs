//! `#[health_check]` on functions and `impl` blocks.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned;
use syn::{ItemImpl, LitStr};

use super::fallback;
use crate::args::{self, table::Attr};
use crate::diag::Diagnostics;
use crate::lower;
use crate::model::{CheckModel, CheckOption};
use crate::paths::Root;
use crate::tokens::{Function, Item, Kind, Part, items};

pub(crate) fn health_check(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut diag = Diagnostics::default();
    let span = proc_macro2::Span::call_site();
    let options = args::options(Attr::HealthCheck, span, arguments, &mut diag);
    let check = lower::health::check(&options, &mut diag);
    let root = Root::new(lower::health::path(&options, "crate").as_ref());
    let item = Item::new(item);
    let expanded = match item.kind() {
        Kind::Function { .. } => function(&check, &root, &item, &mut diag),
        Kind::Block(keyword) if keyword.name == "impl" => block(&check, &options, &root, &item, &mut diag),
        _ => {
            diag.error_at(
                span,
                "`#[health_check]` goes on a function without arguments, or on an `impl` block with `#[check]` methods",
            );
            None
        }
    };
    match expanded {
        Some(tokens) if diag.is_empty() => tokens,
        _ => fallback(&diag, &without_checks(&item)),
    }
}

/// `#[check]` that no `#[health_check]` around it took away.
pub(crate) fn check_alone(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diag = Diagnostics::default();
    let span = proc_macro2::Span::call_site();
    let options = args::options(Attr::Check, span, arguments, &mut diag);
    lower::health::check(&options, &mut diag);
    diag.error_at(
        span,
        "`#[check]` marks a method of a block; write `#[health_check]` on the `impl` around it",
    );
    fallback(&diag, item)
}

fn function(check: &CheckModel, root: &Root, item: &Item, diag: &mut Diagnostics) -> Option<TokenStream> {
    let function = diag.take(item.function())?;
    lower::health::function(&function, check, diag);
    if !cfg!(feature = "health") {
        // Nobody but the probes may have called it.
        return Some(quote!(#[allow(dead_code)] #item));
    }
    let h = health(root);
    let p = root.private();
    let ident = &function.signature.ident;
    let name = name(check, ident);
    let options = options(&h, check);
    let line = quote::quote_spanned!(ident.span()=> ::core::line!());
    let call = awaited(&function, emit!(#ident()));
    let status = status(&h, &function.signature.output);
    let entry = emit! {
        #[allow(deprecated)]
        const _: () = {
            #[#p::linkme::distributed_slice(#h::CHECKS)]
            #[linkme(crate = #p::linkme)]
            static __VITALSIGN_CHECK: #h::CheckDef = #h::CheckDef::new(
                #name, ::core::module_path!(), ::core::file!(), #line, #options,
                || #h::boxed(async { let ret = #call; #status }),
            );
        };
    };
    Some(quote!(#item #entry))
}

fn block(
    said: &CheckModel,
    options: &args::Options,
    root: &Root,
    item: &Item,
    diag: &mut Diagnostics,
) -> Option<TokenStream> {
    lower::health::block_options(options, diag);
    let head: TokenStream = item.rest[..item.rest.len() - 1].iter().cloned().collect();
    let parsed: ItemImpl = diag.take(syn::parse2(quote!(#head {})))?;
    lower::health::inherent(&parsed, diag);
    let mut methods = Vec::new();
    let body = each_item(item, |part| {
        if let Some(method) = method(part, diag) {
            methods.push(method);
        }
    })?;
    if methods.is_empty() && diag.is_empty() {
        diag.error(
            parsed.impl_token,
            "no method is marked; write `#[check]` on each that checks",
        );
    }
    let attrs = &item.attrs;
    let kept = quote!(#(#attrs)* #head #body);
    if !cfg!(feature = "health") {
        return Some(quote!(#[allow(dead_code)] #kept));
    }
    let h = health(root);
    let (mut parts, mut arms) = (TokenStream::new(), TokenStream::new());
    for (check, function) in &methods {
        let ident = &function.signature.ident;
        let name = name(check, ident);
        let all = super::health::options(
            &h,
            &CheckModel {
                name: None,
                check: None,
                said: inherited(said, check),
            },
        );
        let cfg: Vec<_> = function.attrs.iter().filter(|attr| attr.is("cfg")).collect();
        parts.extend(emit!(#(#cfg)* parts.function(#name, #all);));
        let call = awaited(function, emit!(Self::#ident(self)));
        let status = status(&h, &function.signature.output);
        arms.extend(emit!(#(#cfg)* if at.here() { let ret = #call; return #status; }));
    }
    let mut generics = parsed.generics.clone();
    thread_safe(&mut generics);
    let (params, _, clause) = generics.split_for_impl();
    let ty = &parsed.self_ty;
    let methods = check_impl(&h, &parts, &arms);
    let expanded = emit!(#[allow(deprecated)] impl #params #h::HealthCheck for #ty #clause { #methods });
    Some(quote!(#kept #expanded))
}

/// What the block says holds for each method that does not say it.
fn inherited(block: &CheckModel, own: &CheckModel) -> Vec<CheckOption> {
    let probes = ["liveness", "readiness", "startup"];
    let says = |name: &str| own.said.iter().any(|option| option.name() == name);
    let says_probe = probes.iter().any(|probe| says(probe));
    let says_schedule = says("cache") || says("interval");
    let from_block = block.said.iter().filter(|option| {
        let name = option.name();
        let group = (probes.contains(&name) && says_probe) || (["cache", "interval"].contains(&name) && says_schedule);
        !group && !says(name)
    });
    from_block.chain(&own.said).cloned().collect()
}

/// A marked method; its mark is taken away.
fn method(item: &mut Item, diag: &mut Diagnostics) -> Option<(CheckModel, Function)> {
    let at = item
        .attrs
        .iter()
        .position(|attr| attr.is("check") || (attr.ends_in("check") && attr.path[0] == "vitalsign"))?;
    let mark = item.attrs.remove(at);
    let span = mark
        .name
        .as_ref()
        .map_or_else(proc_macro2::Span::call_site, Ident::span);
    let options = args::options(Attr::Check, span, mark.arguments(), diag);
    let check = lower::health::check(&options, diag);
    if !matches!(item.kind(), Kind::Function { .. }) {
        diag.error_at(span, "`#[check]` marks a method");
        return None;
    }
    let function = diag.take(item.function())?;
    lower::health::method(&function, &check, diag);
    Some((check, function))
}

/// The block's body after `visit` saw, and perhaps changed, each item.
fn each_item(item: &Item, mut visit: impl FnMut(&mut Item)) -> Option<Group> {
    let body = item.body()?;
    let parts = items(body).into_iter().map(|part| match part {
        Part::Item(mut item) => {
            visit(&mut item);
            item.to_token_stream()
        }
        Part::Other(tokens) => tokens,
    });
    let mut group = Group::new(body.delimiter(), parts.collect());
    group.set_span(body.span());
    Some(group)
}

/// The item as it was, without marks that mean nothing by themselves.
fn without_checks(item: &Item) -> TokenStream {
    if !matches!(item.kind(), Kind::Block(_)) {
        return item.to_token_stream();
    }
    let Some(body) = each_item(item, |item| item.attrs.retain(|attr| !attr.ends_in("check"))) else {
        return item.to_token_stream();
    };
    let attrs = &item.attrs;
    let head = &item.rest[..item.rest.len() - 1];
    quote!(#(#attrs)* #(#head)* #body)
}

/// The methods of `HealthCheck`.
pub(crate) fn check_impl(h: &TokenStream, parts: &TokenStream, arms: &TokenStream) -> TokenStream {
    emit! {
        async fn check(&self) -> #h::HealthStatus {
            #h::check_all(self).await
        }
        fn parts(&self, parts: &mut #h::Parts<'_>) {
            #parts
        }
        async fn check_part(&self, part: ::core::primitive::usize) -> #h::HealthStatus {
            let mut at = #h::Cursor::new(part);
            #arms
            #h::HealthStatus::up()
        }
    }
}

/// `P: Send + Sync` for each type parameter: a check is asked from other threads.
pub(crate) fn thread_safe(generics: &mut syn::Generics) {
    let params: Vec<Ident> = generics.type_params().map(|param| param.ident.clone()).collect();
    let clause = generics.make_where_clause();
    for param in params {
        clause
            .predicates
            .push(syn::parse_quote!(#param: ::core::marker::Send + ::core::marker::Sync));
    }
}

pub(crate) fn health(root: &Root) -> TokenStream {
    let p = root.private();
    emit!(#p::health)
}

/// What a check returned, as a status. A type that is none is told where it stands.
pub(crate) fn status(h: &TokenStream, output: &impl Spanned) -> TokenStream {
    let at = Span::mixed_site().located_at(output.span());
    let status = quote_spanned!(at=> (&&&&Returned(&ret)).health_status());
    emit!({ use #h::returned::*; #status })
}

pub(crate) fn options(h: &TokenStream, check: &CheckModel) -> TokenStream {
    let said = check.said.iter().map(|option| {
        let method = Ident::new(option.name(), proc_macro2::Span::mixed_site());
        match option {
            CheckOption::Flag(_) => emit!(.#method()),
            CheckOption::Duration(_, nanos) => emit!(.#method(::core::time::Duration::from_nanos(#nanos))),
            CheckOption::Bool(_, value) => emit!(.#method(#value)),
            CheckOption::Count(_, count) => emit!(.#method(#count)),
        }
    });
    emit!(#h::CheckOptions::new() #(#said)*)
}

fn name(check: &CheckModel, ident: &Ident) -> LitStr {
    check
        .name
        .clone()
        .unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()))
}

fn awaited(function: &Function, call: TokenStream) -> TokenStream {
    if lower::health::is_async(function) {
        emit!(#call.await)
    } else {
        call
    }
}
