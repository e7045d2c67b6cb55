//! Where panics of user code are caught. In models nothing is: a panic there is a finding of loom's, a race
//! or a leak, and to contain it would hide it.

/// What a panic carries.
pub(crate) type Panic = Box<dyn ::std::any::Any + Send>;

/// Runs `f`, and hands over its panic if it has one.
#[cfg(not(loom))]
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    ::std::panic::catch_unwind(::std::panic::AssertUnwindSafe(f))
}

#[cfg(loom)]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    Ok(f())
}

/// What a panic says, if it says anything.
pub(crate) fn panic_text(panic: &(dyn ::std::any::Any + Send)) -> &str {
    match (
        panic.downcast_ref::<&str>(),
        panic.downcast_ref::<::std::string::String>(),
    ) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(a panic without a text)",
    }
}

/// How often what a panic left behind may panic in turn before it is leaked rather than dropped.
#[cfg(not(loom))]
const PANICS_IN_A_ROW: u32 = 8;

/// Runs `f`; if it panics, so be it: true if it did. What it panicked with is dropped, which may panic again.
#[cfg(not(loom))]
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    let Err(mut left_behind) = catch(f) else {
        return false;
    };
    for _ in 0..PANICS_IN_A_ROW {
        match catch(|| drop(left_behind)) {
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
