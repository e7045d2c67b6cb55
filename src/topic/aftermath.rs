//! What follows from the offers of a publish, once nothing is pinned or locked any more: waking, waiting where a
//! mailbox asks for that, closing what is evicted, dropping what was shed (R1, R1b).

#![expect(unsafe_code, reason = "deliveries are given back by their count")]

use super::node::Alive;
use super::subscribers::Entry;
use crate::epoch;
use crate::message::{FinalReason, Message, RawDelivery, Receipt};
use crate::subscription::deliver::report_congestion;
use crate::subscription::mailbox::Refusal;
use crate::subscription::options::Congestion;
use crate::subscription::parcel::Parcel;
use crate::subscription::scope;
use crate::subscription::state::{Duty, Home, Offered, Subscriber, Wake, submit_all};
use crate::subscription::waiting::Waiter;
use crate::sync::Parker;
use crate::sync::unmodelled::{Arc, Weak};
use smallvec::SmallVec;
use std::time::Instant;

/// A subscriber, and the topic that it is on while that lives.
pub(super) type Listed = (Arc<Subscriber>, Option<Arc<Alive>>);

/// What follows from the offers, once nothing is pinned or locked. Kept over a batch.
#[derive(Default)]
pub(super) struct Aftermath {
    /// For the pool: all at once, so that a burst wakes one worker.
    pub(super) pool: SmallVec<[Duty; BURST]>,
    pub(super) others: SmallVec<[Duty; 4]>,
    /// What was shed: dropping it may run code of the user's.
    pub(super) parcels: SmallVec<[Parcel; 2]>,
    pub(super) refunds: SmallVec<[(RawDelivery, u32); 1]>,
    /// Nobody wanted them.
    pub(super) unwanted: SmallVec<[Message; 1]>,
    pub(super) waiting: SmallVec<[(Arc<Subscriber>, Parcel); 1]>,
    pub(super) evict: SmallVec<[Listed; 1]>,
    pub(super) congested: SmallVec<[(Arc<Subscriber>, u64); 1]>,
    pub(super) unpinned: SmallVec<[Listed; 2]>,
    pub(super) failed: Option<Message>,
}

/// So many duties for the pool are handed over at once; the workers begin with them while the publisher goes on.
const BURST: usize = 32;

impl Aftermath {
    #[inline]
    pub(super) fn wake(&mut self, duty: Duty) {
        if !matches!(duty.wake, Wake::Pool(_)) {
            return self.others.push(duty);
        }
        self.pool.push(duty);
        if self.pool.len() == BURST {
            // The pool runs nothing on this thread, so this is legal under a pin.
            submit_all(&mut self.pool);
        }
    }

    /// Has the consumer tell of a gap even if nothing follows.
    pub(super) fn tell_gap(&mut self, entry: Entry) {
        if let Some(duty) = entry.get().notify() {
            self.wake(duty);
        }
    }

    /// The message, or the first one of a batch, that a mailbox which fails when full did not take.
    pub(super) fn take_failed(&mut self) -> Option<Message> {
        self.failed.take()
    }

    /// True if somebody waits for room: [`Self::settle`] is due before the next message.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Those who wait for room: for a task, which waits for them itself.
    pub(super) fn take_waiting(&mut self) -> SmallVec<[(Arc<Subscriber>, Parcel); 1]> {
        std::mem::take(&mut self.waiting)
    }

    /// Does all of it. Nothing is pinned or locked here.
    #[inline]
    pub(super) fn settle(&mut self, receipt: &mut Receipt) {
        if !self.pool.is_empty() {
            submit_all(&mut self.pool);
        }
        for duty in self.others.drain(..) {
            duty.submit();
        }
        for (raw, refused) in self.refunds.drain(..) {
            let _scope = scope::enter();
            // SAFETY: so many deliveries of this message were counted and not taken by any mailbox
            unsafe { raw.refund(refused) };
        }
        for message in self.unwanted.drain(..) {
            scope::drop_in_scope(message);
        }
        if self.has_rare() {
            self.settle_rare(receipt);
        }
        scope::run_pending();
    }

    fn has_rare(&self) -> bool {
        !(self.parcels.is_empty()
            && self.waiting.is_empty()
            && self.evict.is_empty()
            && self.congested.is_empty()
            && self.unpinned.is_empty())
    }

    #[cold]
    fn settle_rare(&mut self, receipt: &mut Receipt) {
        for parcel in self.parcels.drain(..) {
            scope::drop_in_scope(parcel);
        }
        for (subscriber, alive) in std::mem::take(&mut self.evict) {
            if let Some(alive) = alive {
                alive.close(&subscriber, FinalReason::Evicted);
            }
        }
        for (subscriber, depth) in std::mem::take(&mut self.congested) {
            if let Some(hooks) = subscriber.hooks.as_ref().and_then(Weak::upgrade) {
                report_congestion(
                    Some(&hooks),
                    Congestion {
                        raised: true,
                        depth,
                    },
                );
                scope::drop_in_scope(hooks);
            }
        }
        for (subscriber, parcel) in std::mem::take(&mut self.waiting) {
            wait_for_room(&subscriber, parcel, receipt);
        }
        self.unpinned.clear();
    }
}

/// Offers to a full mailbox until it takes the message, its time runs out, or it is closed.
fn wait_for_room(subscriber: &Arc<Subscriber>, mut parcel: Parcel, receipt: &mut Receipt) {
    let mailbox = &subscriber.mailbox;
    let Some((timeout, room)) = mailbox.blocking() else {
        return scope::drop_in_scope(parcel);
    };
    let may_wait = scope::may_wait().is_ok();
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let parker = Arc::new(Parker::new());
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timed_out = left.is_some_and(|left| left.is_zero());
        if may_wait {
            room.register(Waiter::Thread(Arc::clone(&parker)));
        }
        let offered = if may_wait {
            subscriber.offer(parcel, None, &mut None, &epoch::pin())
        } else {
            subscriber.offer_unlimited(parcel, &epoch::pin())
        };
        parcel = match offered {
            Offered::Queued(duty) => {
                receipt.offered += 1;
                return duty.into_iter().for_each(Duty::submit);
            }
            Offered::Refused(Refusal::Wait, parcel) if timed_out => {
                receipt.shed += 1;
                scope::drop_in_scope(mailbox.shed_newest(parcel));
                return subscriber.notify().into_iter().for_each(Duty::submit);
            }
            Offered::Refused(Refusal::Wait, parcel) => parcel,
            Offered::Refused(_, parcel) => {
                receipt.closed += 1;
                return scope::drop_in_scope(parcel);
            }
        };
        match left {
            None => parker.park(),
            Some(left) => {
                parker.park_timeout(left);
            }
        }
    }
}
