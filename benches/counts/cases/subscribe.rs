//! What comes and goes.

use super::{BURST, CALLS, Keeper, bus_and_topic, measured_calls, receivers};
use crate::support::Payload;
use stasis_bus::{Receiver, Subscription, Topic};
use std::hint::black_box;

fn subscribe(topic: &Topic) -> Subscription {
    let subscription = topic.subscribe().run(|it: &Payload| {
        black_box(it.number);
    });
    subscription.expect("an open topic")
}

fn receive(topic: &Topic) -> Receiver {
    topic.subscribe().receiver().expect("an open topic")
}

/// Subscriptions of the pool: in each round so many come, and go again. Either the coming or the going is counted.
fn pool(beside: usize, count_coming: bool) {
    let (bus, topic) = bus_and_topic();
    let keeper = Keeper::new(&bus);
    let _beside: Vec<_> = (0..beside).map(|_| subscribe(&topic)).collect();
    let mut subscriptions = Vec::with_capacity(BURST);
    for round in 0..=CALLS / BURST {
        keeper.keep_away(|| {
            let mut come = || subscriptions.push(subscribe(&topic));
            calls(round > 0 && count_coming, &mut come);
            let mut go = || drop(subscriptions.pop());
            calls(round > 0 && !count_coming, &mut go);
        });
    }
}

fn calls(is_counted: bool, call: &mut dyn FnMut()) {
    if is_counted {
        measured_calls(BURST, call);
    } else {
        (0..BURST).for_each(|_| call());
    }
}

pub(super) fn to_pool(beside: usize) {
    pool(beside, true);
}

pub(super) fn from_pool(beside: usize) {
    pool(beside, false);
}

/// In the same way with receivers, whose end is no work for the pool.
fn receive_beside(others: usize, count_coming: bool) {
    let (_bus, topic) = bus_and_topic();
    let beside = receivers(&topic, others);
    let mut guests = Vec::with_capacity(BURST);
    for round in 0..=CALLS / BURST {
        let mut come = || guests.push(receive(&topic));
        calls(round > 0 && count_coming, &mut come);
        let mut go = || drop(guests.pop());
        calls(round > 0 && !count_coming, &mut go);
    }
    // To take them off one by one is not what is counted.
    std::mem::forget(beside);
}

pub(super) fn to(others: usize) {
    receive_beside(others, true);
}

pub(super) fn from(others: usize) {
    receive_beside(others, false);
}
