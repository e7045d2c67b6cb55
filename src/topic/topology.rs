//! All edges of a bus, and what they mean for the route of each topic. Worked out under the topology lock
//! when an edge comes or goes, so that publish only follows pointers and lists.
//!
//! A topic with one way out (a call leg whose messages go to the aggregate of all) keeps a pointer to the
//! next one, whatever that can reach. A topic with several ways out, or in a circle, keeps a *list* of all
//! that it can reach. An edge changes the route of the topic that it leaves, and the lists of those
//! upstream that have one; they are found through topics that are known to have such a one upstream. So
//! what a forward or a cancel costs grows with the number of lists upstream, times what they reach, and not
//! with the number of topics upstream.

use super::forward::Route;
use super::node::Node;
use super::place::Place;
use crate::epoch;
use crate::sync::unmodelled::Arc;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    places: BTreeMap<u64, Box<Place>>,
    /// How many bound edges there are of numbers that many may have, all to one topic.
    groups: BTreeMap<u64, usize>,
}

impl Topology {
    pub(super) fn add(&mut self, edge: u64, from: &Arc<Node>, to: &Arc<Node>) {
        self.place(from).downs.push((edge, to.id));
        self.place(to).add_in();
        self.changed(from.id, &[to.id]);
    }

    fn place(&mut self, node: &Arc<Node>) -> &mut Place {
        let place = self.places.entry(node.id);
        place.or_insert_with(|| Box::new(Place::new(node)))
    }

    /// Removes an edge that a handle was in charge of: not if it has been bound. Then it may be gone already.
    pub(super) fn remove(&mut self, edge: u64, from: u64, to: u64) {
        let place = self.places.get(&from);
        let is_there = place.is_some_and(|place| place.downs.contains(&(edge, to)));
        if is_there && !self.is_bound(edge, from, to) {
            self.take_out(from, &[(edge, to)]);
        }
    }

    /// Makes an edge one that goes with its ends. False if one of them is closed: then it is as it was.
    ///
    /// Who closes a topic marks it as closed before it takes the lock for [`Self::unbind_some`], so either
    /// that is seen here, or the edge is found there.
    pub(super) fn bind(&mut self, edge: u64, from: &Node, to: &Arc<Node>) -> bool {
        let open = !from.is_closed() && !to.is_closed();
        if open {
            self.place(to).bind(edge, from.id);
        }
        open
    }

    /// Bound edges may have that number from now on.
    pub(super) fn open_group(&mut self, edge: u64) {
        self.groups.insert(edge, 0);
    }

    /// Adds a bound edge of a group, unless it is there. False if one of its ends is closed.
    pub(super) fn add_bound(&mut self, edge: u64, from: &Arc<Node>, to: &Arc<Node>) -> bool {
        if self.is_bound(edge, from.id, to.id) {
            return true;
        }
        // Bound before it is there: whether the ends are open is looked at once, and counts.
        if !self.bind(edge, from, to) {
            return false;
        }
        self.add(edge, from, to);
        if let Some(len) = self.groups.get_mut(&edge) {
            *len += 1;
        }
        true
    }

    /// How many edges a group has.
    pub(super) fn group_len(&self, edge: u64) -> usize {
        self.groups.get(&edge).copied().unwrap_or(0)
    }

    /// The names of the topics that the edges of a group come from.
    pub(super) fn group(&self, edge: u64, to: u64) -> Vec<Arc<str>> {
        let place = self.places.get(&to).into_iter();
        let from = place.flat_map(|place| place.bound_as(edge));
        let from = from.filter_map(|id| self.places.get(&id));
        from.map(|place| Arc::clone(&place.node.name)).collect()
    }

    /// Removes up to `most` edges of a group. True if there are more; else the group is no more.
    pub(super) fn close_group(&mut self, edge: u64, to: u64, most: usize) -> bool {
        let place = self.places.get(&to).into_iter();
        let some = place.flat_map(|place| place.bound_as(edge)).take(most);
        let some: Vec<_> = some.collect();
        for from in &some {
            self.unbind(edge, *from, to);
        }
        let more = some.len() == most;
        if !more {
            self.groups.remove(&edge);
        }
        more
    }

    /// Removes a bound edge. False if there is none.
    pub(super) fn unbind(&mut self, edge: u64, from: u64, to: u64) -> bool {
        let was_bound = self.mark_unbound(edge, from, to);
        if was_bound {
            self.take_out(from, &[(edge, to)]);
        }
        was_bound
    }

    fn mark_unbound(&mut self, edge: u64, from: u64, to: u64) -> bool {
        let place = self.places.get_mut(&to);
        let was_bound = place.is_some_and(|place| place.unbind(edge, from));
        if let Some(len) = self.groups.get_mut(&edge).filter(|_| was_bound) {
            *len -= 1;
        }
        was_bound
    }

    /// Removes the bound edges out of a topic that is closed or gone, and up to `most` of those that lead
    /// into it. True if there are more.
    pub(super) fn unbind_some(&mut self, id: u64, most: usize) -> bool {
        let Some(place) = self.places.get(&id) else {
            return false;
        };
        let downs = place.downs.iter().copied();
        let bound: Vec<_> = downs
            .filter(|(edge, to)| self.is_bound(*edge, id, *to))
            .collect();
        for (edge, to) in &bound {
            self.mark_unbound(*edge, id, *to);
        }
        // All at once: what they lead to may be a long list, to be worked out anew for each of them.
        self.take_out(id, &bound);
        for _ in 0..most {
            let Some((edge, from)) = self.places.get(&id).and_then(|it| it.first_bound()) else {
                return false;
            };
            self.unbind(edge, from, id);
        }
        true
    }

