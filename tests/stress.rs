//! Everything at once for a while: publishers, subscriptions of every kind and policy that come and go,
//! topics that forward to each other and cease to. Every message is accounted for (D5), order holds (D2),
//! each subscription ends once (L2), and nothing is left when all is over. `STRESS_SECONDS` says for how
//! long.

mod support;

use stasis_bus::{
    Bus, FinalMessage, Forward, Message, Overflow, PanicPolicy, PublishError, Subscription, Topic,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{DEADLINE, KINDS, Kind, eventually, join};

const PUBLISHERS: u64 = 8;
const SUBSCRIPTIONS: usize = 64;
const TOPICS: usize = 16;

/// How many payloads there are: not one may be left behind.
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Payload {
    publisher: u64,
    number: u64,
}

impl Payload {
    fn new(publisher: u64, number: u64) -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self { publisher, number }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Small numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn overflow(random: &mut Random) -> Overflow {
    match random.below(8) {
        0 => Overflow::Spill { limit: Some(64) },
        1 => Overflow::Block {
            timeout: Some(Duration::from_micros(200)),
        },
        2 => Overflow::DropOldest,
        3 => Overflow::DropNewest,
        4 => Overflow::Fail,
        5 => Overflow::conflate(|m: &Message| m.get::<Payload>().map_or(0, |p| p.publisher)),
        6 => Overflow::Evict,
        _ => Overflow::default(),
    }
}

/// What a subscription has seen. Any number of threads write it, one after the other (D3).
#[derive(Default)]
struct Witness {
    items: u64,
    gaps: u64,
    last: HashMap<u64, u64>,
    finals: Vec<FinalMessage>,
    complaints: Vec<String>,
}

impl Witness {
    fn note(&mut self, message: &Message) {
        if !self.finals.is_empty() {
            self.complaints
                .push(format!("{message:?} after the final message"));
        }
        if let Some(payload) = message.get::<Payload>() {
            self.items += 1;
            let before = self.last.insert(payload.publisher, payload.number);
            // The greatest that was seen, and every later one greater: once each, and in order.
            if before.is_some_and(|before| before >= payload.number) {
                let what = format!("{} after {before:?}", payload.number);
                self.complaints
                    .push(format!("from {}: {what}", payload.publisher));
            }
        } else if let Some(gap) = message.as_gap() {
            self.gaps += gap.count;
        } else if let Some(last) = message.as_final() {
            self.finals.push(*last);
        }
    }
}

type Shared = Arc<Mutex<Witness>>;

/// One subscription, from its beginning to its end.
struct Life {
    kind: Kind,
    witness: Shared,
    /// `None` for receivers, which are on a thread of their own.
    subscription: Option<Subscription>,
    pump: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Life {
    fn begin(topic: &Topic, random: &mut Random) -> Option<Self> {
        let witness = Shared::default();
        let kind = KINDS[random.below(KINDS.len())];
        // A thread that never sleeps is too much for so many.
        let kind = if kind == Kind::Yield {
            Kind::Pool
        } else {
            kind
        };
        let builder = topic
            .subscribe()
            .capacity(1 + random.below(32))
            .overflow(overflow(random))
            .panic_policy(PanicPolicy::Continue);
        let stop = Arc::new(AtomicBool::new(false));
        let writes = Arc::clone(&witness);
        let mut life = Self {
            kind,
            witness,
            subscription: None,
            pump: None,
            stop,
        };
        if kind.is_receiver() {
            let mut receiver = builder.receiver().ok()?;
            let stop = Arc::clone(&life.stop);
            life.pump = Some(thread::spawn(move || {
                while let Some(message) = support::next_of(kind, &mut receiver, &stop) {
                    writes.lock().unwrap().note(&message);
                }
            }));
        } else {
            let builder = builder.delivery(kind.delivery());
            life.subscription = if random.below(3) == 0 {
                let run = builder
                    .max_batch(1 + random.below(20))
                    .run_batch(move |messages| {
                        let mut witness = writes.lock().unwrap();
                        messages.iter().for_each(|message| witness.note(message));
                    });
                Some(run.ok()?)
            } else {
                let run = builder.run(move |m: &Message| writes.lock().unwrap().note(m));
                Some(run.ok()?)
            };
        }
        Some(life)
    }

    /// Ends it and checks its books. Gives how many messages it got.
    fn end(mut self) -> u64 {
        let what = format!("{:?}", self.kind);
        self.stop.store(true, Ordering::SeqCst);
        if let Some(pump) = self.pump.take() {
            pump.thread().unpark();
            join(&what, pump);
        }
        let stats = self.subscription.take().map(|subscription| {
            subscription.unsubscribe();
            let last = subscription.join_timeout(DEADLINE);
            assert!(
                last.is_ok(),
                "{what}: never done: {:?}",
                subscription.stats()
            );
            subscription.stats()
        });
        let witness = self.witness.lock().unwrap();
        assert_eq!(witness.complaints, [] as [String; 0], "{what}");
        assert_eq!(witness.finals.len(), 1, "{what}: one final message");
        let last = witness.finals[0];
        assert_eq!(last.delivered, witness.items, "{what}: {last:?}");
        assert_eq!(
            last.shed, witness.gaps,
            "{what}: all that was shed was told"
        );
        assert_eq!(last.discarded, 0, "{what}");
        if let Some(stats) = stats {
            assert_eq!(stats.delivered, last.delivered, "{what}");
            // What is shed newest first was never accepted; what is shed oldest first was.
            let most = last.delivered + last.shed + stats.conflated;
            let least = last.delivered + stats.conflated;
            assert!((least..=most).contains(&stats.offered), "{what}: {stats:?}");
            assert_eq!((stats.depth, stats.panics), (0, 0), "{what}");
        }
        witness.items
    }
}

fn publish(topics: &[Topic], publisher: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random(0x5DEE_CE66 + publisher);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let topic = &topics[random.below(TOPICS)];
        let result = if random.below(10) == 0 {
            let batch = (0..1 + random.below(20)).map(|_| {
                number += 1;
                Payload::new(publisher, number)
            });
            topic.publish_batch(batch)
        } else {
            number += 1;
            topic.publish(Payload::new(publisher, number))
        };
        match result {
            Ok(_) | Err(PublishError::Full { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if number % 32 == 0 {
            thread::yield_now();
        }
    }
    number
}

/// Subscriptions that come and go.
fn churn(topics: &[Topic], seed: u64, stop: &AtomicBool, got: &AtomicU64) {
    let mut random = Random(seed);
    let mut lives = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if lives.len() < SUBSCRIPTIONS / 2 {
            lives.extend(Life::begin(&topics[random.below(TOPICS)], &mut random));
        } else {
            let life: Life = lives.swap_remove(random.below(lives.len()));
            got.fetch_add(life.end(), Ordering::Relaxed);
        }
        thread::sleep(Duration::from_micros(500));
    }
    for life in lives {
        got.fetch_add(life.end(), Ordering::Relaxed);
    }
}

/// Forwards that come and go: from lower to higher, and some back, so that there are circles.
///
/// For a publisher's order across topics only what is on one way counts: an edge that comes between two
/// messages can bring the later one first by no way at all, but never out of order, as both are offered by
/// one thread.
fn rewire(topics: &[Topic], stop: &AtomicBool) {
    let mut random = Random(77);
    let mut forwards: Vec<Forward> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (from, to) = (random.below(TOPICS), random.below(TOPICS));
        forwards.push(topics[from].forward_to(&topics[to]).unwrap());
        if forwards.len() > 12 {
            forwards.swap_remove(random.below(12)).cancel();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn seconds() -> Duration {
    let asked = std::env::var("STRESS_SECONDS").ok();
    let seconds = asked.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

#[test]
fn every_message_is_accounted_for() {
    let bus = Bus::builder()
        .workers(2)
        .message_budget(1 << 16)
        .build()
        .unwrap();
    let topics: Arc<[Topic]> = (0..TOPICS)
        .map(|number| bus.topic(&format!("topic {number}")).unwrap())
        .collect();
    let (stop, got) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (topics, stop) = (Arc::clone(&topics), Arc::clone(&stop));
            thread::spawn(move || publish(&topics, publisher, &stop))
        })
        .collect();
    let mut others = Vec::new();
    for seed in [3, 1009] {
        let (topics, stop, got) = (Arc::clone(&topics), Arc::clone(&stop), Arc::clone(&got));
        others.push(thread::spawn(move || churn(&topics, seed, &stop, &got)));
    }
    {
        let (topics, stop) = (Arc::clone(&topics), Arc::clone(&stop));
        others.push(thread::spawn(move || rewire(&topics, &stop)));
    }
    let begin = Instant::now();
    while begin.elapsed() < seconds() {
        assert!(bus.stats().topics == TOPICS);
        let listed: usize = bus
            .topics()
            .iter()
            .map(|topic| topic.subscriptions.len())
            .sum();
        assert!(listed <= SUBSCRIPTIONS + 2);
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    let published: Vec<_> = publishers
        .into_iter()
        .map(|p| join("a publisher", p))
        .collect();
    assert!(published.iter().all(|published| *published > 0));
    for other in others {
        join("churn", other);
    }
    assert!(got.load(Ordering::Relaxed) > 0);
    eventually("the budget is given back", || {
        bus.stats().budget_granted == 0
    });
    eventually("nothing is ending", || bus.stats().ending == 0);
    let report = bus.shutdown_timeout(DEADLINE).unwrap();
    assert!(report.is_complete() && report.workers_ended, "{report:?}");
    assert!(
        report.receivers.is_empty() && report.executors.is_empty(),
        "{report:?}"
    );
    drop((topics, bus));
    eventually("no payload is left", || LIVE.load(Ordering::Relaxed) == 0);
}
