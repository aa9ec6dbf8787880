//! Message and place of a panic, kept for the spans that it unwinds.

use super::local;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

/// What the hook saw.
#[derive(Clone, Debug)]
pub(crate) struct Panicked {
    pub(crate) message: String,
    pub(crate) location: String,
    /// The ids of the spans that were current, which it may unwind. Any other is unwound by what `resume_unwind` began, of which the
    /// hook sees nothing.
    spans: Vec<u64>,
    /// A span has told it already.
    pub(crate) told: bool,
}

thread_local! {
    static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Chains a hook before the one installed, once.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            keep(info);
            next(info);
        }));
    });
}

fn keep(info: &PanicHookInfo<'_>) {
    if local::is_formatting() {
        return; // of a field's formatting, caught there
    }
    let spans = local::with(|local| local.stack.spans(&mut local.rng)).unwrap_or_default();
    let message = message(info).to_owned();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(Panicked {
                message,
                location,
                spans,
                told: false,
            });
        }
    });
}

/// What the panic says, or what std says in its place.
pub(crate) fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "Box<dyn Any>",
    }
}

/// The panic that unwinds that span of this thread; the first to ask finds it untold.
pub(crate) fn current(span: u64) -> Option<Panicked> {
    if !std::thread::panicking() {
        return None;
    }
    LAST.try_with(|last| {
        let mut last = last.try_borrow_mut().ok()?;
        if last.as_ref().is_some_and(|last| !last.spans.contains(&span)) {
            // One that was current then would be among them: the panic is over. One that is only held, as by the rows of a statement,
            // says nothing of that.
            if local::with(|local| local.stack.position_of_span(span))
                .flatten()
                .is_some()
            {
                *last = None;
            }
            return None;
        }
        let panicked = last.clone();
        if let Some(last) = last.as_mut() {
            last.told = true;
        }
        panicked
    })
    .ok()
    .flatten()
}
