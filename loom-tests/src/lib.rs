//! What the models share: see [`check`] and [`Track`].
#![cfg(loom)]

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Checks the model `f` in all its interleavings with at most `LOOM_MAX_PREEMPTIONS` (2 if not set)
/// preemptions, and prints how many those were. Fewer than `floor` (meant for 2 preemptions and more) is a
/// failure: a model that loom does not
/// see the races of passes at once. No limit of time or number may cut the search short, because loom would
/// call that a pass.
///
/// # Panics
/// If the model fails, explores too little, or leaves a [`Track`] alive.
pub fn check(name: &str, floor: usize, f: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemption_bound());
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = 20_000;
    let begin = Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed); // a count, read after the search
        LIVE.with(|live| live.set(0));
        f();
        let left = LIVE.with(Cell::get);
        assert_eq!(left, 0, "values that were never dropped");
    });
    let executions = executions.load(Ordering::Relaxed);
    println!("{name}: {executions} executions in {:.1?}", begin.elapsed());
    assert!(
        executions >= floor,
        "{name}: {executions} executions, at least {floor} expected"
    );
}

fn preemption_bound() -> usize {
    let Ok(bound) = std::env::var("LOOM_MAX_PREEMPTIONS") else {
        return 2;
    };
    bound.parse().expect("LOOM_MAX_PREEMPTIONS is a number")
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
        LIVE.with(|live| live.set(live.get() + 1));
        Self(value)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Track<T> {
    fn drop(&mut self) {
        LIVE.with(|live| live.set(live.get() - 1));
    }
}
