//! What a child of a pool costs, counted in allocations, and what it weighs: the same for the 100,000th as for the
//! 100th. Time is taken by `benches/pool.rs`.

#[path = "../benches/support/alloc.rs"]
mod alloc;

use alloc::{Allocated, Counting};
use stasis_bus::{Bus, Topic, TopicPool};

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
