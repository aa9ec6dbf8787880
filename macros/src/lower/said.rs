//! What options evaluate before the body, where something records.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Item};

use crate::diag::Diagnostics;
use crate::model::{Capture, Counter, Family, Messages, Moment, OperationModel, ParentModel, Source, SpanModel, Timer};

/// Each of the expressions.
pub(super) fn each(
    span: Option<&mut SpanModel>,
    counter: Option<&mut Counter>,
    timer: Option<&mut Timer>,
    read: &mut impl FnMut(&mut Expr),
) {
    if let Some(span) = span {
        each_of_span(span, read);
    }
    if let Some(counter) = counter {
        let by = counter.by.as_mut().filter(|by| !matches!(by, Expr::Closure(_)));
        by.into_iter().for_each(&mut *read);
        each_of_family(&mut counter.family, read);
    }
    if let Some(timer) = timer {
        each_of_family(&mut timer.family, read);
    }
}

fn each_of_span(span: &mut SpanModel, read: &mut impl FnMut(&mut Expr)) {
    for field in &mut span.fields {
        match &mut field.capture {
            Capture::Empty => {}
            Capture::Truncate(expr, max) => {
                read(expr);
                read(max);
            }
            Capture::Value(_, expr)
            | Capture::Arg(expr)
            | Capture::Hash(expr)
            | Capture::Redact(expr)
            | Capture::Len(expr) => read(expr),
        }
    }
    if let ParentModel::Of(parent) = &mut span.parent {
        read(parent);
    }
    span.link.iter_mut().chain(&mut span.when).for_each(&mut *read);
    match &mut span.operation {
        Some(OperationModel::Db(db)) => db.query.iter_mut().for_each(read),
        Some(OperationModel::Job(job)) => match &mut job.messages {
            Messages::Of(message) => read(message),
            Messages::Among(arguments) => arguments.iter_mut().for_each(|argument| read(&mut argument.value)),
        },
        None => {}
    }
}

fn each_of_family(family: &mut Family, read: &mut impl FnMut(&mut Expr)) {
    for label in &mut family.labels {
        if let Source::Entry(expr, _)
        | Source::Limited {
            at: Moment::Entry,
            value: expr,
            ..
        } = &mut label.source
        {
            read(expr);
        }
    }
}

/// What leaves the function before its body, only because something records, is an error.
pub(super) fn stays(expr: &Expr, diag: &mut Diagnostics) {
    let mut leaves = Leaves(Vec::new());
    leaves.visit_expr_mut(&mut expr.clone());
    for (span, word) in leaves.0 {
        let message = format!(
            "`{word}` would leave the function before its body, and only while something records; write a value that is always \
             there: `value.ok()`"
        );
        diag.error_at(span, message);
    }
}

struct Leaves(Vec<(Span, &'static str)>);

impl VisitMut for Leaves {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            // Their `return` and `?` are their own.
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) => return,
            Expr::Try(asked) => self.0.push((asked.question_token.span, "?")),
            Expr::Return(left) => self.0.push((left.return_token.span, "return")),
            _ => {}
        }
        visit_mut::visit_expr_mut(self, expr);
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}
