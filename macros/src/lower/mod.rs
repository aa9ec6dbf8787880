//! Arguments and signature become the model. Every rule lives here and reports to [`Diagnostics`].

pub(crate) mod apart;
pub(crate) mod declared;
mod early;
pub(crate) mod expects;
mod flow;
pub(crate) mod health;
mod label;
mod late;
mod metric;
mod operation;
mod said;
mod secret;
mod signals;
mod span;
mod stream;
pub(crate) mod tie;

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::{Expr, FnArg, GenericArgument, GenericParam, LitStr, Pat, PathArguments, ReturnType, Type, parse_quote};

use crate::args::{self, Options};
use crate::diag::Diagnostics;
use crate::model::{Apart, Flow, Given, Instrumented, Receiver, Run, Verdict};
use crate::paths::Root;
use crate::stack::Stack;
use crate::tokens::{Attr, Function, mentions};
use expects::Spared;
pub(crate) use metric::float;
use signals::Signals;

/// What the rules need to know of the function.
pub(crate) struct Subject {
    name: String,
    /// First line of its doc comment.
    doc: Option<String>,
    arguments: Vec<Argument>,
    /// Arguments that another macro moved the patterns of into the block that is returned.
    moved: Vec<Apart>,
    /// An argument's pattern was taken away and not found again.
    opaque: bool,
    /// Names that mean something only inside its signature.
    generics: Vec<String>,
    /// Names that mean something only inside the block around, as far as the block was seen.
    outer: Vec<String>,
    in_block: bool,
}

/// One name that an argument binds.
struct Argument {
    name: Ident,
    /// Its type, when the argument is this name alone.
    ty: Option<Type>,
    /// The conditions under which it is there.
    cfg: Vec<syn::Attribute>,
}

impl Argument {
    fn given(&self) -> Given {
        Given {
            cfg: self.cfg.clone(),
            value: Expr::Path(syn::ExprPath {
                attrs: Vec::new(),
                qself: None,
                path: self.name.clone().into(),
            }),
        }
    }
}

impl Subject {
    fn new(function: &Function, body: &Group, stack: &Stack) -> Self {
        let signature = &function.signature;
        let ident = signature.ident.unraw();
        let name = match &stack.within {
            Some(within) => format!("{within}::{ident}"),
            None => ident.to_string(),
        };
        let (mut arguments, mut moved, mut opaque) = (Vec::new(), Vec::new(), false);
        for arg in &signature.inputs {
            let FnArg::Typed(arg) = arg else { continue };
            let mut pattern = (*arg.pat).clone();
            if let Some(name) = apart::positional(&arg.pat) {
                match flow::tail(body).and_then(|tail| apart::moved_pattern(name, &tail.block)) {
                    Some(written) => {
                        moved.push(apart::apart(name, &written, Some(&arg.ty), &arg.attrs));
                        pattern = written;
                    }
                    None => opaque = true,
                }
            }
            if apart::positional(&pattern).is_some() {
                continue;
            }
            let alone = matches!(&pattern, Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none());
            arguments.extend(label::names_of(&pattern).into_iter().map(|name| {
                Argument {
                    name,
                    ty: alone.then(|| (*arg.ty).clone()),
                    cfg: arg
                        .attrs
                        .iter()
                        .filter(|attr| attr.path().is_ident("cfg"))
                        .cloned()
                        .collect(),
                }
            }));
        }
        let generics = signature.generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
        });
        Self {
            name,
            doc: first_doc_line(&function.attrs),
            generics: generics.collect(),
            outer: stack.outer.clone(),
            arguments,
            moved,
            opaque,
            in_block: stack.entries.iter().any(|entry| entry.block),
        }
    }

    fn argument(&self, name: &Ident) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.name == *name)
    }

    fn has(&self, name: &Ident) -> bool {
        self.argument(name).is_some()
    }

    /// Whether an item inside the function that repeats its generics can name the type.
    fn nameable_with_generics(&self, ty: &TokenStream) -> bool {
        !mentions(ty, &|tree| match tree {
            TokenTree::Ident(word) => {
                let text = word.to_string();
                let outer = looks_like_parameter(&text) || self.outer.contains(&text);
                text == "Self" || (outer && !self.generics.contains(&text))
            }
            _ => false,
        })
    }

    /// Whether a static inside the function can name the type: no generics, `impl`, `Self` or lifetimes of the function.
    fn nameable(&self, ty: &Type) -> bool {
        let tokens = ty.to_token_stream();
        let names = mentions(&tokens, &|tree| match tree {
            TokenTree::Ident(word) => {
                let text = word.to_string();
                let parameter = self.generics.contains(&text) || self.outer.contains(&text);
                text == "impl" || text == "Self" || parameter || looks_like_parameter(&text)
            }
            _ => false,
        });
        !names && !has_lifetime(tokens)
    }
}

