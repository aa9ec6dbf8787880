//! What the signature and the ends of the body say about control flow.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{
    Attribute, FnArg, Pat, PatIdent, ReceiverKind, ReturnType, Safety, Signature, Type, TypeParamBound, TypePath,
};

use super::{early, tie};
use crate::model::{Flow, Rebind, Receiver, Run, Tail};
use crate::paths::Root;
use crate::tokens::{Attr, Function, mentions};

/// How control goes through the function.
pub(super) fn flow(
    function: &Function,
    body: &Group,
    root: &Root,
    inherent: bool,
    nameable: &dyn Fn(&TokenStream) -> bool,
) -> Flow {
    let signature = &function.signature;
    let never = matches!(&signature.output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)));
    if signature.asyncness.is_some() {
        if never {
            return Flow::AsyncDiverges;
        }
        let tied = tie::tie(signature, nameable);
        return if keeps_async(&function.attrs) {
            Flow::AsyncKept { tied }
        } else {
            Flow::Async { tied }
        };
    }
    if never {
        return Flow::Diverges;
    }
    let returned = returned(&signature.output);
    if returned != Returned::Plain
        && let Some(tail) = tail(body)
        && is_whole(&tail)
        && !leaves_early(&tail)
    {
        return Flow::FutureInside(tail);
    }
    let run = if function.attrs.iter().any(|attr| attr.is("track_caller")) {
        tracked(function, body, root, inherent, nameable)
    } else {
        in_a_closure(signature, nameable)
    };
    if returned == Returned::ImplFuture {
        return Flow::FutureOutside(run);
    }
    Flow::Sync {
        run,
        maybe_future: returned == Returned::Perhaps,
    }
}

/// Of a function whose `stream` is on: how its stream is wrapped; `None` where it returns none.
pub(super) fn stream(signature: &Signature) -> Option<Flow> {
    let ReturnType::Type(_, ty) = &signature.output else {
        return None;
    };
    if signature.asyncness.is_some() {
        return None;
    }
    let boxed = match returned_type(ty) {
        Returned::Perhaps => true,
        Returned::Plain if is_impl(ty) => false,
        Returned::Plain | Returned::ImplFuture => return None,
    };
    Some(Flow::Stream { boxed })
}

fn is_impl(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => is_impl(&group.elem),
        Type::Paren(paren) => is_impl(&paren.elem),
        _ => matches!(ty, Type::ImplTrait(_)),
    }
}

/// Where the body is told its caller's location. In a closure, where it is not, only if it may leave in a way that cannot be seen
/// and nothing can be put beside the function.
fn tracked(
    function: &Function,
    body: &Group,
    root: &Root,
    inherent: bool,
    nameable: &dyn Fn(&TokenStream) -> bool,
) -> Run {
    let signature = &function.signature;
    if !early::may_leave(&body.stream()) {
        return Run::InPlace(tie::tie(signature, nameable));
    }
    if let Some(body) = early::leaving_a_block(body, root) {
        return Run::Labelled(body, tie::tie(signature, nameable));
    }
    let repeatable = repeatable(signature);
    let receiver = signature.receiver().is_some();
    let all = quote!(#signature #body);
    if repeatable && !receiver && !mentions(&all, &is_self) && is_of_itself(signature, &all, nameable) {
        return Run::Hoisted(Box::new(signature.clone()));
    }
    // Only a method of an `impl` of no trait has a visibility.
    let method = receiver || mentions(&all, &is_self_type);
    if repeatable && (inherent || (method && begins_with_pub(&function.before))) {
        return Run::Beside(Box::new(signature.clone()));
    }
    in_a_closure(signature, nameable)
}

fn in_a_closure(signature: &Signature, nameable: &dyn Fn(&TokenStream) -> bool) -> Run {
    tie::tie(signature, nameable).map_or(Run::Closure, Run::Tied)
}

/// Signature and body name nothing that only the block around knows.
fn is_of_itself(signature: &Signature, all: &TokenStream, nameable: &dyn Fn(&TokenStream) -> bool) -> bool {
    let lifetimes = signature.generics.lifetimes();
    let mut own = lifetimes.map(|param| param.lifetime.ident.to_string()).collect();
    nameable(all) && tie::lifetimes_are_known(all, &mut own)
}

/// The arguments without their `mut`, which another function has that the body stands in.
pub(super) fn immutable(signature: &mut Signature) {
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => receiver.mutability = None,
            FnArg::Typed(arg) => {
                if let Pat::Ident(pat) = &mut *arg.pat {
                    pat.mutability = None;
                }
            }
        }
    }
}

/// Whether another function can have the same signature, and be called with the names in it.
fn repeatable(signature: &Signature) -> bool {
    let names = signature.inputs.iter().all(|input| match input {
        FnArg::Typed(arg) => plain_name(&arg.pat).is_some(),
        FnArg::Receiver(_) => true,
    });
    names && matches!(signature.safety, Safety::Default) && signature.abi.is_none()
}

fn is_self_type(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Ident(word) if word == "Self")
}

