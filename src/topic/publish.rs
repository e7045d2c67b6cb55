//! Publish: offering one message to every mailbox that wants it, without waiting for any of them. What
//! follows from that is left to the [`Aftermath`].

#![expect(unsafe_code, reason = "deliveries are counted before they are pushed")]

use super::aftermath::Aftermath;
use super::forward::{Step, reach, step};
use super::node::{Alive, Node};
use super::prepare::{
    Asked, Prepared, Ready, Slow, collect_slow, leave_out, leave_unwanted, prepare,
};
use super::publish_error::PublishError;
use super::subscribers::{self, Entry, Listing};
use super::tap::TapInner;
use crate::epoch::{self, Guard};
use crate::message::{Key, Message, RawDelivery, Receipt, TypeInfo};
use crate::subscription::mailbox::{Left, Refusal};
use crate::subscription::parcel::{Envelope, Parcel};
use crate::subscription::state::{Duty, Offered, Subscriber};
use crate::sync::MutexGuard;
use crate::sync::unmodelled::{Arc, Weak};
use smallvec::SmallVec;
use std::ptr;

/// One subscriber that is not to be treated like the others.
pub(super) enum Special<'a> {
    Nobody,
    /// It gets nothing: it is the one that the message is about.
    Skip(&'a Arc<Subscriber>),
    /// It gets the envelope, for somebody waits for it.
    Mark(&'a Arc<Subscriber>, Option<Box<Envelope>>),
    /// Nobody, and nobody is waited for: a mailbox that blocks takes the message past its capacity at once,
    /// before the next one can be offered (C3).
    Staged,
}

impl Special<'_> {
    #[inline]
    fn subscriber(&self) -> *const Subscriber {
        match self {
            Self::Nobody | Self::Staged => ptr::null(),
            Self::Skip(subscriber) | Self::Mark(subscriber, _) => Arc::as_ptr(subscriber),
        }
    }
}

/// Whether a publish on that topic is legal at all.
pub(super) fn admit(alive: &Alive, message: Message) -> Result<Message, PublishError> {
    if message.info().is_control() {
        return Err(PublishError::ControlType(message));
    }
    if alive.core.declines(message.info()) {
        return Err(PublishError::Declined(message));
    }
    if alive.node.is_closed() {
        let shut_down = alive.core.is_shut_down();
        return Err(if shut_down {
            PublishError::ShutDown(message)
        } else {
            PublishError::Closed(message)
        });
    }
    Ok(message)
}

/// Publishes one message. `special` is left with its envelope if its subscriber was not found.
pub(super) fn publish(
    alive: &Alive,
    message: Message,
    special: &mut Special<'_>,
    after: &mut Aftermath,
) -> Receipt {
    alive.node.published.add(1);
    let mut receipt = Receipt::default();
    let offered = offer_all(&alive.node, message, None, special, &mut receipt, after);
    if let Err((message, slow)) = offered {
        let prepared = prepare(slow, &message, special, &mut receipt);
        let offered = offer_all(
            &alive.node,
            message,
            Some(prepared),
            special,
            &mut receipt,
            after,
        );
        debug_assert!(offered.is_ok());
    }
    receipt
}

/// Runs the filters and key functions of those who are listed now.
pub(super) fn prepare_ahead(
    node: &Node,
    message: &Message,
    receipt: &mut Receipt,
) -> (Prepared, Asked) {
    let slow = {
        let guard = epoch::pin();
        collect_slow(&listings(node, &guard), message.info(), &guard)
    };
    let asked = slow.iter().map(Slow::id).collect();
    (prepare(slow, message, &Special::Staged, receipt), asked)
}

/// True if there is nobody for whom code of the user's would have to be run but those.
pub(super) fn were_all_asked(node: &Node, asked: &[u64]) -> bool {
    let guard = epoch::pin();
    let listings = listings(node, &guard);
    let mut slow = listings
        .iter()
        .flat_map(|(_, listing)| listing.slow().iter());
    slow.all(|entry| asked.contains(&entry.get().id))
}

