//! A word that a thread can sleep on for as long as it has a certain value. Linux has that (futex), and it
//! costs one system call on either side; elsewhere, and in models, a lock and a condition variable stand in.
//! It is *not* a token: what the values mean is the business of `parker.rs`.

pub(crate) use imp::Futex;

#[cfg(all(target_os = "linux", not(loom)))]
mod imp {
    use super::super::atomic::AtomicU32;
    use ::std::ops::Deref;
    use ::std::time::Duration;
    use rustix::thread::futex::{Flags, Timespec, wait, wake};

    /// See the module.
    #[derive(Debug)]
    pub(crate) struct Futex(AtomicU32);

    impl Futex {
        pub(crate) const fn new(value: u32) -> Self {
            Self(AtomicU32::new(value))
        }

        /// Sleeps if the word has this value, until it is woken or the time has run out. It may also return
        /// for no reason: the caller looks at the word. A time that no clock can hold is none.
        pub(crate) fn wait(&self, value: u32, limit: Option<Duration>) {
            let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
            // Woken, too late, timed out, interrupted: the caller looks, whatever it was.
            let _ = wait(&self.0, Flags::PRIVATE, value, limit.as_ref());
        }

        /// Wakes one who sleeps. The word has been changed before: who is about to sleep does not.
        pub(crate) fn wake_one(&self) {
            let _ = wake(&self.0, Flags::PRIVATE, 1);
        }
    }

    impl Deref for Futex {
        type Target = AtomicU32;

        fn deref(&self) -> &AtomicU32 {
            &self.0
        }
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod imp {
    use super::super::atomic::{AtomicU32, Ordering};
    use super::super::{Condvar, Mutex};
    use ::std::ops::Deref;
    use ::std::time::Duration;

    /// See the module.
    #[derive(Debug)]
    pub(crate) struct Futex {
        word: AtomicU32,
        lock: Mutex<()>,
        condvar: Condvar,
    }

    impl Futex {
        pub(crate) fn new(value: u32) -> Self {
            Self {
                word: AtomicU32::new(value),
                lock: Mutex::new(()),
                condvar: Condvar::new(),
            }
        }

        /// See the other one.
        pub(crate) fn wait(&self, value: u32, limit: Option<Duration>) {
            let guard = self.lock.lock();
            // Relaxed: a read-modify-write, so that it is the newest value, as it is for the system; what the
            // value stands for the caller learns by a look of its own.
            if self.word.fetch_add(0, Ordering::Relaxed) != value {
                return;
            }
            match limit {
                None => drop(self.condvar.wait(guard)),
                Some(limit) => drop(self.condvar.wait_timeout(guard, limit)),
            }
        }

        /// See the other one.
        pub(crate) fn wake_one(&self) {
            // The lock makes sure that the sleeper is in `wait`, not between its look and that.
            drop(self.lock.lock());
            self.condvar.notify_one();
        }
    }

    impl Deref for Futex {
        type Target = AtomicU32;

        fn deref(&self) -> &AtomicU32 {
            &self.word
        }
    }
}
