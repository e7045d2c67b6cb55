//! Forwards: edges from topic to topic, followed at publish time. What is published on a topic goes to all that
//! can be reached from it, each once (D4), along a reach that is worked out when an edge comes or goes, not when
//! a message does.
//!
//! A topic with one way out (a call leg whose messages go to the aggregate of all) keeps a pointer to the next
//! topic and shares what that one can reach. So a forward between two topics costs the same however many have
//! their only way through them; only those with several ways out, or with ways in of their own, are worked out
//! again, one after the other.

use super::core::Core;
use super::node::{Alive, Node};
use crate::epoch::{self, Guard};
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where a publish goes besides its own topic.
#[derive(Debug)]
pub(super) enum Route {
    /// To that one, and to all that is downstream of it.
    Via(Arc<Node>),
    /// To these.
    To(Box<[Arc<Node>]>),
}

/// The topics that a publish on `node` reaches, itself first, each once.
#[inline]
pub(super) fn reach<'g>(node: &'g Node, guard: &'g Guard) -> impl Iterator<Item = &'g Node> {
    let (next, rest) = match node.route.load(guard) {
        None => (None, &[][..]),
        Some(Route::Via(next)) => (
            Some(&**next),
            next.downstream
                .load(guard)
                .map_or(&[][..], |nodes| &**nodes),
        ),
        Some(Route::To(nodes)) => (None, &**nodes),
    };
    let others = next.into_iter().chain(rest.iter().map(|node| &**node));
    // A cycle leads back here; the topic itself comes first, and once.
    std::iter::once(node).chain(others.filter(move |other| !std::ptr::eq(*other, node)))
}

/// All edges of a bus, under its topology lock.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    places: BTreeMap<u64, Place>,
}

/// A topic that has edges.
#[derive(Debug)]
struct Place {
    node: Arc<Node>,
    /// Edges out: the edge's number, and the topic's.
    downs: SmallVec<[(u64, u64); 1]>,
    /// How many edges come in.
    ins: usize,
    /// Those that have an edge to here and are not simple: their reach is worked out anew with this one's.
    ups: BTreeSet<u64>,
}

impl Place {
    fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            downs: SmallVec::new(),
            ins: 0,
            ups: BTreeSet::new(),
        }
    }

    /// One way out and none in: what it reaches is what the next one reaches, whatever that is.
    fn is_simple(&self) -> bool {
        self.ins == 0 && self.ways_out().len() <= 1
    }

    fn ways_out(&self) -> BTreeSet<u64> {
        self.downs.iter().map(|(_, down)| *down).collect()
    }
}

impl Topology {
    fn add(&mut self, edge: u64, from: &Arc<Node>, to: &Arc<Node>, guard: &Guard) {
        let place = self
            .places
            .entry(from.id)
            .or_insert_with(|| Place::new(from));
        place.downs.push((edge, to.id));
        let place = self.places.entry(to.id).or_insert_with(|| Place::new(to));
        place.ins += 1;
        self.note_upstream(to.id);
        self.note_upstream(from.id);
        // The first edge in: from now on somebody may go through it. Before the way to it is open, for what it knew
        // of its reach may be old: nobody kept that up while there was no edge in.
        self.work_out(to.id, guard);
        self.work_out(from.id, guard);
    }

    fn remove(&mut self, edge: u64, from: u64, to: u64, guard: &Guard) {
        let Some(place) = self.places.get_mut(&from) else {
            return;
        };
        let before = place.downs.len();
        place.downs.retain(|(known, _)| *known != edge);
        if place.downs.len() == before {
            return;
        }
        let still_there = place.downs.iter().any(|(_, down)| *down == to);
        if let Some(place) = self.places.get_mut(&to) {
            place.ins -= 1;
            if !still_there {
                place.ups.remove(&from);
            }
        }
        self.note_upstream(to);
        self.note_upstream(from);
        self.work_out(from, guard);
        for id in [from, to] {
            if self
                .places
                .get(&id)
                .is_some_and(|place| place.downs.is_empty() && place.ins == 0)
            {
                let place = self.places.remove(&id);
                // Publishers may have loaded a route to it: the node's memory ends after the epoch.
                if let Some(place) = place {
                    place.node.downstream.replace(None, guard);
                    epoch::retire(Box::new(place.node), guard);
                }
            }
        }
    }