/// The second step of a staged publish: no code of the user's, and nobody is waited for.
pub(super) fn offer_staged(
    node: &Node,
    message: Message,
    prepared: Prepared,
    receipt: &mut Receipt,
    after: &mut Aftermath,
) {
    node.published.add(1);
    let special = &mut Special::Staged;
    let offered = offer_all(node, message, Some(prepared), special, receipt, after);
    debug_assert!(offered.is_ok());
}

/// Offers a message to everybody, under one pin. If code of the user's has to run first for somebody,
/// nothing has happened, and they are handed back with the message: to be called again once they are
/// prepared.
#[inline]
fn offer_all(
    node: &Node,
    message: Message,
    mut prepared: Option<Prepared>,
    special: &mut Special<'_>,
    receipt: &mut Receipt,
    after: &mut Aftermath,
) -> Result<(), (Message, SmallVec<[Slow; 4]>)> {
    let info = message.info();
    let guard = epoch::pin();
    let mut listings = listings(node, &guard);
    if prepared.is_none()
        && listings
            .iter()
            .any(|(_, listing)| !listing.slow().is_empty())
    {
        return Err((message, collect_slow(&listings, info, &guard)));
    }
    let locks = take_turn(node, &mut listings, &guard);
    let fast = count_fast(&listings, info, receipt);
    let count = match &mut prepared {
        None => fast,
        Some(prepared) => {
            leave_unreached(prepared, &listings, after);
            receipt.filtered += leave_unwanted(prepared, info, &guard, after);
            fast + prepared.len()
        }
    };
    let is_tapped = listings
        .iter()
        .any(|(_, listing)| !listing.taps().is_empty())
        && !info.is_control();
    if count == 0 {
        match is_tapped {
            true => leave_to_taps(&listings, message, after),
            false => after.unwanted.push(message),
        }
        return Ok(());
    }
    if is_tapped {
        collect_taps(&listings, &message, after);
    }
    let raw = message.into_deliveries(count.try_into().unwrap_or(u32::MAX));
    let mut offers = Offers {
        about: special.subscriber(),
        raw,
        refused: 0,
        receipt,
        after,
        special,
    };
    for (node, listing) in &listings {
        for list in listing.fast(info) {
            for chunk in list.chunks() {
                offers.offer_to(chunk, node, &guard);
            }
        }
    }
    if let Some(prepared) = prepared {
        offers.offer_prepared(prepared, &guard);
    }
    let refused = offers.refused;
    if refused > 0 {
        after.rare().refunds.push((raw, refused));
    }
    drop(locks);
    Ok(())
}

/// Has the taps of all topics in reach run once nothing is pinned.
#[cold]
fn collect_taps(listings: &Listings<'_>, message: &Message, after: &mut Aftermath) {
    let tapped = &mut after.rare().tapped;
    tapped.extend(taps(listings).map(|tap| (tap, message.clone())));
}

/// Nobody wants the message but the taps: the last one gets the handle itself.
#[cold]
fn leave_to_taps(listings: &Listings<'_>, message: Message, after: &mut Aftermath) {
    let mut taps: SmallVec<[Arc<TapInner>; 1]> = taps(listings).collect();
    let Some(last) = taps.pop() else {
        return after.unwanted.push(message);
    };
    let tapped = &mut after.rare().tapped;
    tapped.extend(taps.into_iter().map(|tap| (tap, message.clone())));
    tapped.push((last, message));
}

fn taps(listings: &Listings<'_>) -> impl Iterator<Item = Arc<TapInner>> {
    let taps = listings.iter().flat_map(|(_, listing)| listing.taps());
    taps.filter_map(Weak::upgrade)
}

/// Who is on a topic with total order that is out of reach by now is offered nothing: its turn is not held
/// (D7).
fn leave_unreached(prepared: &mut Prepared, listings: &Listings<'_>, after: &mut Aftermath) {
    leave_out(prepared, after, |ready| {
        let ordered = ready.alive.as_ref().map(|alive| &*alive.node);
        ordered
            .filter(|node| node.has_total_order())
            .is_some_and(|node| !listings.iter().any(|(reached, _)| reached.id == node.id))
    });
}

pub(super) type Listings<'g> = SmallVec<[(&'g Node, &'g Listing); 8]>;

