//! Messages delivered a second: from P publishers to S subscribers, through the pool, through threads of the
//! subscriptions' own, and, as a yardstick in the same run, through crossbeam channels with a thread for each
//! receiver. All do the same work: 64-byte payloads behind a reference count, every one checked for its order
//! and counted. It is *not* about latency: publishers send rounds of [`ROUND`] messages as fast as they can, and
//! a round ends when every subscriber has all of it.

#![expect(missing_docs, reason = "criterion's macros")]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stasis_bus::{Bus, Delivery, OwnThread, Subscription, Topic, WaitStrategy};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// So many messages each publisher sends before all wait for their delivery.
const ROUND: u64 = 4_096;

/// Publishers and subscribers.
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 8), (1, 64), (1, 512), (2, 1), (4, 8)];

/// More threads than this are no fair way to use two cores.
const MOST_OWN_THREADS: usize = 64;

/// The greatest capacity of a mailbox here: nothing spills with it.
const ROOM: usize = 4 * ROUND as usize;

/// 64 bytes.
struct Item {
    publisher: usize,
    number: u64,
    _rest: [u64; 6],
}

/// Who has received how much, and who waits for all of it.
struct Ledger {
    received: AtomicU64,
    waiting: Thread,
}

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            received: AtomicU64::new(0),
            waiting: std::thread::current(),
        })
    }

    fn wait_for(&self, total: u64) {
        // Acquire: what the subscribers did to their messages is behind us.
        while self.received.load(Ordering::Acquire) < total {
            std::thread::park();
        }
    }
}

/// One subscriber: checks that each publisher's messages come in order, none left out, none twice.
struct Check {
    next: Vec<u64>,
    pending: u64,
    /// Tells the ledger when it has got so many: what all publishers send in a round.
    round: u64,
    ledger: Arc<Ledger>,
}

impl Check {
    fn new(publishers: usize, ledger: &Arc<Ledger>) -> Self {
        Self {
            next: vec![0; publishers],
            pending: 0,
            round: publishers as u64 * ROUND,
            ledger: Arc::clone(ledger),
        }
    }

    fn receive(&mut self, item: &Item) {
        assert_eq!(item.number, self.next[item.publisher], "out of order");
        self.next[item.publisher] += 1;
        self.pending += 1;
        if self.pending == self.round {
            self.pending = 0;
            // Release: see `wait_for`.
            self.ledger
                .received
                .fetch_add(self.round, Ordering::Release);
            self.ledger.waiting.unpark();
        }
    }
}

/// Sends an item to everybody.
type Send = Box<dyn FnMut(Item) + std::marker::Send>;

/// Publishers, each on its own thread, told to send a round at a time.
struct Publishers {
    go: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    ledger: Arc<Ledger>,
    expected: u64,
    round: u64,
}

impl Publishers {
    fn new(sends: Vec<Send>, subscribers: usize, ledger: Arc<Ledger>) -> Self {
        let round = sends.len() as u64 * ROUND * subscribers as u64;
        let (mut go, mut threads) = (Vec::new(), Vec::new());
        for (publisher, mut send) in sends.into_iter().enumerate() {
            let (tell, told) = mpsc::channel();
            go.push(tell);
            threads.push(std::thread::spawn(move || {
                let mut number = 0;
                while let Ok(()) = told.recv() {
                    for _ in 0..ROUND {
                        send(Item {
                            publisher,
                            number,
                            _rest: [0; 6],
                        });
                        number += 1;
                    }
                }
            }));
        }
        Self {
            go,
            threads,
            ledger,
            expected: 0,
            round,
        }
    }

    /// One round, and the time it took.
    fn run(&mut self) -> Duration {
        self.expected += self.round;
        let start = Instant::now();
        for publisher in &self.go {
            publisher.send(()).expect("a publisher");
        }
        self.ledger.wait_for(self.expected);
        start.elapsed()
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.go.clear();
        for thread in self.threads.drain(..) {
            thread.join().expect("a publisher that did not panic");
        }
    }
}

/// The bus, with that delivery and that room in each mailbox.
struct OnBus {
    publishers: Publishers,
    subscriptions: Vec<Subscription>,
    _bus: Bus,
}

