//! One function, by its flow.

mod body;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::{FnArg, GenericParam, Pat, ReturnType, Signature};

use self::body::{braced, edge_inside, edge_of_future, erased, hold, inner_attributes, item, rebinds, tie};
use super::{entry, settle, site};
use crate::model::{Flow, Instrumented, Rebind, Tail};
use crate::paths;
use crate::tokens::mentions_ident;

pub(super) fn function(model: &Instrumented, body: &Group) -> TokenStream {
    let (inner, body) = inner_attributes(body);
    let mut signature = model.function.signature.to_token_stream();
    let block = match &model.flow {
        Flow::Sync { maybe_future } => sync(model, &body, *maybe_future),
        Flow::Inline => inline(model, &body),
        Flow::Hoisted(inner) => hoisted(model, inner, &body),
        Flow::Diverges => diverges(model, &body),
        Flow::Async => {
            signature = desugared(&model.function.signature);
            asynchronous(model, &body)
        }
        Flow::AsyncKept => {
            let future = asynchronous(model, &body);
            emit!(#future.await)
        }
        Flow::AsyncDiverges => never_returns(model, &body),
        Flow::FutureInside(tail) => future_inside(model, tail),
        Flow::FutureOutside => future_outside(model, &body),
        Flow::Stream { boxed } => stream(model, &body, *boxed),
    };
    let attrs = &model.function.attrs;
    let before = &model.function.before;
    let limits = site::limits(model);
    emit!(#(#attrs)* #(#inner)* #before #signature { #limits #block })
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
    let signals = site::signals(model);
    let site = site::site(model);
    let said = entry::entry(model);
    let idle = emit!(let mut #name = #p::Call::<#signals>::idle(#site););
    if said.is_empty() {
        (emit!(#idle #name.entered();), said)
    } else {
        (emit!(#idle #name.begin();), emit!(#said #name.enter();))
    }
}

/// How a call of a function returning a future is prepared: the value, and what is said of it.
fn prepared(model: &Instrumented) -> (TokenStream, TokenStream) {
    let p = model.root.private();
    let signals = site::signals(model);
    let site = site::site(model);
    (emit!(#p::Call::<#signals>::prepare(#site)), entry::entry(model))
}

fn sync(model: &Instrumented, body: &Group, maybe_future: bool) -> TokenStream {
    let p = model.root.private();
    let (call, said) = begun(model, &emit!(call));
    let run = run(model, body, &said);
    if !maybe_future {
        let settle = settle::in_place(model);
        return emit!(#call let ret = #run; #settle ret);
    }
    let settle = settle::settle(model);
    emit! {
        #call
        let ret = #run;
        let kind = { use #p::probe::*; (&&&#p::Kind(&ret)).kind() };
        kind.finish(call, ret, #settle)
    }
}

/// The body as a closure that runs at once.
fn run(model: &Instrumented, body: &Group, said: &TokenStream) -> TokenStream {
    let p = model.root.private();
    let (annotation, edge) = tie(&model.function.signature.output);
    let rebinds = rebinds(&model.rebinds, None);
    let hold = hold(&model.receiver);
    let closure = braced(body, &emit!(#hold #rebinds #said #edge));
    let run = emit!(#p::run(move || #annotation #closure));
    if said.is_empty() {
        run
    } else {
        emit!({ let call = &mut call; #run })
    }
}

fn inline(model: &Instrumented, body: &Group) -> TokenStream {
    let (call, said) = begun(model, &emit!(call));
    let settle = settle::in_place(model);
    let ty = match &model.function.signature.output {
        ReturnType::Type(_, ty) => erased(&ty.to_token_stream()),
        ReturnType::Default => emit!(()),
    };
    emit!(#call #said let ret: #ty = #body; #settle ret)
}

/// The body as a function that is told the caller's location.
fn hoisted(model: &Instrumented, inner: &Signature, body: &Group) -> TokenStream {
    let (call, said) = begun(model, &emit!(call));
    let settle = settle::in_place(model);
    let mut inner = inner.clone();
    inner.ident = Ident::new("__vitalsign_body", Span::mixed_site());
    let name = &inner.ident;
    let arguments = inner.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(arg) => match &*arg.pat {
            Pat::Ident(pat) => Some(&pat.ident),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    });
    let generics = inner.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    });
    let run = emit!({ #[track_caller] #inner #body #name::<#(#generics),*>(#(#arguments),*) });
    emit!(#call #said let ret = #run; #settle ret)
}

/// A body that never returns leaves only by unwinding, which the call's drop sees.
fn diverges(model: &Instrumented, body: &Group) -> TokenStream {
    let (call, said) = begun(model, &emit!(call));
    let body = body.stream();
    emit!(#call #said #body)
}

fn asynchronous(model: &Instrumented, body: &Group) -> TokenStream {
    let block = braced(body, &edge_inside(&model.function.signature.output));
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
    // Fields that name a part of a pattern need it taken apart before the body; all else moves in as rustc moves it.
    let named = |rebind: &&Rebind| rebind.hidden && rebind.names.iter().any(|name| mentions_ident(&said, name));
    let (early, late): (Vec<&Rebind>, Vec<&Rebind>) = model.rebinds.iter().partition(named);
    let apart = rebinds(early.iter().copied(), None);
    let kept = early.iter().flat_map(|rebind| &rebind.names);
    let rest = rebinds(late, Some(&said));
    let block = braced(body, &emit!(#hold #(let _ = &#kept;)* #rest));
    // A closure captures in the order of mention, and drops in that order if it is never called.
    let sources = model.rebinds.iter().map(|rebind| &rebind.source);
    let in_order = (!said.is_empty()).then(|| emit!(#hold #(let _ = &#sources;)*));
    emit! {
        #p::future::<#signals, _, _, _>(#site, move |#call| { #in_order #apart #said async move #block }, #settle)
    }
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
    emit!(let #mutable call = #call; #said #before #tail)
}

fn future_outside(model: &Instrumented, body: &Group) -> TokenStream {
    let p = model.root.private();
    let (call, said) = prepared(model);
    let mutable = (!said.is_empty()).then(|| emit!(mut));
    let settle = settle::settle(model);
    let run = run(model, body, &said);
    emit!(let #mutable call = #call; let future = #run; #p::future_prepared(call, future, #settle))
}

fn stream(model: &Instrumented, body: &Group, boxed: bool) -> TokenStream {
    let p = model.root.private();
    let (call, said) = prepared(model);
    let mutable = (!said.is_empty()).then(|| emit!(mut));
    let settle = settle::settle(model);
    let run = run(model, body, &said);
    let wrap = if boxed { emit!(stream_boxed) } else { emit!(stream) };
    // The closure that settles is read before the function's type reaches it.
    let tied = item(&model.function.signature.output).filter(|_| !boxed);
    let tied = tied.map(|item| emit!(#p::stream_of::<#item, _>(&stream);));
    emit!(let #mutable call = #call; let stream = #run; #tied #p::#wrap(call, stream, #settle))
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
