//! Which worker of which pool a thread is.

use std::any::Any;
use std::cell::{Cell, RefCell};

use crate::sync::unmodelled::Arc;

crate::sync::thread_local! {
    /// The address of the crew that this thread works in, and its index there.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's knows no const initialiser")]
    static CURRENT: Cell<Option<(usize, usize)>> = Cell::new(None);
    /// That crew, for who has nothing to keep it by while it is used: see [`with`].
    #[allow(clippy::missing_const_for_thread_local, reason = "as above")]
    static CREW: RefCell<Option<Arc<dyn Any + Send + Sync>>> = RefCell::new(None);
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

/// Calls `f`, which runs no code of the user's, with the crew of this thread and its index there.
pub(super) fn with<T: 'static, O>(f: impl FnOnce(&T, usize) -> O) -> Option<O> {
    let (_, index) = CURRENT.try_with(Cell::get).ok().flatten()?;
    let of_crew = |crew: &RefCell<Option<Arc<dyn Any + Send + Sync>>>| {
        Some(f(crew.borrow().as_ref()?.downcast_ref()?, index))
    };
    CREW.try_with(of_crew).ok().flatten()
}

/// This thread is worker `index` from here on.
pub(super) fn enter<T: Send + Sync + 'static>(crew: &Arc<T>, index: usize) {
    CURRENT.with(|current| current.set(Some((Arc::as_ptr(crew).addr(), index))));
    let crew: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(crew);
    CREW.with(|current| current.replace(Some(crew)));
}

/// It no longer is.
pub(super) fn leave() {
    CURRENT.with(|current| current.set(None));
    let crew = CREW.with(|current| current.take());
    drop(crew);
}
