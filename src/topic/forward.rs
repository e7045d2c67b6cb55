//! Forwards: the edges from topic to topic, and the way that a publish takes along them. What is published
//! on a topic goes to all that can be reached from it, each once (D4). How that way is kept is in
//! [`topology`].
//!
//! [`topology`]: super::topology

use super::core::Core;
use super::node::{Alive, Node};
use crate::epoch::Guard;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::fmt;
use std::ptr;

/// Where a publish goes from a topic.
#[derive(Debug)]
pub(super) enum Route {
    /// To that one, and on from there.
    Via(Arc<Node>),
    /// To these: all that can be reached from here, but for the topic itself, each once.
    To(Box<[Arc<Node>]>),
}

/// The topics of a reach.
pub(super) type Nodes<'g> = SmallVec<[&'g Node; 8]>;

/// Where a publish goes from a topic, as far as that is told at a glance.
pub(super) enum Step<'g> {
    Nowhere,
    /// To that one, and no further.
    Once(&'g Node),
    /// See [`reach`].
    Further,
}

/// Looks one step ahead.
#[inline]
pub(super) fn step<'g>(node: &'g Node, guard: &'g Guard) -> Step<'g> {
    let Some(route) = node.route.load(guard) else {
        return Step::Nowhere;
    };
    let Route::Via(next) = route else {
        return Step::Further;
    };
    // As of when the second of these was loaded, if the first one is still the same: see `reach`.
    let is_last = next.route.load(guard).is_none();
    let now = node.route.load(guard);
    if is_last && now.is_some_and(|now| ptr::eq(now, route)) {
        return Step::Once(next);
    }
    Step::Further
}

/// The topics that a publish on `node` reaches, itself first, each once: all of it as of one moment.
///
/// It follows pointers as far as there is one way out only; where there are several, or the way leads round
/// in a circle, there is a list of all the rest. What was loaded step by step is as good as loaded at once
/// if, after the last step, every step is still the same: under the pin no other route can have its
/// address. Otherwise a publish could miss those to whom a new way was opened before the old one was
/// closed.
#[inline]
pub(super) fn reach<'g>(node: &'g Node, guard: &'g Guard) -> Nodes<'g> {
    let mut nodes = Nodes::new();
    nodes.push(node);
    if node.route.load(guard).is_some() {
        while !follow(&mut nodes, guard) {
            nodes.truncate(1);
        }
    }
    nodes
}

/// Adds all that is reached from the first of `nodes`. False if something has changed meanwhile.
fn follow<'g>(nodes: &mut Nodes<'g>, guard: &'g Guard) -> bool {
    let mut way: SmallVec<[&Route; 4]> = SmallVec::new();
    let last = loop {
        let node = nodes[nodes.len() - 1];
        match node.route.load(guard) {
            None => break None,
            Some(route @ Route::To(list)) => {
                let met = nodes.len();
                for node in list {
                    if !nodes[..met].iter().any(|other| ptr::eq(*other, &**node)) {
                        nodes.push(node);
                    }
                }
                way.push(route);
                break Some(met - 1);
            }
            Some(route @ Route::Via(next)) => {
                way.push(route);
                if nodes.iter().any(|met| ptr::eq(*met, &**next)) {
                    // A circle that is just being closed or opened.
                    return false;
                }
                nodes.push(next);
            }
        }
    };
    let end = last.unwrap_or(nodes.len() - 1);
    nodes[..=end].iter().enumerate().all(|(index, node)| {
        match (node.route.load(guard), way.get(index)) {
            (None, None) => true,
            (Some(now), Some(then)) => ptr::eq(now, *then),
            _ => false,
        }
    })
}

/// The handle of a forward. Dropping it, or [`Forward::cancel`], removes the edge: after that has returned,
/// no publish that begins goes along it. It keeps both topics alive, unless it is told not to
/// ([`Forward::bind`]).
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

    /// Binds the edge to its ends: it keeps neither of them alive, and goes when either of them goes (its
    /// last handle, subscription or forward) or is closed. For what comes and goes in large numbers: nobody
    /// has to keep the forward, and nothing is left when a topic ends. If one of the topics is closed
    /// already, the edge goes now.
    ///
    /// When a topic goes, the cost for each of its bound edges is that of [`Forward::cancel`], and does not
    /// depend on how many others lead to the same topics.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// let bus = Bus::new()?;
    /// let all = bus.topic("calls")?;
    /// let mut receiver = all.subscribe().receiver()?;
    /// let leg = bus.topic("calls/7")?;
    /// leg.forward_to(&all)?.bind();
    /// leg.publish("ringing")?;
    /// assert_eq!(receiver.recv()?.get::<&str>(), Some(&"ringing"));
    /// drop(leg);
    /// assert!(bus.get_topic("calls/7").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bind(self) {
        let mut topology = self.from.core.topology.lock();
        // If not, the drop of `self` removes it; if it is, the drop leaves it.
        let _is_bound = topology.bind(self.id, &self.from.node, &self.to.node);
        drop(topology);
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
