//! What the other threads of this process do, as the kernel sees it: whether they sleep, and how often they went to
//! sleep. It allocates nothing when it looks, which would be seen in what the next call of a case executes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How often somebody looks whether the others sleep before it gives up. Not a time: the process may be stopped.
const LOOKS: u32 = 100_000;

/// The threads that there were when it was made, but the first one, which is the one that asks.
#[derive(Debug)]
pub(crate) struct Others(Vec<File>);

/// Is one of them ready to run, and how often they gave up the CPU by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    is_awake: bool,
    switches: u64,
}

impl Others {
    pub(crate) fn now() -> Self {
        // The first thread has the number of the process.
        let own = std::process::id().to_string();
        let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
        let tasks = tasks.flatten().filter(|task| task.file_name() != *own);
        let files = tasks.map(|task| File::open(task.path().join("status")));
        Self(
            files
                .collect::<Result<_, _>>()
                .expect("a thread that lives"),
        )
    }

    fn look(&self) -> Look {
        let mut look = Look {
            is_awake: false,
            switches: 0,
        };
        for file in &self.0 {
            let mut text = [0; 4_096];
            let len = file.read_at(&mut text, 0).expect("a thread that lives");
            let text = std::str::from_utf8(&text[..len]).expect("a text");
            let value = |name| {
                let mut lines = text.lines();
                let value = lines.find_map(|line| line.strip_prefix(name));
                value.expect("a line of a thread's status").trim()
            };
            look.is_awake |= !value("State:").starts_with('S');
            let switches = value("voluntary_ctxt_switches:").parse::<u64>();
            look.switches += switches.expect("a number");
        }
        look
    }

    /// How often they gave up the CPU by themselves.
    pub(crate) fn switches(&self) -> u64 {
        self.look().switches
    }

    /// Waits until all of them wait for something that is not the CPU, however busy the machine is: they are asleep
    /// twice in a row, and had no turn in between although this thread slept meanwhile.
    #[track_caller]
    pub(crate) fn wait_until_asleep(&self) {
        let mut before = None;
        for _ in 0..LOOKS {
            std::thread::sleep(Duration::from_micros(300));
            let look = self.look();
            if !look.is_awake && before == Some(look) {
                return;
            }
            before = Some(look);
        }
        panic!("another thread does not sleep");
    }
}
