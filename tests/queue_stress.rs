//! The queues of mailboxes with real threads and many items, where the models of `loom-tests/` have two
//! threads and a handful; and, on one thread, what they do at their edges.

#![allow(
    clippy::disallowed_types,
    reason = "tests count with std's atomics, which no model sees"
)]
#![expect(
    unsafe_code,
    reason = "the consumer's side of a ring is for the holder of the duty"
)]

use crossbeam_epoch as epoch;
use crossbeam_queue::SegQueue;
use stasis_bus::internals::{Close, Pointer, Pop, Push, Retired, Ring};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};
use std::thread;

/// An item that counts how many of its kind there are.
#[derive(Debug)]
struct Item(Box<Body>);

#[derive(Debug)]
struct Body {
    producer: usize,
    sequence: u64,
    live: Arc<AtomicIsize>,
}

impl Item {
    fn new(producer: usize, sequence: u64, live: &Arc<AtomicIsize>) -> Self {
        // Relaxed: a count that is read once all threads are joined.
        live.fetch_add(1, Ordering::Relaxed);
        Self(Box::new(Body {
            producer,
            sequence,
            live: live.clone(),
        }))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Relaxed: as in `Item::new`.
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

// SAFETY: a box is never null, and comes back as it went
unsafe impl Pointer for Item {
    fn into_ptr(self) -> *mut () {
        Box::into_raw(self.0).cast()
    }

    unsafe fn from_ptr(ptr: *mut ()) -> Self {
        // SAFETY: guaranteed by caller
        Self(unsafe { Box::from_raw(ptr.cast()) })
    }
}

fn retire(retired: Retired) {
    epoch::pin().defer(move || drop(retired));
}

const PRODUCERS: usize = 4;

/// How many items a run of the consumer takes at most before it gives the duty to the other worker.
const BUDGET: usize = 100;

struct Mailbox {
    ring: Ring<Item>,
    limit: u64,
    /// The duty to run the consumer, in the queue of one of the two workers. Each gives it to the other.
    due: [SegQueue<()>; 2],
    /// Written by the holder of the duty only.
    seen: UnsafeCell<Seen>,
    /// How many items were taken, for whoever closes in the middle.
    taken: AtomicU64,
    ended: AtomicBool,
}

// SAFETY: `seen` is touched by the holder of the duty only, of which there is one at a time: that is the test
unsafe impl Sync for Mailbox {}

#[derive(Default)]
struct Seen {
    next: [u64; PRODUCERS],
    ends: usize,
    rests: usize,
    hand_overs: usize,
    runner: Option<thread::ThreadId>,
}

impl Mailbox {
    fn new(slots: usize, limit: u64) -> Self {
        let ring = Ring::new(slots);
        // SAFETY: a new ring's duty is its maker's
        assert!(unsafe { ring.park(retire) });
        Self {
            ring,
            limit,
            due: [SegQueue::new(), SegQueue::new()],
            seen: UnsafeCell::new(Seen::default()),
            taken: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Pushes up to `count` items, one after the other. Returns how many are in.
    fn produce(&self, producer: usize, count: u64, live: &Arc<AtomicIsize>) -> u64 {
        for sequence in 0..count {
            let mut item = Item::new(producer, sequence, live);
            loop {
                let push = self.ring.push(item, self.limit, &epoch::pin());
                match push {
                    Push::Queued { .. } => break,
                    Push::Submit { .. } => {
                        self.due[producer % 2].push(());
                        break;
                    }
                    Push::Full(back) => {
                        item = back;
                        thread::yield_now();
                    }
                    Push::Closed(_) => return sequence,
                }
            }
        }
        count
    }

    fn work(&self, worker: usize) {
        // Acquire: pairs with the Release at the end of `run`.
        while !self.ended.load(Ordering::Acquire) {
            match self.due[worker].pop() {
                Some(()) => self.run(worker),
                None => thread::yield_now(),
            }
        }
    }

    /// Runs the consumer. The caller took the duty.
    fn run(&self, worker: usize) {
        // SAFETY: the caller took the duty, so nobody else has a reference
        let seen = unsafe { &mut *self.seen.get() };
        let this_thread = thread::current().id();
        if seen
            .runner
            .replace(this_thread)
            .is_some_and(|runner| runner != this_thread)
        {
            seen.hand_overs += 1;
        }
        for _ in 0..BUDGET {
            // SAFETY: the caller took the duty
            match unsafe { self.ring.pop() } {
                Pop::Item(item) => {
                    let Body {
                        producer, sequence, ..
                    } = *item.0;
                    assert_eq!(
                        sequence, seen.next[producer],
                        "lost, twice, or out of order"
                    );
                    assert_eq!(seen.ends, 0, "an item after the end");
                    seen.next[producer] += 1;
                    // Relaxed: a figure.
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    // SAFETY: the caller took the duty
                    unsafe { self.ring.publish_freed() };
                }
                Pop::Unwritten => {
                    thread::yield_now();
                    break;
                }
                Pop::Empty => {
                    seen.rests += 1;
                    // SAFETY: the caller took the duty, and is done if it is given up
                    if unsafe { self.ring.park(retire) } {
                        return;
                    }
                }
                Pop::Closed => {
                    seen.ends += 1;
                    // Release: what the consumer saw is visible after `work`.
                    self.ended.store(true, Ordering::Release);
                    return;
                }
            }
        }
        self.due[1 - worker].push(());
    }

    fn close(&self) {
        match self.ring.close() {
            Close::Submit => self.due[0].push(()),
            Close::Closed => {}
            Close::Already => panic!("closed twice"),
        }
    }
}

/// Four producers, two workers that pass the consumer on to each other, and a close once `close_after`
/// items are out, or once the producers are done.
fn stress(slots: usize, limit: u64, count: u64, close_after: Option<u64>) {
    let live = Arc::new(AtomicIsize::new(0));
    let mailbox = Mailbox::new(slots, limit);
    let accepted = thread::scope(|scope| {
        let mailbox = &mailbox;
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let live = &live;
                scope.spawn(move || mailbox.produce(producer, count, live))
            })
            .collect();
        for worker in 0..2 {
            scope.spawn(move || mailbox.work(worker));
        }
        if let Some(close_after) = close_after {
            // Relaxed: a figure.
            while mailbox.taken.load(Ordering::Relaxed) < close_after {
                thread::yield_now();
            }
            mailbox.close();
        }
        let accepted: Vec<u64> = producers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        if close_after.is_none() {
            mailbox.close();
        }
        accepted
    });
    assert!(
        mailbox.due.iter().all(SegQueue::is_empty),
        "the duty is nobody's after the end"
    );
    // SAFETY: all threads are joined
    let seen = unsafe { &*mailbox.seen.get() };
    assert_eq!(
        seen.next.as_slice(),
        accepted,
        "what was accepted comes out"
    );
    assert_eq!(seen.ends, 1, "exactly one end");
    assert_eq!(mailbox.ring.pushed(), accepted.iter().sum::<u64>());
    match close_after {
        Some(close_after) => assert!(mailbox.ring.pushed() >= close_after),
        None => assert_eq!(accepted, [count; PRODUCERS]),
    }
    println!(
        "{slots} slots, limit {limit}: {} items, {} rests, {} hand-overs",
        mailbox.ring.pushed(),
        seen.rests,
        seen.hand_overs
    );
    drop(mailbox);
    // Relaxed: all threads are joined.
    assert_eq!(live.load(Ordering::Relaxed), 0, "leaked");
}

#[test]
fn spilling_without_a_limit() {
    stress(1, u64::MAX, 200_000, None);
    stress(4, u64::MAX, 200_000, None);
}

#[test]
fn spilling_up_to_a_limit() {
    stress(2, 5, 50_000, None);
    stress(2, 64, 200_000, None);
}

#[test]
fn without_spilling() {
    stress(1, 1, 10_000, None);
    stress(8, 8, 100_000, None);
}

#[test]
fn closed_in_the_middle() {
    for limit in [2, 16, u64::MAX] {
        for close_after in [0, 1, 1_000] {
            stress(2, limit, 200_000, Some(close_after));
        }
    }
}

/// The edges, on one thread: the caller has the duty unless it parks.
struct Single {
    ring: Ring<Item>,
    live: Arc<AtomicIsize>,
    next: u64,
}

impl Single {
    fn new(slots: usize) -> Self {
        Self {
            ring: Ring::new(slots),
            live: Arc::new(AtomicIsize::new(0)),
            next: 0,
        }
    }

    /// Pushes the next item. True if it is in.
    fn push(&mut self, limit: u64) -> bool {
        let item = Item::new(0, self.next, &self.live);
        match self.ring.push(item, limit, &epoch::pin()) {
            Push::Queued { at } | Push::Submit { at } => {
                assert_eq!(at, self.next);
                self.next += 1;
                true
            }
            Push::Full(_) => false,
            Push::Closed(_) => panic!("not closed"),
        }
    }

    fn pop(&self) -> Option<u64> {
        // SAFETY: the caller has the duty
        match unsafe { self.ring.pop() } {
            Pop::Item(item) => Some(item.0.sequence),
            Pop::Empty => None,
            Pop::Unwritten | Pop::Closed => panic!("neither of these"),
        }
    }

    fn publish(&self) {
        // SAFETY: the caller has the duty
        unsafe { self.ring.publish_freed() };
    }

    /// Parks, takes the duty again, and says how often a spill queue was given back.
    fn rest(&self) -> usize {
        let mut retired = 0;
        // SAFETY: the caller has the duty
        assert!(unsafe { self.ring.park(|_| retired += 1) });
        assert!(self.ring.is_parked() && self.ring.unpark());
        retired
    }
}

#[test]
fn a_limit_of_n_admits_exactly_n() {
    for slots in [1, 2, 4] {
        for limit in [1, 2, 3, 4, 5, 16, 17, 100] {
            let mut single = Single::new(slots);
            // Positions that lap the ring, and those at which a producer looks how far the consumer has
            // come.
            for round in 0..40 {
                let mut waiting = 0;
                while single.push(limit) {
                    waiting += 1;
                }
                assert_eq!(waiting, limit, "{slots} slots, round {round}");
                let before = single.next - limit;
                assert_eq!(single.pop(), Some(before));
                assert!(!single.push(limit), "what is out is room once that is told");
                single.publish();
                assert!(single.push(limit));
                assert!(!single.push(limit));
                assert!(single.push(limit + 1), "one more for who may go beyond it");
                for sequence in before + 1..single.next {
                    assert_eq!(single.pop(), Some(sequence));
                }
                assert_eq!(single.pop(), None);
                if round % 3 == 0 {
                    single.rest();
                } else {
                    single.publish();
                }
            }
        }
    }
}

#[test]
fn spills_returns_and_gives_the_queue_back() {
    let mut single = Single::new(2);
    assert_eq!(single.rest(), 0, "nothing to give back");
    for round in 0..100 {
        let first = single.next;
        for _ in 0..2 + round % 40 {
            assert!(single.push(u64::MAX));
        }
        let spilled = single.next - first > 2;
        // Some go out while others come in.
        for sequence in first..first + round % 7 {
            if sequence < single.next {
                assert_eq!(single.pop(), Some(sequence));
                single.publish();
                assert!(single.push(u64::MAX));
            }
        }
        let from = first + (round % 7).min(single.next - first);
        for sequence in from..single.next {
            assert_eq!(single.pop(), Some(sequence));
        }
        assert_eq!(single.pop(), None);
        assert!(
            single.rest() >= usize::from(spilled),
            "a queue that was used is given back"
        );
        assert_eq!(single.rest(), 0, "once");
    }
}

#[test]
fn drops_what_is_inside() {
    for slots in [1, 4] {
        for pushed in 0..10 {
            for popped in 0..=pushed {
                let mut single = Single::new(slots);
                for _ in 0..pushed {
                    assert!(single.push(u64::MAX));
                }
                for sequence in 0..popped {
                    assert_eq!(single.pop(), Some(sequence));
                }
                let Single { ring, live, .. } = single;
                // Relaxed: one thread.
                assert_eq!(live.load(Ordering::Relaxed), (pushed - popped) as isize);
                drop(ring);
                // Relaxed: one thread.
                assert_eq!(live.load(Ordering::Relaxed), 0);
            }
        }
    }
}

#[test]
fn to_close_or_notify_takes_the_duty_of_one_at_rest() {
    let single = Single::new(1);
    assert!(!single.ring.notify(), "somebody runs it");
    // SAFETY: the caller has the duty
    let parked = unsafe { single.ring.park(drop) };
    assert!(!parked, "there is something to be told");
    // SAFETY: the caller has the duty
    assert!(unsafe { single.ring.park(drop) });
    assert!(single.ring.notify());
    single.rest();
    // SAFETY: the caller has the duty
    assert!(unsafe { single.ring.park(drop) });
    assert_eq!(single.ring.close(), Close::Submit);
    assert_eq!(single.ring.close(), Close::Already);
    // SAFETY: the caller has the duty
    let parked = unsafe { single.ring.park(drop) };
    assert!(!parked, "closed");
    // SAFETY: the caller has the duty
    assert!(matches!(unsafe { single.ring.pop() }, Pop::Closed));
}
