//! The aggregate topics of patterns: each gets a bound forward from every live topic whose name matches,
//! when the topic is made or when the aggregate is, whatever comes later. A publish follows forwards as
//! ever, and knows no pattern.
//!
//! No topic is missed, whoever is first:
//!
//! 1. A topic is made under the lock of its shard of the registry. In there it looks for patterns, is
//!    forwarded to their aggregates, and only then can be found by others.
//! 2. An aggregate is put into the index, the index's lock is let go, and then each shard is searched under
//!    its lock.
//! 3. So of the making and the search, one has the shard's lock first. If it is the making, the search
//!    finds the topic. If it is the search, what was done before it is visible to the making: it finds the
//!    pattern.
//! 4. If both find each other, the edge is there already: it is known by its number, the aggregate's.
//! 5. Who gets an aggregate that another thread is still searching for searches as well. So whoever has it
//!    finds every topic that was there when they asked.

use super::core::Core;
use super::node::{Alive, Kind, Node};
use super::pattern::{Pattern, Tree};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::unmodelled::{Arc, Weak};
use std::collections::HashMap;

/// So many topics are forwarded to a new aggregate under one topology lock.
const BOUND_AT_ONCE: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Aggregates {
    /// How many there are: to know that there are none without the lock.
    len: AtomicUsize,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    live: HashMap<Arc<str>, Live>,
    edges: Tree<Edge>,
}

#[derive(Debug)]
struct Live {
    alive: Weak<Alive>,
    edge: u64,
    /// All topics that were there before have been found.
    complete: bool,
}

/// Where topics that match are forwarded to: the number of the edges, and the aggregate.
#[derive(Debug, Clone)]
struct Edge(u64, Arc<Node>);

impl Aggregates {
    pub(super) fn new() -> Self {
        Self {
            len: AtomicUsize::new(0),
            index: Mutex::new(Index::default()),
        }
    }

    /// The live aggregate of a pattern, or a new one.
    pub(super) fn get_or_create(&self, core: &Arc<Core>, pattern: &Pattern) -> Arc<Alive> {
        let mut index = self.index.lock();
        let known = index.live.get(pattern.text());
        let complete = known.is_some_and(|live| live.complete);
        let edge = known.map(|live| live.edge);
        let live = known.and_then(|live| live.alive.upgrade());
        let (alive, edge) = match (live, edge) {
            (Some(alive), Some(edge)) if !alive.node.is_closed() => {
                drop(index);
                if complete {
                    return alive;
                }
                (alive, edge)
            }
            (closed, _) => {
                let edge = core.next_id();
                let name = Arc::clone(pattern.text());
                let alive = core.new_node(Arc::clone(&name), false, Kind::Aggregate);
                index
                    .edges
                    .insert(pattern, Edge(edge, Arc::clone(&alive.node)));
                let live = Live {
                    alive: Arc::downgrade(&alive),
                    edge,
                    complete: false,
                };
                index.live.insert(name, live);
                self.count(&index);
                drop(index);
                // Outside the lock: if it was the last reference, it looks for itself in here.
                drop(closed);
                (alive, edge)
            }
        };
        let topics = core.registry.matching(|name| pattern.matches(name));
        for some in topics.chunks(BOUND_AT_ONCE) {
            let mut topology = core.topology.lock();
            for topic in some {
                // If not, one of them is closed.
                let _is_bound = topology.add_bound(edge, &topic.node, &alive.node);
            }
        }
        let mut index = self.index.lock();
        if let Some(live) = index
            .live
            .get_mut(pattern.text())
            .filter(|it| it.edge == edge)
        {
            live.complete = true;
        }
        drop(index);
        alive
    }

    /// Forwards a topic that is just being made, and that nobody can find yet, to the aggregates of all
    /// patterns that match its name.
    #[inline]
    pub(super) fn join(&self, core: &Core, node: &Arc<Node>) {
        // Relaxed: whoever has searched the topic's shard before this, in `get_or_create`, wrote it before;
        // the shard's lock makes that visible. If nobody has, they will find the topic.
        if self.len.load(Ordering::Relaxed) > 0 {
            self.join_matching(core, node);
        }
    }

    fn join_matching(&self, core: &Core, node: &Arc<Node>) {
        let index = self.index.lock();
        let matching = index.edges.matching(&node.name);
        let edges: Vec<Edge> = matching.into_iter().cloned().collect();
        drop(index);
        if edges.is_empty() {
            return;
        }
        let mut topology = core.topology.lock();
        for Edge(edge, aggregate) in &edges {
            // If not, the aggregate is closed or gone.
            let _is_bound = topology.add_bound(*edge, node, aggregate);
        }
    }

    /// Forgets an aggregate that is closed or gone, unless another one of its pattern has taken its place.
    pub(super) fn forget(&self, ended: &Alive) {
        let mut index = self.index.lock();
        let name = &ended.node.name;
        let known = index.live.get(name);
        if known.is_some_and(|live| std::ptr::eq(live.alive.as_ptr(), ended)) {
            index.live.remove(name);
            index.edges.remove(name);
            self.count(&index);
        }
    }

    fn count(&self, index: &Index) {
        // Relaxed: see `join`.
        self.len.store(index.live.len(), Ordering::Relaxed);
    }

    /// Every live aggregate, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Alive>> {
        let index = self.index.lock();
        index
            .live
            .values()
            .filter_map(|live| live.alive.upgrade())
            .collect()
    }
}
