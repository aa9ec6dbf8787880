//! Which signals a stack of attributes asks for, and who says what about each.

use syn::{Expr, LitStr};

use crate::args::table::Attr;
use crate::args::{Level, Opt, Options, Value};
use crate::diag::Diagnostics;
use crate::model::Verdict;

/// What is said of one signal, the nearest word first: the function's own attribute, then that of the block around it.
#[derive(Default, Clone)]
pub(super) struct Said<'a>(Vec<&'a Options>);

impl<'a> Said<'a> {
    pub(super) fn option(&self, name: &str) -> Option<&'a Opt> {
        self.0.iter().find_map(|options| options.find(name))
    }

    /// What the function itself says.
    pub(super) fn own(&self, name: &str) -> Option<&'a Opt> {
        let mut own = self.0.iter().filter(|options| !options.block);
        own.find_map(|options| options.find(name))
    }

    /// Of options that exclude one another: those of the nearest level that says any.
    pub(super) fn nearest(&self, names: &[&str]) -> Vec<&'a Opt> {
        let of = |block: bool| -> Vec<&'a Opt> {
            let said = names.iter().filter_map(|name| {
                let mut level = self.0.iter().filter(|options| options.block == block);
                level.find_map(|options| options.find(name))
            });
            said.collect()
        };
        let own = of(false);
        if own.is_empty() { of(true) } else { own }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a LitStr> {
        match &self.option(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn expr(&self, name: &str) -> Option<&'a Expr> {
        match &self.option(name)?.value {
            Value::Expr(expr) => Some(expr),
            _ => None,
        }
    }

    pub(super) fn level(&self, name: &str) -> Option<&'a Level> {
        match &self.option(name)?.value {
            Value::Level(level) => Some(level),
            _ => None,
        }
    }
}

const ONCE: &str = "the outcome is decided once for the whole stack; keep one `ok_if` or `error_if`";

/// `job`, and whether the block says it.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) option: &'a Opt,
    pub(super) block: bool,
}

/// The stack, sorted by signal.
#[derive(Default)]
pub(super) struct Signals<'a> {
    pub(super) traced: Option<Said<'a>>,
    pub(super) counted: Option<Said<'a>>,
    pub(super) timed: Option<Said<'a>>,
    /// `observed(name = "…")`
    pub(super) name: Option<&'a LitStr>,
    /// `observed(job = "…")`
    pub(super) job: Option<Job<'a>>,
    all: Vec<&'a Options>,
}

impl<'a> Signals<'a> {
    pub(super) fn new(stack: &'a [Options], diag: &mut Diagnostics) -> Self {
        let mut signals = Self::default();
        for block in [false, true] {
            let mut seen: Vec<&Options> = Vec::new();
            for options in stack.iter().filter(|options| options.block == block) {
                once(options, &seen, diag);
                seen.push(options);
                signals.add(options, diag);
            }
        }
        signals
    }

    fn add(&mut self, options: &'a Options, diag: &mut Diagnostics) {
        no_option_twice(options, diag);
        self.all.push(options);
        match options.attr {
            Attr::Traced => self.traced.get_or_insert_default().0.push(options),
            Attr::Counted => self.counted.get_or_insert_default().0.push(options),
            Attr::Timed => self.timed.get_or_insert_default().0.push(options),
            _ => self.observed(options, diag),
        }
    }

    fn observed(&mut self, options: &'a Options, diag: &mut Diagnostics) {
        self.traced.get_or_insert_default();
        self.counted.get_or_insert_default();
        self.timed.get_or_insert_default();
        for option in &options.list {
            match &option.value {
                _ if option.row.name == "job" => {
                    if let Value::Nested(nested) = &option.value {
                        no_option_twice(nested, diag);
                    }
                    self.job.get_or_insert(Job {
                        option,
                        block: options.block,
                    });
                }
                Value::Nested(nested) => self.add(nested, diag),
                Value::Text(name) if self.name.is_none() => self.name = Some(name),
                _ => {}
            }
        }
    }

    /// `ok_if` or `error_if`, given once for the whole stack.
    pub(super) fn verdict(&self, diag: &mut Diagnostics) -> Verdict {
        let mut verdict = Verdict::ByType;
        let own = self.all.iter().filter(|options| !options.block);
        let block = self.all.iter().filter(|options| options.block);
        for options in own.chain(block) {
            // The same option twice in one attribute is told already.
            for option in ["ok_if", "error_if"].into_iter().filter_map(|name| options.find(name)) {
                let Value::Expr(expr) = &option.value else { continue };
                match verdict {
                    Verdict::ByType if option.row.name == "ok_if" => verdict = Verdict::OkIf(expr.clone()),
                    Verdict::ByType => verdict = Verdict::ErrorIf(expr.clone()),
                    // What the function says itself goes before what the block says.
                    _ if options.block => {}
                    _ => diag.error(&option.key, ONCE),
                }
            }
        }
        verdict
    }

    /// Where the crate is, if any attribute says so.
    pub(super) fn crate_path(&self) -> Option<&'a syn::Path> {
        self.all.iter().find_map(|options| match &options.find("crate")?.value {
            Value::Path(path) => Some(path),
            _ => None,
        })
    }
}

/// One signal, one attribute.
fn once(options: &Options, seen: &[&Options], diag: &mut Diagnostics) {
    let name = options.attr.name();
    if seen.iter().any(|other| other.attr == options.attr) {
        diag.error_at(
            options.span,
            format!("`{name}` is written twice; keep one, with the options of both"),
        );
    } else if let Some(other) = seen
        .iter()
        .find(|other| (other.attr == Attr::Observed) != (options.attr == Attr::Observed))
    {
        let part = if options.attr == Attr::Observed {
            other.attr.name()
        } else {
            name
        };
        let message = format!(
            "`observed` already is `traced`, `counted` and `timed`; write `#[observed({part}(…))]` for options of one"
        );
        diag.error_at(options.span, message);
    }
}

/// Every option once per attribute.
pub(super) fn no_option_twice(options: &Options, diag: &mut Diagnostics) {
    for (index, option) in options.list.iter().enumerate() {
        if options.list[..index]
            .iter()
            .any(|before| before.row.name == option.row.name)
        {
            diag.error(&option.key, format!("`{}` is given twice; keep one", option.row.name));
        }
    }
}
