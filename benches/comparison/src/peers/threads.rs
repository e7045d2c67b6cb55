//! What peers with a thread for each subscriber have in common.

use crate::peer::{Fault, Wiring};
use std::sync::{Arc, Condvar, Mutex};
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

/// Threads that wait until all of them are there: otherwise those that spin would keep the others from being made.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    gate: Arc<Gate>,
    started: Started,
}

/// Threads that end by themselves when their publishers are gone.
#[derive(Debug, Default)]
pub(crate) struct Started(Vec<JoinHandle<()>>);

#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opens: Condvar,
}

impl Threads {
    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) {
        let gate = Arc::clone(&self.gate);
        self.started.0.push(std::thread::spawn(move || {
            let is_open = gate.is_open.lock().expect("no panic");
            let is_open = gate.opens.wait_while(is_open, |is_open| !*is_open);
            drop(is_open.expect("no panic"));
            work();
        }));
    }

    pub(crate) fn start(self) -> Started {
        *self.gate.is_open.lock().expect("no panic") = true;
        self.gate.opens.notify_all();
        self.started
    }
}

impl Started {
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
