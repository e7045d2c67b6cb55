//! Families of cached objects: a topic for each object, the aggregate of all of them, and one of all that
//! is cached of them. What belongs together is made in one step and ends in one.

use super::Cache;
use super::caching_topic::{CachingTopic, next_number};
use super::error::CacheError;
use super::update::CacheUpdate;
use crate::subscription::Subscription;
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, Weak};
use crate::topic::{Forward, SubscriptionBuilder, Topic, Topics};
use std::collections::HashMap;
use std::fmt;

/// A family of objects that are published and cached in the same way, such as the endpoints of an
/// exchange:
///
/// - [`all`](Self::all), to which everything goes that is published about any of them;
/// - [`all_cached`](Self::all_cached), to which that goes, and the [cache updates](CacheUpdate) as well;
/// - for each object a [member](Self::single), with a topic of its own and one of its updates.
///
/// ```
/// use stasis_bus::{Bus, Cache, CacheFamily, MessageType};
///
/// struct Endpoint { name: String, online: bool }
/// static ENDPOINT: MessageType<Endpoint> = MessageType::new("endpoint");
///
/// let bus = Bus::new()?;
/// let cache = Cache::builder().key(&ENDPOINT, |it| Some(it.name.as_str().into())).build()?;
/// let endpoints = CacheFamily::new(&bus, "endpoints", cache)?;
/// let mut all = endpoints.all().subscribe().receiver()?;
/// let alice = endpoints.single("endpoints/alice")?;
/// alice.topic().publish(ENDPOINT.message(Endpoint { name: "alice".into(), online: true }))?;
/// assert!(all.recv()?.get::<Endpoint>().is_some_and(|it| it.online));
/// assert!(endpoints.cache().get(&ENDPOINT, "alice")?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CacheFamily {
    family: Arc<Family>,
}

struct Family {
    all: Topic,
    all_cached: Topic,
    cache: Cache,
    /// By name. No code of the user's runs under the lock: what has ended is dropped without it.
    members: Mutex<HashMap<String, Weak<Member>>>,
    _forward: Forward,
}

/// One object of a [`CacheFamily`]. Clones are the same member; when the last one is dropped, it ends:
/// its messages are no longer cached, nor forwarded. Whoever has its topic keeps that; a new member of
/// the name finds that same topic, if it lives. What is cached of it stays until it is cleared. While a
/// member ends, another one of its name may be made: for a moment both cache, so a message may be stored and
/// told twice, one time after the other.
#[derive(Clone)]
pub struct CacheMember {
    member: Arc<Member>,
}

struct Member {
    name: String,
    is_sink: bool,
    caching: CachingTopic,
    _forwards: Vec<Forward>,
    family: Weak<Family>,
}

impl CacheFamily {
    /// A family whose aggregate is the topic of that name, kept in `cache`. Names of members and of the
    /// family have to leave room, which 30 bytes are, for those of topics that are made for them:
    /// `cache:<number>/<name>` and `cached:<number>/<name>`.
    ///
    /// # Errors
    /// [`CacheError::Topic`] if one of its topics cannot be had, [`CacheError::Forward`] if one of them
    /// is closed at the same time. Nothing is left behind then.
    pub fn new(topics: &impl Topics, name: &str, cache: Cache) -> Result<Self, CacheError> {
        let all = topics.topic(name)?;
        let all_cached = topics.topic(&format!("cached:{}/{name}", next_number()))?;
        let forward = all.forward_to(&all_cached)?;
        let family = Arc::new(Family {
            all,
            all_cached,
            cache,
            members: Mutex::new(HashMap::new()),
            _forward: forward,
        });
        Ok(Self { family })
    }

    /// The topic to which everything goes that is published about any of them, but for sinks.
    #[must_use]
    pub fn all(&self) -> &Topic {
        &self.family.all
    }

    /// The topic to which the same goes, and the cache updates as well: for each message that is cached,
    /// the message first, and then its update.
    #[must_use]
    pub fn all_cached(&self) -> &Topic {
        &self.family.all_cached
    }

