//! What cannot be asked of a cache, and what it leaves alone.

mod common;

use common::cached::{HERE, STATE, State, cache, set};
use common::{Log, with_deadline};
use stasis_bus::{Aggregate, Bus, Cache, CacheBuilder, CacheError, MAX_NAME_LEN, TopicError};

/// The second one must not silently take the place of the first, nor be dropped.
#[test]
fn a_second_rule_of_a_kind_is_an_error() {
    let first = || Cache::builder().key(&STATE, |(id, _): &State| Some((*id).into()));
    let second: [fn(CacheBuilder) -> CacheBuilder; 4] = [
        |it| it.key(&STATE, |_| None),
        |it| {
            it.suppress_if(&STATE, |_, _| true)
                .suppress_unchanged(&STATE)
        },
        |it| {
            let it = it.aggregate(&STATE, |_| Aggregate::None);
            it.aggregate(&STATE, |_| Aggregate::Unchanged)
        },
        |it| it.key_for_others(|_| None).key_for_others(|_| None),
    ];
    for (n, second) in second.into_iter().enumerate() {
        let built = second(first()).build();
        assert!(
            matches!(built, Err(CacheError::DuplicateType { .. })),
            "{n}: {built:?}"
        );
    }
}

/// As documented: the topic of updates has a longer name.
#[test]
fn a_name_leaves_room_for_that_of_the_updates() {
    let bus = Bus::new().unwrap();
    let cache = cache();
    let short = bus.topic(&"x".repeat(MAX_NAME_LEN - 30)).unwrap();
    let caching = cache.attach(&short).unwrap();
    assert!(caching.topic().name().ends_with(short.name()));
    let long = bus.topic(&"x".repeat(MAX_NAME_LEN)).unwrap();
    assert!(matches!(
        cache.attach(&long),
        Err(CacheError::Topic(TopicError::NameTooLong { .. }))
    ));
}

/// Its own updates come to it there, and a function that finds a key for every message would find one for each.
#[test]
fn a_cache_of_all_topics_does_not_feed_itself() {
    with_deadline("feeds itself", || {
        let bus = Bus::new().unwrap();
        let everything = bus.topics_matching("**").unwrap();
        let asked = Log::new();
        let asks = asked.clone();
        let cache = Cache::builder()
            .key_for_others(move |message| {
                asks.push(message.info().name());
                (asks.len() < 50).then(|| 1_u32.into())
            })
            .build()
            .unwrap();
        let caching = cache.attach(&everything).unwrap();
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        set(&bus.topic("x").unwrap(), HERE, 1, 10);
        assert!(asked.get().iter().all(|name| *name == STATE.info().name()));
        assert_eq!((cache.len(), updates.try_iter().count()), (1, 1));
    });
}
