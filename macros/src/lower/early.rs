//! Bodies that leave early: `return`, `?`, and macros that could hide one.
//!
//! The one place where a body is parsed, for functions that need it: a `#[track_caller]` method whose body has to stand where it
//! is and leave a block of ours instead of the function. What does not parse runs in a closure as everywhere else.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprBreak, Item, Macro, Pat, Stmt, Token, Type};

use crate::paths::{Root, label};

/// Macros that evaluate their arguments and return from nothing.
const SAFE: &[&str] = &[
    "panic",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "unreachable",
    "todo",
    "unimplemented",
    "format",
    "format_args",
    "print",
    "println",
    "eprint",
    "eprintln",
    "vec",
    "matches",
    "write",
    "writeln",
    "concat",
    "stringify",
    "line",
    "file",
    "column",
    "module_path",
    "env",
    "option_env",
    "include_str",
    "include_bytes",
    "cfg",
    "dbg",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "log",
    "json",
];

/// Whether the body may leave the function before its end.
pub(super) fn may_leave(body: &TokenStream) -> bool {
    leaves(body, true)
}

/// The same of a function that returns nothing that `?` could.
pub(super) fn may_return(body: &TokenStream) -> bool {
    leaves(body, false)
}

fn leaves(body: &TokenStream, asks: bool) -> bool {
    let mut before: Option<TokenTree> = None;
    for tree in body.clone() {
        let left = match &tree {
            TokenTree::Ident(word) => word == "return",
            TokenTree::Group(group) => leaves(&group.stream(), asks),
            TokenTree::Punct(punct) if punct.as_char() == '?' => asks && follows_a_value(before.as_ref()),
            // `name!` of an unknown macro; `a != b` and `!x` come without a name before, or are not followed by a group.
            TokenTree::Punct(punct) if punct.as_char() == '!' && punct.spacing() == proc_macro2::Spacing::Alone => {
                matches!(&before, Some(TokenTree::Ident(name)) if !is_safe(name))
            }
            _ => false,
        };
        if left {
            return true;
        }
        before = Some(tree);
    }
    false
}

/// `value?`, where `?Sized` and the `?field` of `tracing`'s macros follow a sign.
fn follows_a_value(before: Option<&TokenTree>) -> bool {
    match before {
        Some(TokenTree::Punct(punct)) => punct.as_char() == '?',
        before => before.is_some(),
    }
}

fn is_safe(name: &Ident) -> bool {
    SAFE.iter().any(|safe| name == safe)
}

/// The body with every `return` and `?` of its own leaving the block of that [`label`] instead. `None` where one could hide.
pub(super) fn leaving_a_block(body: &Group, root: &Root) -> Option<TokenStream> {
    let mut block: Block = syn::parse2(TokenTree::Group(body.clone()).into()).ok()?;
    let mut leave = Leave {
        private: root.private(),
        hidden: false,
        left: false,
    };
    leave.visit_block_mut(&mut block);
    if leave.hidden {
        return None;
    }
    let label = leave.left.then(|| {
        let label = label(Span::mixed_site());
        emit!(#label:)
    });
    Some(emit!(#label #block))
}

struct Leave {
    private: TokenStream,
    /// Something may leave the function that cannot be seen.
    hidden: bool,
    /// Something leaves the block.
    left: bool,
}

impl VisitMut for Leave {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            // Their `return` and `?` are their own.
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) => return,
            Expr::Macro(called) => return self.called(&mut called.mac),
            Expr::Verbatim(tokens) => {
                self.hidden |= may_leave(tokens);
                return;
            }
            _ => visit_mut::visit_expr_mut(self, expr),
        }
        match expr {
            Expr::Return(ret) => {
                let span = ret.return_token.span;
                self.left = true;
                *expr = Expr::Break(ExprBreak {
                    attrs: std::mem::take(&mut ret.attrs),
                    break_token: Token![break](span),
                    label: Some(label(span)),
                    expr: ret.expr.take(),
                });
            }
            Expr::Try(asked) => {
                self.left = true;
                *expr = Expr::Verbatim(self.asked(&asked.expr, asked.question_token.span()));
            }
            _ => {}
        }
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Macro(called) => self.called(&mut called.mac),
            stmt => visit_mut::visit_stmt_mut(self, stmt),
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
}

impl Leave {
    /// `value?`
    fn asked(&self, value: &Expr, question: Span) -> TokenStream {
        let p = &self.private;
        let span = Span::mixed_site().located_at(question);
        let label = label(question);
        // In parentheses, for a `match` that begins a statement would end it.
        quote_spanned! {span=>
            (match #p::branch(#value) {
                ::core::ops::ControlFlow::Continue(value) => value,
                ::core::ops::ControlFlow::Break(residual) => break #label #p::from_residual(residual),
            })
        }
    }

    fn called(&mut self, called: &mut Macro) {
        let known = called.path.segments.last().is_some_and(|last| is_safe(&last.ident));
        if !known {
            self.hidden = true;
        } else if may_leave(&called.tokens) {
            match called.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
                Ok(mut arguments) => {
                    arguments.iter_mut().for_each(|argument| self.visit_expr_mut(argument));
                    called.tokens = arguments.to_token_stream();
                }
                Err(_) => self.hidden = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(source: &str) -> Option<String> {
        let Some(TokenTree::Group(body)) = source.parse::<TokenStream>().unwrap().into_iter().next() else {
            panic!("no block")
        };
        leaving_a_block(&body, &Root::new(None)).map(|tokens| tokens.to_string())
    }

    #[test]
    fn what_may_leave_is_told_from_signs_that_look_like_it() {
        let may = |source: &str| may_leave(&source.parse().unwrap());
        assert!(may("a()?") && may("if b { return }") && may("bail!(x)") && may("x??") && may("vec![a?]"));
        assert!(!may("fn f<T: ?Sized>() {} a != b; !c") && !may("info!(?a, b = ?c); tracing::debug!(\"{d:?}\")"));
    }

    #[test]
    fn what_may_return_asks_nothing() {
        let may = |source: &str| may_return(&source.parse().unwrap());
        assert!(may("if b { return }") && may("ensure!(x)") && !may("a()?; info_span!(\"b\")"));
    }

    #[test]
    fn closures_and_items_keep_their_own() {
        let kept = leaving("{ let f = |x| { x?; return 1 }; async { return 2 }; fn g() { return } 3 }").unwrap();
        assert!(
            kept.contains("return 1") && kept.contains("return 2") && !kept.contains("break"),
            "{kept}"
        );
        let left = leaving("{ println!(\"{}\", a?); return f(|| return 1) }").unwrap();
        assert!(
            left.matches("break").count() == 2 && left.matches("return").count() == 1,
            "{left}"
        );
    }

    #[test]
    fn what_cannot_be_seen_through_is_left() {
        assert!(leaving("{ bail!() }").is_none());
        assert!(leaving("{ let x = ; return }").is_none());
        assert!(leaving("{ info!(?a, b?) }").is_none());
    }
}