/// Whether a lifetime stands in the tokens, at any depth, that is neither `'static` nor `'_`.
fn has_lifetime(tokens: TokenStream) -> bool {
    let mut after_tick = false;
    tokens.into_iter().any(|tree| {
        let lifetime = match &tree {
            TokenTree::Group(group) => has_lifetime(group.stream()),
            TokenTree::Ident(word) => after_tick && word != "static" && word != "_",
            _ => false,
        };
        after_tick = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '\'');
        lifetime
    })
}

/// A short name in capitals is taken for a parameter of the block around, which a function does not show.
fn looks_like_parameter(name: &str) -> bool {
    name.len() <= 2
        && name.starts_with(|char: char| char.is_ascii_uppercase())
        && name
            .chars()
            .all(|char| char.is_ascii_uppercase() || char.is_ascii_digit())
}

fn first_doc_line(attrs: &[Attr]) -> Option<String> {
    attrs.iter().filter(|attr| attr.is("doc")).find_map(|attr| {
        let mut trees = attr.rest.clone().into_iter();
        matches!(trees.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=').then_some(())?;
        let text: LitStr = syn::parse2(trees.collect()).ok()?;
        let text = text.value();
        // The lines of a block comment may begin with stars.
        let stars: &[char] = if text.contains('\n') { &['*'] } else { &[] };
        text.lines()
            .map(|line| line.trim_start().trim_start_matches(stars).trim())
            .find(|line| !line.is_empty())
            .map(str::to_owned)
    })
}

/// A function under a whole stack of attributes. The model is of use only if `diag` stayed empty.
pub(crate) fn function(mut function: Function, body: &Group, stack: &Stack, diag: &mut Diagnostics) -> Instrumented {
    let options = parse(stack, diag);
    let read = stack.entries.iter().any(|entry| !entry.arguments.is_empty());
    function.attrs = expects::of_attributes(&function.attrs, Spared::Unmet { read });
    expects::of_arguments(&mut function.signature, Spared::Unmet { read });
    let signals = Signals::new(&options, diag);
    if let Some(name) = signals.name {
        metric::valid_name(name, diag);
    }
    let subject = Subject::new(&function, body, stack);
    let mut span = signals
        .traced
        .as_ref()
        .map(|said| span::span(said, signals.name, signals.job, &subject, diag));
    let mut counter = signals
        .counted
        .as_ref()
        .map(|said| metric::counter(said, signals.name, &subject, diag));
    let mut timer = signals
        .timed
        .as_ref()
        .map(|said| metric::timer(said, signals.name, &subject, diag));
    let verdict = signals.verdict(diag);
    let root = Root::new(signals.crate_path());
    let stream = stream::flow(&signals, &function.signature, diag);
    let nameable = |ty: &TokenStream| subject.nameable_with_generics(ty);
    let flow = stream.unwrap_or_else(|| flow::flow(&function, body, &root, stack.inherent, &nameable));
    let (rebinds, receiver) = match &flow {
        Flow::Diverges | Flow::FutureInside(_) => (Vec::new(), Receiver::None),
        Flow::Sync { run, .. } | Flow::FutureOutside(run) if !matches!(run, Run::Closure | Run::Tied(_)) => {
            if matches!(run, Run::Hoisted(_) | Run::Beside(_)) {
                flow::immutable(&mut function.signature);
            }
            (Vec::new(), Receiver::None)
        }
        _ => (
            flow::rebinds(&mut function.signature),
            flow::receiver(&function.signature),
        ),
    };
    let late = late::expressions(&verdict, counter.as_ref(), timer.as_ref());
    let late = late::read(&late, &function.signature, &rebinds, &subject.moved, diag);
    let result = result(&function.signature.output, &subject).filter(|_| matches!(verdict, Verdict::ByType));
    let apart = match &flow {
        Flow::FutureInside(_) => subject.moved,
        Flow::Async { .. } | Flow::AsyncKept { .. } | Flow::AsyncDiverges => {
            apart::of_rebinds(&rebinds, &function.signature)
        }
        _ => Vec::new(),
    };
    said::each(span.as_mut(), counter.as_mut(), timer.as_mut(), &mut |expr| {
        said::stays(expr, diag);
    });
    apart::read_parts(&apart, span.as_mut(), counter.as_mut(), timer.as_mut());
    Instrumented {
        late,
        root,
        result,
        name: subject.name,
        fallible: spelled_result(&function.signature.output),
        flow,
        rebinds,
        receiver,
        apart,
        span,
        counter,
        timer,
        verdict,
        function,
    }
}

/// The options of every attribute of the stack.
pub(crate) fn parse(stack: &Stack, diag: &mut Diagnostics) -> Vec<Options> {
    let parsed = stack.entries.iter().map(|entry| {
        let mut options = args::options(entry.attr, entry.span, entry.arguments.clone(), diag);
        options.set_block(entry.block);
        options
    });
    parsed.collect()
}

fn spelled_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    mentions(
        &ty.to_token_stream(),
        &|tree| matches!(tree, TokenTree::Ident(word) if word == "Result"),
    )
}

