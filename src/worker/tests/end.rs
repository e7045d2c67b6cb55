//! How a pool ends: stop, join, and threads that could not be spawned.

use super::*;

#[test]
fn stop_runs_what_was_submitted_to_its_end() {
    for workers in [1, 2, 4] {
        let pool = pool(workers);
        let ended = Arc::new(AtomicUsize::new(0));
        for i in 0..100 {
            let (inner, ended) = (pool.clone(), Arc::clone(&ended));
            let mut left = 50;
            let work = job(move || {
                left -= 1;
                if left > 0 {
                    return if i % 10 == 0 && left % 10 == 0 {
                        Outcome::Stalled(())
                    } else {
                        Outcome::Again(())
                    };
                }
                let ended = Arc::clone(&ended);
                assert!(inner.submit(once(move || add(&ended))).is_ok());
                Outcome::Done
            });
            assert!(pool.submit(work).is_ok());
        }
        finish(&pool);
        assert_eq!(count(&ended), 100);
        assert!(pool.join(None), "joining again is no harm");
    }
}

#[test]
fn who_comes_too_late_gets_the_work_back() {
    let pool = pool(2);
    finish(&pool);
    assert!(pool.submit(once(|| ())).is_err());
    let refused = pool.submit_all((0..3).map(|_| once(|| ()))).unwrap_err();
    assert_eq!(refused.len(), 3);
    pool.stop();
    assert_eq!(pool.stats().runs, 0);
}

#[test]
fn work_submitted_while_the_pool_ends_is_run_or_given_back() {
    for _ in 0..20 {
        let pool = pool(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let submitters: Vec<_> = (0..2)
            .map(|_| {
                let (pool, ran) = (pool.clone(), Arc::clone(&ran));
                std::thread::spawn(move || {
                    let mut accepted = 0;
                    loop {
                        let ran = Arc::clone(&ran);
                        match pool.submit(once(move || add(&ran))) {
                            Ok(()) => accepted += 1,
                            Err(_) => return accepted,
                        }
                        thread::sleep(Duration::from_micros(100));
                    }
                })
            })
            .collect();
        finish(&pool);
        let accepted: usize = submitters.into_iter().map(|s| s.join().unwrap()).sum();
        assert_eq!(count(&ran), accepted);
    }
}

#[test]
fn join_gives_up_at_its_deadline() {
    let pool = pool(1);
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let blocking = once(move || {
        let _ = gate.recv();
    });
    assert!(pool.submit(blocking).is_ok());
    pool.stop();
    assert!(!pool.join(Some(Instant::now() + Duration::from_millis(5))));
    release.send(()).unwrap();
    let joiners: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            std::thread::spawn(move || pool.join(Some(Instant::now() + HANG)))
        })
        .collect();
    assert!(joiners.into_iter().all(|joiner| joiner.join().unwrap()));
}

#[test]
fn if_a_thread_cannot_be_spawned_the_others_end() {
    for spawned in 0..3 {
        let mut left = spawned;
        let ended = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ended);
        let result: io::Result<Pool<Job>> = Pool::with_spawner(options(3), |builder, body| {
            if left == 0 {
                return Err(io::Error::other("no more threads"));
            }
            left -= 1;
            let counter = Arc::clone(&counter);
            builder.spawn(move || {
                body();
                add(&counter);
            })
        });
        assert!(result.is_err());
        assert_eq!(count(&ended), spawned);
    }
}
