//! Who has received how much: each [`Consumer`] checks what it gets, one by one, and the [`Ledger`] knows when all
//! have got all, and what went wrong. A message too few, too many, twice or out of order is a fault.

use crate::item::Item;
use crate::peer::Fault;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// As many publishers as a consumer can tell apart.
pub(crate) const MOST_PUBLISHERS: usize = 8;

/// How often it is looked for messages before those that are missing count as missing, and how long is waited after
/// each look: 20 s of the process's own time, since somebody may stop it for a while.
const LOOKS: usize = 200;
const PAUSE: Duration = Duration::from_millis(100);

/// A line for what is written often, so that reading the rest costs nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// How much each consumer gets, since the beginning.
    goal: AtomicU64,
    consumers: usize,
    waiting: Thread,
    fault: OnceLock<String>,
    /// How many consumers have got all of it.
    done: Apart<AtomicUsize>,
    /// How many consumers have come to their end.
    ended: AtomicUsize,
    lost: AtomicU64,
    reached_at: Mutex<Option<Instant>>,
}

impl Ledger {
    /// For so many consumers, and the calling thread, which will wait for them.
    pub(crate) fn new(consumers: usize) -> Arc<Self> {
        Arc::new(Self {
            goal: AtomicU64::new(0),
            consumers,
            waiting: std::thread::current(),
            fault: OnceLock::new(),
            done: Apart::default(),
            ended: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            reached_at: Mutex::new(None),
        })
    }

    /// Every consumer will get `more`. To be called while nothing is on its way.
    pub(crate) fn expect(&self, more: u64) {
        *self.reached_at.lock().expect("no panic") = None;
        // Relaxed: whoever gets a message that is sent after this has it from the sender.
        self.done.0.store(0, Ordering::Relaxed);
        self.goal.fetch_add(more, Ordering::Relaxed);
    }

    /// Waits until every consumer has got what it is to get, and tells when that was.
    ///
    /// # Errors
    /// If a check failed, if messages do not come, or if `is_alive` says that nobody sends any more.
    pub(crate) fn wait(&self, is_alive: impl Fn() -> bool) -> Result<Instant, Fault> {
        for _ in 0..LOOKS {
            if let Some(fault) = self.fault.get() {
                return Err(fault.clone().into());
            }
            if let Some(at) = *self.reached_at.lock().expect("no panic") {
                return Ok(at);
            }
            if !is_alive() {
                return Err("a publisher panicked".into());
            }
            std::thread::park_timeout(PAUSE);
        }
        let done = self.done.0.load(Ordering::Relaxed); // Relaxed: for a message
        Err(format!("{} consumers miss messages", self.consumers - done).into())
    }

    /// What is wrong after all consumers are gone.
    ///
    /// # Errors
    /// If a check failed, or somebody is still there.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone().into());
        }
        let ended = self.ended.load(Ordering::Acquire); // Acquire: their faults are behind us
        if ended != self.consumers {
            return Err(format!("{ended} of {} consumers ended", self.consumers).into());
        }
        Ok(())
    }

    /// How many messages were lost so far, by all consumers together.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) // Relaxed: a figure
    }

    fn goal(&self) -> u64 {
        self.goal.load(Ordering::Relaxed) // Relaxed: see `expect`
    }

    #[cold]
    fn reached(&self) {
        // AcqRel: the last one has all before it behind it.
        if self.done.0.fetch_add(1, Ordering::AcqRel) + 1 == self.consumers {
            *self.reached_at.lock().expect("no panic") = Some(Instant::now());
            self.waiting.unpark();
        }
    }

    #[cold]
    fn fail(&self, what: String) {
        // The first one is what is told.
        let _ = self.fault.set(what);
        self.waiting.unpark();
    }
}

/// What its consumer expects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The number of each publisher's first message for it.
    pub(crate) first: u64,
    /// From one number to the next.
    pub(crate) step: u64,
    /// Messages that are published again and again have numbers below this, which is a power of two.
    pub(crate) cycle: Option<u64>,
    /// Whether numbers may be left out, if somebody counts them.
    pub(crate) is_lossy: bool,
}

/// Has a look at an item, after it was checked.
pub(crate) type Look = Box<dyn FnMut(&Item) + Send>;

