//! The queue whose head moves from the producers' side too: drop oldest, and conflate by key. It is a
//! structure of its own, under one short lock, rather than a second writer of the ring's head. No code of a
//! user runs under the lock: keys are the crate's own type, and what leaves the queue is handed out, not
//! dropped.

use super::{Close, Pop, Push};
use crate::sync::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many dead entries the queue carries before it is tidied up.
const TIDY_THRESHOLD: usize = 64;

/// See the module. `K` is the key by which items are conflated.
#[derive(Debug)]
pub struct Shedding<K, T> {
    inner: Mutex<Inner<K, T>>,
}

#[derive(Debug)]
struct Entry<K, T> {
    item: T,
    key: Option<K>,
    /// False for what must not be shed: marks that somebody waits for.
    sheddable: bool,
}

#[derive(Debug)]
struct Inner<K, T> {
    /// `None` where an item left from the middle.
    entries: VecDeque<Option<Entry<K, T>>>,
    /// The number of the entry at index 0; numbers count up and are never reused.
    first: u64,
    /// Where the live item of a key is, by number.
    by_key: HashMap<K, u64>,
    /// How many entries are live and can be shed.
    live: usize,
    /// How many are marks, which cannot.
    marks: usize,
    state: State,
    /// The consumer is to look around once more before it parks.
    notified: bool,
    /// How many items were ever accepted.
    pushed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody has the duty to run the consumer.
    Running,
    Parked,
    /// Closed; somebody runs, or ran, the consumer to its end.
    Closed,
}

/// What left the queue to make room.
#[derive(Debug, PartialEq, Eq)]
pub enum Evicted<T> {
    /// Nothing.
    None,
    /// The oldest item, for want of room: it is to be told of.
    Shed(T),
    /// The older item of the same key: the newer one takes its place.
    Conflated(T),
}

impl<K: Hash + Eq + Clone, T> Default for Shedding<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq + Clone, T> Shedding<K, T> {
    /// An empty queue. The caller starts with the duty to run the consumer.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                entries: VecDeque::new(),
                first: 0,
                by_key: HashMap::new(),
                live: 0,
                marks: 0,
                state: State::Running,
                notified: false,
                pushed: 0,
            }),
        }
    }

    /// Pushes `item`. The older one of the same key leaves; if there are `capacity` items, the oldest does.
    /// Never full. What left is for the caller to drop, outside all locks.
    #[cfg(any(test, loom, feature = "internals"))]
    pub fn push(&self, item: T, key: Option<K>, capacity: usize) -> (Push<T>, Evicted<T>) {
        self.push_booked(item, key, capacity, |_| {})
    }

    /// As [`Self::push`]. `book` is told what leaves, under the lock, so that it is booked before a close
    /// that comes after: nothing leaves that the final message does not know of. It is no code of a user.
    pub(crate) fn push_booked(
        &self,
        item: T,
        key: Option<K>,
        capacity: usize,
        book: impl FnOnce(&Evicted<T>),
    ) -> (Push<T>, Evicted<T>) {
        let mut inner = self.inner.lock();
        if inner.state == State::Closed {
            return (Push::Closed(item), Evicted::None);
        }
        let evicted = match key.as_ref().and_then(|key| inner.by_key.remove(key)) {
            Some(number) => inner
                .take_out(number)
                .map_or(Evicted::None, Evicted::Conflated),
            None if inner.live >= capacity => {
                inner.take_oldest().map_or(Evicted::None, Evicted::Shed)
            }
            None => Evicted::None,
        };
        book(&evicted);
        inner.live += 1;
        (
            inner.append(Entry {
                item,
                key,
                sheddable: true,
            }),
            evicted,
        )
    }

    /// Pushes what is never shed and takes no room.
    pub fn push_mark(&self, item: T) -> Push<T> {
        let mut inner = self.inner.lock();
        if inner.state == State::Closed {
            return Push::Closed(item);
        }
        inner.marks += 1;
        inner.append(Entry {
            item,
            key: None,
            sheddable: false,
        })
    }

    /// Closes: nothing is accepted after this.
    pub fn close(&self) -> Close {
        let mut inner = self.inner.lock();
        match std::mem::replace(&mut inner.state, State::Closed) {
            State::Closed => Close::Already,
            State::Parked => Close::Submit,
            State::Running => Close::Closed,
        }
    }

    /// Takes the duty if the consumer is parked. True if the caller has it now.
    pub fn unpark(&self) -> bool {
        let mut inner = self.inner.lock();
        let parked = inner.state == State::Parked;
        if parked {
            inner.state = State::Running;
        }
        parked
    }

    /// Makes the consumer look around once more before it parks. True if the caller has the duty now.
    pub fn notify(&self) -> bool {
        let mut inner = self.inner.lock();
        let parked = inner.state == State::Parked;
        if parked {
            inner.state = State::Running;
        } else {
            inner.notified = true;
        }
        parked
    }

    /// Gives up the duty, if there is nothing to do.
    pub fn park(&self) -> bool {
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.notified) {
            return false;
        }
        if inner.state != State::Running || !inner.entries.is_empty() {
            return false;
        }
        inner.entries = VecDeque::new();
        inner.by_key = HashMap::new();
        inner.state = State::Parked;
        true
    }

    /// The next item. Only the holder of the duty calls it, for order's sake, not for safety's.
    pub fn pop(&self) -> Pop<T> {
        let mut inner = self.inner.lock();
        while let Some(entry) = inner.entries.pop_front() {
            let number = inner.first;
            inner.first += 1;
            let Some(entry) = entry else { continue };
            if entry.sheddable {
                inner.live -= 1;
            } else {
                inner.marks -= 1;
            }
            if let Some(key) = &entry.key {
                let removed = inner.by_key.remove(key);
                debug_assert_eq!(removed, Some(number));
            }
            return Pop::Item(entry.item);
        }
        if inner.state == State::Closed {
            Pop::Closed
        } else {
            Pop::Empty
        }
    }

    /// How many items wait.
    pub fn waiting(&self) -> usize {
        self.inner.lock().live
    }

    /// How many items were ever accepted.
    pub fn pushed(&self) -> u64 {
        self.inner.lock().pushed
    }

    /// Accepts no more.
    pub fn is_closed(&self) -> bool {
        self.inner.lock().state == State::Closed
    }
}

