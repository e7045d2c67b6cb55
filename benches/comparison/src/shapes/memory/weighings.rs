//! What is weighed, and how each is brought to rest. To be run in a process of its own.

use super::super::figures::{Figure, figure};
use crate::item::Item;
use stasis_bus::{Bus, Receiver, Subscription, Topic};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc};

/// Weighs so many, so many of them on each topic.
type Weigh = fn(usize, usize) -> Vec<Figure>;

/// By peer.
pub(super) const WEIGHINGS: &[(&str, Weigh)] = &[
    ("stasis-bus", stasis_handlers),
    ("stasis-bus/receiver", stasis_receivers),
    ("crossbeam", crossbeam),
    ("tokio-mpsc", tokio_mpsc),
    ("tokio-broadcast", tokio_broadcast),
    ("async-broadcast", async_broadcast),
];

/// What other shapes weigh.
pub(crate) const MANY_TOPICS: &str = "topics";

pub(super) fn named(name: &str) -> Option<Weigh> {
    let many = (MANY_TOPICS, many_topics as Weigh);
    let mut all = WEIGHINGS.iter().chain([&many]);
    all.find(|(known, _)| *known == name)
        .map(|(_, weigh)| *weigh)
}

/// Messages to each subscription before the second weighing.
const MESSAGES: u64 = 1_000;

/// At most so many are on their way to a subscription at once.
const BURST: u64 = 16;

#[cfg(not(feature = "mimalloc"))]
pub(super) const IS_COUNTED: bool = true;
#[cfg(feature = "mimalloc")]
pub(super) const IS_COUNTED: bool = false;

#[cfg(not(feature = "mimalloc"))]
fn requested() -> i64 {
    crate::alloc::Allocated::now().requested
}

#[cfg(feature = "mimalloc")]
fn requested() -> i64 {
    0
}

/// Memory of the process, where the system tells; else 0.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok());
    kibibytes.unwrap_or(0) * 1_024
}

/// Weighs subscriptions of one kind: `topics` makes so many topics, `subscribe` adds to one, `settle` brings so many
/// to rest, and `publish` sends a message to each topic and, if told to, waits until all have it. Handles count as
/// elements of a `Vec`.
fn weigh<T, S>(
    (count, sharing): (usize, usize),
    mut topics: impl FnMut(usize) -> Vec<T>,
    mut subscribe: impl FnMut(&T) -> S,
    mut settle: impl FnMut(usize),
    mut publish: impl FnMut(&[T], &mut [S], u64, bool),
) -> Vec<Figure> {
    // What is there once in a process comes with the first use of it.
    let first = topics(1);
    let _first = subscribe(&first[0]);
    settle(1);
    let each = |from: i64, count: usize| (requested() - from) as f64 / count as f64;
    let (before_topics, of_topics) = (requested(), count / sharing);
    let made = topics(of_topics);
    let topic = each(before_topics, of_topics);
    let before = requested();
    let mut subscriptions = Vec::with_capacity(count);
    subscriptions.extend((0..count).map(|idx| subscribe(&made[idx / sharing])));
    settle(count);
    let never_used = each(before, count);
    for number in 0..MESSAGES {
        let is_end = number % BURST == BURST - 1 || number == MESSAGES - 1;
        publish(&made, &mut subscriptions, number, is_end);
    }
    settle(count);
    let used = each(before, count);
    let name = if sharing == 1 {
        "subscription alone"
    } else {
        "subscription"
    };
    let mut figures = vec![
        figure(name, "B", never_used),
        figure(format!("{name}, used"), "B", used),
    ];
    // What a topic weighs shows best if there are many.
    if sharing == 1 && size_of::<T>() > 0 {
        figures.push(figure("topic", "B", topic));
        // Tasks, which have no handle, do not end before their topic.
        if std::mem::needs_drop::<S>() {
            drop(subscriptions);
            settle(count);
            figures.push(figure("topic, used", "B", each(before_topics, count)));
        }
    }
    figures
}

