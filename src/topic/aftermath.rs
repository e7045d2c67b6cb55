//! What follows from the offers of a publish, once nothing is pinned or locked any more: waking, waiting
//! where a mailbox asks for that, closing what is evicted, dropping what was shed (R1, R1b).

#![expect(unsafe_code, reason = "deliveries are given back by their count")]

use super::blocked::Blocked;
use super::node::Alive;
use super::publish_error::PublishError;
use super::subscribers::Entry;
use super::tap::{self, TapInner};
use crate::message::{FinalReason, Message, RawDelivery, Receipt};
use crate::subscription::deliver::report_congestion;
use crate::subscription::options::Congestion;
use crate::subscription::parcel::Parcel;
use crate::subscription::scope;
use crate::subscription::state::{Duty, Home, Subscriber, Wake, submit_all};
use crate::sync::unmodelled::{Arc, Weak};
use smallvec::SmallVec;
use std::time::Instant;

/// A subscriber, and the topic that it is on while that lives.
pub(super) type Listed = (Arc<Subscriber>, Option<Arc<Alive>>);

/// Taps that are to be run, each with its message.
pub(super) type Tapped = SmallVec<[(Arc<TapInner>, Message); 1]>;

/// What follows from the offers, once nothing is pinned or locked. Kept over a batch.
#[derive(Default)]
pub(super) struct Aftermath {
    /// For the pool: all at once, so that a burst wakes one worker.
    pub(super) pool: SmallVec<[Duty; BURST]>,
    pub(super) others: SmallVec<[Duty; 4]>,
    /// Nobody wanted them.
    pub(super) unwanted: SmallVec<[Message; 1]>,
    rare: Option<Rare>,
}

/// What most publishes leave nothing of: neither made nor dropped for them.
#[derive(Default)]
pub(super) struct Rare {
    /// What was shed: dropping it may run code of the user's.
    pub(super) parcels: SmallVec<[Parcel; 2]>,
    pub(super) refunds: SmallVec<[(RawDelivery, u32); 1]>,
    pub(super) blocked: Blocked,
    pub(super) evict: SmallVec<[Listed; 1]>,
    pub(super) congested: SmallVec<[(Arc<Subscriber>, u64); 1]>,
    pub(super) unpinned: SmallVec<[Listed; 2]>,
    pub(super) failed: Option<Message>,
    pub(super) tapped: Tapped,
}

/// So many duties for the pool are handed over at once; the workers begin with them while the publisher
/// goes on.
const BURST: usize = 32;

/// What a batch gathers to be dropped at its end, at most, give or take one message.
const MOST_GATHERED: usize = 256;

impl Aftermath {
    #[inline]
    pub(super) fn wake(&mut self, duty: Duty) {
        if !matches!(duty.wake, Wake::Pool(_)) {
            return self.others.push(duty);
        }
        self.pool.push(duty);
        if self.pool.len() == BURST {
            // The pool runs nothing on this thread, so this is legal under a pin. What comes back because the
            // workers are gone is run when nothing is pinned or locked.
            let refused = submit_all(&mut self.pool);
            self.others.extend(refused);
        }
    }

