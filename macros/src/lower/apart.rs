//! Arguments that are patterns, as far as something is said of their parts before the body runs: whole they move into the body,
//! which takes them apart as it was written, so until then they are taken apart by reference.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::parse::{ParseStream, Parser as _};
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, ExprUnary, FieldValue, FnArg, Macro, Member, Pat, Signature, Token, Type, UnOp};

use super::flow::bound;
use super::said::each;
use crate::model::{Apart, Counter, Rebind, SpanModel, Timer};
use crate::tokens::mentions_ident;

/// The name that `async_trait` gives to an argument that is a pattern.
fn is_positional(name: &Ident) -> bool {
    let name = name.to_string();
    name.strip_prefix("__arg")
        .is_some_and(|index| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name of an argument whose pattern another macro took away.
pub(super) fn positional(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(pat) if is_positional(&pat.ident) => Some(&pat.ident),
        _ => None,
    }
}

/// The pattern that such an argument was written with: that of a `let` at the head of the returned block.
pub(super) fn moved_pattern(name: &Ident, block: &TokenStream) -> Option<Pat> {
    let Some(TokenTree::Group(block)) = block.clone().into_iter().last() else {
        return None;
    };
    let trees: Vec<TokenTree> = block.stream().into_iter().collect();
    let statements = trees.split(|tree| is_punct(tree, ';'));
    let bindings = statements.map_while(|statement| binding(without_attributes(behind_a_condition(statement))));
    let written = bindings
        .filter(|(_, value)| is_only(value, name))
        .map(|(pattern, _)| pattern);
    let pattern: TokenStream = written.last()?.iter().cloned().collect();
    Pat::parse_multi_with_leading_vert.parse2(pattern).ok()
}

fn is_punct(tree: &TokenTree, char: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// What follows `if … {…}`, which `async_trait` begins with to tell the type.
fn behind_a_condition(statement: &[TokenTree]) -> &[TokenTree] {
    let condition = matches!(statement.first(), Some(TokenTree::Ident(word)) if word == "if");
    let block = |tree: &TokenTree| matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    match statement.iter().position(block) {
        Some(block) if condition => &statement[block + 1..],
        _ => statement,
    }
}

fn without_attributes(mut statement: &[TokenTree]) -> &[TokenTree] {
    while let [pound, TokenTree::Group(_), rest @ ..] = statement
        && is_punct(pound, '#')
    {
        statement = rest;
    }
    statement
}

/// The two sides of a `let`.
fn binding(statement: &[TokenTree]) -> Option<(&[TokenTree], &[TokenTree])> {
    let [TokenTree::Ident(word), rest @ ..] = statement else {
        return None;
    };
    let equals = rest.iter().position(|tree| is_punct(tree, '='))?;
    (word == "let").then(|| (&rest[..equals], &rest[equals + 1..]))
}

/// `name`, or a block that gives it.
fn is_only(value: &[TokenTree], name: &Ident) -> bool {
    match value {
        [TokenTree::Ident(word)] => word == name,
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            inner.len() <= 6
                && inner
                    .last()
                    .is_some_and(|last| is_only(std::slice::from_ref(last), name))
        }
        _ => false,
    }
}

/// What the rebound arguments are taken apart by.
pub(super) fn of_rebinds(rebinds: &[Rebind], signature: &Signature) -> Vec<Apart> {
    let hidden = rebinds.iter().filter(|rebind| rebind.hidden);
    let each = hidden.map(|rebind| {
        let ty = signature.inputs.iter().find_map(|input| match input {
            FnArg::Typed(arg) if matches!(&*arg.pat, Pat::Ident(pat) if pat.ident == rebind.source) => Some(&*arg.ty),
            _ => None,
        });
        apart(&rebind.source, &rebind.pattern, ty, &rebind.attrs)
    });
    each.collect()
}

/// The pattern as one that matches a reference to the argument, whatever it moves or borrows.
pub(super) fn apart(source: &Ident, pattern: &Pat, ty: Option<&Type>, attrs: &[Attribute]) -> Apart {
    let mut pattern = pattern.clone();
    let mut names = Vec::new();
    borrow(&mut pattern, ty, Place::default(), &mut names);
    let cfg = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned();
    Apart {
        cfg: cfg.collect(),
        pattern,
        source: source.clone(),
        names,
    }
}

/// How a part is reached.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Behind a reference that the pattern does not spell: its names are references as it is.
    behind: bool,
    /// Spelled references around a name.
    spelled: usize,
}

