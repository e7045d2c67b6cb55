//! The ring of a mailbox alone: what a push and a pop cost one thread, in bursts that fit, in bursts of which half
//! spills, and what a full one costs whoever is refused; and items a second from one, two and four producers to
//! one consumer, beside the spill path. Order and count are checked. It is *not* about topics or messages: items
//! are numbers.

#![expect(missing_docs, reason = "criterion's macros")]
#![expect(unsafe_code, reason = "items are numbers dressed as pointers")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stasis_bus::internals::{Pinned, Pointer, Pop, Push, Ring};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A producer's number and an item's, never null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    producer: usize,
    number: usize,
}

const PRODUCER_BITS: u32 = 4;

// SAFETY: the lowest bit is set, so it is not null, and the number comes back
unsafe impl Pointer for Item {
    fn into_ptr(self) -> *mut () {
        let bits = (self.number << PRODUCER_BITS | self.producer) << 1 | 1;
        std::ptr::without_provenance_mut(bits)
    }

    unsafe fn from_ptr(ptr: *mut ()) -> Self {
        let bits = ptr.addr() >> 1;
        Self {
            producer: bits & ((1 << PRODUCER_BITS) - 1),
            number: bits >> PRODUCER_BITS,
        }
    }
}

/// Spill queues are kept until the end here.
struct Kept;

// SAFETY: what is retired in this bench is leaked, see `park`
unsafe impl Pinned for Kept {}

fn item(number: usize) -> Item {
    Item {
        producer: 0,
        number,
    }
}

/// Pops what there is; true if that was as many as said, in order.
fn drain(ring: &Ring<Item>, next: &mut usize, count: usize) -> bool {
    let mut found = 0;
    // SAFETY: one thread does everything here
    while let Pop::Item(item) = unsafe { ring.pop() } {
        assert_eq!(item.number, *next, "out of order");
        *next += 1;
        found += 1;
    }
    // SAFETY: as above
    let _news = unsafe { ring.publish_freed() };
    found == count
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring, one thread");
    group.throughput(Throughput::Elements(1));
    for (name, slots, burst) in [
        ("bursts of 1", 16, 1),
        ("bursts of 16", 16, 16),
        ("bursts of 256", 256, 256),
        ("bursts of 32, half of it spills", 16, 32),
    ] {
        let ring = Ring::new(slots);
        let (mut pushed, mut next) = (0, 0);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                let mut left = iterations as usize;
                while left > 0 {
                    let count = burst.min(left);
                    for _ in 0..count {
                        let push = ring.push(item(pushed), u64::MAX, &Kept);
                        assert!(matches!(push, Push::Queued { .. }));
                        pushed += 1;
                    }
                    assert!(drain(&ring, &mut next, count));
                    left -= count;
                }
                start.elapsed()
            });
        });
    }
    let ring = Ring::new(16);
    for number in 0..16 {
        assert!(matches!(
            ring.push(item(number), 16, &Kept),
            Push::Queued { .. }
        ));
    }
    group.bench_function("a push that finds no room", |bencher| {
        bencher.iter(|| {
            assert!(matches!(
                black_box(ring.push(item(0), 16, &Kept)),
                Push::Full(_)
            ))
        });
    });
    group.finish();
}

/// Producers on threads of their own, told to push so many.
struct Producers {
    go: Vec<mpsc::Sender<usize>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Producers {
    fn new(count: usize, ring: &Arc<Ring<Item>>, limit: u64) -> Self {
        let (mut go, mut threads) = (Vec::new(), Vec::new());
        for producer in 0..count {
            let (tell, told) = mpsc::channel();
            go.push(tell);
            let ring = Arc::clone(ring);
            threads.push(std::thread::spawn(move || {
                let mut number = 0;
                while let Ok(count) = told.recv() {
                    for _ in 0..count {
                        let item = Item { producer, number };
                        while let Push::Full(_) = ring.push(item, limit, &Kept) {
                            // The cores are shared: whoever waits lets the consumer run.
                            std::thread::yield_now();
                        }
                        number += 1;
                    }
                }
            }));
        }
        Self { go, threads }
    }
}

impl Drop for Producers {
    fn drop(&mut self) {
        self.go.clear();
        for thread in self.threads.drain(..) {
            thread.join().expect("a producer that did not panic");
        }
    }
}

/// Items of a round, all producers together.
const ROUND: usize = 16_384;

fn between_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring, to one consumer");
    group.throughput(Throughput::Elements(ROUND as u64));
    for (name, slots, limit) in [
        ("16 slots", 16, 16),
        ("1024 slots", 1_024, 1_024),
        ("16 slots, spilling", 16, u64::MAX),
    ] {
        for count in [1, 2, 4] {
            let ring = Arc::new(Ring::new(slots));
            let producers = Producers::new(count, &ring, limit);
            let mut next = vec![0; count];
            group.bench_function(BenchmarkId::new(name, format!("{count}:1")), |bencher| {
                bencher.iter_custom(|rounds| {
                    (0..rounds)
                        .map(|_| round(&ring, &producers, &mut next))
                        .sum()
                });
            });
        }
    }
    group.finish();
}

fn round(ring: &Ring<Item>, producers: &Producers, next: &mut [usize]) -> Duration {
    let each = ROUND / next.len();
    let start = Instant::now();
    for producer in &producers.go {
        producer.send(each).expect("a producer");
    }
    let mut left = each * next.len();
    while left > 0 {
        // SAFETY: this thread alone consumes
        match unsafe { ring.pop() } {
            Pop::Item(item) => {
                assert_eq!(item.number, next[item.producer], "out of order");
                next[item.producer] += 1;
                left -= 1;
            }
            _ => std::thread::yield_now(),
        }
        // SAFETY: as above
        if left % 8 == 0 || unsafe { ring.has_much_to_tell() } {
            // SAFETY: as above
            let _news = unsafe { ring.publish_freed() };
        }
    }
    // SAFETY: as above
    let _news = unsafe { ring.publish_freed() };
    start.elapsed()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20);
    targets = alone, between_threads
}
criterion_main!(benches);
