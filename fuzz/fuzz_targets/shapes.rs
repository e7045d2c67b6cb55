//! Graphs of forwards, with cycles, diamonds and duplicates, that change: each subscription gets each publish once if
//! its topic can be reached, else not at all (D4), in the order in which they were made (D2), and the receipt says so.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stasis_bus::{Bus, Delivery, Forward, Overflow, Receiver, Subscription, Topic};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const TOPICS: usize = 10;
const MAX_OPS: usize = 160;

#[derive(Arbitrary, Debug)]
struct Program {
    /// By topic.
    kinds: [Kind; TOPICS],
    ops: Vec<Op>,
}

/// A topic, and what subscribes there.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Kind {
    total_order: bool,
    listener: Listener,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Listener {
    Receiver,
    /// Reads with a key function, which takes another way through publish.
    Slow,
    Inline,
    Filtered,
    Nobody,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Forward {
        from: u8,
        to: u8,
    },
    Cancel {
        which: u8,
    },
    CancelAll,
    Keep {
        which: u8,
    },
    Publish {
        topic: u8,
    },
    PublishBatch {
        topic: u8,
    },
    /// Lets go of the handle for a moment: forwards and subscriptions keep the topic, or it is made anew.
    Rename {
        topic: u8,
    },
    Unsubscribe {
        topic: u8,
    },
    Subscribe {
        topic: u8,
    },
}

struct Edge {
    from: usize,
    to: usize,
    /// `None`: kept.
    forward: Option<Forward>,
}

enum Ear {
    Receiver(Receiver),
    Inline(Subscription, Arc<Mutex<Vec<u32>>>),
}

struct World {
    bus: Bus,
    kinds: [Kind; TOPICS],
    topics: Vec<Topic>,
    ears: Vec<Option<Ear>>,
    edges: Vec<Edge>,
    made: u32,
}

impl World {
    fn new(kinds: [Kind; TOPICS]) -> Self {
        let bus = Bus::new().expect("nothing is wrong with it");
        let mut world = Self {
            bus,
            kinds,
            topics: Vec::new(),
            ears: Vec::new(),
            edges: Vec::new(),
            made: 0,
        };
        for number in 0..TOPICS {
            let topic = world.find(number);
            world.topics.push(topic);
            world.ears.push(None);
            world.subscribe(number);
        }
        world
    }

    fn find(&self, number: usize) -> Topic {
        let name = format!("topic {number}");
        let topic = match self.kinds[number].total_order {
            true => self.bus.topic_with_total_order(&name),
            false => self.bus.topic(&name),
        };
        topic.expect("all is well with its name")
    }

    fn subscribe(&mut self, number: usize) {
        let builder = self.topics[number].subscribe();
        let ear = match self.kinds[number].listener {
            Listener::Nobody => return,
            Listener::Receiver => builder.receiver().map(Ear::Receiver),
            Listener::Filtered => builder.filter(|_| true).receiver().map(Ear::Receiver),
            Listener::Slow => {
                let by_number = Overflow::conflate(|message| *message.get::<u32>().unwrap_or(&0));
                let builder = builder.overflow(by_number).capacity(64);
                builder.receiver().map(Ear::Receiver)
            }
            Listener::Inline => {
                let seen = Arc::new(Mutex::new(Vec::new()));
                let log = Arc::clone(&seen);
                let log = move |n: &u32| log.lock().expect("nobody panics").push(*n);
                let subscription = builder.delivery(Delivery::Inline).run(log);
                subscription.map(|subscription| Ear::Inline(subscription, seen))
            }
        };
        self.ears[number] = Some(ear.expect("nothing is wrong with it"));
    }

