//! Some thousand random programs, each replayed on the bus and on the dumbest sequential model that is right: what
//! the fuzz target `ops` does for as long as one likes, guided by coverage. A program that fails is printed, cut
//! down to the operations that it needs.

#[path = "../fuzz/src/model/mod.rs"]
mod model;

use arbitrary::{Arbitrary, Unstructured};
use model::Program;
use model::program::Op;
use std::fs;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;

const PROGRAMS: u64 = 3_000;

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A value of any type, of random bytes.
    fn any<T: for<'a> Arbitrary<'a>>(&mut self) -> T {
        let bytes: [u8; 256] = std::array::from_fn(|_| (self.next() >> 32) as u8);
        T::arbitrary(&mut Unstructured::new(&bytes)).expect("there are bytes enough")
    }
}

/// A program that begins with somebody to hear, and publishes more often than it ends things.
fn program(seed: u64) -> Program {
    let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut ops = Vec::new();
    for topic in 0..numbers.next() % 4 {
        let (topic, total) = (topic as u8, numbers.next() % 4 == 0);
        ops.push(Op::Topic { topic, total });
    }
    for slot in 0..numbers.next() % 6 {
        let (slot, topic, spec) = (slot as u8, numbers.any(), numbers.any());
        ops.push(Op::Subscribe { slot, topic, spec });
    }
    for _ in 0..numbers.next() % 60 {
        ops.push(match numbers.next() % 8 {
            0..3 => Op::Publish {
                topic: numbers.any(),
                what: numbers.any(),
            },
            3 => Op::Run {
                slot: numbers.any(),
                take: numbers.any(),
                count: numbers.any(),
            },
            _ => numbers.any(),
        });
    }
    let end = numbers.any();
    Program { end, ops }
}

fn fails(program: &Program) -> bool {
    catch_unwind(AssertUnwindSafe(|| model::replay(program))).is_err()
}

/// Leaves out what it fails without.
fn cut_down(mut program: Program) -> Program {
    let mut at = program.ops.len();
    while at > 0 {
        at -= 1;
        let op = program.ops.remove(at);
        if !fails(&program) {
            program.ops.insert(at, op);
        }
    }
    program
}

fn check(program: Program, from: &str) {
    if fails(&program) {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let shorter = cut_down(program);
        panic::set_hook(hook);
        eprintln!("{from}, cut down: {shorter:#?}");
        model::replay(&shorter);
    }
}

#[test]
fn the_bus_does_what_the_model_does() {
    for seed in 1..=PROGRAMS {
        check(program(seed), &format!("seed {seed}"));
    }
}

/// The hand-made programs that fuzzing begins with. A change of [`Op`] makes other programs of them, so here is seen
/// whether they still are some.
#[test]
fn the_seeds_of_the_fuzzer_are_programs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ops");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("fuzz/seeds/ops") {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a seed");
        let program = Program::arbitrary_take_rest(Unstructured::new(&bytes)).expect("a program");
        let of_use = |op: &&Op| {
            matches!(
                op,
                Op::Subscribe { .. } | Op::Publish { .. } | Op::Run { .. }
            )
        };
        let path = path.display();
        assert!(
            program.ops.iter().filter(of_use).count() >= 5,
            "{path}: {program:#?}"
        );
        check(program, &path.to_string());
        count += 1;
    }
    assert!(count >= 5, "{count} seeds");
}
