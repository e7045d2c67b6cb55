//! What topics, subscriptions, receivers and messages weigh at rest: bytes that the allocator was asked for,
//! over 100,000 of each, never used and after 1,000 messages delivered and drained. Beside that, what the C
//! library set aside and how much larger the process became. It is *not* about speed.
//!
//! What counts as a thing's own: everything that is allocated because it exists and that goes when it goes. A
//! topic: its entry in the registry, its name of 16 bytes, its handle. A subscription: its mailbox, its
//! handler's box, its default name, its place in the topic's list, its statistics, its handle. Handles are
//! counted as elements of a `Vec`.
//!
//! Subscriptions are measured in two shapes: each on a topic of its own (the list belongs to it alone; the
//! topics themselves, made before, are not counted), and 100 on each topic. The figure that is reported is the
//! greatest of both shapes and both states.

#[path = "support/alloc.rs"]
mod alloc;
mod support;

use alloc::{Allocated, Counting};
use stasis_bus::{Bus, Message, Receiver, Subscription, Topic};
use std::hint::black_box;
use support::{Flags, Payload};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Delivered to each subscription before its second weighing.
const MESSAGES: u64 = 1_000;

/// At most so many messages are on their way to a subscription at once.
const BURST: u64 = 16;

/// So many subscriptions get their messages at the same time.
const TOGETHER: usize = 100;

/// How many subscriptions share a topic in the second shape.
const SHARING: usize = 100;

/// Bytes for each of many things.
#[derive(Clone, Copy, Debug)]
struct Weight {
    requested: f64,
    set_aside: f64,
    resident: f64,
}

#[derive(Clone, Copy, Debug)]
struct Weights {
    never_used: Weight,
    used: Weight,
}

/// The process as it is before things come into being.
struct Scales {
    before: Allocated,
    resident: i64,
    count: usize,
}

impl Scales {
    fn new(count: usize) -> Self {
        Self {
            before: Allocated::now(),
            resident: resident_bytes(),
            count,
        }
    }

    fn weigh(&self) -> Weight {
        flush_garbage();
        let now = Allocated::now();
        let each = |bytes: i64| bytes as f64 / self.count as f64;
        Weight {
            requested: each(now.requested - self.before.requested),
            set_aside: each(now.set_aside - self.before.set_aside),
            resident: each(resident_bytes() - self.resident),
        }
    }
}

/// Resident memory, where the system tells; else 0.
fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Has the epoch move on, so that replaced lists are gone: changes on a topic of another bus.
fn flush_garbage() {
    let bus = Bus::new().expect("a bus");
    let topic = bus.topic("garbage").expect("a topic");
    for _ in 0..1_000 {
        let receiver = topic.subscribe().receiver().expect("a receiver");
        drop(black_box(receiver));
    }
}

fn name(number: usize) -> String {
    format!("topic/{number:010}")
}

fn topics(bus: &Bus, count: usize) -> Vec<Topic> {
    let mut topics = Vec::with_capacity(count);
    topics.extend((0..count).map(|number| bus.topic(&name(number)).expect("a topic")));
    topics
}

/// Topics are used by one subscription after the other, which is gone when they are weighed again.
fn weigh_topics(count: usize, messages: u64) -> Weights {
    let bus = support::bus(1);
    drop(topics(&bus, count));
    let scales = Scales::new(count);
    let topics = topics(&bus, count);
    let never_used = scales.weigh();
    for topic in &topics {
        let mut receiver = topic.subscribe().receiver().expect("a receiver");
        for number in 0..messages {
            topic.publish(Payload::new(number)).expect("published");
            let message = receiver.try_recv().expect("a message");
            assert_eq!(payload_number(&message), number);
        }
    }
    let used = scales.weigh();
    drop(topics);
    Weights { never_used, used }
}

fn payload_number(message: &Message) -> u64 {
    message.get::<Payload>().map_or(u64::MAX, |it| it.number)
}

/// `sharing` subscriptions on each topic.
fn weigh_subscriptions(count: usize, sharing: usize, messages: u64) -> Weights {
    let bus = support::bus(1);
    let topics = topics(&bus, count.div_ceil(sharing));
    // The pool itself is the bus's.
    let first = topics[0].subscribe().run(|_: &Payload| {});
    drop(first.expect("a subscription"));
    support::wait_for_rest(&bus);
    flush_garbage();
    let scales = Scales::new(count);
    let mut subscriptions: Vec<Subscription> = Vec::with_capacity(count);
    for number in 0..count {
        let mut sum = 0_u64;
        let subscription = topics[number / sharing]
            .subscribe()
            .run(move |it: &Payload| {
                sum = black_box(sum.wrapping_add(it.number));
            });
        subscriptions.push(subscription.expect("a subscription"));
    }
    let never_used = scales.weigh();
    let together = topics.chunks(TOGETHER.div_ceil(sharing));
    for (topics, group) in together.zip(subscriptions.chunks(TOGETHER)) {
        for number in 0..messages {
            for topic in topics {
                topic.publish(Payload::new(number)).expect("published");
            }
            if number % BURST == BURST - 1 {
                group.iter().for_each(flush);
            }
        }
        group.iter().for_each(flush);
    }
    support::wait_for_rest(&bus);
    let stats = subscriptions[count / 2].stats();
    assert_eq!((stats.delivered, stats.depth), (messages, 0));
    let used = scales.weigh();
    drop(subscriptions);
    Weights { never_used, used }
}

