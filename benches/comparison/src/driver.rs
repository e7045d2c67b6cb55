//! Sets a contender up and has its publishers send, so many messages at a time, each publisher on a thread of its
//! own. A run ends when the last subscriber has got its last message.

use crate::clock::cpu_time;
use crate::item::Items;
use crate::ledger::{Consumer, Expected, Ledger, Look};
use crate::peer::{Arena, Fault, Messages, Peer, Publisher, Wiring};
use crate::watchdog;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// From the word to send to the last delivery.
    pub(crate) wall: Duration,
    /// Of the whole process meanwhile.
    pub(crate) cpu: Duration,
    /// How many messages came to their subscribers, lost ones not included.
    pub(crate) deliveries: u64,
    /// How many did not.
    pub(crate) lost: u64,
}

/// A contender at work.
pub(crate) struct Driver {
    peer: &'static dyn Peer,
    wiring: Wiring,
    arena: Box<dyn Arena>,
    ledger: Arc<Ledger>,
    go: Vec<mpsc::Sender<Range<u64>>>,
    threads: Vec<JoinHandle<()>>,
    sent: u64,
}

/// The consumers that `peer` is to serve in `wiring`.
pub(crate) fn consumers(
    peer: &dyn Peer,
    wiring: &Wiring,
    ledger: &Arc<Ledger>,
    mut look: impl FnMut(usize) -> Option<Look>,
) -> Vec<Consumer> {
    let how = peer.how();
    let channels = wiring.channels();
    let consumer = |idx: usize| {
        let expected = Expected {
            first: (idx / wiring.subscribers % channels) as u64,
            step: channels as u64,
            cycle: match how.messages {
                Messages::Reused(count) => Some(count),
                _ => None,
            },
            is_lossy: how.is_lossy,
        };
        Consumer::new(ledger, expected, look(idx))
    };
    (0..wiring.consumers()).map(consumer).collect()
}

impl Driver {
    /// Sets `peer` up. `look` gives subscribers something to do besides checking.
    ///
    /// # Errors
    /// What the peer says.
    pub(crate) fn start(
        peer: &'static dyn Peer,
        wiring: Wiring,
        look: impl FnMut(usize) -> Option<Look>,
    ) -> Result<Self, Fault> {
        let _watch = watchdog::watch(format!("the start of {}", peer.name()));
        let ledger = Ledger::new(wiring.consumers());
        let consumers = consumers(peer, &wiring, &ledger, look);
        let built = peer.build(&wiring, consumers);
        let mut arena = built.map_err(|fault| named(peer, &*fault))?;
        let (mut go, mut threads) = (Vec::new(), Vec::new());
        for (publisher, sender) in (0..).zip(arena.publishers()) {
            let (tell, told) = mpsc::channel();
            go.push(tell);
            threads.push(std::thread::spawn(move || send(publisher, sender, &told)));
        }
        assert_eq!(go.len(), wiring.publishers);
        Ok(Self {
            peer,
            wiring,
            arena,
            ledger,
            go,
            threads,
            sent: 0,
        })
    }

    /// Has each publisher send `count` messages, which is a multiple of [`Self::unit`].
    ///
    /// # Errors
    /// If messages are missing or come out of order.
    pub(crate) fn run(&mut self, count: u64) -> Result<Ran, Fault> {
        assert_eq!(count % self.unit(), 0);
        let _watch = watchdog::watch(format!("{} in {:?}", self.peer.name(), self.wiring));
        let each = self.wiring.publishers as u64 * count / self.wiring.channels() as u64;
        let lost_before = self.ledger.lost();
        self.ledger.expect(each);
        let (cpu_before, start) = (cpu_time(), Instant::now());
        let numbers = self.sent..self.sent + count;
        self.sent = numbers.end;
        for publisher in &self.go {
            publisher.send(numbers.clone()).expect("a publisher");
        }
        let is_alive = || !self.threads.iter().any(JoinHandle::is_finished);
        let end = self.ledger.wait(is_alive);
        let end = end.map_err(|fault| named(self.peer, &*fault))?;
        let cpu = cpu_time() - cpu_before;
        let lost = self.ledger.lost() - lost_before;
        Ok(Ran {
            wall: end - start,
            cpu,
            deliveries: each * self.wiring.consumers() as u64 - lost,
            lost,
        })
    }

    /// What the number of messages in a run is a multiple of: no topic gets more than another.
    pub(crate) fn unit(&self) -> u64 {
        self.wiring.topics as u64
    }

    /// Ends it all, and checks that nothing was left and nothing came twice.
    ///
    /// # Errors
    /// If a check fails.
    pub(crate) fn close(mut self) -> Result<(), Fault> {
        let _watch = watchdog::watch(format!("the end of {}", self.peer.name()));
        self.go.clear();
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| "a publisher panicked")?;
        }
        let peer = self.peer;
        let closed = self.arena.close().and_then(|()| self.ledger.close());
        closed.map_err(|fault| named(peer, &*fault))
    }
}

/// Runs `work` on a contender, and ends it. After a fault it is left as it is: its threads may never end.
///
/// # Errors
/// If anything is wrong.
pub(crate) fn with_driver<T>(
    peer: &'static dyn Peer,
    wiring: Wiring,
    work: impl FnOnce(&mut Driver) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut driver = ManuallyDrop::new(Driver::start(peer, wiring, |_| None)?);
    let worked = work(&mut driver)?;
    ManuallyDrop::into_inner(driver).close()?;
    Ok(worked)
}

fn named(peer: &dyn Peer, fault: &dyn std::error::Error) -> Fault {
    format!("{}: {fault}", peer.name()).into()
}

fn send(publisher: u64, mut sender: Box<dyn Publisher>, told: &mpsc::Receiver<Range<u64>>) {
    while let Ok(numbers) = told.recv() {
        sender.publish_all(Items::new(publisher, numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Kind;
    use crate::peers;

    #[test]
    fn everybody_delivers_everything_in_order() {
        let aggregate = Wiring {
            topics: 3,
            is_aggregate: true,
            ..Wiring::one_topic(1, 1)
        };
        // What is between processes does not run reliably: see its file.
        for peer in peers::all().filter(|peer| peer.how().kind != Kind::Shared) {
            for wiring in [Wiring::one_topic(2, 2), aggregate] {
                let ran = with_driver(peer, wiring, |driver| {
                    driver.run(3)?;
                    driver.run(99)
                });
                let ran = ran.expect("no fault");
                let sent = 99 * wiring.publishers * wiring.subscribers;
                assert_eq!(ran.deliveries + ran.lost, sent as u64, "{}", peer.name());
            }
        }
    }
}