    /// The cache of all of them.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.family.cache
    }

    /// The object whose topic has that name: a member that lives, or else a new one.
    ///
    /// # Errors
    /// [`CacheError::Topic`], [`CacheError::Subscribe`] and [`CacheError::Forward`] if one of its topics
    /// cannot be had, or is closed; [`CacheError::OtherMember`] if a [sink](Self::sink) of that name
    /// lives. Nothing is left behind then.
    pub fn single(&self, name: &str) -> Result<CacheMember, CacheError> {
        self.member(name, false)
    }

    /// As [`CacheFamily::single`], but neither forwarded to [`all`](Self::all), nor its updates to
    /// [`all_cached`](Self::all_cached): for aggregates of some of the objects, which get their messages
    /// by forwards from those.
    ///
    /// The cache of a family is one, so a message that comes to a single and to its sink is stored twice, one
    /// after the other. Where several publish at once, give the sink a family of its own.
    ///
    /// # Errors
    /// As there; [`CacheError::OtherMember`] if a single of that name lives.
    pub fn sink(&self, name: &str) -> Result<CacheMember, CacheError> {
        self.member(name, true)
    }

    fn member(&self, name: &str, is_sink: bool) -> Result<CacheMember, CacheError> {
        let mut members = self.family.members.lock();
        let known = members.get(name).and_then(Weak::upgrade);
        let found = match known {
            // A topic that was closed has made way for another one.
            Some(member) if member.is_open() => Ok(member),
            _ => self.make(name, is_sink).map(|member| {
                let member = Arc::new(member);
                members.insert(name.into(), Arc::downgrade(&member));
                member
            }),
        };
        // What is dropped from here on, on an error too, may look for itself in there.
        drop(members);
        let member = found?;
        if member.is_sink == is_sink {
            Ok(CacheMember { member })
        } else {
            Err(CacheError::OtherMember)
        }
    }

    fn make(&self, name: &str, is_sink: bool) -> Result<Member, CacheError> {
        let family = &self.family;
        let topic = family.all.topic(name)?;
        let announcer = CachingTopic::announcer(&family.cache.shared, &topic)?;
        let mut forwards = Vec::new();
        if !is_sink {
            forwards.push(topic.forward_to(&family.all)?);
            forwards.push(announcer.topic.forward_to(&family.all_cached)?);
        }
        // Last: from here on there are updates, and they are to come to all who hear of the family.
        let caching = CachingTopic::begin(announcer)?;
        Ok(Member {
            name: name.into(),
            is_sink,
            caching,
            _forwards: forwards,
            family: Arc::downgrade(family),
        })
    }

    /// Subscribes a handler to the updates of all of them, beginning with what is cached, without a hole
    /// and without a duplicate (C4).
    ///
    /// # Errors
    /// [`CacheError::Subscribe`].
    pub fn subscribe_with_snapshot(
        &self,
        options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
        handler: impl FnMut(&CacheUpdate) + Send + 'static,
    ) -> Result<Subscription, CacheError> {
        let family = &self.family;
        family
            .cache
            .subscribe_with_snapshot(&family.all_cached, options, handler)
    }
}

impl CacheMember {
    /// Its name, which is that of its topic.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.member.name
    }

    /// Where what concerns it is published.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        self.member.caching.original()
    }

    /// Its updates, and the way to clear what is cached of it.
    pub fn caching(&self) -> &CachingTopic {
        &self.member.caching
    }

    /// Forwards all that is published about it to a sink as well, which then caches it by itself.
    ///
    /// # Errors
    /// [`CacheError::Forward`] if one of the topics is closed.
    pub fn forward_to(&self, sink: &CacheMember) -> Result<Forward, CacheError> {
        Ok(self.topic().forward_to(sink.topic())?)
    }
}

impl Member {
    fn is_open(&self) -> bool {
        let topics = [self.caching.original(), self.caching.topic()];
        !topics.iter().any(|topic| topic.is_closed())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(family) = self.family.upgrade() else {
            return;
        };
        let mut members = family.members.lock();
        // Another one may have taken its place.
        if members
            .get(&self.name)
            .is_some_and(|known| known.strong_count() == 0)
        {
            members.remove(&self.name);
        }
        drop(members);
    }
}

impl fmt::Debug for CacheFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFamily")
            .field("all", &self.all().name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMember")
            .field("name", &self.name())
            .field("is_sink", &self.member.is_sink)
            .finish_non_exhaustive()
    }
}
