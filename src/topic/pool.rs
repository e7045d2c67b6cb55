//! A pool of topics: the children of one topic, by name, made when they are first asked for and gone when
//! nobody has them any more. It is *not* a container of topics: a child is found in the registry of the bus,
//! like any other, and that it is of the pool is one bound forward, numbered by the pool (`topology`).

use super::Topic;
use super::node::Alive;
use super::pattern::SEPARATOR;
use crate::error::{MAX_NAME_LEN, PoolError};
use crate::sync::unmodelled::Arc;
use std::fmt;

/// So many children are detached under one lock when a pool goes.
const DETACHED_AT_ONCE: usize = 64;

/// The children of a topic, its *parent*: the child `x` of `calls` is the topic `calls/x`, and everything
/// that is published on it goes to `calls` too.
///
/// A child is made when it is first asked for. It lives for as long as somebody has a handle, a subscription
/// or a forward of it; the pool itself keeps none, but it keeps the parent. Names are case-sensitive, here as
/// everywhere. A name may contain slashes.
///
/// A `TopicPool` is a handle; clones are the same pool. When the last one is dropped, all children are
/// detached: they do not forward to the parent any more. What it costs to make, find, remove and drop a child
/// does not depend on how many there are, but for the logarithm.
///
/// ```
/// use stasis_bus::Bus;
///
/// let bus = Bus::new()?;
/// let calls = bus.topic("calls")?;
/// let mut all = calls.subscribe().receiver()?;
/// let pool = calls.pool()?;
/// let seven = pool.topic("7")?;
/// assert_eq!(seven.name(), "calls/7");
/// seven.publish("ringing")?;
/// assert_eq!(all.recv()?.get::<&str>(), Some(&"ringing"));
/// assert_eq!(pool.names(), ["7"]);
/// drop(seven);
/// assert!(pool.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TopicPool {
    shared: Arc<Shared>,
}

struct Shared {
    /// The number of its edges.
    id: u64,
    parent: Arc<Alive>,
}

impl TopicPool {
    pub(super) fn new(parent: &Arc<Alive>) -> Result<Self, PoolError> {
        let core = &parent.core;
        let shared = Shared {
            id: core.next_id(),
            parent: Arc::clone(parent),
        };
        shared.check()?;
        core.topology.lock().open_group(shared.id);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The topic whose children these are.
    #[must_use]
    pub fn parent(&self) -> Topic {
        Topic::new(Arc::clone(&self.shared.parent))
    }

    /// The child of that name: the topic that lives, or else a new one. Either way it forwards to the parent
    /// when this returns. Any number of threads that ask at once get the same.
    ///
    /// # Errors
    /// [`PoolError`] for a name that is empty or, with the parent's, too long, and if the parent is closed or
    /// the bus shut down.
    pub fn topic(&self, name: &str) -> Result<Topic, PoolError> {
        let Shared { id, parent } = &*self.shared;
        let name = self.full_name(name)?;
        loop {
            self.shared.check()?;
            let Some(child) = parent.core.topic(&name, false) else {
                return Err(PoolError::ShutDown);
            };
            let mut topology = parent.core.topology.lock();
            let attached = topology.add_bound(*id, &child.node, &parent.node);
            drop(topology);
            if attached {
                return Ok(Topic::new(child));
            }
            // One of them was closed meanwhile: the child's name is free for the next one.
        }
    }

    /// The child of that name, if it lives and is of this pool.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Topic> {
        let Shared { id, parent } = &*self.shared;
        let name = self.full_name(name).ok()?;
        let child = parent.core.registry.get(&name)?;
        let topology = parent.core.topology.lock();
        let is_ours = topology.is_bound(*id, child.node.id, parent.node.id);
        drop(topology);
        is_ours.then(|| Topic::new(child))
    }

    /// True: [`Self::get`] would have given one. May be old news.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Detaches a child: a publish that begins after this has returned does not go to the parent on this
    /// pool's account. Who has the child keeps it; if it is asked for again while it lives, it is the same
    /// topic, forwarded again. False if there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        let Shared { id, parent } = &*self.shared;
        let child = self.full_name(name).ok();
        let child = child.and_then(|name| parent.core.registry.get(&name));
        child.is_some_and(|child| {
            let mut topology = parent.core.topology.lock();
            let was_ours = topology.unbind(*id, child.node.id, parent.node.id);
            drop(topology);
            was_ours
        })
    }

    /// How many children there are. May be old news.
    #[must_use]
    pub fn len(&self) -> usize {
        let topology = self.shared.parent.core.topology.lock();
        topology.group_len(self.shared.id)
    }

    /// True if there are no children. May be old news.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all children, as [`Self::topic`] takes them, sorted. May be old news.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Shared { id, parent } = &*self.shared;
        let children = parent.core.topology.lock().group(*id, parent.node.id);
        let prefix = parent.node.name.len() + SEPARATOR.len_utf8();
        let names = children.iter().filter_map(|name| name.get(prefix..));
        let mut names: Vec<_> = names.map(String::from).collect();
        names.sort_unstable();
        names
    }

    fn full_name(&self, name: &str) -> Result<String, PoolError> {
        if name.is_empty() {
            return Err(PoolError::EmptyName);
        }
        let full = format!("{}{SEPARATOR}{name}", self.shared.parent.node.name);
        if full.len() > MAX_NAME_LEN {
            return Err(PoolError::NameTooLong { len: full.len() });
        }
        Ok(full)
    }
}

impl Shared {
    fn check(&self) -> Result<(), PoolError> {
        if self.parent.core.is_shut_down() {
            return Err(PoolError::ShutDown);
        }
        if self.parent.node.is_closed() {
            return Err(PoolError::TopicClosed);
        }
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let topology = &self.parent.core.topology;
        let (id, parent) = (self.id, self.parent.node.id);
        while topology.lock().close_group(id, parent, DETACHED_AT_ONCE) {}
    }
}

impl fmt::Debug for TopicPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicPool")
            .field("parent", &self.shared.parent.node.name)
            .field("len", &self.len())
            .finish()
    }
}
