//! The offers of one message, under one pin, to each mailbox. What follows is left to the [`Aftermath`].

#![expect(unsafe_code, reason = "deliveries are counted before they are pushed")]

use super::aftermath::Aftermath;
use super::node::{Alive, Node};
use super::prepare::{Prepared, Ready};
use super::publish::Special;
use super::subscribers::{Entry, List, Listing};
use crate::epoch::Guard;
use crate::message::{Key, Message, RawDelivery, Receipt, TypeInfo};
use crate::subscription::mailbox::{Left, Refusal};
use crate::subscription::parcel::Parcel;
use crate::subscription::state::{Duty, Offered, Subscriber};
use crate::sync::unmodelled::Arc;
use std::ptr;

/// See the module.
pub(super) struct Offers<'a, 's> {
    raw: RawDelivery,
    /// Deliveries that no mailbox took.
    refused: u32,
    receipt: &'a mut Receipt,
    after: &'a mut Aftermath,
    special: &'a mut Special<'s>,
    /// Who that is about, or null.
    about: *const Subscriber,
}

impl<'a, 's> Offers<'a, 's> {
    /// As many offers as `count` says are to follow.
    #[inline]
    pub(super) fn new(
        message: Message,
        count: usize,
        receipt: &'a mut Receipt,
        after: &'a mut Aftermath,
        special: &'a mut Special<'s>,
    ) -> Self {
        Self {
            about: special.subscriber(),
            raw: message.into_deliveries(count.try_into().unwrap_or(u32::MAX)),
            refused: 0,
            receipt,
            after,
            special,
        }
    }

    /// All have been made.
    #[inline]
    pub(super) fn end(self) {
        if self.refused > 0 {
            self.after.rare().refunds.push((self.raw, self.refused));
        }
    }
}

impl Offers<'_, '_> {
    /// Offers to those on the list that want messages of that type.
    #[inline(always)]
    pub(super) fn offer_fast(
        &mut self,
        info: &TypeInfo,
        listing: &Listing,
        node: &Node,
        guard: &Guard,
    ) {
        for list in listing.fast(info) {
            match list {
                List::Empty => {}
                List::Single(entry) => self.offer_one(*entry, node, guard),
                List::Pair(entries) => self.offer_to(entries, node, guard),
                List::One(chunk) => self.offer_to(chunk, node, guard),
                List::Many(chunks) => {
                    for chunk in &**chunks {
                        self.offer_to(chunk, node, guard);
                    }
                }
            }
        }
    }

    /// Offers to all of them. This is where publish spends its time.
    #[inline(never)]
    fn offer_to(&mut self, entries: &[Entry], node: &Node, guard: &Guard) {
        for entry in entries {
            self.offer_one(*entry, node, guard);
        }
    }

    #[inline(always)]
    fn offer_one(&mut self, entry: Entry, node: &Node, guard: &Guard) {
        let subscriber = entry.get();
        let quick = if ptr::eq(subscriber, self.about) {
            None
        } else {
            subscriber.offer_quickly(|| self.one_delivery(), guard)
        };
        match quick {
            Some(duty) => self.queued(duty),
            None => self.offer(entry, node, None, guard),
        }
    }

    #[inline(never)]
    fn offer(&mut self, entry: Entry, node: &Node, key: Option<Key>, guard: &Guard) {
        let subscriber = entry.get();
        let mut parcel = None;
        if ptr::eq(subscriber, self.about) {
            match self.special {
                Special::Skip(_) | Special::Nobody | Special::Staged => {
                    self.refused += 1;
                    return;
                }
                Special::Mark(_, envelope) => {
                    self.refused += 1;
                    parcel = envelope.take().map(Parcel::Marked);
                }
            }
        }
        let parcel = parcel.unwrap_or_else(|| self.one_delivery());
        let mut left = None;
        match subscriber.offer(parcel, key, &mut left, guard) {
            Offered::Queued(duty) => self.queued(duty),
            Offered::Refused(why, parcel) => {
                self.refuse(why, parcel, entry, || node.alive(), guard);
            }
        }
        if left.is_some() || subscriber.mailbox.marks().is_some() {
            self.note(entry, left);
        }
    }

