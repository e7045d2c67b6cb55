//! What a cache costs who publishes to it and who reads it.

use super::{BURST, CALLS, Keeper, bus_and_topic, count, measured_calls};
use crate::support::Payload;
use stasis_bus::{Bus, Cache, CachingTopic, Message, MessageType, Topic};
use std::hint::black_box;

static STATE: MessageType<Payload> = MessageType::new("state");

/// What is read and written in turn.
const KEYS: u64 = 1_000;

struct World {
    bus: Bus,
    topic: Topic,
    cache: Cache,
    caching: CachingTopic,
}

/// A cache with a snapshot of each key, each of which was updated, so that the map has done growing.
fn world() -> World {
    let (bus, topic) = bus_and_topic();
    let cache = Cache::builder()
        .key(&STATE, |it| Some(it.number.into()))
        .build()
        .expect("a cache");
    let caching = cache.attach(&topic).expect("an open topic");
    (0..2 * KEYS).for_each(|n| update(&topic, n % KEYS));
    World {
        bus,
        topic,
        cache,
        caching,
    }
}

fn update(topic: &Topic, key: u64) {
    let message = STATE.message(Payload::new(key));
    black_box(topic.publish(message)).expect("an open topic");
}

pub(super) fn unheard() {
    let World { topic, .. } = &world();
    let mut keys = (0..KEYS).cycle();
    let mut call = || update(topic, keys.next().expect("it has no end"));
    count(&mut call, || ());
}

pub(super) fn heard() {
    let world = world();
    let keeper = Keeper::new(&world.bus);
    let handled = |message: &Message| {
        black_box(message.id());
    };
    let builder = world.caching.topic().subscribe().capacity(2 * BURST);
    let _subscription = builder.run(handled).expect("a subscription");
    let mut keys = (0..KEYS).cycle();
    let mut call = || update(&world.topic, keys.next().expect("it has no end"));
    for _ in 0..CALLS / BURST {
        keeper.keep_away(|| {
            call();
            measured_calls(BURST, &mut call);
        });
    }
}

/// From several: how far one has to look for a key is up to the seed of the map's hash, which is another one each time.
pub(super) fn read() {
    const CACHES: usize = 16;
    for _ in 0..CACHES {
        let World { cache, .. } = &world();
        let mut keys = (0..KEYS).cycle();
        let mut call = || {
            let key = keys.next().expect("it has no end");
            drop(black_box(cache.get(&STATE, key)).expect("a key of that kind"));
        };
        (0..BURST).for_each(|_| call());
        measured_calls(CALLS / CACHES, &mut call);
    }
}
