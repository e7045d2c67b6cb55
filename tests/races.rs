//! What ThreadSanitizer looks at: `ci/sanitize.sh thread`. Publishers that never pause, subscriptions of the
//! pool and of threads of their own that come and go, and messages that are dropped on other threads. Without
//! libtest, whose threads poll and are joined in ways that it reports; and without mailboxes that shed their
//! oldest message, whose queue is one under a lock of std's, which it cannot see (`ci/tsan.supp`). It asks
//! for little: that each message is delivered once, in order, and dropped. `RACES_SECONDS` says for how long.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use stasis_bus::{
    Bus, Delivery, Message, MessageType, Overflow, OwnThread, Subscription, Topic, WaitStrategy,
};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PUBLISHERS: u64 = 3;

/// How many payloads there are.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// What a message brings: of several sizes, some of which share memory.
#[derive(Debug)]
struct Payload<const WORDS: usize> {
    publisher: u64,
    /// Each of them is the number. In a box, so that a race for what it points to is seen as well.
    numbers: Box<[u64; WORDS]>,
    inline: [u64; WORDS],
}

static NAMED: MessageType<Payload<3>> = MessageType::new("named");

impl<const WORDS: usize> Payload<WORDS> {
    fn new(publisher: u64, number: u64) -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self {
            publisher,
            numbers: Box::new([number; WORDS]),
            inline: [number; WORDS],
        }
    }

    fn check(&self) -> (u64, u64) {
        let number = self.numbers[0];
        assert!(self.numbers.iter().all(|it| *it == number));
        assert!(self.inline.iter().all(|it| *it == number));
        (self.publisher, number)
    }
}