    /// Has a topic known to those below it as one whose reach depends on theirs, or not.
    fn note_upstream(&mut self, id: u64) {
        let Some(place) = self.places.get(&id) else {
            return;
        };
        let (simple, downs) = (place.is_simple(), place.ways_out());
        for down in downs {
            if let Some(place) = self.places.get_mut(&down) {
                if simple {
                    place.ups.remove(&id);
                } else {
                    place.ups.insert(id);
                }
            }
        }
    }

    /// Works out anew what a topic reaches, and what those reach that depend on it.
    fn work_out(&self, id: u64, guard: &Guard) {
        let mut todo = vec![id];
        let mut done = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if !done.insert(id) {
                continue;
            }
            let Some(place) = self.places.get(&id) else {
                continue;
            };
            let below = self.below(id);
            let ways_out = place.ways_out();
            let route = match ways_out.first() {
                None => None,
                Some(down) if ways_out.len() == 1 => self
                    .places
                    .get(down)
                    .filter(|next| !Arc::ptr_eq(&next.node, &place.node))
                    .map(|next| Route::Via(Arc::clone(&next.node))),
                Some(_) => Some(Route::To(below.clone())),
            };
            place
                .node
                .downstream
                .replace((!below.is_empty()).then(|| Box::new(below)), guard);
            place.node.route.replace(route.map(Box::new), guard);
            todo.extend(place.ups.iter().copied());
        }
    }

    /// Everything downstream of a topic, without itself, each once.
    fn below(&self, id: u64) -> Box<[Arc<Node>]> {
        let mut found = BTreeSet::from([id]);
        let mut nodes = Vec::new();
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some(place) = self.places.get(&id) else {
                continue;
            };
            for (_, down) in &place.downs {
                if found.insert(*down) {
                    nodes.extend(self.places.get(down).map(|place| Arc::clone(&place.node)));
                    todo.push(*down);
                }
            }
        }
        nodes.into()
    }

    pub(super) fn downs(&self, id: u64) -> Vec<Arc<str>> {
        let Some(place) = self.places.get(&id) else {
            return Vec::new();
        };
        let downs = place
            .downs
            .iter()
            .filter_map(|(_, down)| self.places.get(down));
        downs.map(|place| Arc::clone(&place.node.name)).collect()
    }
}

/// The handle of a forward. Dropping it, or [`Forward::cancel`], removes the edge: after that has returned, no
/// publish that begins goes along it. It keeps both topics alive.
#[must_use = "dropping a forward cancels it"]
pub struct Forward {
    id: u64,
    from: Arc<Alive>,
    to: Arc<Alive>,
}

impl Forward {
    /// The edge is there when this returns: every publish that begins then goes along it.
    pub(super) fn new(from: &Arc<Alive>, to: &Arc<Alive>) -> Self {
        let core: &Core = &from.core;
        let id = core.next_id();
        {
            let mut topology = core.topology.lock();
            topology.add(id, &from.node, &to.node, &epoch::pin());
        }
        Self {
            id,
            from: Arc::clone(from),
            to: Arc::clone(to),
        }
    }

    /// Removes the edge.
    pub fn cancel(self) {}

    /// Keeps the edge, and both topics, for as long as the bus lives.
    pub fn detach(self) {
        let core = Arc::clone(&self.from.core);
        core.keep(self);
    }

    /// The name of the topic that messages come from.
    #[must_use]
    pub fn from_name(&self) -> &str {
        &self.from.node.name
    }

    /// The name of the topic that messages go to.
    #[must_use]
    pub fn to_name(&self) -> &str {
        &self.to.node.name
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("from", &self.from_name())
            .field("to", &self.to_name())
            .finish_non_exhaustive()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let mut topology = self.from.core.topology.lock();
        topology.remove(self.id, self.from.node.id, self.to.node.id, &epoch::pin());
    }
}
