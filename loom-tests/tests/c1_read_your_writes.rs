//! C1: when publish of a cacheable message has returned, whoever asks the cache gets that message or a newer one.
//!
//! Kills, each kept in `mutants/c1_read_your_writes--<name>.patch`:
//! - `taps-run-later`: what publish leaves to taps is dropped.
#![cfg(loom)]

use loom_tests::{Note, phased, race};
use stasis_bus::{Bus, Cache, MessageType, Origin};

static NOTE: MessageType<Note> = MessageType::new("note");

fn cache() -> Cache {
    let builder = Cache::builder().key(&NOTE, |_| Some(1_u32.into()));
    builder.build().unwrap()
}

fn cached(cache: &Cache) -> Option<u8> {
    let found = cache.get(&NOTE, 1_u32).unwrap();
    found.map(|message| message.get::<Note>().unwrap().tag().0)
}

#[test]
fn two_who_publish() {
    phased("c1_read_your_writes, two publishers", 72, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let cache = cache();
        let _caching = cache.attach(&topic).unwrap();
        let role = |n: u8| {
            let (topic, cache) = (topic.clone(), cache.clone());
            move || {
                topic.publish(NOTE.message(Note::new(n, 0))).unwrap();
                cached(&cache).expect("it was published")
            }
        };
        let [first, second] = race(&topic, [Box::new(role(1)), Box::new(role(2))]);
        // Whoever was last reads the own one; the other one that, or the own.
        let last = cached(&cache).unwrap();
        assert!(first == 1 || first == last, "{first} {second} {last}");
        assert!(second == 2 || second == last, "{first} {second} {last}");
    });
}

#[test]
fn one_publishes_what_another_clears() {
    phased("c1_read_your_writes, a clear", 45, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let cache = cache();
        let caching = cache.attach(&topic).unwrap();
        topic.publish(NOTE.message(Note::new(0, 0))).unwrap();
        let (publisher, reader) = (topic.clone(), cache.clone());
        let [published, cleared] = race(
            &topic,
            [
                Box::new(move || {
                    publisher.publish(NOTE.message(Note::new(1, 0))).unwrap();
                    cached(&reader)
                }),
                Box::new(move || {
                    caching.clear(&NOTE, 1_u32, Origin::LOCAL).unwrap();
                    drop(caching);
                    None
                }),
            ],
        );
        assert_eq!(cleared, None);
        let last = cached(&cache);
        // The clear took the old one, and the new one is there; or it took the new one.
        assert!(published.is_none_or(|n| n == 1), "{published:?}");
        assert!(last.is_none_or(|n| n == 1));
        assert!(
            last.is_none() || published == last,
            "{published:?} {last:?}"
        );
    });
}
