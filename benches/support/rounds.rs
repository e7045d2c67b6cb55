//! Contenders that take turns: each runs so many operations in a round, in an order that turns, and what counts
//! is the median over the rounds. Beside criterion's figures, whose contenders run one after the other and so
//! do not see the same machine where others use it too.

use criterion::{BenchmarkId, Criterion};
use std::time::Duration;

/// One way to do the work: runs that many operations, and tells how long they took.
pub(crate) type Run = Box<dyn FnMut(u64) -> Duration>;

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

impl Contender {
    pub(crate) fn new(name: &'static str, run: impl FnMut(u64) -> Duration + 'static) -> Self {
        let run = Box::new(run);
        Self { name, run }
    }
}

const ROUNDS: usize = 15;

/// Measures all of them with criterion and in turns, and prints what each costs as a multiple of the first one.
/// `operations` is what each does in a round.
pub(crate) fn compare(
    c: &mut Criterion,
    name: &str,
    operations: u64,
    mut contenders: Vec<Contender>,
) {
    let mut group = c.benchmark_group(name);
    for Contender { name, run } in &mut contenders {
        group.bench_function(BenchmarkId::from_parameter(*name), |b| {
            b.iter_custom(&mut *run)
        });
    }
    group.finish();
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let mut nanos = vec![Vec::new(); contenders.len()];
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let took = (contenders[index].run)(operations);
            nanos[index].push(took.as_nanos() as f64 / operations as f64);
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let first = median(&mut nanos[0]);
    println!("{name}: {ROUNDS} rounds in turns, ns for an operation");
    for (contender, nanos) in contenders.iter().zip(&mut nanos) {
        let middle = median(nanos);
        let (least, most) = (nanos[0], nanos[nanos.len() - 1]);
        let ratio = middle / first;
        let name = contender.name;
        println!("  {name:28} {middle:9.1} ({least:.1} to {most:.1})  {ratio:.2} x the first");
    }
}
