//! The smallest runtimes there can be.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Counts how often it was woken, and unparks the thread that made it.
#[derive(Debug)]
pub struct Flag {
    woken: AtomicUsize,
    thread: Thread,
}

impl Flag {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            woken: AtomicUsize::new(0),
            thread: thread::current(),
        })
    }

    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    pub fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Polls a future once and drops it.
pub fn poll_once<F: Future>(waker: &Waker, future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Runs a future on this thread; if it does not end in good time, that is a hang.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let flag = Flag::new();
    let waker = flag.waker();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let begin = std::time::Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let left = super::DEADLINE.saturating_sub(begin.elapsed());
        assert!(!left.is_zero(), "the future never became ready");
        thread::park_timeout(left);
    }
}
