//! An item as tokens: its attributes, its signature, its body. Bodies are never parsed, so half-typed code still expands.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::{ReturnType, Signature, Type};

/// One outer attribute.
#[derive(Clone)]
pub(crate) struct Attr {
    tokens: TokenStream,
    /// The segments of its path.
    pub(crate) path: Vec<String>,
    /// Its last segment: where errors about the attribute itself point.
    pub(crate) name: Option<Ident>,
    /// What follows the path: `(…)`, `= …` or nothing.
    pub(crate) rest: TokenStream,
}

impl Attr {
    fn new(pound: TokenTree, group: Group) -> Self {
        let mut path = Vec::new();
        let mut name = None;
        let mut rest = TokenStream::new();
        // A `meta` fragment of `macro_rules` stands in invisible groups.
        let mut trees = flat(group.stream()).into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Ident(ident) => {
                    path.push(ident.to_string());
                    name = Some(ident);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                other => {
                    rest.append(other);
                    rest.extend(trees.by_ref());
                }
            }
        }
        let tokens = [pound, TokenTree::Group(group)].into_iter().collect();
        Self {
            tokens,
            path,
            name,
            rest,
        }
    }

    /// The attributes that these tokens are.
    pub(crate) fn all(tokens: TokenStream) -> Vec<Self> {
        take_attrs(&mut tokens.into_iter().collect::<Vec<_>>().into_iter().peekable())
    }

    /// Whether its path is this one name.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.path.as_slice(), [only] if only == name)
    }

    /// Whether it sets lints.
    pub(crate) fn is_lint_level(&self) -> bool {
        ["allow", "expect", "warn", "deny", "forbid"]
            .iter()
            .any(|level| self.is(level))
    }

    /// Whether its path ends in this name.
    pub(crate) fn ends_in(&self, name: &str) -> bool {
        self.path.last().is_some_and(|last| last == name)
    }

    /// What stands in its parentheses.
    pub(crate) fn arguments(&self) -> TokenStream {
        match self.rest.clone().into_iter().next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group.stream(),
            _ => TokenStream::new(),
        }
    }
}

impl ToTokens for Attr {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.tokens.clone());
    }
}

/// Any item: its outer attributes and the rest.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attr>,
    pub(crate) rest: Vec<TokenTree>,
}

impl Item {
    pub(crate) fn new(tokens: TokenStream) -> Self {
        let mut trees = flat(tokens).into_iter().peekable();
        let attrs = take_attrs(&mut trees);
        Self {
            attrs,
            rest: trees.collect(),
        }
    }

    /// What it is, told by its first words.
    pub(crate) fn kind(&self) -> Kind {
        let mut words = self.rest.iter().enumerate().filter_map(|(at, tree)| match tree {
            TokenTree::Ident(ident) => Some((at, ident.to_string())),
            _ => None,
        });
        let mut constant = false;
        loop {
            let Some((at, word)) = words.next() else {
                return Kind::Other;
            };
            match word.as_str() {
                "fn" => return Kind::Function { constant },
                "impl" => return Kind::Block(Keyword { at, name: "impl" }),
                "trait" => return Kind::Block(Keyword { at, name: "trait" }),
                "mod" if self.body().is_some() => return Kind::Block(Keyword { at, name: "mod" }),
                "const" if matches!(self.rest.get(at + 1), Some(TokenTree::Ident(next)) if is_fn_word(next)) => {
                    constant = true;
                }
                "pub" | "crate" | "default" | "async" | "unsafe" | "safe" | "extern" | "auto" => {}
                _ => return Kind::Other,
            }
        }
    }

