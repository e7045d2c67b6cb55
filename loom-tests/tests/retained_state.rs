//! D2, C2: what a state retains is what its subscriptions got last, whoever races to publish; and a subscription
//! that begins with what is retained gets that once, and everything after it.
//!
//! Who is an implicit publisher of it is part of the same step.
//!
//! Mutants: an offer after the lock, a start without the publishers' lock, a start without a mark, a publisher
//! before its message is stored.
#![cfg(loom)]

use loom_tests::{Got, Note, Tag, notes, phased, race};
use stasis_bus::{Bus, Message, Origin, Receiver, StateTopics};

fn drain(receiver: &mut Receiver) -> Vec<Tag> {
    let got: Vec<Got> = receiver.try_iter().map(|it| Got::of(&it)).collect();
    notes(&got)
}

fn tag(message: &Message) -> Tag {
    message.get::<Note>().unwrap().tag()
}

#[test]
fn two_publish() {
    phased("retained_state, two publish", 115, || {
        let bus = Bus::new().unwrap();
        let all = bus.topic("all").unwrap();
        let states = StateTopics::new(&all).unwrap();
        let mut receiver = states.subscribe("a", |it| it.receiver()).unwrap();
        let publishers = [0, 1].map(|_| states.publisher("a").unwrap());
        let [first, second] = publishers;
        race(
            &all,
            [
                Box::new(move || first.publish(Note::new(0, 0)).map(|_| ()).unwrap()),
                Box::new(move || second.publish(Note::new(1, 0)).map(|_| ()).unwrap()),
            ],
        );
        let got = drain(&mut receiver);
        assert_eq!(got.len(), 2);
        assert_eq!(got.last(), states.get("a").as_ref().map(tag).as_ref());
    });
}

#[test]
fn one_publishes_and_one_begins() {
    phased("retained_state, one begins", 132, || {
        let bus = Bus::new().unwrap();
        let all = bus.topic("all").unwrap();
        let states = StateTopics::new(&all).unwrap();
        let publisher = states.publisher("a").unwrap();
        publisher.publish(Note::new(0, 0)).unwrap();
        let starts = states.clone();
        let [(receiver, _), _kept] = race(
            &all,
            [
                Box::new(move || {
                    let receiver = starts.subscribe_with_retained("a", |it| it.receiver());
                    (Some(receiver.unwrap()), None)
                }),
                Box::new(move || {
                    publisher.publish(Note::new(0, 1)).unwrap();
                    (None, Some(publisher))
                }),
            ],
        );
        let got = drain(&mut receiver.unwrap());
        assert!(got == [(0, 0), (0, 1)] || got == [(0, 1)], "{got:?}");
    });
}

#[test]
fn the_last_publisher_leaves_and_another_one_comes() {
    phased("retained_state, one leaves", 153, || {
        let bus = Bus::new().unwrap();
        let all = bus.topic("all").unwrap();
        let states = StateTopics::new(&all).unwrap();
        states
            .publish_by_id("a", Origin::LOCAL, Note::new(0, 0))
            .unwrap();
        let (leaves, comes) = (states.clone(), states.clone());
        race(
            &all,
            [
                Box::new(move || {
                    let last = Some(Message::new(Note::new(0, 1)));
                    assert!(
                        leaves
                            .remove_publish_by_id("a", Origin::LOCAL, last)
                            .unwrap()
                    );
                }),
                Box::new(move || {
                    comes
                        .publish_by_id("a", Origin::new(2), Note::new(1, 0))
                        .unwrap();
                }),
            ],
        );
        let retained = states.get("a").as_ref().map(tag);
        assert!(
            [Some((1, 0)), Some((0, 1))].contains(&retained),
            "{retained:?}"
        );
        assert!(
            states
                .remove_publish_by_id("a", Origin::new(2), None)
                .unwrap()
        );
        assert!(states.is_empty());
    });
}

/// It was published, and then its origin has left after a last message; or its origin was none yet.
#[test]
fn one_publishes_and_takes_leave_at_once() {
    phased("retained_state, one leaves at once", 7, || {
        let bus = Bus::new().unwrap();
        let all = bus.topic("all").unwrap();
        let states = StateTopics::new(&all).unwrap();
        let _keep = states.subscriber("a").unwrap();
        let (leaves, comes) = (states.clone(), states.clone());
        let [has_left, _] = race(
            &all,
            [
                Box::new(move || {
                    let last = Some(Message::new(Note::new(0, 0)));
                    leaves
                        .remove_publish_by_id("a", Origin::LOCAL, last)
                        .unwrap()
                }),
                Box::new(move || {
                    let message = Note::new(1, 0);
                    comes.publish_by_id("a", Origin::LOCAL, message).unwrap();
                    false
                }),
            ],
        );
        let retained = states.get("a").as_ref().map(tag);
        let expected = if has_left { (0, 0) } else { (1, 0) };
        assert_eq!(retained, Some(expected));
        let is_publisher = states.remove_publish_by_id("a", Origin::LOCAL, None);
        assert_eq!(is_publisher.unwrap(), !has_left);
    });
}

#[test]
fn one_of_two_takes_leave() {
    phased("retained_state, two leave", 110, || {
        let bus = Bus::new().unwrap();
        let all = bus.topic("all").unwrap();
        let states = StateTopics::new(&all).unwrap();
        let _keep = states.subscriber("a").unwrap();
        let first = Note::new(2, 0);
        states.publish_by_id("a", Origin::LOCAL, first).unwrap();
        let leave = |thread| {
            let states = states.clone();
            Box::new(move || {
                let last = Some(Message::new(Note::new(thread, 0)));
                states
                    .remove_publish_by_id("a", Origin::LOCAL, last)
                    .unwrap()
            }) as Box<dyn FnOnce() -> bool>
        };
        let left = race(&all, [leave(0), leave(1)]);
        assert!(left[0] != left[1], "{left:?}");
        let retained = states.get("a").as_ref().map(tag);
        let expected = if left[0] { (0, 0) } else { (1, 0) };
        assert_eq!(retained, Some(expected));
    });
}
