//! A topic's place among the edges of its bus: what leads out of it, and what [`topology`] has to know of
//! what leads in. Most topics that have edges at all have one, out (a call leg, forwarded to the aggregate of
//! all), so what concerns edges in is kept apart.
//!
//! [`topology`]: super::topology

use super::node::Node;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// See the module.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    /// Edges out: the edge's number, and the topic's.
    pub(super) downs: SmallVec<[(u64, u64); 1]>,
    /// It keeps a list.
    pub(super) lists: bool,
    above: Option<Box<Above>>,
}

/// What leads into a topic.
#[derive(Debug, Default)]
struct Above {
    /// How many edges come in.
    ins: usize,
    /// Those of them that are bound: the edge's number, and that of the topic it comes from.
    bound: BTreeSet<(u64, u64)>,
    /// Those that have an edge to here, and a list of their own or upstream of them.
    ups: BTreeSet<u64>,
}

impl Place {
    pub(super) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            downs: SmallVec::new(),
            lists: false,
            above: None,
        }
    }

    pub(super) fn ways_out(&self) -> BTreeSet<u64> {
        self.downs.iter().map(|(_, down)| *down).collect()
    }

    /// Somebody downstream who changes has to look for lists here.
    pub(super) fn matters(&self) -> bool {
        self.lists || self.above.as_ref().is_some_and(|it| !it.ups.is_empty())
    }

    /// No edge leads in or out.
    pub(super) fn is_bare(&self) -> bool {
        self.downs.is_empty() && !self.has_edges_in()
    }

    pub(super) fn has_edges_in(&self) -> bool {
        self.above.as_ref().is_some_and(|above| above.ins > 0)
    }

    pub(super) fn ups(&self) -> impl Iterator<Item = u64> + '_ {
        self.above
            .iter()
            .flat_map(|above| above.ups.iter().copied())
    }

    /// An edge comes in.
    pub(super) fn add_in(&mut self) {
        self.above.get_or_insert_default().ins += 1;
    }

    /// An edge does not come in any more.
    pub(super) fn remove_in(&mut self) {
        let Some(above) = &mut self.above else {
            return debug_assert!(false, "an edge came in");
        };
        above.ins -= 1;
        if above.ins == 0 {
            debug_assert!(above.bound.is_empty());
            self.above = None;
        }
    }

    /// True if it was not known.
    pub(super) fn add_up(&mut self, up: u64) -> bool {
        self.above.get_or_insert_default().ups.insert(up)
    }

    /// True if it was known.
    pub(super) fn remove_up(&mut self, up: u64) -> bool {
        self.above
            .as_mut()
            .is_some_and(|above| above.ups.remove(&up))
    }

    /// An edge that comes in is bound from now on.
    pub(super) fn bind(&mut self, edge: u64, from: u64) {
        self.above
            .get_or_insert_default()
            .bound
            .insert((edge, from));
    }

    /// True if it was bound.
    pub(super) fn unbind(&mut self, edge: u64, from: u64) -> bool {
        let above = self.above.as_mut();
        above.is_some_and(|above| above.bound.remove(&(edge, from)))
    }

    pub(super) fn is_bound(&self, edge: u64, from: u64) -> bool {
        let above = self.above.as_ref();
        above.is_some_and(|above| above.bound.contains(&(edge, from)))
    }

    /// One of the bound edges that come in.
    pub(super) fn first_bound(&self) -> Option<(u64, u64)> {
        self.above.as_ref()?.bound.first().copied()
    }

    /// From where the bound edges of that number come in.
    pub(super) fn bound_as(&self, edge: u64) -> impl Iterator<Item = u64> + '_ {
        let above = self.above.iter();
        let bound = above.flat_map(move |above| above.bound.range((edge, 0)..=(edge, u64::MAX)));
        bound.map(|(_, from)| *from)
    }
}