/// Takes `ref`, `mut` and `&` away, so that each name is bound to a reference; and notes how many more references those are than
/// as it was written.
fn borrow(pat: &mut Pat, ty: Option<&Type>, at: Place, names: &mut Vec<(Ident, usize)>) {
    let through = |ty: Option<&Type>| match ty {
        Some(Type::Reference(_)) => Place {
            behind: true,
            spelled: 0,
        },
        _ => Place { spelled: 0, ..at },
    };
    match pat {
        Pat::Ident(pat) => {
            if !pat.ident.to_string().starts_with(char::is_uppercase) {
                let own = pat.by_ref.is_none() && !at.behind;
                names.push((pat.ident.clone(), at.spelled + usize::from(own)));
                (pat.by_ref, pat.mutability) = (None, None);
            }
            if let Some((_, inner)) = &mut pat.subpat {
                borrow(inner, ty, at, names);
            }
        }
        Pat::Reference(reference) => {
            let inner = match ty {
                Some(Type::Reference(ty)) => Some(&*ty.elem),
                _ => None,
            };
            let mut stripped = (*reference.pat).clone();
            let at = Place {
                behind: false,
                spelled: at.spelled + 1,
            };
            borrow(&mut stripped, inner, at, names);
            *pat = stripped;
        }
        Pat::Paren(pat) => borrow(&mut pat.pat, ty, at, names),
        Pat::Type(pat) => borrow(&mut pat.pat, ty, at, names),
        Pat::Or(pat) => pat.cases.iter_mut().for_each(|case| borrow(case, ty, at, names)),
        Pat::Tuple(pat) => {
            let at = through(ty);
            let elems = match ty.map(referent) {
                Some(Type::Tuple(tuple)) => Some(&tuple.elems),
                _ => None,
            };
            let mut rest = false;
            for (index, part) in pat.elems.iter_mut().enumerate() {
                rest |= matches!(part, Pat::Rest(_));
                let ty = elems.filter(|_| !rest).and_then(|elems| elems.get(index));
                borrow(part, ty, at, names);
            }
        }
        Pat::Slice(pat) => {
            let at = through(ty);
            let elem = match ty.map(referent) {
                Some(Type::Array(array)) => Some(&*array.elem),
                Some(Type::Slice(slice)) => Some(&*slice.elem),
                _ => None,
            };
            pat.elems.iter_mut().for_each(|part| borrow(part, elem, at, names));
        }
        Pat::TupleStruct(pat) => {
            let at = through(ty);
            pat.elems.iter_mut().for_each(|part| borrow(part, None, at, names));
        }
        Pat::Struct(pat) => {
            let at = through(ty);
            pat.fields
                .iter_mut()
                .for_each(|field| borrow(&mut field.pat, None, at, names));
        }
        _ => {}
    }
}

/// What stands behind references.
fn referent(mut ty: &Type) -> &Type {
    while let Type::Reference(reference) = ty {
        ty = &reference.elem;
    }
    ty
}

/// Lets what is said before the body read the parts as the body has them: `id` becomes `*id`.
pub(super) fn read_parts(
    apart: &[Apart],
    span: Option<&mut SpanModel>,
    counter: Option<&mut Counter>,
    timer: Option<&mut Timer>,
) {
    let names: Vec<&(Ident, usize)> = apart.iter().flat_map(|apart| &apart.names).collect();
    if names.is_empty() {
        return;
    }
    let mut read = |expr: &mut Expr| {
        let mut own = Own(Vec::new());
        own.visit_expr_mut(&mut expr.clone());
        let names = names.iter().copied().filter(|(name, _)| !own.0.contains(name));
        Read(names.collect()).visit_expr_mut(expr);
    };
    each(span, counter, timer, &mut read);
}

/// The names that an expression binds itself.
struct Own(Vec<Ident>);

impl VisitMut for Own {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        bound(pat, &mut self.0);
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        in_macro(mac, self);
    }
}

