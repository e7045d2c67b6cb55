//! D4, D6: a change of the types that a subscription accepts is one step for whoever publishes. A message of a type
//! that it accepts before and after comes exactly once; once decline has returned, none comes any more.
//!
//! Mutants: off one list and onto the other in two steps, onto the other first, a decline that does not wait for
//! those who are offering, a change outside the control lock.
#![cfg(loom)]

use loom_tests::{Got, Note, notes, phased, race};
use stasis_bus::{Bus, MessageType, Receiver};

static OTHER: MessageType<u8> = MessageType::new("other");

fn drain(receiver: &mut Receiver) -> Vec<Got> {
    receiver
        .try_iter()
        .map(|message| Got::of(&message))
        .collect()
}

#[test]
fn accepted_before_and_after() {
    phased("d6_types_change, from one list to another", 6, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let builder = topic.subscribe().changeable().accept_payload::<Note>();
        let mut receiver = builder.receiver().unwrap();
        let publisher = topic.clone();
        let [changed, _] = race(
            &topic,
            [
                Box::new(move || {
                    receiver.subscription().accept_all().unwrap();
                    Some(receiver)
                }),
                Box::new(move || {
                    publisher.publish(Note::new(0, 0)).unwrap();
                    None
                }),
            ],
        );
        receiver = changed.unwrap();
        assert_eq!(drain(&mut receiver), [Got::Note((0, 0))]);
    });
}

#[test]
fn nothing_comes_once_it_is_declined() {
    phased("d6_types_change, decline", 70, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let builder = topic.subscribe().changeable().accept_payload::<Note>();
        let mut receiver = builder.receiver().unwrap();
        let (publisher, after) = (topic.clone(), topic.clone());
        let [(changed, before), (_, accepted)] = race(
            &topic,
            [
                Box::new(move || {
                    receiver.subscription().accept_only([]).unwrap();
                    assert!(receiver.subscription().is_subscribed());
                    let before = receiver.subscription().stats().offered;
                    assert_eq!(after.publish(Note::new(1, 0)).unwrap().offered(), 0);
                    (Some(receiver), before)
                }),
                Box::new(move || {
                    let receipt = publisher.publish(Note::new(0, 0)).unwrap();
                    (None, receipt.offered())
                }),
            ],
        );
        receiver = changed.unwrap();
        assert_eq!(before, accepted, "it was all that came");
        let got = drain(&mut receiver);
        assert_eq!(notes(&got).len() as u64, accepted);
    });
}

#[test]
fn two_who_change_it() {
    phased("d6_types_change, two changes", 4, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let change = || topic.subscribe().changeable().receiver().unwrap();
        let [mut one, mut two] = [change(), change()];
        let [(first, _), (second, _)] = race(
            &topic,
            [
                Box::new(move || {
                    one.subscription().accept_all().unwrap();
                    (one, 1)
                }),
                Box::new(move || {
                    two.subscription().accept(&OTHER).unwrap();
                    (two, 2)
                }),
            ],
        );
        [one, two] = [first, second];
        assert_eq!(topic.publish(OTHER.message(7)).unwrap().offered(), 2);
        assert_eq!((one.try_iter().count(), two.try_iter().count()), (1, 1));
    });
}
