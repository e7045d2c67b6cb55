//! Which worker of which pool a thread is.

use std::cell::Cell;

use crate::sync::unmodelled::Arc;

crate::sync::thread_local! {
    /// The address of the crew that this thread works in, and its index there.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's knows no const initialiser")]
    static CURRENT: Cell<Option<(usize, usize)>> = Cell::new(None);
}

/// Whether this thread is a worker of any pool.
pub(crate) fn on_worker() -> bool {
    CURRENT
        .try_with(Cell::get)
        .is_ok_and(|current| current.is_some())
}

/// The index of this thread among the workers of that crew, if it is one. An address says which crew it is:
/// the worker keeps its crew alive.
pub(super) fn index_in<T>(crew: &Arc<T>) -> Option<usize> {
    let (address, index) = CURRENT.try_with(Cell::get).ok().flatten()?;
    (address == Arc::as_ptr(crew).addr()).then_some(index)
}

/// This thread is worker `index` from here on.
pub(super) fn enter<T>(crew: &Arc<T>, index: usize) {
    CURRENT.with(|current| current.set(Some((Arc::as_ptr(crew).addr(), index))));
}

/// It no longer is.
pub(super) fn leave() {
    CURRENT.with(|current| current.set(None));
}