/// One subscriber. Peers give it what they deliver, and drop it when its subscription ends.
pub(crate) struct Consumer {
    next: [u64; MOST_PUBLISHERS],
    /// Received, and told to be lost.
    progress: u64,
    step: u64,
    mask: u64,
    is_lossy: bool,
    look: Option<Look>,
    ledger: Arc<Ledger>,
}

impl Consumer {
    pub(crate) fn new(ledger: &Arc<Ledger>, expected: Expected, look: Option<Look>) -> Self {
        Self {
            next: [expected.first; MOST_PUBLISHERS],
            progress: 0,
            step: expected.step,
            mask: expected.cycle.map_or(u64::MAX, |cycle| cycle - 1),
            is_lossy: expected.is_lossy,
            look,
            ledger: Arc::clone(ledger),
        }
    }

    /// To be called with each item, in the order of their delivery.
    #[inline]
    pub(crate) fn receive(&mut self, item: &Item) {
        let Some(next) = self.next.get_mut(item.publisher as usize) else {
            return self.ledger.fail(format!("not sent by anybody: {item:?}"));
        };
        if item.number != *next & self.mask {
            if !self.is_lossy || item.number < *next {
                let expected = *next & self.mask;
                return self
                    .ledger
                    .fail(format!("{item:?} came where {expected} is next"));
            }
            *next = item.number;
        }
        *next += self.step;
        if let Some(look) = &mut self.look {
            look(item);
        }
        self.advance(1);
    }

    /// To be called when the peer tells that so many messages were lost here.
    pub(crate) fn lose(&mut self, count: u64) {
        self.ledger.lost.fetch_add(count, Ordering::Relaxed); // Relaxed: a figure
        if self.is_lossy {
            self.advance(count);
        } else {
            self.ledger.fail(format!("{count} messages were lost"));
        }
    }

    #[inline]
    fn advance(&mut self, count: u64) {
        self.progress += count;
        let goal = self.ledger.goal();
        if self.progress >= goal {
            self.reached(goal);
        }
    }

    #[cold]
    fn reached(&self, goal: u64) {
        if self.progress == goal {
            self.ledger.reached();
        } else {
            self.ledger.fail(format!(
                "{} messages came where {goal} were sent",
                self.progress
            ));
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let (goal, got) = (self.ledger.goal(), self.progress);
        if got != goal {
            let what = format!("a consumer ended with {got} of {goal} messages");
            self.ledger.fail(what);
        }
        self.ledger.ended.fetch_add(1, Ordering::Release); // Release: see `close`
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected = Expected {
        first: 0,
        step: 1,
        cycle: None,
        is_lossy: false,
    };

    fn after(numbers: &[u64], expected: Expected) -> Result<(), Fault> {
        let ledger = Ledger::new(1);
        ledger.expect(4);
        let mut consumer = Consumer::new(&ledger, expected, None);
        for number in numbers {
            consumer.receive(&Item::new(1, *number));
        }
        drop(consumer);
        ledger.wait(|| false)?;
        ledger.close()
    }

    #[test]
    fn all_in_order_is_no_fault() {
        after(&[0, 1, 2, 3], EXPECTED).expect("no fault");
        let cycle = Some(2);
        after(&[0, 1, 0, 1], Expected { cycle, ..EXPECTED }).expect("no fault");
        let topics = Expected {
            first: 7,
            step: 10,
            ..EXPECTED
        };
        after(&[7, 17, 27, 37], topics).expect("no fault");
    }

    #[test]
    fn one_too_few_out_of_order_twice_or_too_many_is_a_fault() {
        for numbers in [
            &[0, 1, 2][..],
            &[1, 2, 3, 4],
            &[0, 2, 1, 3],
            &[0, 1, 1, 2],
            &[0, 1, 2, 3, 4],
        ] {
            after(numbers, EXPECTED).expect_err("a fault");
        }
    }

    #[test]
    fn what_is_lost_is_counted_and_allowed_to_the_lossy_only() {
        for is_lossy in [true, false] {
            let ledger = Ledger::new(1);
            ledger.expect(4);
            let expected = Expected {
                is_lossy,
                ..EXPECTED
            };
            let mut consumer = Consumer::new(&ledger, expected, None);
            consumer.receive(&Item::new(0, 0));
            consumer.lose(2);
            consumer.receive(&Item::new(0, 3));
            assert_eq!(ledger.wait(|| true).is_ok(), is_lossy);
            assert_eq!(ledger.lost(), 2);
        }
    }
}
