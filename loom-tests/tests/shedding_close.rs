//! The queue that sheds: what was accepted comes out or is handed back, in the order of its producer, and
//! after the close nothing is accepted; the consumer is submitted once.
//!
//! Mutants: the close leaves PARKED to a running consumer (it is not told to submit), a push after the
//! close accepted.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a model of the unsafe parts")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use loom_tests::{Duty, Item, Log, Tag, check};
use stasis_bus::internals::{Close, Evicted, Pop, Push, Shedding};

struct Mailbox {
    queue: Shedding<u8, Item>,
    duty: Duty,
    log: UnsafeCell<Log>,
}

#[derive(Default)]
struct Outcome {
    accepted: Vec<Tag>,
    evicted: Vec<Tag>,
}

impl Mailbox {
    /// Offers the items 0, 1, ... of `producer`; one key for all, or none.
    fn offer(&self, producer: u8, count: u8, key: Option<u8>) -> Outcome {
        let mut outcome = Outcome::default();
        for sequence in 0..count {
            let (push, evicted) = self.queue.push(Item::new(producer, sequence), key, 1);
            match evicted {
                Evicted::None => {}
                Evicted::Shed(item) | Evicted::Conflated(item) => outcome.evicted.push(item.tag()),
            }
            match push {
                Push::Queued { .. } => outcome.accepted.push((producer, sequence)),
                Push::Submit { .. } => {
                    self.duty.submit();
                    outcome.accepted.push((producer, sequence));
                }
                Push::Closed(_) => break,
                Push::Full(_) => unreachable!("it is never full"),
            }
        }
        outcome
    }

    fn run(&self) {
        loop {
            match self.queue.pop() {
                Pop::Item(item) => self.log(|log| {
                    assert_eq!(log.finals, 0, "an item after the end");
                    log.items.push(item.tag());
                }),
                Pop::Empty if self.queue.park() => return,
                Pop::Empty => {}
                Pop::Closed => return self.log(|log| log.finals += 1),
                Pop::Unwritten => unreachable!("a push is one step"),
            }
        }
    }

    fn log(&self, f: impl FnOnce(&mut Log)) {
        // SAFETY: who holds the duty has the log to himself, which loom checks
        self.log.with_mut(|log| f(unsafe { &mut *log }));
    }
}

fn model(name: &str, counts: [u8; 2], key: Option<u8>) {
    check(name, 80, move || {
        let mailbox = Arc::new(Mailbox {
            queue: Shedding::new(),
            duty: Duty::new(),
            log: UnsafeCell::new(Log::default()),
        });
        assert!(mailbox.queue.park());
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer(1, counts[1], key))
        };
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    if mailbox.duty.take() {
                        mailbox.run();
                    }
                }
            })
        };
        let first = mailbox.offer(0, counts[0], key);
        match mailbox.queue.close() {
            Close::Submit => mailbox.duty.submit(),
            Close::Closed => {}
            Close::Already => unreachable!("closed once"),
        }
        assert!(matches!(
            mailbox.queue.push(Item::new(2, 0), None, 1),
            (Push::Closed(_), Evicted::None)
        ));
        let second = producer.join().unwrap();
        worker.join().unwrap();
        while mailbox.duty.take() {
            mailbox.run();
        }
        mailbox.log(|log| {
            assert_eq!(log.finals, 1, "exactly one end");
            let evicted: Vec<Tag> = [&first, &second]
                .iter()
                .flat_map(|o| &o.evicted)
                .copied()
                .collect();
            for outcome in [&first, &second] {
                let left = outcome.accepted.iter().filter(|tag| !evicted.contains(tag));
                let left: Vec<Tag> = left.copied().collect();
                let delivered = log
                    .items
                    .iter()
                    .filter(|tag| outcome.accepted.contains(tag));
                assert_eq!(
                    delivered.copied().collect::<Vec<_>>(),
                    left,
                    "lost, twice, or out of order"
                );
            }
            let accepted = first.accepted.len() + second.accepted.len();
            assert_eq!(log.items.len() + evicted.len(), accepted);
        });
    });
}

#[test]
fn drop_oldest() {
    model("shedding_close, drop oldest", [2, 1], None);
}

#[test]
fn conflate() {
    model("shedding_close, conflate", [2, 1], Some(7));
}
