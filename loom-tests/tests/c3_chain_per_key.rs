//! C3: of the updates of one key each one's old is the new of the one before, and its version is greater, whoever
//! publishes and clears at the same time; and the last one's new is what is cached.
//!
//! Kills, each kept in `mutants/c3_chain_per_key--<name>.patch`:
//! - `leaves-before-it-tells`: an entry leaves the index before its end is announced, so that the next one of the
//!   key announces its begin first;
//! - `gone-entry-is-used`: a store goes into an entry that has left the index;
//! - `stale-look`: what was looked at for a filter is taken for what is there, whatever came in between.
#![cfg(loom)]

use loom_tests::{Note, Role, phased, race};
use stasis_bus::{Bus, CACHE_UPDATE, Cache, CachingTopic, MessageType, Origin, Receiver, Topic};

static NOTE: MessageType<Note> = MessageType::new("note");

fn number(note: Option<&Note>) -> Option<u8> {
    note.map(|note| note.tag().0)
}

fn attached(topic: &Topic) -> CachingTopic {
    let builder = Cache::builder().key(&NOTE, |_| Some(1_u32.into()));
    builder.build().unwrap().attach(topic).unwrap()
}

fn publish(topic: &Topic, n: u8) -> Role<()> {
    let topic = topic.clone();
    Box::new(move || {
        topic.publish(NOTE.message(Note::new(n, 0))).unwrap();
    })
}

/// Follows the updates, so many of them, and ends at what is cached.
fn follow(updates: &mut Receiver, count: usize, mut last: Option<u8>, caching: &CachingTopic) {
    let mut version = 0;
    let mut seen = 0;
    for message in updates.try_iter() {
        let update = message.payload(&CACHE_UPDATE).unwrap();
        assert_eq!(number(update.old_as()), last, "a hole, or a jump");
        assert!(update.version > version, "back from {version}");
        last = number(update.new_as());
        version = update.version;
        seen += 1;
    }
    assert_eq!(seen, count);
    let cached = caching.cache().get(&NOTE, 1_u32).unwrap();
    let cached = cached.as_ref().and_then(|message| message.get());
    assert_eq!(number(cached), last, "the last word");
}

#[test]
fn two_publishers() {
    phased("c3_chain_per_key, two publishers", 44, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let caching = attached(&topic);
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        race(&topic, [publish(&topic, 1), publish(&topic, 2)]);
        follow(&mut updates, 2, None, &caching);
    });
}

#[test]
fn one_publishes_and_one_clears() {
    phased("c3_chain_per_key, a clear", 11, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let caching = attached(&topic);
        topic.publish(NOTE.message(Note::new(0, 0))).unwrap();
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        let clearing = caching;
        let [_, caching] = race(
            &topic,
            [
                {
                    let publish = publish(&topic, 1);
                    Box::new(move || {
                        publish();
                        None
                    })
                },
                Box::new(move || {
                    clearing.clear(&NOTE, 1_u32, Origin::LOCAL).unwrap();
                    Some(clearing)
                }),
            ],
        );
        follow(&mut updates, 2, Some(0), &caching.unwrap());
    });
}

#[test]
fn two_publishers_and_a_filter_that_they_run() {
    phased("c3_chain_per_key, a filter", 190, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let caching = attached(&topic);
        let mut updates = caching
            .topic()
            .subscribe()
            .filter(|_| true)
            .receiver()
            .unwrap();
        race(&topic, [publish(&topic, 1), publish(&topic, 2)]);
        follow(&mut updates, 2, None, &caching);
    });
}
