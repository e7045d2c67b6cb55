//! Publish: offering one message to every mailbox that wants it, without waiting for any of them. What
//! follows from that is left to the [`Aftermath`].

use super::aftermath::Aftermath;
use super::forward::{Step, reach, step};
use super::node::{Alive, Node};
use super::offers::Offers;
use super::prepare::{Asked, Prepared, Slow, collect_slow, leave_out, leave_unwanted, prepare};
use super::publish_error::PublishError;
use super::subscribers::Listing;
use super::tap::TapInner;
use crate::epoch::{self, Guard};
use crate::message::{Message, Receipt, TypeInfo};
use crate::subscription::parcel::Envelope;
use crate::subscription::scope;
use crate::subscription::state::Subscriber;
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
    pub(super) fn subscriber(&self) -> *const Subscriber {
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

/// Publishes a message of that type, if that can be done without making it: nobody wants it, and that is
/// plain to see.
#[inline]
pub(super) fn publish_to_nobody(node: &Node, info: &TypeInfo) -> Option<Receipt> {
    // Where else it goes is looked at first, as in `listings`.
    if !node.route.is_null() {
        return None;
    }
    let glance = node.interest.glance();
    if !glance.is_plain() || info.is_control() || !glance.is_nobody(info) {
        return None;
    }
    node.published.add(1);
    Some(Receipt {
        filtered: glance.len(),
        ..Receipt::default()
    })
}

/// Publishes one message, and does all that follows from it.
/// `node` is the topic's, which is `alive`.
pub(super) fn publish_and_settle(
    node: &Node,
    alive: &Alive,
    mut message: Message,
) -> Result<Receipt, PublishError> {
    if !node.interest.glance().is_plain() || message.info().is_control() {
        message = admit(alive, message)?;
    }
    let mut after = Aftermath::default();
    let mut receipt = Receipt::default();
    node.published.add(1);
    let special = &mut Special::Nobody;
    match offer_plainly(node, message, special, &mut receipt, &mut after) {
        None if after.is_nothing() => {
            // Neither does anything wait to be run on this thread because of it.
            after.forget();
            return Ok(receipt);
        }
        None => {
            if let Some(duty) = after.take_only_duty() {
                after.forget();
                duty.submit();
                scope::run_pending();
                return Ok(receipt);
            }
        }
        Some(message) => offer_at_length(node, message, special, &mut receipt, &mut after),
    }
    after.settle(&mut receipt);
    after.outcome(receipt)
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
    let left = offer_plainly(&alive.node, message, special, &mut receipt, after);
    if let Some(message) = left {
        offer_at_length(&alive.node, message, special, &mut receipt, after);
    }
    receipt
}

/// Offers a message to everybody, if that is the usual thing: it goes to this topic and perhaps one more, and
/// they have neither total order nor taps nor subscribers for whom code of the user's is to be run first.
/// Else nothing has happened, and here it is again.
#[inline]
fn offer_plainly(
    node: &Node,
    message: Message,
    special: &mut Special<'_>,
    receipt: &mut Receipt,
    after: &mut Aftermath,
) -> Option<Message> {
    if node.interest.glance().is_rare() {
        // No need to pin for that.
        return Some(message);
    }
    let guard = epoch::pin();
    match step(node, &guard) {
        Step::Nowhere => {
            let here = [(node, node.listing.load(&guard))];
            offer_listed(here, message, special, receipt, after, &guard)
        }
        Step::Once(next) => offer_there_too(node, next, message, special, receipt, after, &guard),
        Step::Further => Some(message),
    }
}

#[inline(never)]
fn offer_there_too(
    node: &Node,
    next: &Node,
    message: Message,
    special: &mut Special<'_>,
    receipt: &mut Receipt,
    after: &mut Aftermath,
    guard: &Guard,
) -> Option<Message> {
    let both = [node, next].map(|node| (node, node.listing.load(guard)));
    offer_listed(both, message, special, receipt, after, guard)
}

#[inline(always)]
fn offer_listed<const N: usize>(
    listings: [(&Node, Option<&Listing>); N],
    message: Message,
    special: &mut Special<'_>,
    receipt: &mut Receipt,
    after: &mut Aftermath,
    guard: &Guard,
) -> Option<Message> {
    let info = message.info();
    let (mut count, mut others) = (0, 0);
    for (node, listing) in listings {
        if node.has_total_order() || listing.is_some_and(Listing::is_rare) {
            return Some(message);
        }
        if let Some(listing) = listing {
            let wanting = listing.count_fast(info);
            count += wanting;
            others += listing.len().saturating_sub(wanting);
        }
    }
    if !info.is_control() {
        receipt.filtered += others as u64;
    }
    if count == 0 {
        after.unwanted.push(message);
        return None;
    }
    let mut offers = Offers::new(message, count, receipt, after, special);
    for (node, listing) in listings {
        if let Some(listing) = listing {
            offers.offer_fast(info, listing, node, guard);
        }
    }
    offers.end();
    None
}

/// Offers a message to everybody, whatever has to be done for that.
#[inline(never)]
fn offer_at_length(
    node: &Node,
    message: Message,
    special: &mut Special<'_>,
    receipt: &mut Receipt,
    after: &mut Aftermath,
) {
    let offered = offer_all(node, message, None, special, receipt, after);
    if let Err((message, slow)) = offered {
        let prepared = prepare(slow, &message, special, receipt);
        let offered = offer_all(node, message, Some(prepared), special, receipt, after);
        debug_assert!(offered.is_ok());
    }
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
    let mut offers = Offers::new(message, count, receipt, after, special);
    for (node, listing) in &listings {
        offers.offer_fast(info, listing, node, &guard);
    }
    if let Some(prepared) = prepared {
        offers.offer_prepared(prepared, &guard);
    }
    offers.end();
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
fn count_fast(listings: &Listings<'_>, info: &TypeInfo, receipt: &mut Receipt) -> usize {
    let (mut fast, mut others) = (0, 0);
    for (_, listing) in listings {
        let wanting = listing.count_fast(info);
        fast += wanting;
        others += listing.len().saturating_sub(wanting + listing.slow().len());
    }
    if !info.is_control() {
        receipt.filtered += others as u64;
    }
    fast
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
    if node.route.is_null() && node.interest.glance().is_nobody(info) {
        return false;
    }
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
