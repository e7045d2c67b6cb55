//! What peers with a thread for each subscriber have in common.

use crate::peer::{Fault, Wiring};
use std::thread::JoinHandle;

/// As many threads as it makes sense to start.
const MOST: usize = 1_024;

/// As many as may spin: more are no fair use of a few cores.
const MOST_SPINNING: usize = 8;

/// Why somebody with a thread for each subscriber declines.
pub(crate) fn too_many(wiring: &Wiring) -> Option<&'static str> {
    let is_so = wiring.consumers() > MOST;
    is_so.then_some("a thread for each subscriber")
}

/// Why somebody whose threads spin declines.
pub(crate) fn too_many_spin(wiring: &Wiring) -> Option<&'static str> {
    let is_so = wiring.consumers() > MOST_SPINNING;
    is_so.then_some("a spinning thread for each subscriber")
}

/// Threads that end by themselves when their publishers are gone.
#[derive(Debug, Default)]
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) {
        // 512 of them: a stack need not be large.
        let builder = std::thread::Builder::new().stack_size(256 * 1024);
        self.0.push(builder.spawn(work).expect("a thread"));
    }

    /// # Errors
    /// If one of them panicked.
    pub(crate) fn join(self) -> Result<(), Fault> {
        for thread in self.0 {
            thread
                .join()
                .map_err(|_| "a subscriber's thread panicked")?;
        }
        Ok(())
    }
}
