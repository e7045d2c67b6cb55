//! Nothing may hang: what takes too long ends the process, with a word on what it was.

use std::sync::{Mutex, Once};
use std::time::Duration;

/// How often it looks, and how many looks a run may take, that of a starving rival included: a minute of the
/// process's own time, since somebody may stop it for a while.
const PAUSE: Duration = Duration::from_millis(500);
const LOOKS: usize = 120;

static STARTED: Once = Once::new();
static WATCHED: Mutex<Option<(String, usize)>> = Mutex::new(None);

/// Ends the watch when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Watch(());

/// Watches over what comes next. One watch at a time.
pub(crate) fn watch(what: String) -> Watch {
    STARTED.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(PAUSE);
                check();
            }
        });
    });
    *WATCHED.lock().expect("no panic") = Some((what, LOOKS));
    Watch(())
}

fn check() {
    let mut watched = WATCHED.lock().expect("no panic");
    if let Some((what, left)) = &mut *watched {
        if *left == 0 {
            eprintln!("comparison: {what} hangs");
            std::process::exit(1);
        }
        *left -= 1;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *WATCHED.lock().expect("no panic") = None;
    }
}