/// Visits what a macro is given, as far as it is known: a list of expressions, or an expression and the pattern of `matches!`.
fn in_macro(mac: &Macro, visitor: &mut impl VisitMut) -> Option<TokenStream> {
    let is_matches = mac.path.segments.last().is_some_and(|last| last.ident == "matches");
    let parts = |input: ParseStream<'_>| {
        let mut seen = TokenStream::new();
        let mut pattern = false;
        while !input.is_empty() {
            if pattern {
                let mut pat = Pat::parse_multi_with_leading_vert(input)?;
                visitor.visit_pat_mut(&mut pat);
                pat.to_tokens(&mut seen);
            } else {
                let mut expr: Expr = input.parse()?;
                match &mut expr {
                    // The name in `name = value` is the macro's.
                    Expr::Assign(named) => visitor.visit_expr_mut(&mut named.right),
                    expr => visitor.visit_expr_mut(expr),
                }
                expr.to_tokens(&mut seen);
            }
            if input.is_empty() {
                break;
            }
            let between: TokenTree = input.parse()?;
            let guard = pattern && matches!(&between, TokenTree::Ident(word) if word == "if");
            if !guard && !is_punct(&between, ',') && !is_punct(&between, ';') {
                return Err(input.error("no list"));
            }
            pattern = is_matches && !pattern;
            between.to_tokens(&mut seen);
        }
        Ok(seen)
    };
    parts.parse2(mac.tokens.clone()).ok()
}

struct Read<'a>(Vec<&'a (Ident, usize)>);

impl Read<'_> {
    fn part(&self, word: &Ident) -> Option<&(Ident, usize)> {
        self.0.iter().copied().find(|(name, _)| name == word)
    }

    /// In words of a macro's own, each name that can be a value.
    fn in_tokens(&self, tokens: TokenStream) -> TokenStream {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let each = trees.iter().enumerate().map(|(index, tree)| match tree {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), self.in_tokens(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            TokenTree::Ident(word) if is_value(&trees[..index], &trees[index + 1..]) => match self.part(word) {
                Some((_, references @ 1..)) => {
                    let stars = std::iter::repeat_n(emit!(*), *references);
                    let mut value = Group::new(Delimiter::Parenthesis, emit!(#(#stars)* #word));
                    value.set_span(Span::mixed_site().located_at(word.span()));
                    TokenTree::Group(value)
                }
                _ => tree.clone(),
            },
            _ => tree.clone(),
        });
        each.collect()
    }
}

/// Whether a name between these can be a value: no field, lifetime, key, binding or part of a path.
fn is_value(before: &[TokenTree], after: &[TokenTree]) -> bool {
    let behind = match before {
        [.., one, last] if is_punct(last, '.') || is_punct(last, ':') => {
            let twice = matches!((one, last), (TokenTree::Punct(one), TokenTree::Punct(last)) if one.as_char() == last.as_char());
            // `..name` is a value, `::name` is none.
            is_punct(last, '.') == twice
        }
        [.., TokenTree::Ident(word)] => !["let", "ref", "mut"].iter().any(|binding| word == binding),
        [.., last] => !is_punct(last, '\''),
        [] => true,
    };
    let ahead = match after {
        [TokenTree::Punct(next), then, ..] if matches!(next.as_char(), '=' | '!') => {
            next.spacing() == Spacing::Joint && is_punct(then, '=')
        }
        [next, ..] => !is_punct(next, ':') && !is_punct(next, '@'),
        [] => true,
    };
    behind && ahead
}

impl VisitMut for Read<'_> {
    /// A field's name alone has no place for what its value becomes.
    fn visit_field_value_mut(&mut self, field: &mut FieldValue) {
        if let (None, Member::Named(name)) = (&field.colon_token, &field.member)
            && matches!(self.part(name), Some((_, 1..)))
        {
            field.colon_token = Some(Token![:](Span::mixed_site()));
        }
        visit_mut::visit_field_value_mut(self, field);
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        mac.tokens = match in_macro(mac, self) {
            Some(tokens) => tokens,
            None => self.in_tokens(mac.tokens.clone()),
        };
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let Expr::Path(path) = &*expr else {
            return visit_mut::visit_expr_mut(self, expr);
        };
        let part = path.path.get_ident().and_then(|word| self.part(word));
        let Some((name, references)) = part else { return };
        let at = Span::mixed_site().located_at(name.span());
        for _ in 0..*references {
            *expr = Expr::Unary(ExprUnary {
                attrs: Vec::new(),
                op: UnOp::Deref(Token![*](at)),
                expr: Box::new(expr.clone()),
            });
        }
    }
}

/// Whether what is said reads a part of it.
pub(crate) fn is_read(apart: &Apart, said: &TokenStream) -> bool {
    apart.names.iter().any(|(name, _)| mentions_ident(said, name))
}

