//! D5: what a topic's one word says of its list agrees with the list, whichever of them a publisher looks at: at the
//! word, where he publishes, and at the list, where a forward brings him. Who was offered a message after it
//! came is offered the next one too; who was not offered one any more as it went is offered none later.
//!
//! Mutants: a word that follows the list when somebody comes, a word that precedes the list when somebody goes, a
//! list published Relaxed, a list loaded Relaxed.
#![cfg(loom)]

use loom_tests::{Got, Note, notes, phased, race};
use stasis_bus::{Bus, Receiver, Topic};

fn topics(bus: &Bus) -> [Topic; 2] {
    ["leg", "hub"].map(|name| bus.topic(name).unwrap())
}

/// Two notes of one publisher, in this order.
fn publish(first: &Topic, second: &Topic) {
    for (number, topic) in [(0, first), (1, second)] {
        topic.publish(Note::new(0, number)).unwrap();
    }
}

fn taken(receiver: &mut Receiver) -> Vec<Got> {
    receiver.try_iter().map(|it| Got::of(&it)).collect()
}

#[test]
fn who_comes_gets_all_that_follows() {
    phased("list_summary, come", 45, || {
        let bus = Bus::new().unwrap();
        let [leg, hub] = topics(&bus);
        let _forward = leg.forward_to(&hub).unwrap();
        let (to, there) = (hub.clone(), hub.clone());
        let [_, receiver] = race(
            &hub,
            [
                Box::new(move || {
                    publish(&leg, &to);
                    None
                }),
                Box::new(move || Some(there.subscribe().receiver().unwrap())),
            ],
        );
        let got = notes(&taken(&mut receiver.unwrap()));
        assert!(got != [(0, 0)], "the second is missing");
    });
}

#[test]
fn who_goes_gets_none_after_one_that_is_missing() {
    phased("list_summary, go", 240, || {
        let bus = Bus::new().unwrap();
        let [leg, hub] = topics(&bus);
        let _forward = leg.forward_to(&hub).unwrap();
        let mut receiver = hub.subscribe().receiver().unwrap();
        assert!(receiver.try_recv().is_err());
        let to = hub.clone();
        let [_, receiver] = race(
            &hub,
            [
                Box::new(move || {
                    publish(&to, &leg);
                    None
                }),
                Box::new(move || {
                    receiver.subscription().unsubscribe();
                    Some(receiver)
                }),
            ],
        );
        let got = notes(&taken(&mut receiver.unwrap()));
        assert!(got != [(0, 1)], "the first is missing");
    });
}