    /// The last brace group, when the item ends in one.
    pub(crate) fn body(&self) -> Option<&Group> {
        match self.rest.last() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Some(group),
            _ => None,
        }
    }

    /// The item as a function.
    ///
    /// # Errors
    ///
    /// Its signature is none that `syn` knows.
    pub(crate) fn function(&self) -> syn::Result<Function> {
        // Behind it stands the body, or the semicolon of what has none.
        let signature = &self.rest[..self.rest.len().saturating_sub(1)];
        let start = signature
            .iter()
            .position(|tree| matches!(tree, TokenTree::Ident(word) if is_fn_word(word)));
        let (before, signature) = signature.split_at(start.unwrap_or(0));
        let mut signature: Signature = syn::parse2(signature.iter().cloned().collect())?;
        // A `macro_rules` macro wraps what it was given as `ty`: what that is decides how the body is run.
        if let ReturnType::Type(_, ty) = &mut signature.output {
            while let Type::Group(group) = &**ty {
                let inner = group.elem.clone();
                *ty = inner;
            }
        }
        Ok(Function {
            attrs: self.attrs.clone(),
            before: before.iter().cloned().collect(),
            signature,
        })
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        tokens.append_all(&self.rest);
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function {
        constant: bool,
    },
    /// `impl`, `trait` or an inline `mod`.
    Block(Keyword),
    Other,
}

/// The word that makes a block what it is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyword {
    pub(crate) at: usize,
    pub(crate) name: &'static str,
}

/// A function: everything before its qualifiers, and its signature.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attr>,
    /// Visibility and `default`.
    pub(crate) before: TokenStream,
    pub(crate) signature: Signature,
}

/// A word that can begin a function's qualifiers.
fn is_fn_word(ident: &Ident) -> bool {
    ["const", "async", "unsafe", "safe", "extern", "fn"]
        .iter()
        .any(|word| ident == word)
}

/// The tokens with invisible groups around whole items, visibilities and bodies opened; those are what
/// `macro_rules` fragments leave. Groups within a signature stay: types and expressions need them.
fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    let mut trees: Vec<TokenTree> = Vec::new();
    let mut signature = false;
    for tree in tokens {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None && (!signature || is_block(&group)) => {
                trees.extend(flat(group.stream()));
            }
            tree => {
                signature |= matches!(&tree, TokenTree::Ident(word) if word == "fn");
                trees.push(tree);
            }
        }
    }
    trees
}

fn is_block(group: &Group) -> bool {
    let mut trees = group.stream().into_iter();
    matches!((trees.next(), trees.next()), (Some(TokenTree::Group(inner)), None) if inner.delimiter() == Delimiter::Brace)
}

type Trees = std::iter::Peekable<std::vec::IntoIter<TokenTree>>;

/// Takes the outer attributes from the front.
fn take_attrs(trees: &mut Trees) -> Vec<Attr> {
    let mut attrs = Vec::new();
    while is_punct(trees.peek(), '#') {
        let Some(pound) = trees.next() else { break };
        match trees.next() {
            Some(TokenTree::Group(group)) => attrs.push(Attr::new(pound, group)),
            // `#!`: an inner attribute has its own place; nothing else follows a pound sign.
            _ => break,
        }
    }
    attrs
}

