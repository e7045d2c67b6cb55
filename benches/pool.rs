//! What the children of a pool cost, among 100 others and among 100,000: to come and go, to be found, to be removed
//! and taken in again, to publish on. Each is a pair, so the state is the same after each.

#![expect(missing_docs, reason = "criterion's macros")]

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stasis_bus::{Bus, Topic, TopicPool};
use std::hint::black_box;
use std::time::Duration;
use support::Payload;

const COUNTS: [usize; 2] = [100, 100_000];

struct Children {
    _bus: Bus,
    pool: TopicPool,
    topics: Vec<Topic>,
}

impl Children {
    fn new(count: usize) -> Self {
        let bus = support::bus(1);
        let parent = bus.topic("calls").expect("a topic");
        let pool = parent.pool().expect("a pool");
        let topics = (0..count).map(|number| pool.topic(&name(number)));
        let topics: Vec<_> = topics.collect::<Result<_, _>>().expect("children");
        assert_eq!(pool.len(), count);
        Self {
            _bus: bus,
            pool,
            topics,
        }
    }
}

fn name(number: usize) -> String {
    format!("{number:010}")
}

fn children(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool");
    for count in COUNTS {
        let Children { _bus, pool, topics } = Children::new(count);
        let middle = name(count / 2);
        group.bench_function(BenchmarkId::new("comes and goes", count), |b| {
            b.iter(|| drop(black_box(pool.topic("one more").expect("a child"))));
        });
        group.bench_function(BenchmarkId::new("is found", count), |b| {
            b.iter(|| black_box(pool.topic(&middle).expect("a child")));
        });
        group.bench_function(BenchmarkId::new("removed and taken in", count), |b| {
            b.iter(|| {
                assert!(pool.remove(&middle));
                black_box(pool.topic(&middle).expect("a child"));
            });
        });
        let mut receiver = pool.parent().subscribe().receiver().expect("a receiver");
        group.bench_function(BenchmarkId::new("published on", count), |b| {
            let topic = &topics[count / 2];
            b.iter(|| {
                topic.publish(Payload::new(1)).expect("published");
                receiver.try_recv().expect("a message")
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20);
    targets = children
}
criterion_main!(benches);
