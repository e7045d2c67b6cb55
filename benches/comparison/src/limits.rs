//! What the machine itself can do, measured in the run that uses it as a yardstick: an atomic read-modify-write, a
//! line of memory that two cores pass to and fro, memory that one core allocates and the other frees, waking a
//! thread, reading a clock. It measures *no* bus and no channel.
//!
//! Each round measures everything once; figures are medians over the rounds. Threads are pinned, each to a core of
//! its own. What takes two cores is left out where there is only one.

use crate::line::Line;
use core_affinity::CoreId;
use stasis_bus::Timestamp;
use std::fmt::Write;
use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 5;

/// As much as a message with 64 bytes of payload takes, what goes with it included.
type Block = [u8; 128];

/// Blocks that change hands together.
const BATCH: usize = 256;

/// Lines of memory that change hands together.
const LINES: usize = 512;

/// Nobody else's line, and not the neighbour's either, which many CPUs fetch with it.
#[repr(align(128))]
#[derive(Default)]
struct Apart(AtomicU64);

/// Shape and peer of the lines.
pub(crate) const SHAPE: &str = "machine";

/// Metric and unit of [`line_round_trip_now`].
pub(crate) const LINE_ROUND_TRIP: (&str, &str) = ("line round trip", "ns");

const READ_MODIFY_WRITE: &str = "read-modify-write";
const REMOTE_FREE: &str = "allocate, free remotely";
const LINE_STREAMED: &str = "line streamed";

/// Nanoseconds, on that core.
type Measure = fn(CoreId) -> f64;

/// What takes one core, and how it is measured, in nanoseconds.
const ON_ONE_CORE: [(&str, Measure); 5] = [
    (READ_MODIFY_WRITE, |_| read_modify_write()),
    ("clock", |_| each(100_000, || _ = black_box(Instant::now()))),
    ("timestamp", |_| {
        each(100_000, || _ = black_box(Timestamp::now()))
    }),
    ("allocate and free", |_| {
        each(100_000, || drop(black_box(Box::new([0_u8; 128]))))
    }),
    ("thread switch", thread_switch),
];

/// What [`on_two_cores`] measures: a line that goes to the other core and comes back; one of several that are on
/// the way at once; a block allocated here while the other core frees those before it; what waking a parked thread
/// costs who wakes it, and how long it takes until that runs.
const ON_TWO_CORES: [&str; 5] = [
    LINE_ROUND_TRIP.0,
    LINE_STREAMED,
    REMOTE_FREE,
    "unpark, call",
    "unpark, until it runs",
];

/// Measures: half a second, a fifth of one if `quick`.
pub(crate) fn measure(quick: bool) -> Vec<Line> {
    let rounds = if quick { QUICK_ROUNDS } else { ROUNDS };
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    // On a thread of its own, since a pinned thread stays pinned.
    let measured = thread::spawn(move || measure_rounds(rounds, &cores));
    let measured = measured.join().expect("the measurement ends");
    let names = ON_ONE_CORE.map(|(name, _)| name).into_iter();
    let lines = names.chain(ON_TWO_CORES).zip(measured);
    lines
        .filter_map(|(name, nanos)| Line::of(SHAPE, SHAPE, (name, "ns"), &nanos))
        .collect()
}

/// How far apart two cores are at the moment, in nanoseconds that a line takes to and fro, if there are two. Virtual
/// ones move: for lines beside those that were measured meanwhile.
pub(crate) fn line_round_trip_now() -> Option<f64> {
    let cores = core_affinity::get_core_ids()?;
    let (first, second) = (*cores.first()?, *cores.get(1)?);
    let measured = thread::spawn(move || {
        core_affinity::set_for_current(first);
        line_round_trip(second, 2_000)
    });
    measured.join().ok()
}

/// What share of what the machine could do a line is: if nothing had to be done for a fresh message to a consumer
/// on another core but to allocate it, have it read there (two lines of memory) and free it; or, for a message to
/// many, one read-modify-write for each of them. Nothing where `all` lack the limit, or that says nothing.
pub(crate) fn share(all: &[Line], line: &Line) -> Option<f64> {
    let nanos = |name: &str| {
        let is_it = |it: &&Line| it.shape == SHAPE && it.metric == name;
        all.iter().find(is_it).map(|it| it.median)
    };
    if (&*line.metric, &*line.unit) != ("deliveries", "M/s") {
        return None;
    }
    let (publishers, subscribers) = line.shape.split_once(':')?;
    let least = match (publishers, subscribers) {
        ("1", "1") => nanos(REMOTE_FREE)? + 2.0 * nanos(LINE_STREAMED)?,
        ("1", _) => nanos(READ_MODIFY_WRITE)?,
        _ => return None,
    };
    Some(line.median * least / 1e3)
}

