//! What topics of pools and patterns cost, counted in allocations, and what they weigh: the same for the 100,000th as
//! for the 100th, and beside 1,000 patterns as beside one; and what is left of 100,000 states that came and went.
//! One test after the other, as the allocator counts for all. Time is taken by `benches/pool.rs`.

#[path = "../benches/support/alloc.rs"]
mod alloc;

use alloc::{Allocated, Counting};
use stasis_bus::{Bus, Origin, StateTopics, Topic, TopicPool};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MANY: usize = 100_000;

/// Bytes a child may have, its names, its place in the registry and among the edges, and its handle included.
const HEAVIEST: i64 = 420;

/// Calls of the allocator for one child that comes, is used and goes again: the average of many, as a tree's node is
/// split now and then.
fn calls_for_one(pool: &TopicPool) -> f64 {
    const ROUNDS: u64 = 500;
    let before = Allocated::now().calls;
    for round in 0..ROUNDS {
        let topic = pool.topic(&format!("one {round:010}")).unwrap();
        assert_eq!(topic.publish(round).unwrap().offered(), 0);
        assert!(pool.contains(&format!("one {round:010}")));
        if round % 2 == 0 {
            assert!(pool.remove(&format!("one {round:010}")));
        }
    }
    (Allocated::now().calls - before) as f64 / ROUNDS as f64
}

#[test]
fn all_of_it_one_by_one() {
    the_last_child_costs_what_the_first_one_does();
    many_patterns_cost_what_one_does();
    nothing_is_left_of_states();
}

fn the_last_child_costs_what_the_first_one_does() {
    let bus = Bus::new().unwrap();
    let pool = bus.topic("calls").unwrap().pool().unwrap();
    let mut children: Vec<Topic> = Vec::with_capacity(MANY);
    let add = |children: &mut Vec<Topic>, count: usize| {
        for _ in 0..count {
            let number = children.len();
            children.push(pool.topic(&format!("{number:010}")).unwrap());
        }
    };
    add(&mut children, 100);
    let few = calls_for_one(&pool);
    let before = Allocated::now();
    add(&mut children, MANY - 100);
    let weight = (Allocated::now().requested - before.requested) / (MANY as i64 - 100);
    let many = calls_for_one(&pool);
    println!("calls of the allocator: {few} among 100, {many} among {MANY}; {weight} bytes");
    assert!(
        many < few * 1.2 + 2.0,
        "{few} among 100, {many} among {MANY}"
    );
    assert!(weight <= HEAVIEST, "{weight} bytes");
    assert_eq!(pool.len(), MANY);
    // The aggregate goes, and all edges with it.
    drop(children);
    assert!(pool.is_empty());
    assert_eq!(bus.stats().topics, 1);
}

/// Calls of the allocator for one topic that matches one of the patterns.
fn calls_beside_patterns(count: usize) -> f64 {
    const ROUNDS: u64 = 500;
    let bus = Bus::new().unwrap();
    let aggregates = (0..count).map(|number| bus.topics_matching(&format!("calls/{number}/**")));
    let aggregates: Vec<Topic> = aggregates.collect::<Result<_, _>>().unwrap();
    let before = Allocated::now().calls;
    for round in 0..ROUNDS {
        let topic = bus.topic(&format!("calls/0/{round:010}")).unwrap();
        assert_eq!(topic.publish(round).unwrap().offered(), 0);
    }
    let calls = Allocated::now().calls - before;
    assert_eq!(bus.stats().topics, aggregates.len());
    calls as f64 / ROUNDS as f64
}

fn many_patterns_cost_what_one_does() {
    let (one, many) = (calls_beside_patterns(1), calls_beside_patterns(1_000));
    println!("calls of the allocator: {one} beside one pattern, {many} beside 1,000");
    assert!(
        many < one * 1.2 + 2.0,
        "{one} beside one, {many} beside 1,000"
    );
}

fn come_and_go(states: &StateTopics, count: u64) {
    for number in 0..count {
        let id = format!("{number:010}");
        let publisher = states.publisher(&id).unwrap();
        publisher.publish(number).unwrap();
        let begins = states.subscribe_with_retained(&id, |it| it.receiver());
        let mut receiver = begins.unwrap();
        states
            .publish_by_id(&id, Origin::LOCAL, number + 1)
            .unwrap();
        let got: Vec<u64> = receiver
            .try_iter()
            .filter_map(|it| it.get().copied())
            .collect();
        assert_eq!(got, [number, number + 1]);
        states
            .remove_publish_by_id(&id, Origin::LOCAL, None)
            .unwrap();
    }
    assert!(states.is_empty());
}

/// Bytes are left of what the epoch has not freed yet, and of tables that keep some room: not in proportion.
fn nothing_is_left_of_states() {
    const LEFT: i64 = 500_000;
    let bus = Bus::new().unwrap();
    let states = StateTopics::new(&bus.topic("all").unwrap()).unwrap();
    come_and_go(&states, 1_000);
    let before = Allocated::now().requested;
    come_and_go(&states, MANY as u64);
    let left = Allocated::now().requested - before;
    println!("{left} bytes are left of {MANY} states");
    assert!(left < LEFT, "{left} bytes are left of {MANY} states");
    assert_eq!(bus.stats().topics, 1);
}