fn is_punct(tree: Option<&TokenTree>, char: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// A part of a block's body.
pub(crate) enum Part {
    Item(Item),
    /// Inner attributes and what does not look like an item: kept as it is.
    Other(TokenStream),
}

/// Splits the body of an `impl`, `trait` or `mod` into its items.
pub(crate) fn items(body: &Group) -> Vec<Part> {
    let mut trees = body.stream().into_iter().collect::<Vec<_>>().into_iter().peekable();
    let mut parts = Vec::new();
    while trees.peek().is_some() {
        if let Some(inner) = inner_attribute(&mut trees) {
            parts.push(Part::Other(inner));
            continue;
        }
        let attrs = take_attrs(&mut trees);
        let rest = flat(take_item(&mut trees).into_iter().collect());
        parts.push(Part::Item(Item { attrs, rest }));
    }
    parts
}

fn inner_attribute(trees: &mut Trees) -> Option<TokenStream> {
    let mut ahead = trees.clone();
    let pound = ahead.next().filter(|tree| is_punct(Some(tree), '#'))?;
    let bang = ahead.next().filter(|tree| is_punct(Some(tree), '!'))?;
    let group = ahead.next()?;
    *trees = ahead;
    Some(quote!(#pound #bang #group))
}

/// Takes one item's tokens: up to its body, or up to the semicolon of what has none.
fn take_item(trees: &mut Trees) -> Vec<TokenTree> {
    let mut taken: Vec<TokenTree> = Vec::new();
    let mut to_semicolon = None;
    while let Some(tree) = trees.next() {
        if to_semicolon.is_none()
            && let TokenTree::Ident(word) = &tree
        {
            to_semicolon = ends_in_semicolon(word, trees.peek());
        }
        let ends = match &tree {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            // An invisible group alone is a whole item that a macro passed on.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => taken.is_empty() && is_item(group),
            // A brace group before `>` or `,` is a const argument of the signature.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                to_semicolon != Some(true) && !is_punct(trees.peek(), '>') && !is_punct(trees.peek(), ',')
            }
            _ => false,
        };
        taken.push(tree);
        if ends {
            break;
        }
    }
    taken
}

/// Whether a group holds more than a visibility.
fn is_item(group: &Group) -> bool {
    group.stream().into_iter().any(|tree| {
        matches!(&tree, TokenTree::Group(inner) if inner.delimiter() == Delimiter::Brace) || is_punct(Some(&tree), ';')
    })
}

/// Whether an item that begins so ends in a semicolon, braces or not; `None` while undecided.
fn ends_in_semicolon(word: &Ident, next: Option<&TokenTree>) -> Option<bool> {
    match word.to_string().as_str() {
        "pub" | "crate" | "default" | "async" | "unsafe" | "safe" | "extern" | "auto" => None,
        "const" => match next {
            Some(TokenTree::Ident(next)) if is_fn_word(next) => None,
            _ => Some(true),
        },
        "static" | "type" | "use" => Some(true),
        _ => Some(false),
    }
}

/// Whether any token, at any depth, is one of these words or signs.
pub(crate) fn mentions(tokens: &TokenStream, found: &impl Fn(&TokenTree) -> bool) -> bool {
    tokens.clone().into_iter().any(|tree| match &tree {
        TokenTree::Group(group) => mentions(&group.stream(), found),
        tree => found(tree),
    })
}

/// Whether the identifier stands anywhere in the tokens.
pub(crate) fn mentions_ident(tokens: &TokenStream, ident: &Ident) -> bool {
    mentions(
        tokens,
        &|tree| matches!(tree, TokenTree::Ident(other) if other == ident),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(source: &str) -> Vec<String> {
        let group = Group::new(Delimiter::Brace, source.parse().unwrap());
        items(&group)
            .into_iter()
            .map(|part| match part {
                Part::Item(item) => item.to_token_stream().to_string(),
                Part::Other(tokens) => tokens.to_string(),
            })
            .collect()
    }

    #[test]
    fn a_body_splits_into_items() {
        let found = parts(
            "#![allow(x)] const A: T = T { a: 1 }; pub const fn b() {} fn c() -> Foo<{ N }> { if x {} }
             type D = u8; m! { fn not_me() {} } use a::{b, c}; fn half() { let x = } struct S { f: u8 } struct U(u8); fn e(&self);",
        );
        assert_eq!(found.len(), 11, "{found:#?}");
        assert!(found[3].starts_with("fn c"));
        assert!(found[10].starts_with("fn e"));
    }

    #[test]
    fn half_typed_code_is_still_a_function() {
        let item = Item::new(
            "#[a::b(c)] pub(crate) async unsafe fn f<T>(x: [u8; { N }]) -> u8 { foo. }"
                .parse()
                .unwrap(),
        );
        assert_eq!(item.kind(), Kind::Function { constant: false });
        let function = item.function().unwrap();
        assert_eq!(function.signature.ident, "f");
        assert_eq!(function.before.to_string(), "pub (crate)");
        assert_eq!(function.attrs[0].path, ["a", "b"]);
        assert!(item.body().is_some());
    }

    #[test]
    fn kinds_are_told_by_the_first_words() {
        let kind = |source: &str| Item::new(source.parse().unwrap()).kind();
        assert_eq!(kind("pub const fn f() {}"), Kind::Function { constant: true });
        assert_eq!(kind("const F: u8 = 1;"), Kind::Other);
        assert_eq!(kind("struct S;"), Kind::Other);
        assert_eq!(kind("mod m;"), Kind::Other);
        assert!(matches!(
            kind("unsafe impl<T> A for B<T> {}"),
            Kind::Block(Keyword { name: "impl", .. })
        ));
    }
}
