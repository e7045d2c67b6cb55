//! Building a bus: limits and hooks, checked once, at the end.

use crate::bus::Bus;
use crate::error::BuildError;
use crate::message::{CHANGE, FINAL, GAP, Origin};
use crate::sync::thread;
use crate::topic::core::{Config, Core, DiscardHook, PanicHook};
use crate::topic::{Discarded, HandlerPanic};
use crate::worker::{IdleStrategy, MAX_WORKERS, PoolOptions};
use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;

/// How many messages may wait beyond the rings of their mailboxes, in the whole bus, if nothing else is said.
pub const DEFAULT_MESSAGE_BUDGET: u64 = 1 << 22;

/// Builds a [`Bus`].
///
/// ```
/// use stasis_bus::Bus;
///
/// let bus = Bus::builder().name("exchange").workers(2).decline("debug_trace").build()?;
/// assert!(Bus::builder().workers(0).build().is_err());
/// # drop(bus);
/// # Ok::<(), stasis_bus::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct BusBuilder {
    name: String,
    workers: Option<usize>,
    message_budget: u64,
    declined: HashSet<String>,
    origin: Origin,
    on_panic: Option<PanicHook>,
    on_discard: Option<DiscardHook>,
}

impl fmt::Debug for BusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusBuilder")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("message_budget", &self.message_budget)
            .field("declined", &self.declined)
            .finish_non_exhaustive()
    }
}

impl BusBuilder {
    pub(crate) fn new() -> Self {
        Self {
            name: String::from("stasis"),
            workers: None,
            message_budget: DEFAULT_MESSAGE_BUDGET,
            declined: HashSet::new(),
            origin: Origin::LOCAL,
            on_panic: None,
            on_discard: None,
        }
    }

    /// A name, for its threads. Default: `stasis`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many workers the pool has. Default: as many as the machine has cores for this process. They are
    /// started with the first subscription that needs them.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many messages may wait beyond the rings of their mailboxes, in the whole bus (R4). Beyond it,
    /// mailboxes that spill shed, with gap notices. A mailbox takes 8 of it at first, then as many as it has
    /// already, 256 at most: so while it falls behind, it has no more unused than used, or 8. It gives all
    /// back when it is empty, and half after a run that leaves less than a quarter of it in use.
    /// Default: [`DEFAULT_MESSAGE_BUDGET`].
    pub fn message_budget(mut self, messages: u64) -> Self {
        self.message_budget = messages;
        self
    }

    /// Declines messages of the types of that name: publishing one is an error, and so is subscribing to
    /// one. May be called for several. The bus's own types cannot be declined.
    pub fn decline(mut self, type_name: impl Into<String>) -> Self {
        self.declined.insert(type_name.into());
        self
    }

    /// Who this process is among those that share messages. Default: [`Origin::LOCAL`].
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Is told of every panic of a handler, on the thread where it happened.
    pub fn on_panic(mut self, hook: impl Fn(&HandlerPanic<'_>) + Send + Sync + 'static) -> Self {
        self.on_panic = Some(Box::new(hook));
        self
    }

    /// Is told when a subscription ends with messages that nobody was left to run (L2).
    pub fn on_discard(mut self, hook: impl Fn(&Discarded<'_>) + Send + Sync + 'static) -> Self {
        self.on_discard = Some(Box::new(hook));
        self
    }

    /// Builds the bus.
    ///
    /// # Errors
    /// [`BuildError`] says which of the settings is wrong, and why.
    pub fn build(self) -> Result<Bus, BuildError> {
        let workers = match self.workers {
            None => thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(MAX_WORKERS),
            Some(workers) => workers,
        };
        let workers_count = NonZeroUsize::new(workers).ok_or(BuildError::ZeroWorkers)?;
        if workers > MAX_WORKERS {
            return Err(BuildError::TooManyWorkers {
                asked: workers,
                limit: MAX_WORKERS,
            });
        }
        if self.message_budget == 0 {
            return Err(BuildError::ZeroBudget);
        }
        if self.origin == Origin::AGGREGATE {
            return Err(BuildError::AggregateOrigin);
        }
        let own = [FINAL.name(), GAP.name(), CHANGE.name()];
        if let Some(name) = self
            .declined
            .iter()
            .find(|name| own.contains(&name.as_str()))
        {
            return Err(BuildError::DeclinedControlType { name: name.clone() });
        }
        let pool = PoolOptions {
            workers: workers_count,
            name: self.name.clone(),
            wait: IdleStrategy::default(),
        };
        Ok(Bus::from_core(Core::new(Config {
            name: self.name,
            pool,
            message_budget: self.message_budget,
            declined: self.declined,
            origin: self.origin,
            on_panic: self.on_panic,
            on_discard: self.on_discard,
        })))
    }
}
