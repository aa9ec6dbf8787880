//! The one static of a function, and the signals it has as a constant.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::LitStr;

use crate::args::Level;
use crate::lower::float;
use crate::model::{
    Buckets, Counter, ErrMode, Family, Flow, Help, Instrumented, LabelModel, LabelType, Moment, OperationModel, Source,
    SpanModel, Timer, Verdict,
};

const COUNT_LABELS: &str = "__VITALSIGN_COUNT_LABELS";
const TIME_LABELS: &str = "__VITALSIGN_TIME_LABELS";

/// The bits of `SIGNALS`, as in the runtime's `call::signals`.
pub(super) fn signals(model: &Instrumented) -> Literal {
    Literal::u8_unsuffixed(signal_bits(model))
}

fn signal_bits(model: &Instrumented) -> u8 {
    let mut bits = 0;
    if let Some(counter) = &model.counter {
        let counts = !by_timer(counter, model.timer.as_ref());
        bits |= u8::from(counts) | if counter.in_flight { 8 } else { 0 };
    }
    if let Some(timer) = &model.timer {
        bits |= 2 | if timer.busy { 16 } else { 0 };
    }
    if model.span.is_some() {
        bits |= 4;
    }
    if is_operation(model) {
        bits |= 64;
    }
    bits
}

fn is_operation(model: &Instrumented) -> bool {
    model.span.as_ref().is_some_and(|span| span.operation.is_some())
}

/// The same, of a plain function that says something of its call before the body.
pub(super) fn signals_and_said(model: &Instrumented, said: bool) -> Literal {
    const SAID: u8 = 32;
    let said = said || is_operation(model);
    Literal::u8_unsuffixed(signal_bits(model) | if said { SAID } else { 0 })
}

/// A block whose value is the site, so that the function's body sees none of it.
pub(super) fn site(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let def = def(model);
    let labels = families(model).map(|(family, name)| label_static(&p, family, name));
    emit!({
        #(#labels)*
        #[#p::linkme::distributed_slice(#p::SITES)]
        #[linkme(crate = #p::linkme)]
        static __VITALSIGN_SITE: #p::Site = #p::Site { def: #def, slots: #p::Slots::NEW };
        &__VITALSIGN_SITE
    })
}

