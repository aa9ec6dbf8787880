//! What is said of a call when it begins: span options, labels, fields.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

use crate::args::Show;
use crate::model::{Capture, Instrumented, LabelModel, Moment, ParentModel, Source};

/// The statements on the local `call`; empty when nothing is said.
pub(super) fn entry(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let mut said = span(model);
    if let Some(counter) = &model.counter {
        said.extend(labels(&p, &counter.family.labels, Moment::Entry).map(|labels| quote!(call.count_labels(#labels);)));
        if let Some(by) = counter.by.as_ref().filter(|by| !matches!(by, Expr::Closure(_))) {
            said.extend(quote!(call.by(#by);));
        }
    }
    if let Some(timer) = &model.timer {
        said.extend(labels(&p, &timer.family.labels, Moment::Entry).map(|labels| quote!(call.time_labels(#labels);)));
    }
    let fields = fields(model, &p);
    if !fields.is_empty() {
        said.extend(quote!(if call.open() { call.fields(&[#(#fields),*]); }));
    }
    if said.is_empty() { said } else { quote!(if call.on() { #said }) }
}

fn span(model: &Instrumented) -> TokenStream {
    let Some(span) = &model.span else { return TokenStream::new() };
    let when = span.when.as_ref().map(|when| quote!(call.when(#when);));
    let parent = match &span.parent {
        ParentModel::Current => None,
        ParentModel::Root => Some(quote!(call.root();)),
        ParentModel::Of(parent) => Some(quote!(call.parent(&(#parent));)),
    };
    let link = span.link.as_ref().map(|link| quote!(call.link(#link);));
    quote!(#when #parent #link)
}

fn fields(model: &Instrumented, p: &TokenStream) -> Vec<TokenStream> {
    let captures = model.span.iter().flat_map(|span| &span.fields).map(|field| value(p, &field.capture));
    // The first decides the type of the array.
    captures.enumerate().map(|(index, value)| if index == 0 { quote!(#value as &dyn #p::Value) } else { value }).collect()
}

fn value(p: &TokenStream, capture: &Capture) -> TokenStream {
    match capture {
        Capture::Empty => quote!(&#p::empty()),
        Capture::Value(show, expr) => shown(p, *show, &reference(expr)),
        Capture::Arg(name) => typed(p, &quote!(&#name)),
        Capture::Hash(expr) => wrapped(&quote!(#p::hash), expr, None),
        Capture::Redact(expr) => wrapped(&quote!(#p::redact), expr, None),
        Capture::Truncate(expr, max) => wrapped(&quote!(#p::truncate), expr, Some(max)),
        Capture::Len(expr) => wrapped(&quote!(#p::len), expr, None),
    }
}

fn wrapped(wrapper: &TokenStream, expr: &Expr, more: Option<&Expr>) -> TokenStream {
    let value = reference(expr);
    let more = more.map(|more| quote!(, #more));
    quote!(&#wrapper(#value #more))
}

fn reference(expr: &Expr) -> TokenStream {
    match expr {
        Expr::Path(_) | Expr::Field(_) | Expr::Lit(_) | Expr::MethodCall(_) | Expr::Call(_) => quote!(&#expr),
        _ => quote!(&(#expr)),
    }
}

/// A reference to a value as a field shows it.
pub(super) fn shown(p: &TokenStream, show: Show, reference: &TokenStream) -> TokenStream {
    match show {
        Show::Native => reference.clone(),
        Show::Display => quote!(&#p::display(#reference)),
        Show::Debug => quote!(&#p::debug(#reference)),
    }
}

/// A reference to a value shown by what its type has: native, else Debug, else the type's name.
pub(super) fn typed(p: &TokenStream, reference: &TokenStream) -> TokenStream {
    quote!(&{ use #p::arg::*; (&&&#p::Arg(#reference)).value() })
}

/// The index of those labels that are known at this moment.
pub(super) fn labels(p: &TokenStream, labels: &[LabelModel], moment: Moment) -> Option<TokenStream> {
    let mut elements = Vec::new();
    for label in labels {
        match (&label.source, moment) {
            (Source::Entry(expr, _), Moment::Entry) => {
                let value = reference(expr);
                elements.push(quote!(#p::label(#value)));
            }
            (Source::Returned(expr, _), Moment::Return) => elements.push(quote!(#p::label(&#p::apply(ret, #expr)))),
            (Source::Limited { at, value, store, .. }, _) if *at == moment => {
                let value = match moment {
                    Moment::Entry => reference(value),
                    Moment::Return => quote!(&#p::apply(ret, #value)),
                };
                elements.push(quote!(#p::limit(&#store, #value)));
            }
            _ => {}
        }
    }
    (!elements.is_empty()).then(|| quote!(#p::labels(&(#(#elements,)*))))
}
