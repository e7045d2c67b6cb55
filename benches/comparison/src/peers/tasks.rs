//! What peers with a task for each subscriber have in common: tokio's runtime as it comes, a worker for each core.

use crate::peer::Fault;
use std::future::Future;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Tasks that end by themselves when their publishers are gone.
#[derive(Debug)]
pub(crate) struct Tasks {
    runtime: Runtime,
    handles: Vec<JoinHandle<()>>,
}

impl Tasks {
    /// # Errors
    /// If there are no threads for it.
    pub(crate) fn new() -> Result<Self, Fault> {
        Ok(Self {
            runtime: Builder::new_multi_thread().enable_time().build()?,
            handles: Vec::new(),
        })
    }

    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(self.runtime.spawn(task));
    }

    /// For publishers that have to wait.
    #[cfg_attr(not(feature = "actors"), allow(dead_code, reason = "for actors only"))]
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// # Errors
    /// If one of them panicked.
    pub(crate) fn join(self) -> Result<(), Fault> {
        for handle in self.handles {
            self.runtime.block_on(handle)?;
        }
        Ok(())
    }
}
