//! A contender that the calling thread publishes to, for shapes that look at single messages.

use crate::driver::consumers;
use crate::item::Item;
use crate::ledger::{Ledger, Look};
use crate::peer::{Arena, Fault, Peer, Publisher, Wiring};
use crate::watchdog;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// See the module.
pub(crate) struct Single {
    arena: Box<dyn Arena>,
    ledger: Arc<Ledger>,
    publishers: Vec<Box<dyn Publisher>>,
    sent: u64,
    topics: u64,
}

impl Single {
    /// Publishes the next item, stamped.
    #[inline]
    pub(crate) fn publish(&mut self, stamp: u64) {
        let item = Item::stamped(0, self.sent, stamp);
        self.sent += 1;
        self.publishers[0].publish(item);
    }

    /// For who publishes by them, and drops them when all is done.
    pub(crate) fn take_publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        std::mem::take(&mut self.publishers)
    }

    /// So many will be published; a multiple of the number of topics.
    pub(crate) fn expect(&mut self, count: u64) {
        self.ledger.expect(count / self.topics);
    }

    /// Waits until all that were expected have come.
    ///
    /// # Errors
    /// If messages are missing or come out of order.
    pub(crate) fn wait(&self) -> Result<(), Fault> {
        self.ledger.wait(|| true).map(drop)
    }

    fn close(self) -> Result<(), Fault> {
        drop(self.publishers);
        self.arena.close()?;
        self.ledger.close()
    }
}

/// Sets a contender up with one publisher, runs `work` on it, and ends it. After a fault it is left as it is: its
/// threads may never end.
///
/// # Errors
/// If anything is wrong.
pub(crate) fn with_single<T>(
    peer: &'static dyn Peer,
    wiring: Wiring,
    look: impl FnMut(usize) -> Option<Look>,
    work: impl FnOnce(&mut Single) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let name = peer.name();
    let _watch = watchdog::watch(format!("{name} in {wiring:?}"));
    let run = || {
        let ledger = Ledger::new(wiring.consumers());
        let consumers = consumers(peer, &wiring, &ledger, look);
        let mut arena = peer.build(&wiring, consumers)?;
        let publishers = arena.publishers();
        let mut single = ManuallyDrop::new(Single {
            arena,
            ledger,
            publishers,
            sent: 0,
            topics: wiring.topics as u64,
        });
        let worked = work(&mut single)?;
        ManuallyDrop::into_inner(single).close()?;
        Ok(worked)
    };
    run().map_err(|fault: Fault| format!("{name}: {fault}").into())
}