impl OnBus {
    fn new(shape: (usize, usize), delivery: &Delivery, room: Option<usize>) -> Self {
        let bus = Bus::new().expect("a bus");
        let topic = bus.topic("t").expect("a topic");
        let ledger = Ledger::new();
        let (publishers, subscribers) = shape;
        let subscribe = |_| {
            let mut check = Check::new(publishers, &ledger);
            let mut builder = topic.subscribe().delivery(delivery.clone());
            if let Some(room) = room {
                builder = builder.capacity(room);
            }
            builder
                .run(move |item: &Item| check.receive(item))
                .expect("a subscription")
        };
        let subscriptions = (0..subscribers).map(subscribe).collect();
        let send = |topic: &Topic| -> Send {
            let topic = topic.clone();
            Box::new(move |item| {
                topic.publish(item).expect("an open topic");
            })
        };
        let sends = (0..publishers).map(|_| send(&topic)).collect();
        Self {
            publishers: Publishers::new(sends, subscribers, ledger),
            subscriptions,
            _bus: bus,
        }
    }
}

impl Drop for OnBus {
    fn drop(&mut self) {
        let expected = self.publishers.expected / self.subscriptions.len() as u64;
        for subscription in &self.subscriptions {
            subscription.unsubscribe();
            let last = subscription.join().expect("a final message");
            assert_eq!(last.delivered, expected, "as many as were published");
            assert_eq!(subscription.stats().panics, 0, "all in order");
        }
    }
}

/// The yardstick: a channel and a thread for each subscriber.
struct OnChannels {
    publishers: Option<Publishers>,
    threads: Vec<JoinHandle<()>>,
}

impl OnChannels {
    fn new((publishers, subscribers): (usize, usize)) -> Self {
        let ledger = Ledger::new();
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..subscribers {
            let (sender, receiver) = crossbeam_channel::unbounded::<Arc<Item>>();
            senders.push(sender);
            let mut check = Check::new(publishers, &ledger);
            threads.push(std::thread::spawn(move || {
                for item in receiver {
                    check.receive(&item);
                }
            }));
        }
        let send = |_| -> Send {
            let senders = senders.clone();
            Box::new(move |item| {
                let item = Arc::new(item);
                for sender in &senders {
                    sender.send(Arc::clone(&item)).expect("a receiver");
                }
            })
        };
        let sends = (0..publishers).map(send).collect();
        Self {
            publishers: Some(Publishers::new(sends, subscribers, ledger)),
            threads,
        }
    }
}

impl Drop for OnChannels {
    fn drop(&mut self) {
        self.publishers = None;
        for thread in self.threads.drain(..) {
            thread.join().expect("a receiver that did not panic");
        }
    }
}

fn fan_out(criterion: &mut Criterion) {
    let own = Delivery::OwnThread(OwnThread::new(WaitStrategy::SpinThenPark));
    for (publishers, subscribers) in SHAPES {
        let shape = (publishers, subscribers);
        let mut group = criterion.benchmark_group("fan_out");
        let deliveries = publishers as u64 * ROUND * subscribers as u64;
        group.throughput(Throughput::Elements(deliveries));
        let mut case = |name: &str, run: &mut dyn FnMut() -> Duration| {
            let id = BenchmarkId::new(name, format!("{publishers}:{subscribers}"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| run()).sum());
            });
        };
        let mut bus = OnBus::new(shape, &Delivery::Pool, None);
        case("pool", &mut || bus.publishers.run());
        drop(bus);
        let mut bus = OnBus::new(shape, &Delivery::Pool, Some(ROOM));
        case("pool with room", &mut || bus.publishers.run());
        drop(bus);
        if subscribers <= MOST_OWN_THREADS {
            let mut bus = OnBus::new(shape, &own, None);
            case("own threads", &mut || bus.publishers.run());
            drop(bus);
        }
        let mut channels = OnChannels::new(shape);
        let publishers = channels.publishers.as_mut().expect("there until the drop");
        case("crossbeam channels", &mut || publishers.run());
        drop(channels);
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(2000))
        .sample_size(20);
    targets = fan_out
}
criterion_main!(benches);
