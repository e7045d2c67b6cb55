//! States that are cached, by a number and for several origins, and what listeners are told of them.

use stasis_bus::{
    Aggregate, Bus, CACHE_UPDATE, Cache, CacheUpdate, CachingTopic, Message, MessageType, Origin,
    Receiver, Snapshots, Topic,
};

/// A key and a value.
pub type State = (u32, u64);
pub static STATE: MessageType<State> = MessageType::new("cached state");

pub const HERE: Origin = Origin::LOCAL;
pub const A: Origin = Origin::new(1);
pub const B: Origin = Origin::new(2);

/// Caches states by their first number.
pub fn cache() -> Cache {
    let builder = Cache::builder().key(&STATE, |(id, _)| Some((*id).into()));
    builder.build().expect("a cache")
}

/// Also with the sums over all origins, which stay off the topic itself.
pub fn summing() -> Cache {
    Cache::builder()
        .key(&STATE, |(id, _)| Some((*id).into()))
        .aggregate(&STATE, sum)
        .keep_aggregates()
        .build()
        .expect("a cache")
}

pub fn sum(all: &Snapshots<'_, State>) -> Aggregate<State> {
    let id = all.iter().next().map_or(0, |(_, (id, _))| *id);
    Aggregate::New((id, all.iter().map(|(_, (_, value))| value).sum()))
}

/// A topic that is cached.
pub struct Cached {
    pub bus: Bus,
    pub topic: Topic,
    pub cache: Cache,
    pub caching: CachingTopic,
}

impl Cached {
    pub fn new(cache: Cache) -> Self {
        let bus = Bus::new().expect("a bus");
        let topic = bus.topic("states").expect("a topic");
        let caching = cache.attach(&topic).expect("a caching topic");
        Self {
            bus,
            topic,
            cache,
            caching,
        }
    }

    #[track_caller]
    pub fn set(&self, origin: Origin, id: u32, value: u64) {
        set(&self.topic, origin, id, value);
    }

    #[track_caller]
    pub fn value(&self, origin: Origin, id: u32) -> Option<u64> {
        let found = self.cache.get_by_origin(&STATE, id, origin);
        value(found.expect("cacheable").as_ref())
    }
}

#[track_caller]
pub fn set(topic: &Topic, origin: Origin, id: u32, value: u64) {
    let state = STATE.message_with_origin((id, value), origin);
    topic.publish(state).expect("published");
}

pub fn value(message: Option<&Message>) -> Option<u64> {
    let state = message?.get::<State>();
    state.map(|(_, value)| *value)
}

/// Whose state, its old value, its new one.
pub type Told = (Origin, Option<u64>, Option<u64>);

pub fn told(update: &CacheUpdate) -> Told {
    (
        update.origin,
        value(update.old.as_ref()),
        value(update.new.as_ref()),
    )
}

/// What a receiver has been told so far.
pub fn drain(receiver: &mut Receiver) -> Vec<Told> {
    let all = receiver.try_iter();
    all.filter_map(|message| message.payload(&CACHE_UPDATE).map(told))
        .collect()
}

/// Each update of one key begins where the one before of the same origin ended (C3).
#[track_caller]
pub fn assert_chain(all: &[Told]) {
    for (at, (origin, old, _)) in all.iter().enumerate() {
        let before = all[..at].iter().rev().find(|(of, ..)| of == origin);
        if let Some((.., last)) = before {
            assert_eq!(last, old, "a hole or a jump at {at}: {all:?}");
        }
    }
}