impl<K: Hash + Eq + Clone, T> Inner<K, T> {
    fn append(&mut self, entry: Entry<K, T>) -> Push<T> {
        let number = self.first + self.entries.len() as u64;
        if let Some(key) = &entry.key {
            self.by_key.insert(key.clone(), number);
        }
        self.entries.push_back(Some(entry));
        let at = self.pushed;
        self.pushed += 1;
        match self.state {
            State::Parked => {
                self.state = State::Running;
                Push::Submit { at }
            }
            State::Running | State::Closed => Push::Queued { at },
        }
    }

    fn take_out(&mut self, number: u64) -> Option<T> {
        let entry = self
            .entries
            .get_mut((number - self.first) as usize)?
            .take()?;
        debug_assert!(entry.sheddable, "marks have no key");
        self.live -= 1;
        self.tidy();
        Some(entry.item)
    }

    fn take_oldest(&mut self) -> Option<T> {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.as_ref().is_some_and(|entry| entry.sheddable))?;
        let entry = self.entries[index].take()?;
        if let Some(key) = &entry.key {
            self.by_key.remove(key);
        }
        self.live -= 1;
        while matches!(self.entries.front(), Some(None)) {
            self.entries.pop_front();
            self.first += 1;
        }
        // Behind a mark, dead entries stay.
        self.tidy();
        Some(entry.item)
    }

    /// Drops dead entries once there are more of them than live ones.
    fn tidy(&mut self) {
        let live = self.live + self.marks;
        let dead = self.entries.len() - live;
        if dead < TIDY_THRESHOLD || dead < live {
            return;
        }
        self.entries.retain(Option::is_some);
        let keyed = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let key = entry.as_ref()?.key.clone()?;
                Some((key, self.first + index as u64))
            });
        self.by_key = keyed.collect();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    type Queue = Shedding<u64, u32>;

    #[test]
    fn drops_the_oldest_and_hands_it_out() {
        let queue = Queue::new();
        assert!(queue.park());
        assert_eq!(
            queue.push(1, None, 2),
            (Push::Submit { at: 0 }, Evicted::None)
        );
        assert_eq!(
            queue.push(2, None, 2),
            (Push::Queued { at: 1 }, Evicted::None)
        );
        assert_eq!(
            queue.push(3, None, 2),
            (Push::Queued { at: 2 }, Evicted::Shed(1))
        );
        assert_eq!(queue.waiting(), 2);
        assert!(!queue.park());
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Pop::Item(2), Pop::Item(3), Pop::Empty)
        );
        assert!(queue.park());
    }

    #[test]
    fn the_newer_of_a_key_takes_the_tail() {
        let queue = Queue::new();
        for (item, key) in [(1, 7), (2, 8), (3, 7)] {
            let _ = queue.push(item, Some(key), 10);
        }
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Pop::Item(2), Pop::Item(3), Pop::Empty)
        );
    }

    #[test]
    fn one_key_at_the_head_and_another_a_thousand_times() {
        let queue = Queue::new();
        let _ = queue.push(0, Some(1), 10);
        for item in 1..=1000 {
            let _ = queue.push(item, Some(2), 10);
        }
        assert!(
            queue.inner.lock().entries.len() < 2 * TIDY_THRESHOLD + 2,
            "dead entries go"
        );
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Pop::Item(0), Pop::Item(1000), Pop::Empty)
        );
    }

    #[test]
    fn marks_are_not_shed_and_take_no_room() {
        let queue = Queue::new();
        let _ = queue.push_mark(100);
        let _ = queue.push(1, None, 1);
        assert_eq!(queue.push(2, None, 1).1, Evicted::Shed(1));
        assert_eq!((queue.pop(), queue.pop()), (Pop::Item(100), Pop::Item(2)));
    }

    #[test]
    fn dead_entries_behind_a_mark_go() {
        let queue = Queue::new();
        let _ = queue.push_mark(0);
        for item in 1..=1000 {
            let _ = queue.push(item, None, 1);
        }
        assert!(queue.inner.lock().entries.len() < 2 * TIDY_THRESHOLD + 2);
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Pop::Item(0), Pop::Item(1000), Pop::Empty)
        );
    }

    #[test]
    fn many_marks_are_no_dead_entries() {
        let queue = Queue::new();
        for mark in 0..1000 {
            let _ = queue.push_mark(mark);
        }
        let _ = queue.push(1000, Some(1), 1);
        let _ = queue.push(1001, Some(1), 1);
        let inner = queue.inner.lock();
        assert_eq!(inner.marks, 1000);
        assert_eq!(
            inner.entries.len(),
            1002,
            "one dead entry is nothing to tidy up"
        );
    }

    #[test]
    fn closed_takes_nothing_and_drains() {
        let queue = Queue::new();
        let _ = queue.push(1, None, 1);
        assert_eq!(queue.close(), Close::Closed);
        assert_eq!(queue.close(), Close::Already);
        assert_eq!(queue.push(2, None, 1), (Push::Closed(2), Evicted::None));
        assert_eq!((queue.pop(), queue.pop()), (Pop::Item(1), Pop::Closed));
    }
}
