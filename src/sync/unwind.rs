//! Where panics of user code are caught. In models nothing is: a panic there is a finding of loom's, a race
//! or a leak, and to contain it would hide it.

/// How often what a panic left behind may panic in turn before it is leaked rather than dropped.
#[cfg(not(loom))]
const PANICS_IN_A_ROW: u32 = 8;

/// Runs `f`; if it panics, so be it: true if it did. What it panicked with is dropped, which may panic again.
#[cfg(not(loom))]
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    use ::std::panic::{AssertUnwindSafe, catch_unwind};
    let Err(mut left_behind) = catch_unwind(AssertUnwindSafe(f)) else {
        return false;
    };
    for _ in 0..PANICS_IN_A_ROW {
        match catch_unwind(AssertUnwindSafe(|| drop(left_behind))) {
            Ok(()) => return true,
            Err(next) => left_behind = next,
        }
    }
    ::std::mem::forget(left_behind);
    true
}

#[cfg(loom)]
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    f();
    false
}
