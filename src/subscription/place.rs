//! Where a subscriber is on a list that it is on once at most. It is *not* the list; whoever holds the list's
//! lock keeps both in step.

use super::state::Subscriber;
use crate::sync::atomic::Ordering;
use crate::sync::unmodelled::{Arc, AtomicU64};
use std::marker::PhantomData;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU64);

impl Place {
    /// It was taken off the list, and never comes back.
    const NOWHERE: u64 = u64::MAX;

    /// Where it may be; `None` if it was taken off.
    pub(crate) fn get(&self) -> Option<u64> {
        // Relaxed: under the list's lock.
        let place = self.0.load(Ordering::Relaxed);
        (place != Self::NOWHERE).then_some(place)
    }

    /// It was taken off the list: nobody looks through all of it again.
    pub(crate) fn leave(&self) {
        self.set(Self::NOWHERE);
    }

    pub(crate) fn set(&self, place: u64) {
        // Relaxed: as above.
        self.0.store(place, Ordering::Relaxed);
    }
}

/// What has a place on the list `L`.
pub(crate) trait Placed<L> {
    fn place_on_list(&self) -> &Place;
}

/// The subscribers of one topic that are ending.
#[derive(Debug)]
pub(crate) struct OfTopic;

/// Those of one bus.
#[derive(Debug)]
pub(crate) struct OfBus;

impl Placed<OfTopic> for Subscriber {
    fn place_on_list(&self) -> &Place {
        &self.ending_of_topic
    }
}

impl Placed<OfBus> for Subscriber {
    fn place_on_list(&self) -> &Place {
        &self.ending_of_bus
    }
}

/// The list `L` of things that each know their place on it, so that it takes nothing to find one.
#[derive(Debug)]
pub(crate) struct Places<T, L> {
    list: Vec<Arc<T>>,
    _list: PhantomData<fn(L)>,
}

/// So many places are kept when the list is empty.
const KEPT: usize = 4;

impl<T: Placed<L>, L> Places<T, L> {
    pub(crate) const fn new() -> Self {
        Self {
            list: Vec::new(),
            _list: PhantomData,
        }
    }

    /// Adds one, unless it was taken off before it came.
    pub(crate) fn add(&mut self, one: &Arc<T>) {
        let place = one.place_on_list();
        if place.get().is_some() {
            place.set(self.list.len() as u64);
            self.list.push(Arc::clone(one));
        }
    }

    /// Takes one off, for good, whether or not it is on the list. To be dropped outside the lock.
    pub(crate) fn remove(&mut self, one: &T) -> Option<Arc<T>> {
        let place = one.place_on_list();
        let at = place.get()? as usize;
        place.leave();
        self.list
            .get(at)
            .filter(|there| std::ptr::eq(&***there, one))?;
        let removed = self.list.swap_remove(at);
        if let Some(moved) = self.list.get(at) {
            moved.place_on_list().set(at as u64);
        }
        if self.list.is_empty() && self.list.capacity() > KEPT {
            self.list = Vec::new();
        }
        Some(removed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.list.iter()
    }
}
