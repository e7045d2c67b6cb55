//! Forwards: the edges from topic to topic, and the way that a publish takes along them. What is published on a
//! topic goes to all that can be reached from it, each once (D4). How that way is kept is in [`topology`].
//!
//! [`topology`]: super::topology

use super::core::Core;
use super::node::{Alive, Node};
use crate::epoch::Guard;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::fmt;
use std::ptr;
use std::slice;

/// Where a publish goes from a topic.
#[derive(Debug)]
pub(super) enum Route {
    /// To that one, and on from there.
    Via(Arc<Node>),
    /// To these: all that can be reached from here, but for the topic itself, each once.
    To(Box<[Arc<Node>]>),
}

/// The topics that a publish on `node` reaches, itself first, each once: all of it as of one moment. A publish that
/// saw the edges one after the other could miss those to whom a new way was opened before the old one was closed.
#[inline]
pub(super) fn reach<'g>(node: &'g Node, guard: &'g Guard) -> Reach<'g> {
    loop {
        let reach = Reach::follow(node, guard);
        if reach.is_current(guard) {
            return reach;
        }
    }
}

/// See [`reach`]. It follows pointers as far as there is one way out only; where there are several, or the way
/// leads round in a circle, there is a list of all the rest.
pub(super) struct Reach<'g> {
    /// Those that were met by following pointers, each with the route from there.
    way: SmallVec<[(&'g Node, Option<&'g Route>); 4]>,
    /// How many of them were given out.
    given: usize,
    rest: slice::Iter<'g, Arc<Node>>,
}

impl<'g> Reach<'g> {
    #[inline]
    fn follow(mut node: &'g Node, guard: &'g Guard) -> Self {
        let mut reach = Self {
            way: SmallVec::new(),
            given: 0,
            rest: [].iter(),
        };
        loop {
            let route = node.route.load(guard);
            reach.way.push((node, route));
            match route {
                None => return reach,
                Some(Route::Via(next)) if reach.has_met(next) => return reach,
                Some(Route::Via(next)) => node = next,
                Some(Route::To(nodes)) => {
                    reach.rest = nodes.iter();
                    return reach;
                }
            }
        }
    }

    /// True if, when the last route was loaded, the others were still the same. Under the pin no other can have the
    /// address of one that was replaced.
    #[inline]
    fn is_current(&self, guard: &Guard) -> bool {
        let others = &self.way[..self.way.len() - 1];
        others.iter().all(|(node, route)| {
            let now = node.route.load(guard);
            now.map(ptr::from_ref) == route.map(ptr::from_ref)
        })
    }

    #[inline]
    fn has_met(&self, node: &Node) -> bool {
        self.way.iter().any(|(met, _)| ptr::eq(*met, node))
    }
}

impl<'g> Iterator for Reach<'g> {
    type Item = &'g Node;

    #[inline]
    fn next(&mut self) -> Option<&'g Node> {
        if let Some((node, _)) = self.way.get(self.given) {
            self.given += 1;
            return Some(node);
        }
        loop {
            let node = &**self.rest.next()?;
            if !self.has_met(node) {
                return Some(node);
            }
        }
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
            topology.add(id, &from.node, &to.node);
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
        topology.remove(self.id, self.from.node.id, self.to.node.id);
    }
}