fn is_self(tree: &TokenTree) -> bool {
    is_self_type(tree) || matches!(tree, TokenTree::Ident(word) if word == "self")
}

fn begins_with_pub(before: &TokenStream) -> bool {
    matches!(before.clone().into_iter().next(), Some(TokenTree::Ident(word)) if word == "pub")
}

/// Attributes that act on the word `async`: those we do not know to be inert. `#[must_use]` speaks of the awaited value
/// on an `async fn` and of the future elsewhere.
fn keeps_async(attrs: &[Attr]) -> bool {
    const INERT: &[&str] = &[
        "doc",
        "allow",
        "expect",
        "warn",
        "deny",
        "forbid",
        "cfg",
        "deprecated",
        "inline",
        "cold",
        "track_caller",
        "target_feature",
        "no_mangle",
        "export_name",
        "link_section",
        "unsafe",
        "automatically_derived",
        "instruction_set",
        "coverage",
        "optimize",
    ];
    attrs.iter().any(|attr| match attr.path.as_slice() {
        [name] => !INERT.contains(&name.as_str()),
        [tool, ..] => !["clippy", "rustfmt", "diagnostic", "rustdoc"].contains(&tool.as_str()),
        [] => false,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned {
    /// No future, by its spelling.
    Plain,
    ImplFuture,
    /// A type that could be a boxed future by another name.
    Perhaps,
}

fn returned(output: &ReturnType) -> Returned {
    match output {
        ReturnType::Default => Returned::Plain,
        ReturnType::Type(_, ty) => returned_type(ty),
    }
}

fn returned_type(ty: &Type) -> Returned {
    const PLAIN: &[&str] = &[
        "bool",
        "char",
        "str",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "isize",
        "f32",
        "f64",
        "Self",
        "String",
        "Vec",
        "Option",
        "Result",
        "Box",
        "Arc",
        "Rc",
        "Cow",
        "HashMap",
        "HashSet",
        "BTreeMap",
        "BTreeSet",
        "VecDeque",
        "PathBuf",
        "Duration",
        "Instant",
        "SystemTime",
        "Ordering",
    ];
    match ty {
        Type::Group(group) => returned_type(&group.elem),
        Type::Paren(paren) => returned_type(&paren.elem),
        Type::ImplTrait(hidden) if hidden.bounds.iter().any(is_future) => Returned::ImplFuture,
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if !is_associated(path) && PLAIN.iter().any(|plain| last.ident == plain) => Returned::Plain,
            _ => Returned::Perhaps,
        },
        Type::Macro(_) => Returned::Perhaps,
        _ => Returned::Plain,
    }
}

/// `Self::Result`, `<S as Service>::Result`: what it is, is said elsewhere. Modules are in lower case.
fn is_associated(path: &TypePath) -> bool {
    let mut before = path.path.segments.iter().rev().skip(1);
    path.qself.is_some()
        || before
            .next()
            .is_some_and(|segment| segment.ident.unraw().to_string().starts_with(char::is_uppercase))
}

/// The bound itself, not what it says of other types: `impl Iterator<Item = impl Future>` is none.
fn is_future(bound: &TypeParamBound) -> bool {
    matches!(bound, TypeParamBound::Trait(bound) if bound.path.segments.last().is_some_and(|last| last.ident == "Future"))
}

/// Matches `Box::pin(async [move] {…})` or `async [move] {…}` from the end.
pub(super) fn tail(body: &Group) -> Option<Tail> {
    let trees: Vec<TokenTree> = body.stream().into_iter().collect();
    if let Some(start) = async_block(&trees) {
        let (before, block) = trees.split_at(start);
        return Some(Tail {
            before: before.iter().cloned().collect(),
            boxed: None,
            block: block.iter().cloned().collect(),
        });
    }
    let (last, before) = trees.split_last()?;
    let TokenTree::Group(arguments) = last else { return None };
    let pinned = matches!(before, [.., TokenTree::Ident(boxed), a, b, TokenTree::Ident(pin)]
        if boxed == "Box" && pin == "pin" && is_colon(a) && is_colon(b));
    let inner: Vec<TokenTree> = arguments.stream().into_iter().collect();
    if !pinned || arguments.delimiter() != Delimiter::Parenthesis || async_block(&inner) != Some(0) {
        return None;
    }
    Some(Tail {
        before: before.iter().cloned().collect(),
        boxed: Some(arguments.span()),
        block: arguments.stream(),
    })
}

/// Where `async [move] {…}` begins, if the tokens end in it.
fn async_block(trees: &[TokenTree]) -> Option<usize> {
    let block = |tree: &TokenTree| matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    let word = |tree: &TokenTree, text: &str| matches!(tree, TokenTree::Ident(word) if word == text);
    match trees {
        [.., a, b] if word(a, "async") && block(b) => Some(trees.len() - 2),
        [.., a, b, c] if word(a, "async") && word(b, "move") && block(c) => Some(trees.len() - 3),
        _ => None,
    }
}

fn is_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ':')
}

