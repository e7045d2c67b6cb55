//! C2: who gets a cache update finds the cache at least as new, from the update's first moment on.
//!
//! Kills, kept in `mutants/c2_store_before_announce--<name>.patch`:
//! - `announced-first`: the update is offered before the message is stored.
#![cfg(loom)]

use loom_tests::{Note, phased, race};
use stasis_bus::{Bus, Cache, CacheUpdate, MessageType};

static NOTE: MessageType<Note> = MessageType::new("note");

#[test]
fn told_while_it_is_published() {
    phased("c2_store_before_announce", 760, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let builder = Cache::builder().key(&NOTE, |_| Some(1_u32.into()));
        let cache = builder.build().unwrap();
        let caching = cache.attach(&topic).unwrap();
        topic.publish(NOTE.message(Note::new(0, 0))).unwrap();
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        let (publisher, reader) = (topic.clone(), cache.clone());
        race(
            &topic,
            [
                Box::new(move || {
                    publisher.publish(NOTE.message(Note::new(1, 0))).unwrap();
                }),
                Box::new(move || {
                    for _ in 0..2 {
                        let Ok(message) = updates.try_recv() else {
                            continue;
                        };
                        let told = CacheUpdate::of(&message, &NOTE).unwrap();
                        let told = told.new_as::<Note>().unwrap().tag().0;
                        let now = reader.get(&NOTE, 1_u32).unwrap().unwrap();
                        assert!(now.get::<Note>().unwrap().tag().0 >= told);
                    }
                }),
            ],
        );
    });
}