fn flush(subscription: &Subscription) {
    if subscription.stats().depth > 0 {
        subscription.flush().expect("an open subscription");
    }
}

fn weigh_receivers(count: usize, messages: u64) -> Weights {
    let bus = support::bus(1);
    let topics = topics(&bus, count);
    let scales = Scales::new(count);
    let mut receivers: Vec<Receiver> = Vec::with_capacity(count);
    receivers.extend(topics.iter().map(|topic| {
        let receiver = topic.subscribe().receiver();
        receiver.expect("a receiver")
    }));
    let never_used = scales.weigh();
    for (topic, receiver) in topics.iter().zip(&mut receivers) {
        for number in 0..messages {
            topic.publish(Payload::new(number)).expect("published");
            let message = receiver.try_recv().expect("a message");
            assert_eq!(payload_number(&message), number);
        }
    }
    let used = scales.weigh();
    drop(receivers);
    Weights { never_used, used }
}

/// What a message weighs beyond its payload, its handle included.
fn weigh_messages(count: usize) -> Weights {
    let scales = Scales::new(count);
    let mut messages: Vec<Message> = Vec::with_capacity(count);
    messages.extend((0..count).map(|number| Message::new(Payload::new(number as u64))));
    let mut weight = scales.weigh();
    drop(messages);
    let payload = size_of::<Payload>() as f64;
    weight.requested -= payload;
    weight.set_aside -= payload;
    weight.resident -= payload;
    Weights {
        never_used: weight,
        used: weight,
    }
}

/// What is weighed, each in a process of its own, so that none finds memory that another one has left.
const WEIGHINGS: [(&str, Weighing); 5] = [
    ("message, beyond its payload", |count, _| {
        weigh_messages(count)
    }),
    ("topic", weigh_topics),
    ("pool subscription, one a topic", |count, messages| {
        weigh_subscriptions(count, 1, messages)
    }),
    ("pool subscription, 100 a topic", |count, messages| {
        weigh_subscriptions(count, SHARING, messages)
    }),
    ("receiver, one a topic", weigh_receivers),
];

type Weighing = fn(usize, u64) -> Weights;

/// Runs one of [`WEIGHINGS`] in a child, which prints the six figures.
fn weigh_in_child(index: usize, count: usize, messages: u64) -> Weights {
    let program = std::env::current_exe().expect("the path of this program");
    let output = std::process::Command::new(program)
        .args([
            CHILD,
            &index.to_string(),
            &count.to_string(),
            &messages.to_string(),
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("a child");
    assert!(output.status.success(), "a child failed");
    let text = String::from_utf8(output.stdout).expect("figures");
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(|figure| figure.parse().expect("a figure"))
        .collect();
    let weight = |figures: &[f64]| Weight {
        requested: figures[0],
        set_aside: figures[1],
        resident: figures[2],
    };
    Weights {
        never_used: weight(&figures[..3]),
        used: weight(&figures[3..]),
    }
}

const CHILD: &str = "--weigh";

/// The child's part: true if this process is one.
fn was_child() -> bool {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != CHILD).collect();
    let [_, index, count, messages] = &args[..] else {
        return false;
    };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    // The first use of everything that is there once in a process.
    flush_garbage();
    let (_, weigh) = WEIGHINGS[number(index)];
    let weights = weigh(number(count), number(messages) as u64);
    for Weight {
        requested,
        set_aside,
        resident,
    } in [weights.never_used, weights.used]
    {
        println!("{requested} {set_aside} {resident}");
    }
    true
}

fn main() {
    if was_child() {
        return;
    }
    let flags = Flags::read();
    let (count, messages) = match flags.test {
        true => (1_000, 20),
        false => (100_000, MESSAGES),
    };
    println!("bytes for each of {count}; used: {messages} messages delivered and drained\n");
    println!(
        "{:<31} {:<11} {:>9} {:>9} {:>9}",
        "", "", "requested", "set aside", "resident"
    );
    let mut all = Vec::new();
    for (index, (what, _)) in WEIGHINGS.iter().enumerate() {
        let weights = weigh_in_child(index, count, messages);
        for (state, weight) in [("never used", weights.never_used), ("used", weights.used)] {
            println!(
                "{what:<31} {state:<11} {:>9.1} {:>9.1} {:>9.1}",
                weight.requested, weight.set_aside, weight.resident
            );
        }
        all.push(weights);
    }
    if flags.json {
        print_json(&all);
    }
}

fn print_json(all: &[Weights]) {
    let mut fields = Vec::new();
    for (what, weights) in [
        ("topic", &all[1..2]),
        ("pool_subscription", &all[2..4]),
        ("receiver", &all[4..5]),
    ] {
        let never_used = greatest(weights.iter().map(|weights| weights.never_used));
        let used = greatest(weights.iter().map(|weights| weights.used));
        fields.push(format!("\"{what}_bytes\": {}", never_used.max(used)));
        fields.push(format!("\"{what}_bytes_never_used\": {never_used}"));
        fields.push(format!("\"{what}_bytes_used\": {used}"));
    }
    let overhead = greatest([all[0].never_used].into_iter());
    fields.push(format!("\"message_overhead_bytes\": {overhead}"));
    println!("{{{}}}", fields.join(", "));
}

/// In whole bytes, rounded up.
fn greatest(weights: impl Iterator<Item = Weight>) -> i64 {
    let requested = weights.map(|weight| weight.requested.ceil() as i64);
    requested.max().unwrap_or(0)
}