/// The statics of `limit(…)`: at the top of the function, for both the site and the call name them.
pub(super) fn limits(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let labels = families(model).flat_map(|(family, _)| &family.labels);
    let limits = labels.filter_map(|label| match &label.source {
        Source::Limited { max, store, .. } => {
            let max = Literal::u32_unsuffixed(*max);
            Some(emit!(static #store: #p::Limit = #p::Limit::new(#max);))
        }
        _ => None,
    });
    limits.collect()
}

/// The families with labels, and the static that holds those.
fn families(model: &Instrumented) -> impl Iterator<Item = (&Family, &'static str)> {
    let counter = model.counter.as_ref().map(|counter| (&counter.family, COUNT_LABELS));
    let timer = model.timer.as_ref().map(|timer| (&timer.family, TIME_LABELS));
    counter
        .into_iter()
        .chain(timer)
        .filter(|(family, _)| !family.labels.is_empty())
}

/// A literal: constant evaluation of calls, times every annotated function, is time a user waits for.
fn def(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let name = &model.name;
    // `line!()` is where its tokens stand: at the function, not at the attribute.
    let line = quote_spanned!(model.function.signature.ident.span()=> ::core::line!());
    let asynchronous = match model.flow {
        Flow::Async { .. }
        | Flow::AsyncKept { .. }
        | Flow::AsyncDiverges
        | Flow::FutureInside(_)
        | Flow::FutureOutside(_)
        | Flow::Stream { .. } => true,
        Flow::Sync { .. } | Flow::Diverges => false,
    };
    let fallible = model.fallible || !matches!(model.verdict, Verdict::ByType);
    let span = optional(model.span.as_ref().map(|span| span_def(&p, span)));
    let counter = optional(model.counter.as_ref().map(|counter| counter_def(&p, model, counter)));
    let timer = optional(model.timer.as_ref().map(|timer| timer_def(&p, timer)));
    emit! {
        #p::Def {
            function: #name,
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: #line,
            asynchronous: #asynchronous,
            fallible: #fallible,
            span: #span,
            counter: #counter,
            timer: #timer,
        }
    }
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    let some = value.map(|value| emit!(::core::option::Option::Some(#value)));
    some.unwrap_or_else(|| emit!(::core::option::Option::None))
}

fn span_def(p: &TokenStream, span: &SpanModel) -> TokenStream {
    let name = &span.name;
    let target = span
        .target
        .as_ref()
        .map(|target| emit!(target: ::core::option::Option::Some(#target),));
    let level = span.level.as_ref().map(|Level(level)| emit!(level: #p::Level::#level,));
    let kind = span.kind.as_ref().map(|kind| emit!(kind: #p::SpanKind::#kind,));
    let keys = span.fields.iter().map(|field| {
        let (cfg, key) = (&field.cfg, &field.key);
        emit!(#(#cfg)* #key)
    });
    let fields = (!span.fields.is_empty()).then(|| emit!(fields: &[#(#keys),*],));
    let err = match span.err {
        ErrMode::Auto => None,
        ErrMode::Debug => Some(emit!(err: #p::ErrMode::Debug,)),
        ErrMode::Off => Some(emit!(err: #p::ErrMode::Off,)),
    };
    let err_level = span
        .err_level
        .as_ref()
        .map(|Level(level)| emit!(err_level: #p::Level::#level,));
    let operation = span.operation.as_ref().map(|operation| operation_def(p, operation));
    emit!(#p::SpanDef { name: #name, #target #level #kind #fields #err #err_level #operation ..#p::SpanDef::DEFAULT })
}

fn operation_def(p: &TokenStream, operation: &OperationModel) -> TokenStream {
    let operation = match operation {
        OperationModel::Db(db) => {
            let text = |text: &Option<LitStr>| optional(text.as_ref().map(ToTokens::to_token_stream));
            let (system, named) = (&db.system, db.named);
            let (operation, collection, namespace) = (text(&db.operation), text(&db.collection), text(&db.namespace));
            emit!(Db(#p::DbDef {
                system: #system, operation: #operation, collection: #collection, namespace: #namespace, named: #named,
            }))
        }
        OperationModel::Job(job) => {
            let (name, queue) = (&job.name, &job.queue);
            let system = job
                .system
                .as_ref()
                .map_or_else(|| emit!("in_process"), ToTokens::to_token_stream);
            emit!(Job(#p::JobDef { name: #name, system: #system, queue: #queue }))
        }
    };
    emit!(operation: ::core::option::Option::Some(#p::OperationDef::#operation),)
}

/// The histogram beside a counter counts the same: neither has labels of the call, and each call is one.
fn by_timer(counter: &Counter, timer: Option<&Timer>) -> bool {
    let fixed = |family: &Family| {
        family
            .labels
            .iter()
            .all(|label| matches!(label.source, Source::Const(_)))
    };
    counter.by.is_none() && fixed(&counter.family) && timer.is_some_and(|timer| fixed(&timer.family))
}

fn counter_def(p: &TokenStream, model: &Instrumented, counter: &Counter) -> TokenStream {
    let family = family(&counter.family, COUNT_LABELS);
    let unit = counter.unit.as_ref().map(|unit| emit!(unit: #unit,));
    let in_flight = counter.in_flight.then(|| emit!(in_flight: true,));
    let outcome = (!counter.outcome).then(|| emit!(outcome: false,));
    let by_timer = by_timer(counter, model.timer.as_ref()).then(|| emit!(by_timer: true,));
    let result = model.result.as_ref().filter(|_| counter.outcome);
    let errors =
        result.map(|ty| emit!(errors: { #[allow(unused_imports)] use #p::probe::*; <#p::ErrorsOf<#ty>>::ERRORS },));
    changed(
        &emit!(#p::CounterDef),
        &emit!(#family #unit #in_flight #outcome #by_timer #errors),
    )
}

fn timer_def(p: &TokenStream, timer: &Timer) -> TokenStream {
    let family = family(&timer.family, TIME_LABELS);
    let buckets = match &timer.buckets {
        Buckets::Default => None,
        Buckets::Classic(bounds) => Some(emit!(buckets: #p::Buckets::Classic(&[#(#bounds),*]),)),
        Buckets::Exponential(three) => {
            let [start, factor, count] = &**three;
            let (start, factor) = (float(start), float(factor));
            Some(emit!(buckets: #p::Buckets::Exponential { start: #start, factor: #factor, count: #count },))
        }
        Buckets::Native => Some(emit!(buckets: #p::Buckets::Native,)),
    };
    let busy = timer.busy.then(|| emit!(busy: true,));
    let exemplars = (!timer.exemplars).then(|| emit!(exemplars: false,));
    changed(&emit!(#p::TimerDef), &emit!(#family #buckets #busy #exemplars))
}

/// The defaults, with these fields changed.
fn changed(ty: &TokenStream, fields: &TokenStream) -> TokenStream {
    if fields.is_empty() {
        emit!(#ty::DEFAULT)
    } else {
        emit!(#ty { #fields ..#ty::DEFAULT })
    }
}

fn family(family: &Family, labels: &str) -> TokenStream {
    let name = family
        .name
        .as_ref()
        .map(|name| emit!(name: ::core::option::Option::Some(#name),));
    let help = match &family.help {
        Help::None => None,
        Help::Doc(text) => Some(emit!(help: #text,)),
        Help::Explicit(text) => Some(emit!(help: #text, explicit_help: true,)),
    };
    let list = Ident::new(labels, Span::mixed_site());
    let labels = (!family.labels.is_empty()).then(|| emit!(labels: &#list,));
    emit!(#name #help #labels)
}

/// The labels of a family, and a static for each type that only an expression names.
fn label_static(p: &TokenStream, family: &Family, name: &str) -> TokenStream {
    let ident = Ident::new(name, Span::mixed_site());
    let count = Literal::usize_unsuffixed(family.labels.len());
    let mut types = TokenStream::new();
    let mut labels = Vec::new();
    for (index, label) in family.labels.iter().enumerate() {
        let key = &label.key;
        let store = Ident::new(&format!("{name}_{index}"), Span::mixed_site());
        let source = source(p, label, &store, &mut types);
        labels.push(emit!(#p::LabelDef { key: #key, source: #p::LabelSource::#source }));
    }
    emit!(#types static #ident: [#p::LabelDef; #count] = [#(#labels),*];)
}

fn source(p: &TokenStream, label: &LabelModel, store: &Ident, types: &mut TokenStream) -> TokenStream {
    match &label.source {
        Source::Const(constant) => emit!(Const(#constant)),
        Source::Limited {
            at: Moment::Entry,
            store,
            ..
        } => emit!(Limited(&#store)),
        Source::Limited {
            at: Moment::Return,
            store,
            ..
        } => emit!(ReturnedLimited(&#store)),
        Source::Returned(_, LabelType::Named(ty)) => {
            emit!(Returned(::core::option::Option::Some(#p::LabelType::named::<#ty>())))
        }
        Source::Returned(..) => emit!(Returned(::core::option::Option::None)),
        Source::Entry(_, LabelType::Unknown) => emit!(Entry(::core::option::Option::None)),
        Source::Entry(_, LabelType::Named(ty)) => {
            emit!(Entry(::core::option::Option::Some(#p::LabelType::named::<#ty>())))
        }
        Source::Entry(expr, LabelType::Of(over)) => {
            let (names, tys): (Vec<_>, Vec<_>) = over.iter().cloned().unzip();
            // Never called: its type says what the label's is.
            types.extend(emit! {
                #[allow(unused_mut)]
                static #store: #p::LabelType = #p::LabelType::like(|(#(mut #names,)*): (#(#tys,)*)| #p::label(&(#expr)));
            });
            emit!(Entry(::core::option::Option::Some(&#store)))
        }
    }
}