    /// Offers to those for whom code of the user's was run.
    #[cold]
    pub(super) fn offer_prepared(&mut self, prepared: Prepared, guard: &Guard) {
        for Ready {
            subscriber,
            alive,
            key,
        } in prepared
        {
            let entry = Entry::of(&subscriber);
            let mut parcel = None;
            if ptr::eq(&*subscriber, self.about) {
                if let Special::Mark(_, envelope) = self.special {
                    self.refused += 1;
                    parcel = envelope.take().map(Parcel::Marked);
                }
            }
            let parcel = parcel.unwrap_or_else(|| self.one_delivery());
            let mut left = None;
            match subscriber.offer(parcel, key, &mut left, guard) {
                Offered::Queued(duty) => self.queued(duty),
                Offered::Refused(why, parcel) => {
                    self.refuse(why, parcel, entry, || alive.clone(), guard);
                }
            }
            if left.is_some() || subscriber.mailbox.marks().is_some() {
                self.note(entry, left);
            }
            self.after.rare().unpinned.push((subscriber, alive));
        }
    }

    #[inline]
    fn one_delivery(&self) -> Parcel {
        // SAFETY: as many deliveries were counted as there are entries, and each one takes one here
        Parcel::Message(unsafe { self.raw.into_message() })
    }

    #[inline]
    fn queued(&mut self, duty: Option<Duty>) {
        self.receipt.offered += 1;
        if let Some(duty) = duty {
            self.after.wake(duty);
        }
    }

    #[cold]
    fn refuse(
        &mut self,
        why: Refusal,
        parcel: Parcel,
        entry: Entry,
        alive: impl FnOnce() -> Option<Arc<Alive>>,
        guard: &Guard,
    ) {
        match why {
            Refusal::Wait if matches!(self.special, Special::Staged) => {
                return self.offer_past_limit(parcel, entry, guard);
            }
            // Until it is closed, when nothing is locked any more, it gets all: a chain has no hole (C3).
            Refusal::Evict if matches!(self.special, Special::Staged) => {
                self.after.rare().evict.push((entry.to_arc(), alive()));
                return self.offer_past_limit(parcel, entry, guard);
            }
            Refusal::Wait => return self.after.rare().blocked.push(entry.to_arc(), parcel),
            Refusal::Closed => self.receipt.closed += 1,
            Refusal::Evict => {
                self.receipt.closed += 1;
                self.after.rare().evict.push((entry.to_arc(), alive()));
            }
            Refusal::Shed | Refusal::Failed => {
                self.receipt.shed += 1;
                self.after.tell_gap(entry);
                if entry.get().mailbox.spills() {
                    self.raise_congestion(entry);
                }
            }
        }
        match parcel {
            // To be handed back.
            Parcel::Message(message)
                if why == Refusal::Failed && self.after.rare().failed.is_none() =>
            {
                self.after.rare().failed = Some(message);
            }
            parcel => match parcel.forget_delivery() {
                None => self.refused += 1,
                Some(envelope) => self.after.rare().parcels.push(Parcel::Marked(envelope)),
            },
        }
    }

    fn offer_past_limit(&mut self, parcel: Parcel, entry: Entry, guard: &Guard) {
        let subscriber = entry.get();
        match subscriber.offer_unlimited(parcel, guard) {
            Offered::Queued(duty) => {
                subscriber.mailbox.seldom().past_limit.add(1);
                self.queued(duty);
            }
            Offered::Refused(_, parcel) => {
                self.receipt.closed += 1;
                match parcel.forget_delivery() {
                    None => self.refused += 1,
                    Some(envelope) => self.after.rare().parcels.push(Parcel::Marked(envelope)),
                }
            }
        }
    }

    #[cold]
    fn note(&mut self, entry: Entry, left: Option<Left>) {
        let subscriber = entry.get();
        if let Some(Left { parcel, shed }) = left {
            self.after.rare().parcels.push(parcel);
            if shed {
                self.receipt.shed += 1;
                self.after.tell_gap(entry);
            }
        }
        let depth = subscriber.mailbox.depth();
        if subscriber
            .mailbox
            .marks()
            .is_some_and(|marks| depth >= marks.high)
        {
            self.raise_congestion(entry);
        }
    }

    fn raise_congestion(&mut self, entry: Entry) {
        let subscriber = entry.get();
        if subscriber
            .mailbox
            .marks()
            .is_some_and(|marks| marks.begin_raise())
        {
            let depth = subscriber.mailbox.depth();
            self.after.rare().congested.push((entry.to_arc(), depth));
        }
    }
}