/// What stands before the tail's own path.
fn before_path(tail: &Tail) -> Vec<TokenTree> {
    let mut trees: Vec<TokenTree> = tail.before.clone().into_iter().collect();
    if tail.boxed.is_some() {
        let path = |tree: &&TokenTree| is_colon(tree) || matches!(tree, TokenTree::Ident(word) if word != "return");
        let path = trees.iter().rev().take_while(path).count();
        trees.truncate(trees.len() - path);
    }
    trees
}

/// The tail is what the body comes to, not part of an expression: of a closure, for one.
fn is_whole(tail: &Tail) -> bool {
    match before_path(tail).last() {
        None => true,
        Some(TokenTree::Punct(punct)) => punct.as_char() == ';',
        Some(TokenTree::Ident(word)) => word == "return",
        Some(TokenTree::Group(group)) => matches!(group.delimiter(), Delimiter::Brace | Delimiter::Bracket),
        Some(TokenTree::Literal(_)) => false,
    }
}

/// `return` stands somewhere before the tail, or could in a macro: then the tail is not all that is returned. Where the tail is
/// no box, nothing else is of its type.
fn leaves_early(tail: &Tail) -> bool {
    let mut before = before_path(tail);
    before.pop_if(|last| matches!(last, TokenTree::Ident(word) if word == "return"));
    tail.boxed.is_some() && early::may_return(&before.into_iter().collect())
}

/// Whether the function owns its `self`.
pub(super) fn receiver(signature: &Signature) -> Receiver {
    match signature.receiver() {
        Some(receiver) => match &receiver.kind {
            ReceiverKind::Reference(..) => Receiver::None,
            ReceiverKind::Typed(_, ty) if matches!(**ty, Type::Reference(_)) => Receiver::None,
            _ => Receiver::Owned(receiver.self_token),
        },
        None => Receiver::None,
    }
}

/// Moves `mut` and patterns from the signature into the body; what stays there are names.
pub(super) fn rebinds(signature: &mut Signature) -> Vec<Rebind> {
    let mut rebinds = Vec::new();
    for (index, arg) in signature.inputs.iter_mut().enumerate() {
        let FnArg::Typed(arg) = arg else { continue };
        let mut names = Vec::new();
        bound(&arg.pat, &mut names);
        let plain = plain_name(&arg.pat).cloned();
        if plain.is_some() && !is_mut(&arg.pat) && drops_nothing(&arg.ty) {
            continue;
        }
        let hidden = plain.is_none();
        let source = plain.unwrap_or_else(|| format_ident!("__arg{index}", span = Span::mixed_site()));
        let name = Pat::Ident(PatIdent {
            attrs: Vec::new(),
            by_ref: None,
            mutability: None,
            ident: source.clone(),
            subpat: None,
        });
        let pattern = std::mem::replace(&mut *arg.pat, name);
        rebinds.push(Rebind {
            attrs: arg.attrs.iter().filter(|attr| of_bindings(attr)).cloned().collect(),
            pattern,
            source,
            names,
            hidden,
        });
    }
    rebinds
}

/// Attributes that mean on a `let` what they mean on an argument; others are for what else is written on the function.
fn of_bindings(attr: &Attribute) -> bool {
    ["cfg", "cfg_attr", "allow", "expect", "warn", "deny", "forbid"]
        .iter()
        .any(|name| attr.path().is_ident(name))
}

fn plain_name(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(PatIdent {
            by_ref: None,
            subpat: None,
            ident,
            ..
        }) => Some(ident),
        _ => None,
    }
}

fn is_mut(pat: &Pat) -> bool {
    matches!(
        pat,
        Pat::Ident(PatIdent {
            mutability: Some(_),
            ..
        })
    )
}

/// References and numbers: where they are dropped shows nowhere.
fn drops_nothing(ty: &Type) -> bool {
    const COPY: &[&str] = &[
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
        "f64",
    ];
    match ty {
        Type::Reference(_) => true,
        Type::Path(path) => path
            .path
            .get_ident()
            .is_some_and(|name| COPY.iter().any(|copy| name == copy)),
        _ => false,
    }
}

/// The names that a pattern binds.
pub(super) fn bound(pat: &Pat, names: &mut Vec<Ident>) {
    match pat {
        Pat::Ident(pat) => {
            // `None` and constants look like names; they are written in capitals.
            if !pat.ident.to_string().starts_with(char::is_uppercase) {
                names.push(pat.ident.clone());
            }
            if let Some((_, pat)) = &pat.subpat {
                bound(pat, names);
            }
        }
        Pat::Paren(pat) => bound(&pat.pat, names),
        Pat::Reference(pat) => bound(&pat.pat, names),
        Pat::Type(pat) => bound(&pat.pat, names),
        Pat::Tuple(pat) => pat.elems.iter().for_each(|pat| bound(pat, names)),
        Pat::TupleStruct(pat) => pat.elems.iter().for_each(|pat| bound(pat, names)),
        Pat::Slice(pat) => pat.elems.iter().for_each(|pat| bound(pat, names)),
        Pat::Struct(pat) => pat.fields.iter().for_each(|field| bound(&field.pat, names)),
        Pat::Or(pat) => pat.cases.first().into_iter().for_each(|pat| bound(pat, names)),
        _ => {}
    }
}