/// Those shares, of ours.
pub(crate) fn report(all: &[Line]) -> String {
    let mut report = String::new();
    for line in all
        .iter()
        .filter(|line| line.peer.starts_with("stasis-bus"))
    {
        if let Some(share) = share(all, line) {
            let (shape, peer, percent) = (&line.shape, &line.peer, 100.0 * share);
            // To a string nothing fails.
            let _ = writeln!(report, "{shape} | {peer} | {percent:.0} %");
        }
    }
    if !report.is_empty() {
        report.insert_str(0, "shape | peer | of what the machine could do\n");
    }
    report
}

/// Of each of the things that are measured all rounds, if there are enough cores for it.
fn measure_rounds(rounds: usize, cores: &[CoreId]) -> Vec<Vec<f64>> {
    let first = cores.first().copied().unwrap_or(CoreId { id: 0 });
    let second = cores.get(1).copied();
    core_affinity::set_for_current(first);
    let mut measured = vec![Vec::new(); ON_ONE_CORE.len() + ON_TWO_CORES.len()];
    // The first round warms up.
    for round in 0..=rounds {
        let ones = ON_ONE_CORE.iter().map(|(_, measure)| measure(first));
        let twos = second.map(on_two_cores).into_iter().flatten();
        let all: Vec<f64> = ones.chain(twos).collect();
        if round > 0 {
            let of_round = measured.iter_mut().zip(all);
            of_round.for_each(|(all, it)| all.push(it));
        }
    }
    measured
}

fn on_two_cores(second: CoreId) -> [f64; 5] {
    let (call, run) = unpark(second);
    let streamed = line_streamed(second);
    [
        line_round_trip(second, 10_000),
        streamed,
        remote_free(second),
        call,
        run,
    ]
}

/// Nanoseconds that one call of `work` takes.
fn each(times: u32, mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..times).for_each(|_| work());
    begin.elapsed().as_nanos() as f64 / f64::from(times)
}

fn read_modify_write() -> f64 {
    let line = Apart::default();
    // Relaxed: nobody else reads it; on most CPUs all orderings of a read-modify-write cost the same.
    each(200_000, || {
        _ = black_box(line.0.fetch_add(1, Ordering::Relaxed))
    })
}

/// Two threads on one core that give way to each other.
fn thread_switch(core: CoreId) -> f64 {
    const TIMES: u32 = 2_000;
    let begin = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            core_affinity::set_for_current(core);
            begin.wait();
            (0..TIMES).for_each(|_| thread::yield_now());
        });
        begin.wait();
        each(TIMES, thread::yield_now) / 2.0
    })
}

/// One line that two cores write in turn.
fn line_round_trip(second: CoreId, times: u64) -> f64 {
    let line = Apart::default();
    let begin = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            core_affinity::set_for_current(second);
            begin.wait();
            for turn in 0..times {
                wait_for(&line, 2 * turn + 1);
                line.0.store(2 * turn + 2, Ordering::Release);
            }
        });
        begin.wait();
        let start = Instant::now();
        for turn in 0..times {
            line.0.store(2 * turn + 1, Ordering::Release);
            wait_for(&line, 2 * turn + 2);
        }
        start.elapsed().as_nanos() as f64 / times as f64
    })
}

fn wait_for(line: &Apart, value: u64) {
    while line.0.load(Ordering::Acquire) != value {
        spin_loop();
    }
}

