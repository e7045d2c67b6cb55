//! What `lines` looks at: a publisher and its consumers that take turns, with marks between the messages.

use super::{BURST, Keeper, bus_and_topic, publish};
use crate::probe::{Mark, mark};
use crate::support::Payload;
use crate::threads::Others;
use stasis_bus::{OwnThread, Receiver, Topic, WaitStrategy};
use std::hint::black_box;
use std::sync::{Arc, Barrier};

/// The first bursts are for what comes into being once.
const BURSTS: usize = 8;
const SKIPPED: usize = 4;

/// By their names.
pub(crate) const SCENES: &[(&str, fn())] = &[
    ("publish, 1 in the pool, running, 16 a run", || pool(1)),
    ("publish, 8 in the pool, running, 16 a run", || pool(8)),
    ("publish, 64 in the pool, running, 16 a run", || pool(64)),
    ("publish, 1 receiver on another thread, 16 a turn", receiver),
    ("publish, 1 in the pool, at rest", at_rest),
    ("publish, 1 own thread, parked", parked),
];

/// Publishes a burst, marked from message to message.
fn burst(topic: &Topic, count: usize, is_marked: bool) {
    let mut publish = publish(topic);
    for _ in 0..count {
        if is_marked {
            mark(Mark::Call);
        }
        publish();
    }
    if is_marked {
        mark(Mark::End);
    }
}

/// Handles bursts of that many, marked from one run to the next; what is between two bursts belongs to neither.
fn handler(burst: usize) -> impl FnMut(&Payload) + Send {
    let mut sum = 0_u64;
    let mut handled = 0;
    move |it: &Payload| {
        sum = black_box(sum.wrapping_add(it.number));
        handled += 1;
        if handled > SKIPPED * BURST {
            mark(match handled % burst {
                0 => Mark::End,
                _ => Mark::Call,
            });
        }
    }
}

/// The last subscriber has the marks: it is the last one that lets go of the message.
fn pool(subscribers: usize) {
    let (bus, topic) = bus_and_topic();
    let keeper = Keeper::new(&bus);
    let subscribe = |number| {
        let builder = topic.subscribe().capacity(2 * BURST);
        match number == subscribers {
            true => builder.run(handler(BURST)),
            false => builder.run(|_: &Payload| {}),
        }
    };
    let subscriptions = (1..=subscribers).map(subscribe);
    let _subscriptions: Vec<_> = subscriptions.collect::<Result<_, _>>().expect("open");
    for round in 0..BURSTS {
        if round == SKIPPED {
            mark(Mark::Set);
        }
        keeper.keep_away(|| {
            publish(&topic)();
            burst(&topic, BURST - 1, round >= SKIPPED);
        });
    }
}

fn receiver() {
    let (_bus, topic) = bus_and_topic();
    let receiver = topic.subscribe().capacity(2 * BURST).receiver();
    let mut receiver: Receiver = receiver.expect("a receiver");
    let barrier = Arc::new(Barrier::new(2));
    let shared = Arc::clone(&barrier);
    let thread = std::thread::spawn(move || {
        for round in 0..BURSTS {
            shared.wait();
            for _ in 0..BURST {
                if round >= SKIPPED {
                    mark(Mark::Call);
                }
                drop(black_box(receiver.try_recv()).expect("a message"));
            }
            mark(Mark::End);
            assert_eq!(receiver.try_iter().count(), 0);
            shared.wait();
        }
    });
    for round in 0..BURSTS {
        if round == SKIPPED {
            mark(Mark::Set);
        }
        burst(&topic, BURST, round >= SKIPPED);
        barrier.wait();
        barrier.wait();
    }
    thread.join().expect("no panic");
}

/// One message at a time.
fn alone(topic: &Topic) {
    let threads = Others::now();
    for round in 0..2 * SKIPPED * BURST {
        threads.wait_until_asleep();
        if round == SKIPPED * BURST {
            mark(Mark::Set);
        }
        burst(topic, 1, round >= SKIPPED * BURST);
    }
    threads.wait_until_asleep();
}

fn at_rest() {
    let (_bus, topic) = bus_and_topic();
    let _subscription = topic.subscribe().run(handler(usize::MAX)).expect("open");
    alone(&topic);
}

fn parked() {
    let (_bus, topic) = bus_and_topic();
    let thread = OwnThread::new(WaitStrategy::Park);
    let subscription = topic.subscribe().delivery(thread).run(handler(usize::MAX));
    let _subscription = subscription.expect("open");
    alone(&topic);
}

/// Plays the scene of that name.
pub(crate) fn play(name: &str) {
    let scene = SCENES.iter().find(|(scene, _)| *scene == name);
    (scene.expect("the name of a scene").1)();
}
