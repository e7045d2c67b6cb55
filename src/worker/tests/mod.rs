//! The pool on real threads. Nothing here depends on how fast the machine is: waits are for events, with a
//! limit that only a hang reaches. All of it also passes on one core (`taskset -c 0`).

use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::{IdleStrategy, Outcome, Pool, PoolOptions, Run};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::thread;
use crate::sync::unmodelled::Arc;

mod end;
mod linger;
mod rest;

const HANG: Duration = Duration::from_secs(60);

/// Work made from a closure.
struct Job(Box<dyn FnMut() -> Outcome<()> + Send>);

impl Run for Job {
    fn run(mut self) -> Outcome<Self> {
        match (self.0)() {
            Outcome::Done => Outcome::Done,
            Outcome::Idle((), done) => Outcome::Idle(self, done),
            Outcome::Again(()) => Outcome::Again(self),
            Outcome::Stalled(()) => Outcome::Stalled(self),
        }
    }
}

fn job(f: impl FnMut() -> Outcome<()> + Send + 'static) -> Job {
    Job(Box::new(f))
}

fn once(f: impl FnOnce() + Send + 'static) -> Job {
    let mut f = Some(f);
    job(move || {
        f.take().expect("run once")();
        Outcome::Done
    })
}

fn options(workers: usize) -> PoolOptions {
    PoolOptions {
        workers: NonZeroUsize::new(workers).unwrap(),
        name: "test".to_owned(),
        wait: IdleStrategy::default(),
    }
}

fn pool(workers: usize) -> Pool<Job> {
    Pool::new(options(workers)).unwrap()
}

fn finish(pool: &Pool<Job>) {
    pool.stop();
    assert!(pool.join(Some(Instant::now() + HANG)));
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < HANG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn count(counter: &AtomicUsize) -> usize {
    // Acquire: pairs with the Release in `add`, though the tests read nothing else through it.
    counter.load(Ordering::Acquire)
}

fn add(counter: &AtomicUsize) {
    // Release: pairs with the Acquire in `count`.
    counter.fetch_add(1, Ordering::Release);
}

/// CPU time in clock ticks (10 ms) of the threads whose names begin with `name`.
fn ticks_of_threads(name: &str) -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let (head, tail) = stat.rsplit_once(") ").unwrap();
        if head.split_once('(').unwrap().1.starts_with(name) {
            let fields: Vec<&str> = tail.split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks
}

#[test]
fn everything_submitted_from_many_threads_is_run_once() {
    const EACH: usize = 2_000;
    for workers in [1, 2, 4] {
        let pool = pool(workers);
        let seen: Arc<Vec<AtomicUsize>> =
            Arc::new((0..4 * EACH).map(|_| AtomicUsize::new(0)).collect());
        let submitters: Vec<_> = (0..4)
            .map(|submitter| {
                let (pool, seen) = (pool.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    for i in 0..EACH {
                        let seen = Arc::clone(&seen);
                        let work = once(move || add(&seen[submitter * EACH + i]));
                        assert!(pool.submit(work).is_ok());
                    }
                })
            })
            .collect();
        for submitter in submitters {
            submitter.join().unwrap();
        }
        finish(&pool);
        assert!(seen.iter().all(|count_of| count(count_of) == 1));
        let stats = pool.stats();
        assert_eq!(stats.runs, 4 * EACH as u64);
        assert_eq!(stats.injected, 4 * EACH as u64);
        assert_eq!((stats.parked, stats.searching), (0, 0));
    }
}

#[test]
fn a_run_submits_more_than_its_queue_holds() {
    const NESTED: usize = 3 * super::crew::LOCAL_QUEUE_CAPACITY;
    let pool = pool(2);
    let runs = Arc::new(AtomicUsize::new(0));
    let (inner, counter) = (pool.clone(), Arc::clone(&runs));
    let parent = once(move || {
        assert!(Pool::<Job>::on_worker());
        let child = |_| {
            let counter = Arc::clone(&counter);
            once(move || add(&counter))
        };
        for i in 0..NESTED {
            assert!(inner.submit(child(i)).is_ok());
        }
        assert!(inner.submit_all((0..NESTED).map(child)).is_ok());
    });
    assert!(!Pool::<Job>::on_worker());
    assert!(pool.submit(parent).is_ok());
    finish(&pool);
    assert_eq!(count(&runs), 2 * NESTED);
}

#[test]
fn a_burst_larger_than_the_injector_is_run() {
    const BURST: usize = 3 * super::injector::INJECTOR_CAPACITY;
    let pool = pool(2);
    let runs = Arc::new(AtomicUsize::new(0));
    let burst = (0..BURST).map(|_| {
        let runs = Arc::clone(&runs);
        once(move || add(&runs))
    });
    assert!(pool.submit_all(burst).is_ok());
    wait_until("the burst is run", || count(&runs) == BURST);
    finish(&pool);
}

#[test]
fn what_wants_more_goes_behind_what_waits() {
    let pool = pool(1);
    let stop = Arc::new(AtomicBool::new(false));
    let greedy_runs = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (stop, greedy_runs) = (Arc::clone(&stop), Arc::clone(&greedy_runs));
        let greedy = job(move || {
            add(&greedy_runs);
            // Acquire: pairs with the Release below.
            if stop.load(Ordering::Acquire) {
                Outcome::Done
            } else {
                Outcome::Again(())
            }
        });
        assert!(pool.submit(greedy).is_ok());
    }
    wait_until("the greedy ones run", || count(&greedy_runs) > 2);
    for _ in 0..100 {
        let ran = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ran);
        assert!(pool.submit(once(move || add(&counter))).is_ok());
        wait_until("the modest one runs", || count(&ran) == 1);
    }
    // Release: pairs with the Acquire in the greedy ones.
    stop.store(true, Ordering::Release);
    finish(&pool);
}

#[test]
fn two_that_want_more_take_turns() {
    let pool = pool(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (inner, log) = (pool.clone(), Arc::clone(&order));
    let parent = once(move || {
        for name in ["a", "b"] {
            let log = Arc::clone(&log);
            let mut left = 3;
            let work = job(move || {
                log.lock().push(name);
                left -= 1;
                if left == 0 {
                    Outcome::Done
                } else {
                    Outcome::Again(())
                }
            });
            assert!(inner.submit(work).is_ok());
        }
    });
    assert!(pool.submit(parent).is_ok());
    finish(&pool);
    assert_eq!(*order.lock(), ["a", "b", "a", "b", "a", "b"]);
}

#[test]
fn bad_options_are_refused() {
    let nul = PoolOptions {
        name: "a\0b".to_owned(),
        ..options(1)
    };
    let kind = |options| Pool::<Job>::new(options).unwrap_err().kind();
    assert_eq!(kind(nul), io::ErrorKind::InvalidInput);
    assert_eq!(
        kind(options(super::MAX_WORKERS + 1)),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn the_handle_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Pool<Job>>();
}