/// The return type, where it is a path to a `Result` that a static can name: with `()` for the value, of which nothing is asked.
fn result(output: &ReturnType, subject: &Subject) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else { return None };
    let mut ty = (**ty).clone();
    let Type::Path(path) = &mut ty else { return None };
    let last = path.path.segments.last_mut()?;
    if last.ident != "Result" || path.qself.is_some() {
        return None;
    }
    if let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        && let Some(GenericArgument::Type(value)) = arguments.args.first_mut()
    {
        *value = parse_quote!(());
    }
    subject.nameable(&ty).then_some(ty)
}

/// A function that cannot be measured: each attribute says why, and its own mistakes besides.
pub(crate) fn unmeasurable(function: &Function, stack: &Stack, diag: &mut Diagnostics) {
    let options = parse(stack, diag);
    Signals::new(&options, diag);
    let name = stack.entries.first().map_or("traced", |entry| entry.attr.name());
    match &function.signature.constness {
        Some(word) => diag.error(
            word,
            format!("a `const fn` also runs in the compiler, where nothing is measured; remove `const` or `#[{name}]`"),
        ),
        None => {
            let ident = &function.signature.ident;
            diag.error(
                ident,
                format!("a method without a body has nothing to measure; write `#[{name}]` on its implementations"),
            );
        }
    }
}

/// An attribute on something that is neither a function nor a block of them.
pub(crate) fn misplaced(stack: &Stack, diag: &mut Diagnostics) {
    parse(stack, diag);
    for entry in &stack.entries {
        let name = entry.attr.name();
        let message = format!(
            "`#[{name}]` goes on a function, or on an `impl`, `trait` or inline `mod` for every function in it"
        );
        diag.error_at(entry.span, message);
    }
}

/// What a block says of all its functions: checked once, here, as far as no function is needed for it.
pub(crate) fn block(stack: &Stack, diag: &mut Diagnostics) {
    let options = parse(stack, diag);
    let signals = Signals::new(&options, diag);
    signals.verdict(diag);
    let span = signals.traced.as_ref().and_then(|said| said.text("name"));
    if let Some(name) = span.or(signals.name) {
        diag.error(
            name,
            "every function of the block would have this name; write `name = \"…\"` on one of them",
        );
    }
    if let Some(option) = signals.traced.as_ref().and_then(|said| said.option("stream")) {
        diag.error(
            &option.key,
            "not every function of a block returns a stream; write `#[traced(stream)]` on those that do",
        );
    }
    if let Some(job) = signals.job {
        diag.error(
            &job.option.key,
            "every function of the block would be this job; write `#[observed(job = \"…\")]` on one of them",
        );
    }
}

/// `#[vitalsign(skip)]`
pub(crate) fn skip(attr: &Attr, diag: &mut Diagnostics) {
    let arguments = attr.arguments();
    if arguments.to_string() != "skip" {
        let at = if arguments.is_empty() {
            attr.to_token_stream()
        } else {
            arguments
        };
        diag.error(at, "a function is left out of its block by `#[vitalsign(skip)]`");
    }
}

/// `#[vitalsign(skip)]` outside of any block.
pub(crate) fn alone(diag: &mut Diagnostics) {
    diag.error_at(
        proc_macro2::Span::call_site(),
        "`#[vitalsign(skip)]` leaves a function out of the annotated block around it; there is none here",
    );
}

#[cfg(test)]
mod tests;
