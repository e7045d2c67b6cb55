//! What peers with a thread for each subscriber have in common.

use crate::peer::Fault;
use std::thread::JoinHandle;

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