fn bus_topics(bus: &Bus, count: usize) -> Vec<Topic> {
    let mut topics = Vec::with_capacity(count);
    // Names of 16 bytes.
    let topic = |number| bus.topic(&format!("topic/{number:010}"));
    topics.extend((0..count).map(|number| topic(number).expect("a topic")));
    topics
}

/// Has replaced lists of subscribers freed, by changes on a topic of another bus.
fn flush_garbage() {
    let bus = Bus::new().expect("a bus");
    let topic = bus.topic("garbage").expect("a topic");
    for _ in 0..1_000 {
        drop(black_box(topic.subscribe().receiver()).expect("a receiver"));
    }
}

/// Has the bus keep as much memory for later messages as it does at most, and says how much that is: it is the
/// process's, whatever topics and subscriptions there are.
fn fill_memory_of_messages() -> i64 {
    const PLENTY: u64 = 8_192;
    let bus = Bus::new().expect("a bus");
    let topic = bus.topic("plenty").expect("a topic");
    let receiver = topic.subscribe().receiver().expect("a receiver");
    let before = requested();
    for number in 0..PLENTY {
        topic.publish(Item::new(0, number)).expect("published");
    }
    drop(receiver);
    flush_garbage();
    requested() - before
}

fn stasis_handlers(count: usize, sharing: usize) -> Vec<Figure> {
    let kept = fill_memory_of_messages();
    let bus = Bus::new().expect("a bus");
    let subscribe = |topic: &Topic| {
        let mut next = 0;
        let handler = move |item: &Item| {
            assert_eq!(item.number, next);
            next += 1;
        };
        topic.subscribe().run(handler).expect("a subscription")
    };
    let mut figures = weigh(
        (count, sharing),
        |count| bus_topics(&bus, count),
        subscribe,
        |_| {
            while bus.stats().ending > 0 {
                std::thread::yield_now();
            }
            flush_garbage();
        },
        |topics: &[Topic], subscriptions: &mut [Subscription], number, is_end| {
            for topic in topics {
                topic.publish(Item::new(0, number)).expect("published");
            }
            if is_end {
                for subscription in subscriptions {
                    subscription.flush().expect("it is open");
                    assert_eq!(subscription.stats().delivered, number + 1);
                }
            }
        },
    );
    if sharing > 1 {
        figures.push(figure("kept for messages, process", "B", kept as f64));
    }
    figures
}

fn stasis_receivers(count: usize, sharing: usize) -> Vec<Figure> {
    fill_memory_of_messages();
    let bus = Bus::new().expect("a bus");
    weigh(
        (count, sharing),
        |count| bus_topics(&bus, count),
        |topic| topic.subscribe().receiver().expect("a receiver"),
        |_| flush_garbage(),
        |topics: &[Topic], receivers: &mut [Receiver], number, _| {
            for topic in topics {
                topic.publish(Item::new(0, number)).expect("published");
            }
            for receiver in receivers {
                let message = receiver.try_recv().expect("a message");
                assert_eq!(message.get::<Item>().map(|it| it.number), Some(number));
            }
        },
    )
}

fn crossbeam(count: usize, sharing: usize) -> Vec<Figure> {
    type Channel = (
        crossbeam_channel::Sender<Arc<Item>>,
        crossbeam_channel::Receiver<Arc<Item>>,
    );
    // A topic is a list of senders, which is counted with the subscribers.
    weigh(
        (count, sharing),
        |count| vec![(); count],
        |()| crossbeam_channel::unbounded(),
        |_| (),
        |_, channels: &mut [Channel], number, _| {
            let item = Arc::new(Item::new(0, number));
            for (sender, receiver) in channels {
                sender.send(Arc::clone(&item)).expect("a receiver");
                assert_eq!(receiver.try_recv().expect("it").number, number);
            }
        },
    )
}

/// Tasks on a runtime of one thread, that count what they get.
struct Tasks {
    runtime: Runtime,
    received: Arc<AtomicU64>,
}