#[cfg(test)]
mod tests {
    use quote::ToTokens as _;

    use super::*;

    fn borrowed(pattern: &str, ty: &str) -> (String, String) {
        let pattern = Pat::parse_multi_with_leading_vert.parse_str(pattern).unwrap();
        let source = Ident::new("source", Span::call_site());
        let apart = apart(&source, &pattern, Some(&syn::parse_str(ty).unwrap()), &[]);
        let names: Vec<String> = apart
            .names
            .iter()
            .map(|(name, references)| format!("{name}{references}"))
            .collect();
        (
            apart.pattern.to_token_stream().to_string().replace(' ', ""),
            names.join(" "),
        )
    }

    #[test]
    fn every_name_is_bound_to_a_reference() {
        let of = |pattern: &str, ty: &str| borrowed(pattern, ty);
        let is = |pattern: &str, names: &str| (pattern.to_owned(), names.to_owned());
        assert_eq!(of("(id, _)", "(u64, Guard)"), is("(id,_)", "id1"));
        assert_eq!(of("(mut a, ref b, ..)", "(A, B, C)"), is("(a,b,..)", "a1 b0"));
        assert_eq!(of("&(a, ref b)", "&(A, B)"), is("(a,b)", "a1 b0"));
        assert_eq!(of("(a, (b, &c))", "(A, &(B, &C))"), is("(a,(b,c))", "a1 b0 c2"));
        assert_eq!(of("[a, .., (b, _)]", "[(A, B); 3]"), is("[a,..,(b,_)]", "a1 b1"));
        assert_eq!(
            of("all @ S { ref mut x, y: z, .. }", "S"),
            is("all@S{x,y:z,..}", "all1 x0 z1")
        );
    }

    #[test]
    fn a_part_is_read_as_the_body_has_it() {
        let read = |expr: &str| {
            let id = (Ident::new("id", Span::call_site()), 1);
            let mut expr: Expr = syn::parse_str(expr).unwrap();
            let mut own = Own(Vec::new());
            own.visit_expr_mut(&mut expr.clone());
            Read(if own.0.is_empty() { vec![&id] } else { Vec::new() }).visit_expr_mut(&mut expr);
            expr.to_token_stream().to_string().replace(' ', "")
        };
        assert_eq!(read("id.len() + a.id"), "(*id).len()+a.id");
        assert_eq!(read("S { id }"), "S{id:*id}");
        assert_eq!(read("S { other, ..id }"), "S{other,..*id}");
        assert_eq!(read("vec![id; 2]"), "vec![*id;2]");
        assert_eq!(read("matches!(id, 1 | 2 if id > 1,)"), "matches!(*id,1|2if*id>1,)");
        assert_eq!(read("matches!(a, Some(id) if id > 1)"), "matches!(a,Some(id)ifid>1)");
        assert_eq!(
            read("format!(\"{id}{}{id}\", f(id), id = id)"),
            "format!(\"{id}{}{id}\",f(*id),id=*id)"
        );
        assert_eq!(read("m!({ \"id\": id, b => [id] })"), "m!({\"id\":(*id),b=>[(*id)]})");
        assert_eq!(
            read("m!(=> a.id 'id id::b ::id id: 1, id = 0 .. id == 1 .. id)"),
            "m!(=>a.id'idid::b::idid:1,id=0..(*id)==1..(*id))"
        );
    }

    #[test]
    fn the_pattern_is_found_where_async_trait_puts_it() {
        let found = |block: &str, name: &str| {
            let name = Ident::new(name, Span::call_site());
            moved_pattern(&name, &block.parse().unwrap()).map(|pattern| pattern.to_token_stream().to_string())
        };
        let block = "async move { if let Some(ret) = None::<u8> { return ret; } let __self = self; let x = x; #[cfg(a)] let (user, _) = { let __arg1 = __arg1; __arg1 }; \
                     let S { a, .. } = __arg2; let __arg3 = __arg3; let ret: u8 = { let b = __arg9; b }; ret }";
        assert_eq!(found(block, "__arg1").as_deref(), Some("(user , _)"));
        assert_eq!(found(block, "__arg2").as_deref(), Some("S { a , .. }"));
        assert_eq!(found(block, "__arg3").as_deref(), Some("__arg3"));
        assert_eq!(found(block, "__arg9"), None);
    }
}