/// Lines that one core writes and the other one reads, many at a time, while the writer fills the next ones.
fn line_streamed(second: CoreId) -> f64 {
    const BATCHES: u64 = 64;
    let halves: [Vec<Apart>; 2] =
        std::array::from_fn(|_| std::iter::repeat_with(Apart::default).take(LINES).collect());
    let (written, read) = (Apart::default(), Apart::default());
    let begin = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            core_affinity::set_for_current(second);
            begin.wait();
            for batch in 0..BATCHES {
                wait_for_least(&written, batch + 1);
                // Relaxed: that they are written is known from `written`.
                let lines = halves[batch as usize % 2].iter();
                let sum: u64 = lines.map(|line| line.0.load(Ordering::Relaxed)).sum();
                assert_eq!(
                    sum,
                    (batch + 1) * LINES as u64,
                    "all lines are the new ones"
                );
                read.0.store(batch + 1, Ordering::Release);
            }
        });
        begin.wait();
        let start = Instant::now();
        for batch in 0..BATCHES {
            wait_for_least(&read, batch.saturating_sub(1));
            for line in &halves[batch as usize % 2] {
                // Relaxed: `written` below releases it.
                line.0.store(batch + 1, Ordering::Relaxed);
            }
            written.0.store(batch + 1, Ordering::Release);
        }
        wait_for_least(&read, BATCHES);
        start.elapsed().as_nanos() as f64 / (BATCHES * LINES as u64) as f64
    })
}

fn wait_for_least(line: &Apart, value: u64) {
    while line.0.load(Ordering::Acquire) < value {
        spin_loop();
    }
}

/// Blocks that this core allocates while the other one frees those that it got before.
fn remote_free(second: CoreId) -> f64 {
    const BATCHES: usize = 100;
    let (sender, receiver) = mpsc::sync_channel::<Vec<Box<Block>>>(2);
    let freed = thread::spawn(move || {
        core_affinity::set_for_current(second);
        receiver.iter().map(|blocks| blocks.len()).sum::<usize>()
    });
    let start = Instant::now();
    for _ in 0..BATCHES {
        let mut blocks = Vec::with_capacity(BATCH);
        blocks.extend((0..BATCH).map(|_| black_box(Box::new([0_u8; 128]))));
        sender.send(blocks).expect("somebody frees them");
    }
    drop(sender);
    assert_eq!(
        freed.join().expect("no panic"),
        BATCHES * BATCH,
        "all are freed"
    );
    start.elapsed().as_nanos() as f64 / (BATCHES * BATCH) as f64
}

/// What waking a parked thread on the other core costs the caller, and how long it takes until that runs: medians
/// of some.
fn unpark(second: CoreId) -> (f64, f64) {
    const TIMES: usize = 41;
    let origin = Instant::now();
    let (woken, sleeps, done) = (Apart::default(), Apart::default(), AtomicBool::new(false));
    let (mut calls, mut runs) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            core_affinity::set_for_current(second);
            while !done.load(Ordering::Acquire) {
                sleeps.0.fetch_add(1, Ordering::Release);
                thread::park();
                woken
                    .0
                    .store(origin.elapsed().as_nanos() as u64, Ordering::Release);
            }
        });
        for turn in 1..=TIMES {
            // It parks now; what follows is more than it takes for its core to go idle.
            wait_for(&sleeps, turn as u64);
            pause(Duration::from_micros(150));
            let (call, run) = wake(sleeper.thread(), &woken, origin);
            calls.push(call);
            runs.push(run);
        }
        done.store(true, Ordering::Release);
        sleeper.thread().unpark();
    });
    let median = |mut all: Vec<f64>| *all.select_nth_unstable_by(TIMES / 2, f64::total_cmp).1;
    (median(calls), median(runs))
}

fn wake(sleeper: &Thread, woken: &Apart, origin: Instant) -> (f64, f64) {
    let before = origin.elapsed().as_nanos() as u64;
    sleeper.unpark();
    let after = origin.elapsed().as_nanos() as u64;
    while woken.0.load(Ordering::Acquire) < before {
        spin_loop();
    }
    let ran = woken.0.load(Ordering::Acquire);
    ((after - before) as f64, (ran - before) as f64)
}

/// Spins, so that this core does not go idle.
fn pause(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        spin_loop();
    }
}

#[test]
fn a_share_needs_the_limit() {
    let line = |shape, metric, unit, figure| Line::of(shape, "x", (metric, unit), &[figure]);
    let rate = line("1:8", "deliveries", "M/s", 20.0).expect("a line");
    assert_eq!(share(&[], &rate), None);
    let limit = line(SHAPE, READ_MODIFY_WRITE, "ns", 10.0).expect("a line");
    assert_eq!(share(std::slice::from_ref(&limit), &rate), Some(0.2));
    assert_eq!(share(std::slice::from_ref(&limit), &limit), None);
}