    pub(super) fn is_bound(&self, edge: u64, from: u64, to: u64) -> bool {
        let place = self.places.get(&to);
        place.is_some_and(|place| place.is_bound(edge, from))
    }

    /// Removes edges out of a topic: their numbers, and where they lead.
    fn take_out(&mut self, from: u64, edges: &[(u64, u64)]) {
        let place = self.places.get_mut(&from).filter(|_| !edges.is_empty());
        let Some(place) = place else { return };
        let numbers: BTreeSet<u64> = edges.iter().map(|(edge, _)| *edge).collect();
        let before = place.downs.len();
        place.downs.retain(|(known, _)| !numbers.contains(known));
        debug_assert_eq!(before - place.downs.len(), edges.len());
        place.downs.shrink_to_fit();
        let still_there = place.ways_out();
        for (_, to) in edges {
            if let Some(place) = self.places.get_mut(to) {
                if !still_there.contains(to) {
                    place.remove_up(from);
                }
                place.remove_in();
            }
        }
        let tos: Vec<u64> = edges.iter().map(|(_, to)| *to).collect();
        self.changed(from, &tos);
        for id in tos.iter().chain([&from]) {
            if self.places.get(id).is_some_and(|place| place.is_bare()) {
                if let Some(place) = self.places.remove(id) {
                    // A publisher may have loaded a route to it: its memory ends after the epoch.
                    epoch::retire(place.node, &epoch::pin());
                }
            }
        }
    }

    /// Edges from one topic to some have come or gone: works out anew what depends on them.
    fn changed(&mut self, from: u64, tos: &[u64]) {
        let mut stale = BTreeSet::from([from]);
        // Only those downstream of an edge can be in a circle with it: all of them if it closes one now, and
        // those that have a list if it closed one before.
        let mut below = self.below(tos);
        below.extend(tos);
        let closes = below.contains(&from);
        below.retain(|id| closes || self.places.get(id).is_some_and(|place| place.lists));
        below.insert(from);
        for id in below {
            if self.update_lists(id) {
                stale.insert(id);
            }
        }
        for to in tos {
            self.update_matters(*to);
        }
        self.update_matters(from);
        let mut todo = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            let Some(place) = self.places.get(&id).filter(|_| seen.insert(id)) else {
                continue;
            };
            if place.lists {
                stale.insert(id);
            }
            todo.extend(place.ups());
        }
        let routes: Vec<_> = stale.into_iter().filter_map(|id| self.route(id)).collect();
        let guard = epoch::pin();
        for (node, route) in routes {
            node.route.replace(route, &guard);
        }
    }

    /// Decides anew whether a topic keeps a list. True if that has changed.
    fn update_lists(&mut self, id: u64) -> bool {
        let Some(place) = self.places.get(&id) else {
            return false;
        };
        let several = place.ways_out().len() > 1;
        let lists =
            several || (place.has_edges_in() && !place.downs.is_empty() && self.is_in_circle(id));
        let changed = place.lists != lists;
        if let Some(place) = self.places.get_mut(&id) {
            place.lists = lists;
        }
        if changed {
            self.update_matters(id);
        }
        changed
    }

    fn is_in_circle(&self, id: u64) -> bool {
        let Some(place) = self.places.get(&id) else {
            return false;
        };
        place
            .downs
            .iter()
            .any(|(_, down)| *down == id || self.below(&[*down]).contains(&id))
    }

    /// Has a topic, and those below it in turn, known to the ones that they have an edge to, if they matter.
    fn update_matters(&mut self, id: u64) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some(place) = self.places.get(&id) else {
                continue;
            };
            let matters = place.matters();
            for down in place.ways_out() {
                let Some(below) = self.places.get_mut(&down) else {
                    continue;
                };
                let changed = if matters {
                    below.add_up(id)
                } else {
                    below.remove_up(id)
                };
                if changed {
                    todo.push(down);
                }
            }
        }
    }

    fn route(&self, id: u64) -> Option<(Arc<Node>, Option<Route>)> {
        let place = self.places.get(&id)?;
        let node = |id: &u64| self.places.get(id).map(|place| Arc::clone(&place.node));
        let route = if place.lists {
            let below = self.below(&[id]);
            Some(Route::To(
                below
                    .iter()
                    .filter(|below| **below != id)
                    .filter_map(node)
                    .collect(),
            ))
        } else {
            place
                .downs
                .first()
                .and_then(|(_, down)| node(down))
                .map(Route::Via)
        };
        Some((Arc::clone(&place.node), route))
    }

    /// Everything downstream of some topics; these themselves only if one leads to them.
    fn below(&self, ids: &[u64]) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut todo = ids.to_vec();
        while let Some(id) = todo.pop() {
            let Some(place) = self.places.get(&id) else {
                continue;
            };
            for (_, down) in &place.downs {
                if found.insert(*down) {
                    todo.push(*down);
                }
            }
        }
        found
    }

    /// The names of the topics that one forwards to, once for each forward.
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