impl<const WORDS: usize> Drop for Payload<WORDS> {
    fn drop(&mut self) {
        let _ = self.check();
        self.numbers.fill(u64::MAX);
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

fn look(message: &Message) -> Option<(u64, u64)> {
    None.or_else(|| message.get::<Payload<1>>().map(Payload::check))
        .or_else(|| message.get::<Payload<2>>().map(Payload::check))
        .or_else(|| message.get::<Payload<3>>().map(Payload::check))
        .or_else(|| message.get::<Payload<40>>().map(Payload::check))
}

/// What is made on first use is made before there are threads: who waits until another one has made it waits
/// in std, too.
fn make_ready() {
    drop(Message::new(Payload::<1>::new(0, 0)));
    drop(Message::new(Payload::<2>::new(0, 0)));
    drop(Message::new(Payload::<3>::new(0, 0)));
    drop(Message::new(Payload::<40>::new(0, 0)));
    drop(NAMED.message(Payload::new(0, 0)));
}

fn publish(topic: &Topic, publisher: u64, stop: &AtomicBool) -> u64 {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let published = match number % 5 {
            0 => topic.publish(Payload::<1>::new(publisher, number)),
            1 => topic.publish(Payload::<2>::new(publisher, number)),
            2 => topic.publish(NAMED.message(Payload::new(publisher, number))),
            3 => topic.publish(Payload::<3>::new(publisher, number)),
            _ => topic.publish(Payload::<40>::new(publisher, number)),
        };
        assert!(published.is_ok(), "{published:?}");
    }
    number
}

/// The greatest number of each publisher so far. Not shared: the handler has it for itself (D3).
#[derive(Default)]
struct Seen([u64; PUBLISHERS as usize]);

impl Seen {
    fn note(&mut self, message: &Message) {
        if let Some((publisher, number)) = look(message) {
            let last = std::mem::replace(&mut self.0[publisher as usize], number);
            assert!(number > last, "{number} after {last}, from {publisher}");
        }
    }
}

/// A subscription of the `n`th kind. Some of what it gets ends on the thread behind `dropper`.
fn subscribe(topic: &Topic, n: u64, dropper: &Sender<Message>) -> Subscription {
    let mut seen = Seen::default();
    let dropper = dropper.clone();
    let overflow = match n % 5 {
        0 => Overflow::default(),
        1 => Overflow::Spill { limit: Some(256) },
        2 | 3 => Overflow::DropNewest,
        _ => Overflow::Block {
            timeout: Some(Duration::from_micros(100)),
        },
    };
    let delivery = match n % 4 {
        0 | 1 => Delivery::Pool,
        2 => OwnThread::new(WaitStrategy::Park).into(),
        _ => OwnThread::new(WaitStrategy::SpinThenPark).into(),
    };
    let builder = topic
        .subscribe()
        .capacity([1, 2, 3, 8, 256][(n / 5 % 5) as usize])
        .overflow(overflow)
        .delivery(delivery);
    let subscribed = if n % 7 == 0 {
        builder.run_batch(move |messages: &[Message]| {
            messages.iter().for_each(|message| seen.note(message));
        })
    } else {
        builder.run(move |message: &Message| {
            seen.note(message);
            if look(message).is_some_and(|(_, number)| number % 3 == 0) {
                // If there is no room, it ends here.
                let _ = dropper.try_send(message.clone());
            }
        })
    };
    subscribed.expect("subscribed")
}

/// It polls, since the lock that it would wait by is std's.
fn drop_all(messages: &Receiver<Message>) {
    loop {
        match messages.try_recv() {
            Ok(message) => drop(message),
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

fn come_and_go(
    topic: &Topic,
    first: u64,
    delivered: &AtomicU64,
    dropper: &Sender<Message>,
    stop: &AtomicBool,
) {
    let mut n = first;
    while !stop.load(Ordering::Relaxed) {
        let one = subscribe(topic, n, dropper);
        let other = subscribe(topic, n + 1, dropper);
        n += 2;
        thread::sleep(Duration::from_millis(2));
        one.flush().expect("flushed");
        for subscription in [one, other] {
            subscription.unsubscribe();
            let last = subscription.join().expect("joined");
            assert_eq!(last.discarded, 0, "{last:?}");
            delivered.fetch_add(last.delivered, Ordering::Relaxed);
        }
    }
}

fn main() {
    let seconds = std::env::var("RACES_SECONDS").map_or(1.0, |it| it.parse().expect("a number"));
    make_ready();
    let bus = Bus::builder().workers(2).build().expect("a bus");
    let topics: Vec<Topic> = ["a", "b"]
        .map(|name| bus.topic(name).expect("a topic"))
        .into();
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let delivered = AtomicU64::new(0);
    let (dropper, messages) = bounded(64);
    let mut kept = Seen::default();
    let keeper = topics[0]
        .subscribe()
        .run(move |message: &Message| kept.note(message));
    let published: u64 = thread::scope(|scope| {
        scope.spawn(move || drop_all(&messages));
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (topic, stop) = (&topics[publisher as usize % 2], &stop);
                scope.spawn(move || publish(topic, publisher, stop))
            })
            .collect();
        let subscribers = [0_u64, 1_000].map(|first| {
            let (topics, dropper) = (&topics, dropper.clone());
            let (delivered, over) = (&delivered, &over);
            scope.spawn(move || {
                come_and_go(
                    &topics[first as usize % 2],
                    first,
                    delivered,
                    &dropper,
                    over,
                )
            })
        });
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < seconds {
            thread::sleep(Duration::from_millis(20));
        }
        // Subscriptions come and go while there is something to get, so they end first.
        over.store(true, Ordering::Relaxed);
        let ended = subscribers.map(|it| it.join());
        stop.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a subscriber panicked");
        let published = publishers
            .into_iter()
            .map(|it| it.join().expect("no publisher panicked"));
        let published = published.sum();
        drop(dropper);
        published
    });
    drop(keeper);
    let report = bus.shutdown().expect("shut down");
    assert!(report.is_complete(), "{report:?}");
    drop((topics, bus));
    assert!(delivered.into_inner() > 0 && published > 0);
    let begin = Instant::now();
    while LIVE.load(Ordering::Relaxed) != 0 {
        assert!(
            begin.elapsed().as_secs() < 60,
            "messages are left: {LIVE:?}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
