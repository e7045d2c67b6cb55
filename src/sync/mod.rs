//! The only place that names `std::sync`, `std::thread` or `loom`. Everything else in the crate takes its
//! atomics, cells, locks, threads and clocks from here, so that the models in `loom-tests/` run the crate's
//! own code. It is *not* a place for algorithms: what stands here is a re-export or a stand-in.
//!
//! Two kinds of things are exported. What the models check (`atomic`, `UnsafeCell`, `Mutex`, `Parker`,
//! `thread`, `PayloadArc`, `SegQueue`, `ArrayQueue`) changes with `cfg(loom)`. What they do not
//! ([`unmodelled`]) is std's in both builds: reference counts of the bus's own objects, and counters that
//! nobody reads through. `OnceBox` stands there too: it is an `OnceLock` of one word, whose value may be made
//! twice, and is kept once.

#![allow(clippy::disallowed_types, reason = "the one place that may name them")]

pub(crate) mod clock;
mod futex;
#[cfg(loom)]
mod loom;
mod parker;
#[cfg(not(loom))]
mod std;
mod unwind;
mod weak_queue;

#[cfg(loom)]
pub(crate) use self::loom::*;
#[cfg(not(loom))]
pub(crate) use self::std::*;
pub(crate) use parker::Parker;
pub(crate) use unwind::{Panic, catch, contain, panic_text};

/// std's in both builds. Under loom nothing here is a point at which threads interleave, and nothing here
/// gives the model a happens-before edge: never use it for what one thread must see of another.
pub(crate) mod unmodelled {
    #[cfg(test)]
    pub(crate) use ::std::sync::atomic::AtomicUsize;
    pub(crate) use ::std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
    pub(crate) use ::std::sync::{Arc, OnceLock, RwLock, Weak};
    pub(crate) use once_cell::race::OnceBox;
}
