//! Stalled and blocked work, sleeping, waking.

use super::*;

#[test]
fn stalled_work_neither_disturbs_others_nor_burns_cpu() {
    for workers in [1, 2] {
        let name = format!("stall{workers}");
        let pool: Pool<Job> = Pool::new(PoolOptions {
            name: name.clone(),
            ..options(workers)
        })
        .unwrap();
        let open = Arc::new(AtomicBool::new(false));
        let tries = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (open, tries) = (Arc::clone(&open), Arc::clone(&tries));
            let stalling = job(move || {
                add(&tries);
                // Acquire: pairs with the Release below.
                if open.load(Ordering::Acquire) {
                    Outcome::Done
                } else {
                    Outcome::Stalled(())
                }
            });
            assert!(pool.submit(stalling).is_ok());
        }
        for _ in 0..100 {
            let ran = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&ran);
            assert!(pool.submit(once(move || add(&counter))).is_ok());
            wait_until("other work runs", || count(&ran) == 1);
        }
        let (before, begin) = (ticks_of_threads(&name), Instant::now());
        let tries_before = count(&tries);
        thread::sleep(Duration::from_millis(600));
        let ticks = ticks_of_threads(&name) - before;
        let elapsed = begin.elapsed();
        // A hot loop would use all of one core: 60 ticks or more. This uses 1 or 2.
        let used = Duration::from_millis(10 * ticks);
        assert!(used < elapsed / 3, "{used:?} of {elapsed:?}");
        assert!(count(&tries) > tries_before, "it is retried");
        // Three pieces, each at most once per millisecond once the delay has grown.
        let most = 3 * elapsed.as_millis() as usize * 2;
        assert!(count(&tries) - tries_before < most);
        // Release: pairs with the Acquire in the stalling ones.
        open.store(true, Ordering::Release);
        finish(&pool);
        assert!(pool.stats().stalled_retries > 0);
    }
}

#[test]
fn stalled_work_is_not_stuck_behind_a_blocked_run() {
    let pool = pool(2);
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tries);
    let stalling = job(move || {
        add(&counter);
        if count(&counter) < 20 {
            Outcome::Stalled(())
        } else {
            Outcome::Done
        }
    });
    assert!(pool.submit(stalling).is_ok());
    let blocking = once(move || {
        let _ = gate.recv();
    });
    assert!(pool.submit(blocking).is_ok());
    wait_until("the stalled one is done", || count(&tries) == 20);
    wait_until("the blocked one is seen", || pool.stats().blocked == 1);
    assert!(pool.stats().longest_current_run >= Duration::from_millis(10));
    release.send(()).unwrap();
    finish(&pool);
    assert_eq!(pool.stats().blocked, 0);
}

#[test]
fn work_behind_a_blocked_run_is_taken_by_another_worker() {
    let pool = pool(2);
    for _ in 0..50 {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let ran = Arc::new(AtomicUsize::new(0));
        let (inner, counter) = (pool.clone(), Arc::clone(&ran));
        let parent = once(move || {
            for _ in 0..3 {
                let counter = Arc::clone(&counter);
                assert!(inner.submit(once(move || add(&counter))).is_ok());
            }
            let _ = gate.recv();
        });
        assert!(pool.submit(parent).is_ok());
        wait_until("the children have run", || count(&ran) == 3);
        release.send(()).unwrap();
    }
    finish(&pool);
    assert!(pool.stats().steals > 0);
}

#[test]
fn an_idle_pool_uses_no_cpu() {
    let pool: Pool<Job> = Pool::new(PoolOptions {
        name: "idle".to_owned(),
        ..options(4)
    })
    .unwrap();
    wait_until("all sleep", || pool.stats().parked == 4);
    let before = ticks_of_threads("idle-");
    thread::sleep(Duration::from_millis(500));
    assert!(ticks_of_threads("idle-") - before <= 1);
    assert_eq!(pool.stats().wakeups, 0);
    finish(&pool);
}

#[test]
fn a_burst_wakes_fewer_than_it_has_pieces() {
    let pool = pool(4);
    wait_until("all sleep", || pool.stats().parked == 4);
    assert!(pool.submit_all((0..1_000).map(|_| once(|| ()))).is_ok());
    wait_until("all is run and all sleep", || {
        pool.stats().runs == 1_000 && pool.stats().parked == 4
    });
    let wakeups = pool.stats().wakeups;
    assert!((1..100).contains(&wakeups), "{wakeups}");
    finish(&pool);
}

/// Runs that submit the next one, on their worker, so many times, and then the last one.
fn chain(pool: &Pool<Job>, left: usize, last: impl FnOnce() + Send + 'static) -> Job {
    let pool = pool.clone();
    once(move || {
        if left == 0 {
            return last();
        }
        let next = chain(&pool, left - 1, last);
        assert!(pool.submit(next).is_ok());
    })
}

#[test]
fn a_chain_of_single_pieces_wakes_hardly_anybody() {
    const LINKS: usize = 20_000;
    let pool = pool(2);
    wait_until("both sleep", || pool.stats().parked == 2);
    assert!(pool.submit(chain(&pool, LINKS, || {})).is_ok());
    wait_until("all is run and both sleep", || {
        let now = pool.stats();
        now.runs == LINKS as u64 + 1 && now.parked == 2
    });
    let wakeups = pool.stats().wakeups;
    assert!(wakeups < LINKS as u64 / 10, "{wakeups}");
    finish(&pool);
}

#[test]
fn a_single_piece_is_taken_from_who_blocks_though_it_was_left_to_them_before() {
    let pool = pool(2);
    for _ in 0..20 {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel();
        let inner = pool.clone();
        let blocking = move || {
            assert!(inner.submit(once(move || tell.send(()).unwrap())).is_ok());
            told.recv().unwrap();
            end.send(()).unwrap();
        };
        assert!(pool.submit(chain(&pool, 2_000, blocking)).is_ok());
        assert!(
            ended.recv_timeout(HANG).is_ok(),
            "it is stuck behind its parent"
        );
    }
    finish(&pool);
}
