//! A stock of things that one thread has left over and another one needs: each thread has some of its own,
//! and hands them on by the batch through a [`Depot`]. So what is made on one core and ends on another goes
//! around, and the lines of the two sides meet once a batch.

use crate::sync::ArrayQueue;

/// As many are handed on at once. Small in models, so that they get there.
pub const BATCH: usize = if cfg!(loom) { 1 } else { 32 };

/// A thread keeps no more than this for itself. Twice a batch, so that one that is about to hand some on is
/// as far from having to fetch some.
const MOST_KEPT: usize = 2 * BATCH;

/// What comes next is known so many things before: a batch is fetched while so many are left.
const KNOWN_AHEAD: usize = if cfg!(loom) { 0 } else { 6 };

/// Batches that threads have left over.
#[derive(Debug)]
pub struct Depot<T>(ArrayQueue<[T; BATCH]>);

impl<T> Depot<T> {
    /// For so many things at most, rounded up to whole batches, and at least one.
    pub fn new(most: usize) -> Self {
        Self(ArrayQueue::new(most.div_ceil(BATCH).max(1)))
    }
}

/// What one thread has. The last one in is the first one out: it is the most likely to be in its cache.
#[derive(Debug)]
pub struct Stock<'a, T> {
    things: Vec<T>,
    depot: &'a Depot<T>,
}

impl<'a, T: Copy> Stock<'a, T> {
    /// An empty one.
    pub fn new(depot: &'a Depot<T>) -> Self {
        Self {
            things: Vec::with_capacity(MOST_KEPT),
            depot,
        }
    }

    /// One of them, if there are any, here or in the depot; and the one that will be taken a few times later,
    /// for whoever wants to prepare for that.
    #[inline]
    pub fn take(&mut self) -> Option<(T, Option<T>)> {
        if self.things.len() == KNOWN_AHEAD || self.things.is_empty() {
            self.fetch();
        }
        let thing = self.things.pop()?;
        let later = self.things.len().checked_sub(KNOWN_AHEAD);
        Some((
            thing,
            later.and_then(|index| self.things.get(index)).copied(),
        ))
    }

    /// Keeps one. If that is too much, some go to the depot, or, if that is full, to `surplus`.
    #[inline]
    pub fn keep(&mut self, thing: T, surplus: impl FnMut(T)) {
        if self.things.len() == MOST_KEPT {
            self.hand_on(surplus);
        }
        self.things.push(thing);
    }

    /// Takes out all that is left.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.things.drain(..)
    }

    #[cold]
    #[inline(never)]
    fn fetch(&mut self) {
        if let Some(batch) = self.depot.0.pop() {
            self.things.splice(..0, batch);
        }
    }

    /// Those that were kept for longest.
    #[cold]
    #[inline(never)]
    fn hand_on(&mut self, surplus: impl FnMut(T)) {
        let batch = std::array::from_fn(|index| self.things[index]);
        self.things.drain(..BATCH);
        if let Err(batch) = self.depot.0.push(batch) {
            batch.into_iter().for_each(surplus);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn keep_all(stock: &mut Stock<'_, usize>, things: std::ops::Range<usize>) -> Vec<usize> {
        let mut surplus = Vec::new();
        things.for_each(|thing| stock.keep(thing, |thing| surplus.push(thing)));
        surplus
    }

    #[test]
    fn what_one_has_left_over_another_one_gets() {
        let depot = Depot::new(2 * BATCH);
        let (mut one, mut other) = (Stock::new(&depot), Stock::new(&depot));
        assert!(one.take().is_none());
        assert!(keep_all(&mut one, 0..4 * BATCH).is_empty());
        let mut got: Vec<_> = std::iter::from_fn(|| other.take()).collect();
        assert_eq!(got.len(), 2 * BATCH);
        got.extend(std::iter::from_fn(|| one.take()));
        let mut got: Vec<_> = got.into_iter().map(|(thing, _)| thing).collect();
        got.sort_unstable();
        assert_eq!(got, (0..4 * BATCH).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_keeps_more_than_their_share() {
        let depot = Depot::new(BATCH);
        let mut stock = Stock::new(&depot);
        let surplus = keep_all(&mut stock, 0..10 * BATCH);
        assert_eq!(surplus.len(), 7 * BATCH);
        assert_eq!(stock.drain().count(), 2 * BATCH);
        assert_eq!(std::iter::from_fn(|| stock.take()).count(), BATCH);
    }

    #[test]
    fn what_comes_later_is_known_before_across_batches() {
        let depot = Depot::new(4 * BATCH);
        let mut stock = Stock::new(&depot);
        assert!(keep_all(&mut stock, 0..6 * BATCH).is_empty());
        let taken: Vec<_> = std::iter::from_fn(|| stock.take()).collect();
        assert_eq!(taken.len(), 6 * BATCH);
        for (index, (_, later)) in taken.iter().enumerate() {
            let expected = taken.get(index + KNOWN_AHEAD).map(|(thing, _)| *thing);
            assert_eq!(*later, expected, "{index}");
        }
    }
}
