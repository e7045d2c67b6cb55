//! Random programs of forwards, bindings, pools and aggregates by pattern, against the dumbest model that is right:
//! a list of edges. After each step a message is published on each topic, and comes once to each topic that can
//! be reached, and to no other.

use stasis_bus::{Bus, Forward, Receiver, Topic, TopicPool};
use std::collections::BTreeSet;

/// So many programs, each of so many steps.
const SEEDS: u64 = 400;
const STEPS: usize = 60;

/// Of the topics the first two have pools, and four others are their children by name: [`CHILDREN`].
const TOPICS: usize = 8;
const CHILDREN: usize = 4;
/// The aggregates: of the children of the first topic, and of all topics.
const OF_CHILDREN: usize = TOPICS;
const OF_ALL: usize = TOPICS + 1;
const PLACES: usize = TOPICS + 2;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// Why an edge is there, but for those that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Bound,
    Pool,
    Aggregate,
}

/// A bus, and what is known of it.
struct World {
    bus: Bus,
    topics: [Option<Topic>; PLACES],
    receivers: [Option<Receiver>; PLACES],
    pools: [Option<TopicPool>; 2],
    held: Vec<(Forward, usize, usize)>,
    bound: Vec<(usize, usize, Kind)>,
}

/// The topic of which that one may be a child.
fn parent(child: usize) -> usize {
    child % 2
}

fn child_name(topic: usize) -> String {
    format!("c{topic}")
}

fn is_in(topic: usize, aggregate: usize) -> bool {
    topic < TOPICS && (aggregate == OF_ALL || topic >= CHILDREN && parent(topic) == 0)
}

impl World {
    fn new() -> Self {
        Self {
            bus: Bus::new().unwrap(),
            topics: Default::default(),
            receivers: Default::default(),
            pools: [None, None],
            held: Vec::new(),
            bound: Vec::new(),
        }
    }

    fn step(&mut self, random: &mut Random) -> String {
        let (op, a, b) = (random.below(12), random.below(PLACES), random.below(PLACES));
        let child = CHILDREN + a % CHILDREN;
        match op {
            0..=2 => self.make(a),
            3 | 4 => self.forward(a, b),
            5 => self.bind(a),
            6 => self.cancel(a),
            7 => self.make_pool(a % 2),
            8 => self.add_child(child),
            9 => self.remove_child(child),
            10 => self.drop_pool(a % 2),
            _ => self.drop_topic(a, b % 2 == 0),
        }
        format!("{op}({a}, {b})")
    }

    fn make(&mut self, a: usize) {
        if self.topics[a].is_some() {
            return;
        }
        let topic = match a {
            OF_CHILDREN => self.bus.topics_matching("t0/*").unwrap(),
            OF_ALL => self.bus.topics_matching("**").unwrap(),
            _ if a < CHILDREN => self.bus.topic(&format!("t{a}")).unwrap(),
            _ => {
                let name = format!("t{}/{}", parent(a), child_name(a));
                self.bus.topic(&name).unwrap()
            }
        };
        self.receivers[a] = Some(topic.subscribe().receiver().unwrap());
        self.topics[a] = Some(topic);
        for aggregate in [OF_CHILDREN, OF_ALL] {
            for topic in 0..TOPICS {
                let is_new = topic == a || aggregate == a;
                let both = self.topics[topic].is_some() && self.topics[aggregate].is_some();
                if is_new && both && is_in(topic, aggregate) {
                    self.bound.push((topic, aggregate, Kind::Aggregate));
                }
            }
        }
    }

    fn forward(&mut self, a: usize, b: usize) {
        if let (Some(from), Some(to)) = (&self.topics[a], &self.topics[b]) {
            self.held.push((from.forward_to(to).unwrap(), a, b));
        }
    }

