//! Nothing may hang: what takes too long ends the process, with a word on what it was.

use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// More than a run may take, that of a starving rival included.
const LIMIT: Duration = Duration::from_secs(60);

static STARTED: Once = Once::new();
static WATCHED: Mutex<Option<(String, Instant)>> = Mutex::new(None);

/// Ends the watch when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Watch(());

/// Watches over what comes next. One watch at a time.
pub(crate) fn watch(what: String) -> Watch {
    STARTED.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                check();
            }
        });
    });
    *WATCHED.lock().expect("no panic") = Some((what, Instant::now() + LIMIT));
    Watch(())
}

fn check() {
    let watched = WATCHED.lock().expect("no panic");
    if let Some((what, deadline)) = &*watched {
        if Instant::now() > *deadline {
            eprintln!("comparison: {what} hangs: {LIMIT:?} are over");
            std::process::exit(1);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *WATCHED.lock().expect("no panic") = None;
    }
}
