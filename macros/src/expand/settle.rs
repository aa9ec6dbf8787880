//! How the returned value settles a call.

use proc_macro2::TokenStream;
use syn::{Expr, ReturnType, Type};

use super::entry::{labels, shown, typed};
use crate::args::Show;
use crate::model::{Counter, ErrMode, Family, Instrumented, Moment, OperationModel, Verdict};

/// The closure that a wrapper future settles by. What an option reads of the arguments moves in: the function returns before the
/// future is done, so a reference or a number is copied, and the body keeps its own.
pub(super) fn settle(model: &Instrumented) -> TokenStream {
    let said = statements(model);
    if said.is_empty() {
        emit!(|_, _| {})
    } else {
        emit!(move |ret, s| { #said })
    }
}

/// The statements that settle a call about to return `ret`: no closure, for each is a type and a function more to compile.
pub(super) fn in_place(model: &Instrumented) -> TokenStream {
    let (p, said) = (model.root.private(), statements(model));
    if said.is_empty() {
        return emit!(if let ::core::option::Option::Some(s) = #p::Call::settling(&mut call) {
            let ended = #p::Settle::ended(s);
            #p::Call::end(&mut call, &ended);
        });
    }
    emit! {
        if let ::core::option::Option::Some(mut s) = #p::Call::settling(&mut call) {
            { let (ret, s) = (&ret, &mut s); #said }
            let ended = #p::Settle::ended(s);
            #p::Call::end(&mut call, &ended);
        }
    }
}

/// How the call of a plain function ends of which the type of its value says all; `None` where more is said.
pub(super) fn brief(model: &Instrumented) -> Option<TokenStream> {
    let (p, span) = (model.root.private(), model.span.as_ref());
    let of_value = |family: &Family| labels(&p, &family.labels, Moment::Return).is_some();
    let by_value = |counter: &Counter| matches!(counter.by, Some(Expr::Closure(_)));
    let more = !matches!(model.verdict, Verdict::ByType)
        || span.is_some_and(|span| span.ret.is_some() || span.err == ErrMode::Debug || span.operation.is_some())
        || model
            .counter
            .as_ref()
            .is_some_and(|counter| of_value(&counter.family) || by_value(counter))
        || model.timer.as_ref().is_some_and(|timer| of_value(&timer.family));
    if more {
        None
    } else if says_nothing(&model.function.signature.output) {
        Some(emit!(#p::Brief::succeeded(&mut call);))
    } else {
        Some(emit!({ use #p::probe::*; (&&&&&&&&#p::Probe(&ret)).vitalsign_end(&mut call); }))
    }
}

/// Statements on `ret`, a reference to the value, and `s`, a mutable one to the `Settle`.
fn statements(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let mut said = TokenStream::new();
    match &model.verdict {
        Verdict::ByType => {}
        Verdict::OkIf(expr) => said.extend(asked(&emit!(#p::Settle::decide(s, #p::judge(ret, #expr));))),
        Verdict::ErrorIf(expr) => said.extend(asked(&emit!(#p::Settle::decide(s, !#p::judge(ret, #expr));))),
    }
    if !says_nothing(&model.function.signature.output) {
        said.extend(probe(model, &p));
        if let Some(OperationModel::Db(_)) = model.span.as_ref().and_then(|span| span.operation.as_ref()) {
            said.extend(emit!(#p::Settle::code(s, { use #p::operation::*; (&&#p::CodeProbe(ret)).vitalsign_code() });));
        }
    }
    if let Some(show) = model.span.as_ref().and_then(|span| span.ret) {
        said.extend(returned(&p, show));
    }
    if let Some(counter) = &model.counter {
        said.extend(
            labels(&p, &counter.family.labels, Moment::Return)
                .map(|labels| asked(&emit!(#p::Settle::count_labels(s, #labels);))),
        );
        if let Some(by) = counter.by.as_ref().filter(|by| matches!(by, Expr::Closure(_))) {
            said.extend(asked(&emit!(#p::Settle::by(s, #p::apply(ret, #by));)));
        }
    }
    if let Some(timer) = &model.timer {
        said.extend(
            labels(&p, &timer.family.labels, Moment::Return)
                .map(|labels| asked(&emit!(#p::Settle::time_labels(s, #labels);))),
        );
    }
    said
}

/// A statement with a closure of the user's on the returned value. Clippy would have a path in place of `|ret| ret.len()`, and a path
/// there means something else.
fn asked(statement: &TokenStream) -> TokenStream {
    emit!(#[allow(clippy::redundant_closure, clippy::redundant_closure_for_method_calls)] #statement)
}

/// Types whose values never mean an error.
fn says_nothing(output: &ReturnType) -> bool {
    const PLAIN: &[&str] = &[
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
        "f64", "String",
    ];
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => match &**ty {
            Type::Tuple(tuple) => tuple.elems.is_empty(),
            Type::Path(path) => path
                .path
                .get_ident()
                .is_some_and(|name| PLAIN.iter().any(|plain| name == plain)),
            _ => false,
        },
    }
}

fn probe(model: &Instrumented, p: &TokenStream) -> TokenStream {
    if model.span.as_ref().is_some_and(|span| span.err == ErrMode::Debug) {
        return emit!({ use #p::probe::*; (&&&&&&&&#p::DebugProbe(ret)).vitalsign_settle(s); });
    }
    emit!({ use #p::probe::*; (&&&&&&&&#p::Probe(ret)).vitalsign_settle(s); })
}

fn returned(p: &TokenStream, show: Show) -> TokenStream {
    let value = match show {
        Show::Native => typed(p, &emit!(value)),
        show => shown(p, show, &emit!(value)),
    };
    emit! {
        if #p::Settle::recording(s) {
            if let ::core::option::Option::Some(value) = { use #p::probe::*; (&&#p::OkProbe(ret)).vitalsign_ok() } {
                #p::Settle::ret(s, #value);
            }
        }
    }
}
