//! Where panics of user code are caught. In models nothing is: a panic there is a finding of loom's, a race
//! or a leak, and to contain it would hide it.

/// Runs `f`; if it panics, so be it: true if it did. What it panicked with is dropped, and if that panics in
/// turn, leaked.
#[cfg(not(loom))]
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    use ::std::panic::{AssertUnwindSafe, catch_unwind};
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        return false;
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        ::std::mem::forget(second);
    }
    true
}

#[cfg(loom)]
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    f();
    false
}
