//! What the closures of options that look at the returned value read of the arguments: the body has ended by then.

use proc_macro2::Ident;
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprPath, FnArg, Pat, Signature, Type};

use super::flow::bound;
use crate::diag::Diagnostics;
use crate::model::{Apart, Counter, Moment, Rebind, Source, Timer, Verdict};

/// The expressions that are evaluated once the body is done.
pub(super) fn expressions<'a>(
    verdict: &'a Verdict,
    counter: Option<&'a Counter>,
    timer: Option<&'a Timer>,
) -> Vec<&'a Expr> {
    let mut found = Vec::new();
    if let Verdict::OkIf(expr) | Verdict::ErrorIf(expr) = verdict {
        found.push(expr);
    }
    found.extend(
        counter
            .and_then(|counter| counter.by.as_ref())
            .filter(|by| matches!(by, Expr::Closure(_))),
    );
    let families = counter
        .map(|counter| &counter.family)
        .into_iter()
        .chain(timer.map(|timer| &timer.family));
    found.extend(
        families
            .flat_map(|family| &family.labels)
            .filter_map(|label| match &label.source {
                Source::Returned(expr, _)
                | Source::Limited {
                    at: Moment::Return,
                    value: expr,
                    ..
                } => Some(expr),
                _ => None,
            }),
    );
    found
}

/// The arguments they read that the body takes with it unless they are `Copy`, where they are read.
pub(super) fn read(
    expressions: &[&Expr],
    signature: &Signature,
    rebinds: &[Rebind],
    moved: &[Apart],
    diag: &mut Diagnostics,
) -> Vec<Ident> {
    let mut read = Vec::new();
    let of_rebinds = rebinds
        .iter()
        .filter(|rebind| rebind.hidden)
        .flat_map(|rebind| &rebind.names);
    let of_moved = moved.iter().flat_map(|apart| &apart.names).map(|(name, _)| name);
    let parts: Vec<&Ident> = of_rebinds.chain(of_moved).collect();
    for expr in expressions {
        let Expr::Closure(closure) = expr else { continue };
        let mut names = Names::default();
        names.visit_expr_closure_mut(&mut closure.clone());
        for word in names.read.into_iter().filter(|word| !names.own.contains(word)) {
            if parts.contains(&&word) {
                let message = format!(
                    "`{word}` is part of a pattern that the body takes apart, and gone when the returned value is looked at; give the argument a name and take it apart in the body"
                );
                diag.error(&word, message);
            } else if !read.contains(&word) && moves(&word, signature, rebinds) {
                read.push(word);
            }
        }
    }
    read
}

/// The body takes the argument of this name, unless it is `Copy`.
fn moves(name: &Ident, signature: &Signature, rebinds: &[Rebind]) -> bool {
    let exclusive = |input: &FnArg| {
        let FnArg::Typed(arg) = input else { return false };
        matches!(&*arg.pat, Pat::Ident(pat) if pat.ident == *name)
            && matches!(&*arg.ty, Type::Reference(reference) if reference.mutability.is_some())
    };
    rebinds.iter().any(|rebind| rebind.source == *name) || signature.inputs.iter().any(exclusive)
}

/// The names that an expression reads, and those that it binds itself somewhere.
#[derive(Default)]
struct Names {
    read: Vec<Ident>,
    own: Vec<Ident>,
}

impl VisitMut for Names {
    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        self.read.extend(path.path.get_ident().cloned());
    }

    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        bound(pat, &mut self.own);
    }
}