    /// True if nothing follows.
    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.rare.is_none()
            && self.pool.is_empty()
            && self.others.is_empty()
            && self.unwanted.is_empty()
    }

    /// The one duty for the pool, if that is all that follows.
    #[inline]
    pub(super) fn take_only_duty(&mut self) -> Option<Duty> {
        let is_all = self.pool.len() == 1
            && self.rare.is_none()
            && self.others.is_empty()
            && self.unwanted.is_empty();
        if is_all { self.pool.pop() } else { None }
    }

    /// Saves the drops of what holds nothing.
    #[inline]
    pub(super) fn forget(self) {
        debug_assert!(self.is_nothing() && !self.pool.spilled() && !self.others.spilled());
        std::mem::forget(self);
    }

    /// What is gathered for one pool is not to be handed over together with what comes next.
    #[cold]
    pub(super) fn leave_pool(&mut self) {
        self.others.extend(self.pool.drain(..));
    }

    /// Has the consumer tell of a gap even if nothing follows.
    pub(super) fn tell_gap(&mut self, entry: Entry) {
        if let Some(duty) = entry.get().notify() {
            self.wake(duty);
        }
    }

    /// Where to put what is rare.
    #[cold]
    #[inline(never)]
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The message that a mailbox which fails when full did not take.
    pub(super) fn take_failed(&mut self) -> Option<Message> {
        self.rare.as_mut()?.failed.take()
    }

    /// What publish returns, once all is settled.
    #[inline]
    pub(super) fn outcome(&mut self, receipt: Receipt) -> Result<Receipt, PublishError> {
        let Some(rare) = &mut self.rare else {
            return Ok(receipt);
        };
        if let Some(message) = rare.blocked.take_shut_down() {
            return Err(PublishError::ShutDown(message));
        }
        match rare.failed.take() {
            None => Ok(receipt),
            Some(message) => Err(PublishError::Full { message, receipt }),
        }
    }

    /// True if somebody waits for room, is to be evicted or taps: [`Self::settle`] is due before the next
    /// message, which would overtake the one that waits, or come where one that was refused is missing.
    pub(super) fn is_urgent(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| {
            !(rare.blocked.is_empty() && rare.evict.is_empty() && rare.tapped.is_empty())
        })
    }

    /// True if much of what is to be dropped has gathered: a long batch would keep what was shed on its way.
    pub(super) fn has_gathered(&self) -> bool {
        let rare = self.rare.as_ref();
        let rare = rare.map_or(0, |it| {
            it.parcels.len() + it.refunds.len() + it.unpinned.len()
        });
        self.unwanted.len() + rare >= MOST_GATHERED
    }

    /// Those who wait for room: for a task, which waits for them itself.
    pub(super) fn take_blocked(&mut self) -> Blocked {
        let rare = self.rare.as_mut();
        rare.map(|rare| std::mem::take(&mut rare.blocked))
            .unwrap_or_default()
    }

    /// The taps, for a task, which runs them when nobody waits any more.
    pub(super) fn take_tapped(&mut self) -> Tapped {
        let rare = self.rare.as_mut();
        rare.map(|rare| std::mem::take(&mut rare.tapped))
            .unwrap_or_default()
    }

    /// Mailboxes without room take the message beyond their capacities: for notices of the bus, which come
    /// from whoever subscribes, unsubscribes or shuts down, and none of them waits.
    pub(super) fn wait_for_nobody(&mut self) {
        self.wait_until(Instant::now());
    }

    /// The same from then on.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        if let Some(rare) = &mut self.rare {
            rare.blocked.be_patient_until(deadline);
        }
    }

    /// Does all of it. Nothing is pinned or locked here.
    #[inline]
    pub(super) fn settle(&mut self, receipt: &mut Receipt) {
        if !self.pool.is_empty() {
            let refused = submit_all(&mut self.pool);
            self.others.extend(refused);
        }
        for duty in self.others.drain(..) {
            duty.submit();
        }
        for message in self.unwanted.drain(..) {
            scope::drop_in_scope(message);
        }
        if let Some(rare) = &mut self.rare {
            rare.settle(receipt);
        }
        scope::run_pending();
    }
}

impl Rare {
    #[cold]
    fn settle(&mut self, receipt: &mut Receipt) {
        for (raw, refused) in self.refunds.drain(..) {
            let _scope = scope::enter();
            // SAFETY: so many deliveries of this message were counted and not taken by any mailbox
            unsafe { raw.refund(refused) };
        }
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
            if let Some(marks) = subscriber.mailbox.marks() {
                marks.end_raise();
                // It may be over by now, and nobody could tell.
                subscriber.notify().into_iter().for_each(Duty::submit);
            }
        }
        if !self.blocked.is_empty() {
            // Whoever is inline has been offered the message, too: others may wait for what they do with it.
            scope::run_pending();
            self.blocked.wait(receipt);
        }
        self.unpinned.clear();
        // Last: what a tap publishes comes after its cause for those who had no room as well (C5).
        if !self.tapped.is_empty() {
            tap::run(std::mem::take(&mut self.tapped));
        }
    }
}
