//! Two channels on a bus of their own, and what the tests of telephony read events with.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use serde_json::Value;
use stasis_bus::channels::{Channel, ChannelSnapshot, Telephony};
use stasis_bus::json::JSON;
use stasis_bus::{Bus, Message, Receiver, Sanitizer, Topic};

pub struct Scene {
    pub _bus: Bus,
    pub telephony: Telephony,
    pub alice: Channel,
    pub bob: Channel,
}

pub fn scene() -> Scene {
    let bus = Bus::builder().workers(1).build().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    let alice = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let bob = telephony.channel("1.2", "PJSIP/bob-2").unwrap();
    alice.publish().unwrap();
    bob.publish().unwrap();
    Scene {
        _bus: bus,
        telephony,
        alice,
        bob,
    }
}

pub fn all(topic: &Topic) -> Receiver {
    topic.subscribe().receiver().unwrap()
}

pub fn one(receiver: &mut Receiver) -> Message {
    let message = receiver.try_recv().expect("a message");
    assert!(receiver.try_recv().is_err(), "one only");
    message
}

pub fn types(receiver: &mut Receiver) -> Vec<&'static str> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .map(|message| message.type_name())
        .collect()
}

pub fn to_json(message: &Message) -> Value {
    serde_json::from_str(&message.render(&JSON).expect("JSON")).expect("valid JSON")
}

/// Leaves out the channels of that name.
pub fn hiding(name: &'static str) -> Sanitizer {
    Sanitizer::new("hiding", move |subject| {
        let channel = subject.snapshot::<ChannelSnapshot>();
        channel.is_some_and(|channel| channel.name() == name)
    })
}
