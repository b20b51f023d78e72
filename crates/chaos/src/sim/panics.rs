//! Panics within a simulated world. A task that panics ends silently in Tokio; here it breaks an invariant.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// What panicked in the seed that this thread runs, if it runs one.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Panics on this thread are kept from here on, until they are [`taken`].
pub(crate) fn keep() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let kept = SEEN.with_borrow_mut(|seen| seen.as_mut().map(|seen| seen.push(panic.to_string())));
            if kept.is_none() {
                usual(panic);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
}

/// What panicked since [`keep`]. Panics are the usual ones again.
pub(crate) fn taken() -> Vec<String> {
    SEEN.take().unwrap_or_default()
}
