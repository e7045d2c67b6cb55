//! What the models share: [`check`] runs one and counts its executions, [`Track`] finds what leaks; [`Mailbox`] and
//! its parts are for the models of the queues, [`race`] and its parts for those of the whole bus.
#![cfg(loom)]
#![allow(
    clippy::disallowed_types,
    reason = "std's atomics count executions, and are no part of them"
)]

mod bus;
mod mailbox;

pub use bus::{Got, Journal, Note, Role, assert_final_last, lost, notes, phased, race};
pub use mailbox::{
    Duty, Eager, EagerGuard, Forever, Item, Log, Mailbox, MailboxOf, NoReclaim, Offer, Reclaim, Tag,
};

use std::cell::Cell;
use std::time::Instant;

/// The preemptions that a model explores unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 2;

/// The longest execution, in points at which threads may change, unless `LOOM_MAX_BRANCHES` says otherwise.
const BRANCHES: usize = 10_000;

/// Runs `f` in every interleaving that the preemption bound allows, however long that takes, and says how many
/// there were.
///
/// # Panics
/// If `f` does in one of them, or leaves a [`Track`] alive, or if there were fewer than `floor`: a model that is
/// no longer explored proves nothing.
pub fn check(name: &str, floor: usize, f: impl Fn() + Send + Sync + 'static) {
    use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    if std::env::var_os("LOOM_MAX_BRANCHES").is_none() {
        builder.max_branches = BRANCHES;
    }
    // Either of these would end a run early, as a pass.
    builder.max_duration = None;
    builder.max_permutations = None;
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let start = Instant::now();
    builder.check(move || {
        // Relaxed: loom runs one execution after the other on one thread.
        counter.fetch_add(1, Ordering::Relaxed);
        LIVE.set(0);
        f();
        assert_eq!(LIVE.get(), 0, "values that were never dropped");
    });
    // Relaxed: as above.
    let executions = executions.load(Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    println!("model {name}: {executions} executions (floor {floor}), {seconds:.2} s");
    assert!(
        executions >= floor,
        "{name}: {executions} executions, below the floor of {floor}"
    );
}

thread_local! {
    /// All threads of a model run on one thread of the system, so this is one count a model.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// A value that is counted while it lives, so that a leak fails the model, and so does a second drop.
#[derive(Debug)]
pub struct Track<T>(T);

impl<T> Track<T> {
    /// Counts one more.
    pub fn new(value: T) -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(value)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Track<T> {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}
