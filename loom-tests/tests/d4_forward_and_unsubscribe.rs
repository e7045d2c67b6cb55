//! D4, L3: whatever happens to the forwards meanwhile, a publish reaches a subscription at most once, and exactly
//! once if there is a way at all times; and once unsubscribe has returned, nothing reaches it any more.
//!
//! Mutants: a reach that is not looked at again after its last step, a cancel that leaves the route, an
//! unsubscribe that leaves the list, a route loaded Relaxed.
#![cfg(loom)]

use loom_tests::{Got, Note, notes, phased, race};
use stasis_bus::{Bus, Receiver};

fn drain(receiver: &mut Receiver) -> Vec<Got> {
    receiver
        .try_iter()
        .map(|message| Got::of(&message))
        .collect()
}

#[test]
fn a_second_way_comes_and_the_first_one_goes() {
    phased("d4_forward_and_unsubscribe, another way", 38, || {
        let bus = Bus::new().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
        let first = a.forward_to(&b).unwrap();
        let second = b.forward_to(&c).unwrap();
        let mut receiver = c.subscribe().receiver().unwrap();
        let (publisher, from, to) = (a.clone(), a.clone(), c.clone());
        let [kept, _] = race(
            &c,
            [
                Box::new(move || {
                    let direct = from.forward_to(&to).unwrap();
                    second.cancel();
                    Some(direct)
                }),
                Box::new(move || {
                    publisher.publish(Note::new(0, 0)).unwrap();
                    None
                }),
            ],
        );
        assert_eq!(drain(&mut receiver), [Got::Note((0, 0))]);
        drop((first, kept));
    });
}

#[test]
fn a_diamond_comes_and_goes() {
    phased("d4_forward_and_unsubscribe, diamond", 21, || {
        let bus = Bus::new().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
        let _always = [a.forward_to(&b).unwrap(), b.forward_to(&c).unwrap()];
        let mut receiver = c.subscribe().receiver().unwrap();
        let (publisher, from, to) = (a.clone(), a.clone(), c.clone());
        race(
            &c,
            [
                Box::new(move || from.forward_to(&to).unwrap().cancel()),
                Box::new(move || {
                    publisher.publish(Note::new(0, 0)).unwrap();
                }),
            ],
        );
        assert_eq!(drain(&mut receiver), [Got::Note((0, 0))]);
    });
}

#[test]
fn the_forward_goes_and_so_does_the_subscription() {
    phased("d4_forward_and_unsubscribe, both go", 200, || {
        let bus = Bus::new().unwrap();
        let [a, b] = ["a", "b"].map(|name| bus.topic(name).unwrap());
        let forward = a.forward_to(&b).unwrap();
        let mut receiver = b.subscribe().receiver().unwrap();
        assert!(receiver.try_recv().is_err());
        let (publisher, end) = (a.clone(), b.clone());
        let after = a.clone();
        let [(_, accepted), _, (receiver, _)] = race(
            &b,
            [
                Box::new(move || {
                    let receipt = publisher.publish(Note::new(0, 0)).unwrap();
                    (None, receipt.offered())
                }),
                Box::new(move || {
                    forward.cancel();
                    let receipt = after.publish(Note::new(1, 0)).unwrap();
                    assert_eq!((receipt.offered(), receipt.closed()), (0, 0));
                    (None, 0)
                }),
                Box::new(move || {
                    receiver.subscription().unsubscribe();
                    assert!(!receiver.subscription().is_subscribed());
                    assert!(!end.has_subscribers_for_payload::<Note>());
                    let receipt = end.publish(Note::new(2, 0)).unwrap();
                    assert_eq!((receipt.offered(), receipt.closed()), (0, 0));
                    (Some(receiver), 0)
                }),
            ],
        );
        let got = drain(&mut receiver.unwrap());
        assert_eq!(notes(&got).len() as u64, accepted);
        assert!(notes(&got).iter().all(|tag| *tag == (0, 0)));
        assert_eq!(got.last(), Some(&Got::Final(accepted, 0, 0)));
    });
}
