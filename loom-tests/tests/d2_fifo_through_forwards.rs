//! D2: what one publisher publishes on two topics, both forwarded into a third, arrives there in the order in which
//! it was published, whoever else publishes; and so does what two publish, the one after it has heard from the
//! other.
//!
//! Mutants: a spilled item is taken though its turn has not come, a position that is claimed and not
//! written is passed over, a publish is refused by a limit that another one has raised meanwhile. (A slot
//! written Relaxed is not seen here: in models every pin is a fence. `ring_fifo_final` sees it.)
#![cfg(loom)]

use loom::sync::atomic::{AtomicBool, Ordering};
use loom_tests::{Got, Journal, Note, Role, Tag, notes, phased, race};
use stasis_bus::{Bus, Delivery, Forward, ManualExecutor, Overflow, Receiver, Topic};
use std::sync::Arc;

struct Scene {
    _bus: Bus,
    a: Topic,
    b: Topic,
    c: Topic,
    _forwards: [Forward; 2],
}

impl Scene {
    fn new() -> Self {
        let bus = Bus::new().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
        let forwards = [a.forward_to(&c).unwrap(), b.forward_to(&c).unwrap()];
        Self {
            _bus: bus,
            a,
            b,
            c,
            _forwards: forwards,
        }
    }
}

fn drain(receiver: &mut Receiver) -> Vec<Got> {
    receiver
        .try_iter()
        .map(|message| Got::of(&message))
        .collect()
}

fn assert_order(got: &[Got], expected: &[Tag]) {
    let mut tags = notes(got);
    let of_first: Vec<_> = tags.iter().filter(|tag| tag.0 == 0).collect();
    assert_eq!(of_first, [&(0, 0), &(0, 1)], "out of order: {tags:?}");
    tags.sort_unstable();
    assert_eq!(tags, expected);
}

/// Two topics in turn.
fn in_turn(scene: &Scene) -> Role<Option<Run>> {
    let (a, b) = (scene.a.clone(), scene.b.clone());
    Box::new(move || {
        a.publish(Note::new(0, 0)).unwrap();
        b.publish(Note::new(0, 1)).unwrap();
        None
    })
}

/// What was received while others published, and the receiver.
type Run = (Vec<Got>, Receiver);

fn receive(mut receiver: Receiver) -> Role<Option<Run>> {
    Box::new(move || {
        let first = receiver.try_recv().ok();
        let got = first.iter().map(Got::of).collect();
        Some((got, receiver))
    })
}

#[test]
fn on_two_topics_in_turn_while_another_publishes() {
    phased("d2_fifo_through_forwards, two publishers", 226, || {
        let scene = Scene::new();
        // Two slots: the third message lives behind the ring.
        let mut receiver = scene.c.subscribe().capacity(2).receiver().unwrap();
        let other = scene.b.clone();
        let other = Box::new(move || {
            other.publish(Note::new(1, 0)).unwrap();
            None
        });
        race(&scene.c, [in_turn(&scene), other]);
        assert_order(&drain(&mut receiver), &[(0, 0), (0, 1), (1, 0)]);
    });
}

#[test]
fn on_two_topics_in_turn_while_they_are_received() {
    phased("d2_fifo_through_forwards, received meanwhile", 240, || {
        let scene = Scene::new();
        let receiver = scene.c.subscribe().capacity(1).receiver().unwrap();
        let [_, run] = race(&scene.c, [in_turn(&scene), receive(receiver)]);
        let (mut got, mut receiver) = run.unwrap();
        got.extend(drain(&mut receiver));
        assert_order(&got, &[(0, 0), (0, 1)]);
    });
}

#[test]
fn two_publish_what_lives_behind_the_ring() {
    phased("d2_fifo_through_forwards, behind the ring", 40_000, || {
        let scene = Scene::new();
        let mut receiver = scene.c.subscribe().capacity(1).receiver().unwrap();
        scene.c.publish(Note::new(9, 0)).unwrap();
        let (a, b) = (scene.a.clone(), scene.b.clone());
        race(
            &scene.c,
            [
                Box::new(move || a.publish(Note::new(0, 0)).unwrap()),
                Box::new(move || b.publish(Note::new(1, 0)).unwrap()),
            ],
        );
        scene.a.publish(Note::new(0, 1)).unwrap();
        let got = drain(&mut receiver);
        assert_order(&got, &[(0, 0), (0, 1), (1, 0), (9, 0)]);
    });
}

#[test]
fn the_second_after_it_has_heard_from_the_first() {
    phased("d2_fifo_through_forwards, heard from", 720, || {
        let scene = Scene::new();
        let executor = Arc::new(ManualExecutor::new());
        let journal = Journal::<Vec<Got>>::new();
        let subscription = scene
            .c
            .subscribe()
            .delivery(Delivery::Executor(executor.clone()))
            .overflow(Overflow::Spill { limit: None })
            .capacity(1)
            .run(journal.handler())
            .unwrap();
        let told = Arc::new(AtomicBool::new(false));
        let (a, b, tell) = (scene.a.clone(), scene.b.clone(), Arc::clone(&told));
        let run = Arc::clone(&executor);
        let [.., second] = race(
            &scene.c,
            [
                Box::new(move || run.run_one()),
                Box::new(move || {
                    a.publish(Note::new(0, 0)).unwrap();
                    // Release: pairs with the Acquire of the other publisher.
                    tell.store(true, Ordering::Release);
                    false
                }),
                Box::new(move || {
                    // A read-modify-write, to see the newest. Acquire: pairs with the Release of the first publisher.
                    let second = told.swap(false, Ordering::Acquire);
                    b.publish(Note::new(0, 1)).unwrap();
                    second
                }),
            ],
        );
        executor.run_until_idle();
        let mut tags = notes(&journal.all());
        if !second {
            tags.sort_unstable();
        }
        assert_eq!(tags, [(0, 0), (0, 1)]);
        drop(subscription);
        executor.run_until_idle();
    });
}