    fn bind(&mut self, n: usize) {
        if !self.held.is_empty() {
            let (forward, from, to) = self.held.swap_remove(n % self.held.len());
            forward.bind();
            self.bound.push((from, to, Kind::Bound));
        }
    }

    fn cancel(&mut self, n: usize) {
        if !self.held.is_empty() {
            drop(self.held.swap_remove(n % self.held.len()));
        }
    }

    fn make_pool(&mut self, pool: usize) {
        if let (None, Some(topic)) = (&self.pools[pool], &self.topics[pool]) {
            self.pools[pool] = Some(topic.pool().unwrap());
        }
    }

    fn add_child(&mut self, child: usize) {
        if let (Some(pool), Some(topic)) = (&self.pools[parent(child)], &self.topics[child]) {
            let same = pool.topic(&child_name(child)).unwrap();
            assert!(same.is_same(topic));
            let edge = (child, parent(child), Kind::Pool);
            if !self.bound.contains(&edge) {
                self.bound.push(edge);
            }
        }
    }

    fn remove_child(&mut self, child: usize) {
        if let Some(pool) = &self.pools[parent(child)] {
            let edge = (child, parent(child), Kind::Pool);
            let was_there = self.bound.contains(&edge);
            assert_eq!(pool.remove(&child_name(child)), was_there);
            self.bound.retain(|it| *it != edge);
        }
    }

    fn drop_pool(&mut self, pool: usize) {
        self.pools[pool] = None;
        let is_gone = |(_, to, kind): &(_, usize, _)| *to == pool && *kind == Kind::Pool;
        self.bound.retain(|edge| !is_gone(edge));
    }

    /// Unless a forward or a pool keeps it.
    fn drop_topic(&mut self, a: usize, close: bool) {
        let has_forward = self.held.iter().any(|(_, from, to)| *from == a || *to == a);
        let has_pool = self.pools.get(a).is_some_and(Option::is_some);
        if has_forward || has_pool {
            return;
        }
        let topic = self.topics[a].take();
        if close {
            topic.inspect(Topic::close);
        }
        self.receivers[a] = None;
        self.bound.retain(|(from, to, _)| *from != a && *to != a);
    }

    fn edges(&self) -> Vec<(usize, usize)> {
        let held = self.held.iter().map(|(_, from, to)| (*from, *to));
        let bound = self.bound.iter().map(|(from, to, _)| (*from, *to));
        held.chain(bound).collect()
    }

    fn check(&mut self, seed: u64, log: &[String]) {
        for (parent, pool) in self.pools.iter().enumerate() {
            let is_child = |(_, to, kind): &&(_, usize, _)| *to == parent && *kind == Kind::Pool;
            if let Some(pool) = pool {
                let children = self.bound.iter().filter(is_child).count();
                assert_eq!(
                    pool.len(),
                    children,
                    "children of {parent}; seed {seed}: {log:?}"
                );
            }
        }
        let edges = self.edges();
        for from in 0..PLACES {
            let Some(topic) = &self.topics[from] else {
                continue;
            };
            topic.publish(from).unwrap();
            let reached = reach(from, &edges);
            for (to, receiver) in self.receivers.iter_mut().enumerate() {
                let Some(receiver) = receiver else {
                    continue;
                };
                let came = receiver.try_iter().count();
                let expected = usize::from(reached.contains(&to));
                assert_eq!(
                    came, expected,
                    "{from} -> {to}; {edges:?}; seed {seed}: {log:?}"
                );
            }
        }
    }
}

fn reach(from: usize, edges: &[(usize, usize)]) -> BTreeSet<usize> {
    let (mut reached, mut todo) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = todo.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == at) {
            if reached.insert(*to) {
                todo.push(*to);
            }
        }
    }
    reached
}

#[test]
fn every_message_comes_once_to_all_that_can_be_reached() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world = World::new();
        let mut log = Vec::new();
        for _ in 0..STEPS {
            log.push(world.step(&mut random));
            world.check(seed, &log);
        }
    }
}