#[inline]
fn listings<'g>(node: &'g Node, guard: &'g Guard) -> Listings<'g> {
    let mut found = Listings::new();
    let mut add = |node: &'g Node| {
        if let Some(listing) = node.listing.load(guard) {
            found.push((node, listing));
        }
    };
    match step(node, guard) {
        // Nowhere else: most topics.
        Step::Nowhere => add(node),
        // Most of those that are forwarded.
        Step::Once(next) => {
            add(node);
            add(next);
        }
        Step::Further => reach(node, guard).into_iter().for_each(add),
    }
    found
}

/// Holds the sequencers of all topics in `listings` that have one, in the order of their numbers (D7).
#[inline]
fn take_turn<'g>(
    node: &'g Node,
    listings: &mut Listings<'g>,
    guard: &'g Guard,
) -> SmallVec<[MutexGuard<'g, ()>; 2]> {
    if listings.iter().all(|(node, _)| node.sequencer.is_none()) {
        return SmallVec::new();
    }
    loop {
        let ordered = sequenced(listings);
        let locks = ordered
            .iter()
            .filter_map(|node| node.sequencer.as_ref())
            .map(|sequencer| sequencer.lock())
            .collect();
        // What was listed before the sequencers were held may have changed, and with it which are to be held.
        *listings = self::listings(node, guard);
        let held = |node: &&Node| ordered.iter().any(|held| held.id == node.id);
        if sequenced(listings).iter().all(held) {
            return locks;
        }
        drop(locks);
    }
}

fn sequenced<'g>(listings: &Listings<'g>) -> SmallVec<[&'g Node; 8]> {
    let nodes = listings.iter().map(|(node, _)| *node);
    let mut ordered: SmallVec<_> = nodes.filter(|node| node.sequencer.is_some()).collect();
    ordered.sort_by_key(|node: &&Node| node.id);
    ordered
}

/// How many can be offered the message right away. Books those whose filters by type decline it.
#[inline]
fn count_fast(listings: &Listings<'_>, info: &TypeInfo, receipt: &mut Receipt) -> usize {
    let (mut fast, mut others) = (0, 0);
    for (_, listing) in listings {
        let wanting: usize = listing.fast(info).map(subscribers::List::len).sum();
        fast += wanting;
        others += listing.len().saturating_sub(wanting + listing.slow().len());
    }
    if !info.is_control() {
        receipt.filtered += others as u64;
    }
    fast
}

/// The offers of one message, under one pin.
struct Offers<'a, 's> {
    raw: RawDelivery,
    /// Deliveries that no mailbox took.
    refused: u32,
    receipt: &'a mut Receipt,
    after: &'a mut Aftermath,
    special: &'a mut Special<'s>,
    /// Who that is about, or null.
    about: *const Subscriber,
}

impl Offers<'_, '_> {
    /// Offers to all of them. This is where publish spends its time.
    #[inline]
    fn offer_to(&mut self, entries: &[Entry], node: &Node, guard: &Guard) {
        for entry in entries {
            let subscriber = entry.get();
            let quick = if ptr::eq(subscriber, self.about) {
                None
            } else {
                subscriber.offer_quickly(|| self.one_delivery(), guard)
            };
            match quick {
                Some(duty) => self.queued(duty),
                None => self.offer(*entry, node, None, guard),
            }
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
    fn offer_prepared(&mut self, prepared: Prepared, guard: &Guard) {
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

/// Publishes a notice of the bus, to all but the subscriber that it is about.
pub(super) fn control(alive: &Alive, message: Message, about: &Arc<Subscriber>) {
    let mut after = Aftermath::default();
    let mut receipt = publish(alive, message, &mut Special::Skip(about), &mut after);
    after.wait_for_nobody();
    after.settle(&mut receipt);
}

/// Whether a publish of that type on that topic would be wanted by anybody, as far as filters by type tell.
pub(super) fn has_subscribers_for(node: &Node, info: &TypeInfo) -> bool {
    let guard = epoch::pin();
    let wants = |node: &Node| {
        let listing = node.listing.load(&guard);
        listing.is_some_and(|listing| listing.wants(info, &guard))
    };
    match step(node, &guard) {
        Step::Nowhere => wants(node),
        Step::Once(next) => wants(node) || wants(next),
        Step::Further => reach(node, &guard).into_iter().any(wants),
    }
}
