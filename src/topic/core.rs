//! What all topics of one bus share: their registry, the pool, the budget, the hooks, the subscriptions that
//! are ending. No lock of it is held while user code runs (R1).

use super::aggregates::Aggregates;
use super::forward::Forward;
use super::node::{Alive, Kind, Node};
use super::pattern::Pattern;
use super::registry::Registry;
use super::topology::Topology;
use crate::message::{FinalReason, Origin, TypeInfo};
use crate::subscription::budget::Budget;
use crate::subscription::place::{OfBus, Places};
use crate::subscription::state::{Duty, Subscriber};
use crate::subscription::waiting::Completion;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::unmodelled::{Arc, AtomicU64};
use crate::worker::{Pool, PoolOptions, PoolStats};
use std::collections::HashSet;
use std::fmt;
use std::io;

/// A handler panicked. What the bus's hook for that gets.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HandlerPanic<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The name of the subscription.
    pub subscription: &'a str,
    /// The name of the type of the message that it panicked at.
    pub message_type: &'a str,
    /// What the panic says, if it says anything.
    pub panic: &'a str,
}

/// Messages were accepted, but nobody was left to run them. What the bus's hook for that gets.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Discarded<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The name of the subscription.
    pub subscription: &'a str,
    /// How many messages.
    pub count: u64,
}

pub(crate) type PanicHook = Box<dyn Fn(&HandlerPanic<'_>) + Send + Sync>;
pub(crate) type DiscardHook = Box<dyn Fn(&Discarded<'_>) + Send + Sync>;

/// What a bus is made with.
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) pool: PoolOptions,
    pub(crate) message_budget: u64,
    pub(crate) declined: HashSet<String>,
    pub(crate) origin: Origin,
    pub(crate) on_panic: Option<PanicHook>,
    pub(crate) on_discard: Option<DiscardHook>,
}

/// See the module.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) budget: Arc<Budget>,
    pub(crate) registry: Registry,
    pub(super) aggregates: Aggregates,
    pub(crate) topology: Mutex<Topology>,
    /// Subscriptions from the first step of their close until they are done.
    ending: Mutex<Places<Subscriber, OfBus>>,
    /// Forwards and topics that were told to stay.
    kept: Mutex<Vec<Forward>>,
    pool: Mutex<Option<Pool<Duty>>>,
    next_id: AtomicU64,
    /// Comes when a shutdown has closed all there was.
    pub(crate) all_closed: Completion<()>,
    stage: AtomicU32,
}

const OPEN: u32 = 0;
const SHUT_DOWN: u32 = 1;

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            budget: Arc::new(Budget::new(config.message_budget)),
            config,
            registry: Registry::new(),
            aggregates: Aggregates::new(),
            topology: Mutex::new(Topology::default()),
            ending: Mutex::new(Places::new()),
            kept: Mutex::new(Vec::new()),
            pool: Mutex::new(None),
            next_id: AtomicU64::new(1),
            all_closed: Completion::new(),
            stage: AtomicU32::new(OPEN),
        }
    }

    /// A number for a topic, a subscription, a forward.
    pub(crate) fn next_id(&self) -> u64 {
        // Relaxed: unique because it is one read-modify-write; nothing is read through it.
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        // Acquire: pairs with the Release in `shut_down`.
        self.stage.load(Ordering::Acquire) == SHUT_DOWN
    }

    /// Nothing new from here on. True for the first caller.
    pub(crate) fn shut_down(&self) -> bool {
        // AcqRel: Release, so that whoever finds the bus shut down sees what was before; Acquire for the
        // loser.
        self.stage.swap(SHUT_DOWN, Ordering::AcqRel) == OPEN
    }

    /// True if the bus does not take messages of that type.
    #[inline]
    pub(crate) fn declines(&self, info: &TypeInfo) -> bool {
        !self.config.declined.is_empty()
            && !info.is_control()
            && self.config.declined.contains(info.name())
    }

    /// The pool, started at the first need: a bus of receivers alone has no threads.
    pub(crate) fn pool(&self) -> io::Result<Pool<Duty>> {
        let mut pool = self.pool.lock();
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        let started = Pool::new(self.config.pool.clone())?;
        if self.is_shut_down() {
            started.stop();
        }
        Ok(pool.insert(started).clone())
    }

    /// The pool, if it was started.
    pub(crate) fn started_pool(&self) -> Option<Pool<Duty>> {
        self.pool.lock().clone()
    }

    pub(crate) fn pool_stats(&self) -> Option<PoolStats> {
        self.started_pool().map(|pool| pool.stats())
    }

    /// Books that a subscription is about to end. See [`Core::finished`], which may have come already: it may
    /// have ended since the caller decided to close it.
    pub(super) fn ending(&self, subscriber: &Arc<Subscriber>) {
        self.ending.lock().add(subscriber);
    }

    pub(super) fn finished(&self, subscriber: &Subscriber) {
        let ended = self.ending.lock().remove(subscriber);
        drop(ended);
    }

    /// All subscriptions that have been closed and are not done yet.
    pub(crate) fn unfinished(&self) -> Vec<Arc<Subscriber>> {
        self.ending.lock().iter().map(Arc::clone).collect()
    }

    pub(super) fn keep(&self, forward: Forward) {
        self.kept.lock().push(forward);
        // It may have come after everything kept was released: it would keep the bus, and be kept by it.
        if self.is_shut_down() {
            self.release_kept();
        }
    }

    pub(crate) fn release_kept(&self) {
        let kept = std::mem::take(&mut *self.kept.lock());
        drop(kept);
    }

    /// Every topic that lives.
    pub(crate) fn topics(&self) -> Vec<Arc<Alive>> {
        let mut all = self.registry.all();
        all.extend(self.aggregates.all());
        all
    }

    pub(super) fn same_bus(&self, node: &Alive) -> bool {
        std::ptr::eq(self, Arc::as_ptr(&node.core))
    }

    /// The live topic of that name, or a new one. `None`: the bus is shut down.
    pub(crate) fn topic(self: &Arc<Self>, name: &str, total_order: bool) -> Option<Arc<Alive>> {
        let alive = self.registry.get_or_create(self, name, total_order);
        self.unless_shut_down(alive)
    }

    /// The live aggregate of a pattern, or a new one. `None`: the bus is shut down.
    pub(crate) fn aggregate(self: &Arc<Self>, pattern: &Pattern) -> Option<Arc<Alive>> {
        let alive = self.aggregates.get_or_create(self, pattern);
        self.unless_shut_down(alive)
    }

    fn unless_shut_down(&self, alive: Arc<Alive>) -> Option<Arc<Alive>> {
        // A shutdown that began meanwhile either found it, or is seen here.
        if self.is_shut_down() {
            alive.close_all(FinalReason::Shutdown);
            return None;
        }
        Some(alive)
    }

    pub(super) fn new_node(
        self: &Arc<Self>,
        name: Arc<str>,
        total_order: bool,
        kind: Kind,
    ) -> Arc<Alive> {
        let id = self.next_id();
        let declines = !self.config.declined.is_empty();
        Arc::new_cyclic(|alive| Alive {
            node: Arc::new(Node::new(id, name, total_order, declines, kind, alive)),
            core: Arc::clone(self),
        })
    }
}
