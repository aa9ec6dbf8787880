//! What is said of a call when it begins: span options, labels, fields.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::Expr;
use syn::spanned::Spanned as _;

use crate::args::Show;
use crate::model::{
    Capture, FieldModel, Flow, Instrumented, LabelModel, Messages, Moment, OperationModel, ParentModel, Source,
};

/// The statements on the local `call`; empty when nothing is said.
pub(super) fn entry(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    let state = state(model);
    let mut said = span(model, &state);
    if let Some(counter) = &model.counter {
        said.extend(
            labels(&p, &counter.family.labels, Moment::Entry).map(|labels| emit!(#state::count_labels(call, #labels);)),
        );
        if let Some(by) = counter.by.as_ref().filter(|by| !matches!(by, Expr::Closure(_))) {
            said.extend(emit!(#state::by(call, #by);));
        }
    }
    if let Some(timer) = &model.timer {
        said.extend(
            labels(&p, &timer.family.labels, Moment::Entry).map(|labels| emit!(#state::time_labels(call, #labels);)),
        );
    }
    let fields = fields(model, &p);
    if !fields.is_empty() {
        // `args` reads every argument, by whatever name.
        said.extend(emit!(#[allow(clippy::used_underscore_binding)] if #state::open(call) { #state::fields(call, &[#(#fields),*]); }));
    }
    if said.is_empty() {
        said
    } else {
        emit!(if #state::on(call) { #said })
    }
}

/// The type of the local `call`.
fn state(model: &Instrumented) -> TokenStream {
    let p = model.root.private();
    match model.flow {
        Flow::Sync { .. } | Flow::Diverges => emit!(#p::Call),
        _ => emit!(#p::Task),
    }
}

fn span(model: &Instrumented, state: &TokenStream) -> TokenStream {
    let Some(span) = &model.span else {
        return TokenStream::new();
    };
    let p = model.root.private();
    let when = span.when.as_ref().map(|when| emit!(#state::when(call, #when);));
    let parent = match &span.parent {
        ParentModel::Current => None,
        ParentModel::Root => Some(emit!(#state::root(call);)),
        ParentModel::Of(parent) => {
            let parent = reference(parent);
            Some(emit!(#state::parent(call, #parent);))
        }
    };
    let link = span.link.as_ref().map(|link| {
        // What is no link is told where the link stands.
        let at = Span::mixed_site().located_at(link.span());
        let asked = quote_spanned!(at=> (&&links).vitalsign_link(each));
        emit!({
            let links = #p::Links::new(#link);
            #state::link(call, |each| { use #p::probe::*; #asked });
        })
    });
    let operation = span.operation.as_ref().map(|operation| said_of(&p, state, operation));
    emit!(#when #parent #link #operation)
}

/// What is known of an operation only at the call.
fn said_of(p: &TokenStream, state: &TokenStream, operation: &OperationModel) -> TokenStream {
    let carry = |message: &TokenStream| emit!((&&&&#p::Carried(#message)).vitalsign_carry(delivery););
    match operation {
        OperationModel::Db(db) => {
            let query = db.query.as_ref().map(reference);
            query
                .map(|query| emit!(#state::statement(call, #query);))
                .unwrap_or_default()
        }
        OperationModel::Job(job) => match &job.messages {
            Messages::Of(message) => {
                let message = match message {
                    Expr::Reference(_) => emit!(#message),
                    message => reference(message),
                };
                emit!(#state::message(call, |delivery| #p::message(#message, delivery));)
            }
            Messages::Among(arguments) if arguments.is_empty() => TokenStream::new(),
            Messages::Among(arguments) => {
                let asked = arguments.iter().map(|argument| {
                    let (cfg, carry) = (&argument.cfg, carry(&reference(&argument.value)));
                    emit!(#(#cfg)* #carry)
                });
                emit!(#state::message(call, |delivery| { use #p::operation::*; #(#asked)* });)
            }
        },
    }
}

fn fields(model: &Instrumented, p: &TokenStream) -> Vec<TokenStream> {
    let Some(span) = &model.span else { return Vec::new() };
    // The first decides the type of the array; which it is, a condition may decide.
    let conditional = span.fields.iter().any(|field| !field.cfg.is_empty());
    let element = |(index, field): (usize, &FieldModel)| {
        let (cfg, value) = (&field.cfg, value(p, &field.capture));
        if index == 0 || conditional {
            emit!(#(#cfg)* (#value as &dyn #p::Value))
        } else {
            value
        }
    };
    span.fields.iter().enumerate().map(element).collect()
}

fn value(p: &TokenStream, capture: &Capture) -> TokenStream {
    match capture {
        Capture::Empty => emit!(&#p::empty()),
        Capture::Value(Show::Native, expr) => {
            let value = reference(expr);
            emit!(#p::native(#value))
        }
        Capture::Value(show, expr) => shown(p, *show, &reference(expr)),
        Capture::Arg(expr) => typed(p, &reference(expr)),
        Capture::Hash(expr) => wrapped(&emit!(#p::hash), expr, None),
        Capture::Redact(expr) => wrapped(&emit!(#p::redact), expr, None),
        Capture::Truncate(expr, max) => wrapped(&emit!(#p::truncate), expr, Some(max)),
        Capture::Len(expr) => wrapped(&emit!(#p::len), expr, None),
    }
}

fn wrapped(wrapper: &TokenStream, expr: &Expr, more: Option<&Expr>) -> TokenStream {
    let value = reference(expr);
    let more = more.map(|more| emit!(, #more));
    emit!(&#wrapper(#value #more))
}

/// A reference that stands where the expression does, and so do errors about its type.
fn reference(expr: &Expr) -> TokenStream {
    let span = Span::mixed_site().located_at(expr.span());
    match expr {
        Expr::Unary(_) | Expr::Path(_) | Expr::Field(_) | Expr::Lit(_) | Expr::MethodCall(_) | Expr::Call(_) => {
            quote_spanned!(span=> &#expr)
        }
        _ => quote_spanned!(span=> &(#expr)),
    }
}

/// A reference to a value as a field shows it.
pub(super) fn shown(p: &TokenStream, show: Show, reference: &TokenStream) -> TokenStream {
    match show {
        Show::Native => reference.clone(),
        Show::Display => emit!(&#p::display(#reference)),
        Show::Debug => emit!(&#p::debug(#reference)),
    }
}

/// A reference to a value shown by what its type has: native, else Debug, else the type's name.
pub(super) fn typed(p: &TokenStream, reference: &TokenStream) -> TokenStream {
    emit!(&{ use #p::arg::*; (&&&#p::Arg(#reference)).vitalsign_value() })
}

/// The index of those labels that are known at this moment.
pub(super) fn labels(p: &TokenStream, labels: &[LabelModel], moment: Moment) -> Option<TokenStream> {
    let mut elements = Vec::new();
    for label in labels {
        match (&label.source, moment) {
            (Source::Entry(expr, _), Moment::Entry) => {
                let value = reference(expr);
                elements.push(emit!(#p::label(#value)));
            }
            (Source::Returned(expr, _), Moment::Return) => elements.push(emit!(#p::label(&#p::apply(ret, #expr)))),
            (Source::Limited { at, value, store, .. }, _) if *at == moment => {
                let value = match moment {
                    Moment::Entry => reference(value),
                    Moment::Return => emit!(&#p::apply(ret, #value)),
                };
                elements.push(emit!(#p::limit(&#store, #value)));
            }
            _ => {}
        }
    }
    (!elements.is_empty()).then(|| emit!(#p::labels(&(#(#elements,)*))))
}
