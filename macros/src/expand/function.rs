//! One function, by its flow.

mod body;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, FnArg, Pat, ReturnType, Signature};

use self::body::{
    braced, conditions, edge_inside, edge_of_future, erased, hold, inner_attributes, item, lend, rebinds, tie,
    underscored,
};
use super::{entry, settle, site};
use crate::lower::expects::{self, Spared};
use crate::lower::tie::names_of;
use crate::model::{Flow, Instrumented, Run, Tail, Tie};
use crate::paths;

pub(super) fn function(model: &Instrumented, body: &Group) -> TokenStream {
    let (inner, body) = inner_attributes(body);
    let mut signature = model.function.signature.to_token_stream();
    let block = match &model.flow {
        Flow::Sync { run, maybe_future } => sync(model, &body, run, *maybe_future),
        Flow::Diverges => diverges(model, &body),
        Flow::Async { tied } => {
            signature = desugared(&model.function.signature);
            asynchronous(model, &body, tied.as_ref())
        }
        Flow::AsyncKept { tied } => {
            let future = asynchronous(model, &body, tied.as_ref());
            emit!(#future.await)
        }
        Flow::AsyncDiverges => never_returns(model, &body),
        Flow::FutureInside(tail) => future_inside(model, tail),
        Flow::FutureOutside(run) => future_outside(model, &body, run),
        Flow::Stream { boxed } => stream(model, &body, *boxed),
    };
    let beside = beside(model, &body);
    let attrs = if beside.is_some() {
        expects::of_attributes(&model.function.attrs, Spared::All)
    } else {
        model.function.attrs.clone()
    };
    let before = &model.function.before;
    let limits = site::limits(model);
    let kept = kept(model);
    emit!(#(#attrs)* #(#inner)* #before #signature { #limits #kept #block } #beside)
}

/// Arguments that are read once the body is done have to outlast it.
fn kept(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let each = model.late.iter().map(|name| {
        let span = Span::mixed_site().located_at(name.span());
        quote_spanned!(span=> #p::kept(&#name);)
    });
    each.collect()
}

/// `fn(…) -> impl Future<Output = …>`. The tokens are ours, of edition 2024, so every lifetime is captured, as by `async fn`.
fn desugared(signature: &Signature) -> TokenStream {
    let mut signature = signature.clone();
    signature.asyncness = None;
    let output = match std::mem::replace(&mut signature.output, ReturnType::Default) {
        ReturnType::Default => emit!(()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    let future = paths::future(Span::mixed_site());
    let clause = signature.generics.where_clause.take();
    emit!(#signature -> impl #future<Output = #output> #clause)
}

/// How a call of a plain function begins: the `let`, and what is said of it where the arguments can be read. The call is made
/// idle and begun where it lies: moved, it would be copied also where nothing records.
fn begun(model: &Instrumented, name: &TokenStream) -> (TokenStream, TokenStream) {
    let p = model.root.private();
    let site = site::site(model);
    let said = entry::entry(model);
    let signals = site::signals_and_said(model, !said.is_empty());
    let idle = emit!(let mut #name = #p::Call::<#signals>::idle(#site););
    if said.is_empty() {
        (emit!(#idle #p::Call::entered(&mut #name);), said)
    } else {
        (
            emit!(#idle #p::Call::begin(&mut #name);),
            emit!(#said #p::Call::enter(#name);),
        )
    }
}

/// How a call of a function returning a future is prepared: the value, and what is said of it.
fn prepared(model: &Instrumented) -> (TokenStream, TokenStream) {
    let p = model.root.private();
    let signals = site::signals(model);
    let site = site::site(model);
    (emit!(#p::Call::<#signals>::prepare(#site)), entry::entry(model))
}

fn sync(model: &Instrumented, body: &Group, run: &Run, maybe_future: bool) -> TokenStream {
    let p = model.root.private();
    if !maybe_future
        && let Some(end) = settle::brief(model)
        && let nothing = entry::entry(model)
        && nothing.is_empty()
    {
        let (signals, site) = (site::signals(model), site::site(model));
        let ret = returned(model, body, run, &nothing);
        return emit!(let mut call = #p::Brief::<#signals>::begin(#site); #ret #end ret);
    }
    let (call, said) = begun(model, &emit!(call));
    let ret = returned(model, body, run, &said);
    if !maybe_future {
        let settle = settle::in_place(model);
        return emit!(#call #ret #settle ret);
    }
    let settle = settle::settle(model);
    emit! {
        #call
        #ret
        let kind = { use #p::probe::*; (&&&&#p::Kind(&ret)).vitalsign_kind() };
        kind.finish(call, ret, #settle)
    }
}

/// `let ret = …;` by running the body.
fn returned(model: &Instrumented, body: &Group, run: &Run, said: &TokenStream) -> TokenStream {
    let p = model.root.private();
    match run {
        Run::Closure => {
            let (run, borrow) = (closure(model, body, said), borrow(said));
            emit!(let ret = { #borrow #p::run(move || #run) };)
        }
        Run::Tied(tie) => {
            let (run, borrow) = (closure(model, body, said), borrow(said));
            let returned = &tie.returned;
            let (helper, name) = tied(tie, &emit!(impl ::core::ops::FnOnce() -> #returned), &emit!(body()));
            emit!(let ret = { #helper #borrow #name(move || #run) };)
        }
        Run::InPlace(None) => in_place(model, &body.to_token_stream(), said),
        Run::InPlace(Some(tie)) => in_place(model, &passed(tie, &ours(body)), said),
        Run::Labelled(body, None) => in_place(model, body, said),
        Run::Labelled(body, Some(tie)) => in_place(model, &passed(tie, body), said),
        Run::Hoisted(signature) => hoisted(signature, body, said),
        Run::Beside(signature) => {
            let (call, said) = (called(&renamed(signature)), here(said));
            emit!(#said let ret = Self::#call;)
        }
    }
}

/// The body as what stands behind the bars of a closure that runs at once.
fn closure(model: &Instrumented, body: &Group, said: &TokenStream) -> TokenStream {
    let (annotation, edge) = tie(&model.function.signature.output);
    let rebinds = rebinds(&model.rebinds, None);
    let hold = hold(&model.receiver);
    let block = braced(body, &emit!(#hold #rebinds #said #edge));
    emit!(#annotation #block)
}

/// A function that takes what gives the returned value and says that value's bound; and how it is called.
fn tied(tie: &Tie, of: &TokenStream, give: &TokenStream) -> (TokenStream, TokenStream) {
    let Tie {
        params,
        clause,
        given,
        returned,
    } = tie;
    let name = Ident::new("__vitalsign_tied", Span::mixed_site());
    let helper = emit! {
        fn #name<#params>(body: #of) -> #returned #clause { #give }
    };
    (helper, emit!(#name::<#given>))
}

/// A block of ours whose value is the body's, passed through that function.
fn passed(tie: &Tie, body: &impl ToTokens) -> TokenStream {
    let (helper, name) = tied(tie, &tie.returned, &emit!(body));
    emit!({ #helper #name(#body) })
}

/// The body in braces of ours: its own would be called needless around an argument.
fn ours(body: &Group) -> Group {
    let mut inner = Group::new(body.delimiter(), body.stream());
    inner.set_span(Span::mixed_site().located_at(body.span()));
    inner
}

fn in_place(model: &Instrumented, body: &TokenStream, said: &TokenStream) -> TokenStream {
    let ty = match &model.function.signature.output {
        ReturnType::Type(_, ty) => erased(&ty.to_token_stream()),
        ReturnType::Default => emit!(()),
    };
    let said = here(said);
    emit!(#said let ret: #ty = #body;)
}

/// What is said of the call where it lies.
fn here(said: &TokenStream) -> Option<TokenStream> {
    borrow(said).map(|borrow| emit!({ #borrow #said }))
}

/// The call as those who say something of it see it.
fn borrow(said: &TokenStream) -> Option<TokenStream> {
    (!said.is_empty()).then(|| emit!(let call = &mut call;))
}

/// The body as a function inside that is told the caller's location.
fn hoisted(signature: &Signature, body: &Group, said: &TokenStream) -> TokenStream {
    let mut inner = signature.clone();
    inner.ident = Ident::new("__vitalsign_body", Span::mixed_site());
    let call = called(&inner);
    let said = here(said);
    emit!(#said let ret = { #[track_caller] #inner #body #call };)
}

/// A call of the body's function with the names in its signature.
fn called(inner: &Signature) -> TokenStream {
    let name = &inner.ident;
    let arguments = inner.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(arg) => match &*arg.pat {
            Pat::Ident(pat) => {
                let (cfg, name) = (conditions(&arg.attrs), &pat.ident);
                Some(emit!(#(#cfg)* #name))
            }
            _ => None,
        },
        FnArg::Receiver(receiver) => Some(receiver.self_token.to_token_stream()),
    });
    let generics = names_of(&inner.generics.params);
    emit!(#name::<#(#generics),*>(#(#arguments),*))
}

/// The method that the body stands in, where it stands beside.
fn beside(model: &Instrumented, body: &Group) -> Option<TokenStream> {
    let (Flow::Sync { run, .. } | Flow::FutureOutside(run)) = &model.flow else {
        return None;
    };
    let Run::Beside(signature) = run else { return None };
    let inner = renamed(signature);
    let attrs = model
        .function
        .attrs
        .iter()
        .filter(|attr| attr.is("cfg") || attr.is_lint_level());
    Some(emit! {
        #(#attrs)*
        #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools, clippy::type_complexity)]
        #[doc(hidden)] #[track_caller] #inner #body
    })
}

/// The signature of the method beside.
fn renamed(signature: &Signature) -> Signature {
    let mut inner = signature.clone();
    inner.ident = format_ident!(
        "__vitalsign_body_of_{}",
        signature.ident.unraw(),
        span = Span::mixed_site()
    );
    inner
}

/// A body that never returns leaves only by unwinding, which the call's drop sees.
fn diverges(model: &Instrumented, body: &Group) -> TokenStream {
    let (call, said) = begun(model, &emit!(call));
    let (said, body) = (here(&said), body.stream());
    emit!(#call #said #body)
}

fn asynchronous(model: &Instrumented, body: &Group, tie: Option<&Tie>) -> TokenStream {
    let edge = edge_inside(&model.function.signature.output);
    let block = if let Some(tie) = tie {
        let (helper, name) = tied(tie, &tie.returned, &emit!(body));
        let inner = ours(body);
        let mut block = Group::new(body.delimiter(), emit!(#helper #edge #name(#inner)));
        block.set_span(body.span());
        block
    } else {
        braced(body, &edge)
    };
    wrapper(model, &block, &settle::settle(model))
}

fn never_returns(model: &Instrumented, body: &Group) -> TokenStream {
    let mut block = Group::new(body.delimiter(), emit!(#body;));
    block.set_span(body.span());
    let future = wrapper(model, &block, &emit!(|_, _| {}));
    emit!(#future.await; ::core::unreachable!())
}

/// `future(site, |call| async move {…}, settle)`
fn wrapper(model: &Instrumented, body: &Group, settle: &TokenStream) -> TokenStream {
    let p = model.root.private();
    let signals = site::signals(model);
    let site = site::site(model);
    let said = entry::entry(model);
    let call = if said.is_empty() { emit!(_) } else { emit!(call) };
    let hold = hold(&model.receiver);
    // What is said of parts of a pattern takes it apart by reference: into the body it moves whole, as rustc moves it.
    let lent = lend(&model.apart, &said);
    let rest = rebinds(&model.rebinds, Some(&said));
    let block = braced(body, &emit!(#hold #rest));
    // A closure captures in the order of mention, and drops in that order if it is never called.
    let sources = model
        .rebinds
        .iter()
        .map(|rebind| mention(&conditions(&rebind.attrs), &rebind.source));
    let in_order = (!said.is_empty()).then(|| emit!(#hold #(#sources)*));
    emit! {
        #p::future::<#signals, _, _, _>(#site, move |#call| { #in_order #lent async move #block }, #settle)
    }
}

/// A statement that captures it and does nothing.
fn mention(cfg: &[&Attribute], name: &Ident) -> TokenStream {
    let underscore = underscored(name).then(|| emit!(#[allow(clippy::used_underscore_binding)]));
    emit!(#(#cfg)* #underscore let _ = &#name;)
}

fn future_inside(model: &Instrumented, tail: &Tail) -> TokenStream {
    let p = model.root.private();
    let (call, said) = prepared(model);
    let mutable = (!said.is_empty()).then(|| emit!(mut));
    let settle = settle::settle(model);
    let before = &tail.before;
    let block = future_block(model, tail);
    let wrapped = emit!(#p::future_prepared(call, #block, #settle));
    let tail = match tail.boxed {
        Some(span) => quote_spanned!(span=> (#wrapped)),
        None => wrapped,
    };
    let said = here(&lend(&model.apart, &said));
    emit!(let #mutable call = #call; #said #before #tail)
}

fn future_outside(model: &Instrumented, body: &Group, run: &Run) -> TokenStream {
    let p = model.root.private();
    let (call, said) = prepared(model);
    let mutable = (!said.is_empty()).then(|| emit!(mut));
    let settle = settle::settle(model);
    let ret = returned(model, body, run, &said);
    emit!(let #mutable call = #call; #ret #p::future_prepared(call, ret, #settle))
}

fn stream(model: &Instrumented, body: &Group, boxed: bool) -> TokenStream {
    let p = model.root.private();
    let (call, said) = prepared(model);
    let mutable = (!said.is_empty()).then(|| emit!(mut));
    let settle = settle::settle(model);
    let ret = returned(model, body, &Run::Closure, &said);
    let wrap = if boxed { emit!(stream_boxed) } else { emit!(stream) };
    // The closure that settles is read before the function's type reaches it.
    let tied = item(&model.function.signature.output).filter(|_| !boxed);
    let tied = tied.map(|item| emit!(#p::stream_of::<#item, _>(&ret);));
    emit!(let #mutable call = #call; #ret #tied #p::#wrap(call, ret, #settle))
}

/// The tail's block, told its output: the closure that settles is read before the function's type reaches it.
fn future_block(model: &Instrumented, tail: &Tail) -> TokenStream {
    let mut trees: Vec<TokenTree> = tail.block.clone().into_iter().collect();
    if let Some(TokenTree::Group(group)) = trees.last() {
        let group = braced(group, &edge_of_future(&model.function.signature.output));
        trees.pop();
        trees.push(TokenTree::Group(group));
    }
    trees.into_iter().collect()
}
