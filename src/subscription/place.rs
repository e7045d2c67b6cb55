//! Where a subscriber is on a list that it is on once at most. It is *not* the list; whoever holds the list's
//! lock keeps both in step.

use super::state::Subscriber;
use crate::sync::atomic::Ordering;
use crate::sync::unmodelled::{Arc, AtomicU32};
use std::marker::PhantomData;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU32);

impl Place {
    /// It was taken off the list, and never comes back.
    const NOWHERE: u32 = u32::MAX;
    /// So far behind, or further: to be looked for. In tests that is near.
    const FAR: u32 = if cfg!(test) { 3 } else { Self::NOWHERE - 1 };

    /// Where it may be; `None` if it was taken off.
    pub(crate) fn get(&self) -> Option<usize> {
        // Relaxed: under the list's lock.
        let place = self.0.load(Ordering::Relaxed);
        (place != Self::NOWHERE).then_some(place as usize)
    }

    /// It was taken off the list: nobody looks through all of it again.
    pub(crate) fn leave(&self) {
        // Relaxed: as above.
        self.0.store(Self::NOWHERE, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, place: usize) {
        let place = u32::try_from(place).map_or(Self::FAR, |place| place.min(Self::FAR));
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
            place.set(self.list.len());
            self.list.push(Arc::clone(one));
        }
    }

    /// Takes one off, for good, whether or not it is on the list. To be dropped outside the lock.
    pub(crate) fn remove(&mut self, one: &T) -> Option<Arc<T>> {
        let place = one.place_on_list();
        let at = place.get()?;
        place.leave();
        let is_one = |there: &Arc<T>| std::ptr::eq(&**there, one);
        let at = match self.list.get(at) {
            Some(there) if is_one(there) => at,
            _ if at < Place::FAR as usize => return None,
            _ => self.list.iter().position(is_one)?,
        };
        let removed = self.list.swap_remove(at);
        if let Some(moved) = self.list.get(at) {
            moved.place_on_list().set(at);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[derive(Default)]
    struct One(Place);

    impl Placed<()> for One {
        fn place_on_list(&self) -> &Place {
            &self.0
        }
    }

    #[test]
    fn each_is_found_however_far_behind() {
        let all: Vec<Arc<One>> = (0..8).map(|_| Arc::default()).collect();
        let mut places = Places::<One, ()>::new();
        all[7].0.leave();
        for one in &all {
            places.add(one);
        }
        assert_eq!(places.iter().count(), 7, "one was taken off before it came");
        let stranger = One::default();
        assert!(places.remove(&stranger).is_none());
        for one in [1, 5, 6, 0, 3, 4, 2].map(|index| &all[index]) {
            assert!(Arc::ptr_eq(&places.remove(one).unwrap(), one));
            assert!(places.remove(one).is_none());
        }
        assert_eq!(places.iter().count(), 0);
    }
}
