//! Work that has nothing to do for now, and is looked at for a while.

use super::*;

/// Idle after each run, until it has run so often.
struct Idler {
    runs: Arc<AtomicUsize>,
    wanted: usize,
    /// What `is_ready` says; or it is ready when it is to rest.
    is_ready: bool,
    rested: Arc<AtomicUsize>,
}

impl Run for Idler {
    fn run(self) -> Outcome<Self> {
        add(&self.runs);
        Outcome::Idle(self, 1)
    }

    fn is_ready(&self) -> bool {
        self.is_ready && count(&self.runs) < self.wanted
    }

    fn rest(self) -> Result<(), Self> {
        if count(&self.runs) < self.wanted {
            return Err(self);
        }
        add(&self.rested);
        Ok(())
    }
}

/// Submits one, once; says how often it ran and rested, and how often a worker was woken.
fn idle(lingers: u32, is_ready: bool) -> (usize, usize, u64) {
    let [runs, rested] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
    let mut options = options(2);
    options.wait.lingers = lingers;
    let pool = Pool::new(options).unwrap();
    wait_until("both sleep", || pool.stats().parked == 2);
    let idler = Idler {
        runs: Arc::clone(&runs),
        wanted: 100,
        is_ready,
        rested: Arc::clone(&rested),
    };
    assert!(pool.submit(idler).is_ok());
    wait_until("it rests", || count(&rested) == 1);
    wait_until("both sleep again", || pool.stats().parked == 2);
    let woken = pool.stats().wakeups;
    pool.stop();
    assert!(pool.join(Some(Instant::now() + HANG)));
    (count(&runs), count(&rested), woken)
}

#[test]
fn what_is_ready_again_runs_again_without_being_submitted() {
    assert_eq!(idle(8, true), (100, 1, 1));
}

#[test]
fn what_cannot_rest_runs_again_whether_it_was_looked_at_or_not() {
    for lingers in [0, 8] {
        assert_eq!(idle(lingers, false), (100, 1, 1), "{lingers}");
    }
}

#[test]
fn other_work_does_not_wait_for_who_lingers() {
    let mut options = options(1);
    // For as long as the test takes, if nothing else were looked for.
    options.wait.lingers = u32::MAX;
    let pool = Pool::new(options).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    for number in 1..=100 {
        let counts = Arc::clone(&runs);
        let idler = job(move || {
            add(&counts);
            Outcome::Idle((), 1)
        });
        assert!(pool.submit(idler).is_ok());
        wait_until("it has run", || count(&runs) == number);
    }
    // Another piece of work ends the last one's waiting, and `stop` must find the worker all the same.
    assert!(pool.submit(once(|| {})).is_ok());
    finish(&pool);
}