impl Tasks {
    fn new() -> Self {
        Self {
            runtime: Builder::new_current_thread().build().expect("a runtime"),
            received: Arc::default(),
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: impl FnOnce(Arc<AtomicU64>) -> F,
    ) {
        self.runtime.spawn(task(Arc::clone(&self.received)));
    }

    fn run_until_received(&self, all: u64) {
        // Relaxed: one thread.
        self.runtime.block_on(async {
            while self.received.load(Ordering::Relaxed) < all {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(self.received.load(Ordering::Relaxed), all, "none twice");
    }

    /// Lets all run that can.
    fn settle(&self, count: usize) {
        self.runtime.block_on(async {
            for _ in 0..count + 100 {
                tokio::task::yield_now().await;
            }
        });
    }
}

fn counted(received: &AtomicU64) {
    // Relaxed: one thread.
    received.fetch_add(1, Ordering::Relaxed);
}

fn tokio_mpsc(count: usize, sharing: usize) -> Vec<Figure> {
    let tasks = Tasks::new();
    weigh(
        (count, sharing),
        |count| vec![(); count],
        |()| {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Arc<Item>>();
            tasks.spawn(|received| async move {
                while receiver.recv().await.is_some() {
                    counted(&received);
                }
            });
            sender
        },
        |count| tasks.settle(count),
        |_, senders: &mut [mpsc::UnboundedSender<Arc<Item>>], number, is_end| {
            let item = Arc::new(Item::new(0, number));
            for sender in &*senders {
                sender.send(Arc::clone(&item)).expect("a receiver");
            }
            if is_end {
                tasks.run_until_received((number + 1) * senders.len() as u64);
            }
        },
    )
}

fn tokio_broadcast(count: usize, sharing: usize) -> Vec<Figure> {
    let tasks = Tasks::new();
    weigh(
        (count, sharing),
        |count| {
            let topic = |_| broadcast::Sender::new(BURST as usize);
            (0..count).map(topic).collect()
        },
        |sender: &broadcast::Sender<Arc<Item>>| {
            let mut receiver = sender.subscribe();
            tasks.spawn(|received| async move {
                while receiver.recv().await.is_ok() {
                    counted(&received);
                }
            });
        },
        |count| tasks.settle(count),
        |topics: &[broadcast::Sender<Arc<Item>>], all, number, is_end| {
            for sender in topics {
                let item = Arc::new(Item::new(0, number));
                sender.send(item).expect("a receiver");
            }
            if is_end {
                tasks.run_until_received((number + 1) * all.len() as u64);
            }
        },
    )
}

fn async_broadcast(count: usize, sharing: usize) -> Vec<Figure> {
    type Topic = (
        async_broadcast::Sender<Arc<Item>>,
        async_broadcast::InactiveReceiver<Arc<Item>>,
    );
    let tasks = Tasks::new();
    weigh(
        (count, sharing),
        |count| {
            let topic = |_| {
                let (sender, receiver) = async_broadcast::broadcast(BURST as usize);
                (sender, receiver.deactivate())
            };
            (0..count).map(topic).collect()
        },
        |(sender, _): &Topic| {
            let mut receiver = sender.new_receiver();
            tasks.spawn(|received| async move {
                while receiver.recv_direct().await.is_ok() {
                    counted(&received);
                }
            });
        },
        |count| tasks.settle(count),
        |topics: &[Topic], all, number, is_end| {
            for (sender, _) in topics {
                let item = Arc::new(Item::new(0, number));
                sender.try_broadcast(item).expect("room");
            }
            if is_end {
                tasks.run_until_received((number + 1) * all.len() as u64);
            }
        },
    )
}

fn many_topics(count: usize, _: usize) -> Vec<Figure> {
    let bus = Bus::new().expect("a bus");
    let (asked, resides) = (requested(), resident());
    let topics = bus_topics(&bus, count);
    let figures = vec![
        figure("asked for", "B", (requested() - asked) as f64),
        figure("resident", "B", (resident() - resides) as f64),
    ];
    let mut receiver = topics[count / 2].subscribe().receiver().expect("one");
    topics[count / 2]
        .publish(Item::new(0, 7))
        .expect("published");
    assert!(receiver.try_recv().is_ok(), "they are topics");
    figures
}