    fn step(&mut self, op: Op) {
        let number = |topic: u8| usize::from(topic) % TOPICS;
        match op {
            Op::Forward { from, to } => {
                let (from, to) = (number(from), number(to));
                let forward = self.topics[from].forward_to(&self.topics[to]);
                let forward = Some(forward.expect("both are open"));
                self.edges.push(Edge { from, to, forward });
            }
            Op::Cancel { which } if !self.edges.is_empty() => {
                let which = usize::from(which) % self.edges.len();
                if self.edges[which].forward.is_some() {
                    drop(self.edges.swap_remove(which));
                }
            }
            Op::CancelAll => self.edges.retain(|edge| edge.forward.is_none()),
            Op::Keep { which } if !self.edges.is_empty() => {
                let which = usize::from(which) % self.edges.len();
                if let Some(forward) = self.edges[which].forward.take() {
                    forward.detach();
                }
            }
            Op::Cancel { .. } | Op::Keep { .. } => {}
            Op::Publish { topic } => self.publish(number(topic), 1),
            Op::PublishBatch { topic } => self.publish(number(topic), 3),
            Op::Rename { topic } => self.let_go(number(topic)),
            Op::Unsubscribe { topic } => self.ears[number(topic)] = None,
            Op::Subscribe { topic } => {
                self.ears[number(topic)] = None;
                self.subscribe(number(topic));
            }
        }
    }

    fn let_go(&mut self, number: usize) {
        let is_kept = self.ears[number].is_some() || self.edges.iter().any(|e| e.touches(number));
        let old = self.topics.remove(number);
        let id = old.clone();
        drop(old);
        if !is_kept {
            drop(id);
            let name = format!("topic {number}");
            assert!(
                self.bus.get_topic(&name).is_none(),
                "nobody has it any more"
            );
            let new = self.find(number);
            return self.topics.insert(number, new);
        }
        let again = self.find(number);
        assert!(again.is_same(&id), "somebody has it");
        self.topics.insert(number, again);
    }

    fn reach(&self, topic: usize) -> BTreeSet<usize> {
        let mut reach = BTreeSet::from([topic]);
        let mut todo = vec![topic];
        while let Some(from) = todo.pop() {
            let out = self.edges.iter().filter(|edge| edge.from == from);
            todo.extend(out.filter(|edge| reach.insert(edge.to)).map(|edge| edge.to));
        }
        reach
    }

    fn publish(&mut self, topic: usize, count: u32) {
        let numbers: Vec<u32> = (self.made..self.made + count).collect();
        self.made += count;
        let receipt = match count {
            1 => self.topics[topic].publish(numbers[0]),
            _ => self.topics[topic].publish_batch(numbers.clone()),
        };
        let reach = self.reach(topic);
        let mut heard = 0;
        for (number, ear) in self.ears.iter_mut().enumerate() {
            let Some(ear) = ear else { continue };
            let seen = ear.seen();
            if reach.contains(&number) {
                assert_eq!(seen, numbers, "topic {number} is reached from {topic}");
                heard += u64::from(count);
            } else {
                assert_eq!(
                    seen, [0_u32; 0],
                    "topic {number} is not reached from {topic}"
                );
            }
        }
        let receipt = receipt.expect("nobody fails");
        assert_eq!(receipt.offered(), heard);
        assert_eq!(
            (receipt.filtered(), receipt.shed(), receipt.closed()),
            (0, 0, 0)
        );
    }

    fn compare(&self) {
        for (number, topic) in self.topics.iter().enumerate() {
            let mut names: Vec<String> = self
                .edges
                .iter()
                .filter(|edge| edge.from == number)
                .map(|edge| format!("topic {}", edge.to))
                .collect();
            let stats = topic.stats();
            let mut found: Vec<&str> = stats.forwards_to.iter().map(|name| &**name).collect();
            names.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, names);
            let hears = |number: &usize| self.ears[*number].is_some();
            let heard = self.reach(number).iter().any(hears);
            assert_eq!(topic.has_subscribers_for_payload::<u32>(), heard);
        }
    }
}

impl Edge {
    fn touches(&self, number: usize) -> bool {
        self.from == number || self.to == number
    }
}

impl Ear {
    /// What it has heard since this was last called.
    fn seen(&mut self) -> Vec<u32> {
        match self {
            Self::Receiver(receiver) => {
                let numbers = receiver.try_iter().map(|message| message.get().copied());
                numbers.map(|number| number.expect("a number")).collect()
            }
            Self::Inline(subscription, seen) => {
                assert!(!subscription.is_done());
                std::mem::take(&mut *seen.lock().expect("nobody panics"))
            }
        }
    }
}

fuzz_target!(|program: Program| {
    let mut world = World::new(program.kinds);
    for op in program.ops.into_iter().take(MAX_OPS) {
        world.step(op);
        world.compare();
    }
    for topic in 0..TOPICS {
        world.publish(topic, 1);
    }
});
