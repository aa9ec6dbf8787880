//! Programs whose panics abort: nothing unwinds, no guard is dropped, so the hook is the last that runs.

use super::vitals::Inner;
use std::panic::{set_hook, take_hook};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Best effort: the process is to end.
const MOST: Duration = Duration::from_secs(1);

/// Chains a hook behind those installed: what they had to say is said before the flush.
pub(super) fn flush_on_panic(inner: &Arc<Inner>) {
    let inner = Arc::downgrade(inner);
    let before = take_hook();
    set_hook(Box::new(move |info| {
        before(info);
        if let Some(inner) = inner.upgrade() {
            inner.parts.flush(Instant::now() + MOST);
        }
    }));
}
