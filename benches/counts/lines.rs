//! Which cache lines a publisher and a consumer share, and how many of those each of them touches for one message: what
//! the cores have to move. Read from a trace of every access to memory, thread by thread (valgrind's lackey), so it holds
//! for all crates and for the C library. It is told, not compared: where an allocation begins decides whether it crosses
//! the border of a line, and that changes with anything.

use super::cases;
use super::probe::{MARK, Mark};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

const LINE: u64 = 64;

/// What one thread did with one line.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    reads: bool,
    writes: bool,
}

impl Use {
    fn add(&mut self, other: Self) {
        self.reads |= other.reads;
        self.writes |= other.writes;
    }
}

type Lines = HashMap<u64, Use>;

/// What one thread did between two marks.
#[derive(Debug)]
struct Call {
    thread: u32,
    lines: Lines,
}

/// The trace, as far as it was read.
#[derive(Debug, Default)]
struct Trace {
    thread: u32,
    /// Since the scene was set, by thread.
    used: HashMap<u32, Lines>,
    is_set: bool,
    /// What is going on, by thread.
    open: HashMap<u32, Lines>,
    calls: Vec<Call>,
    /// The last stores of one byte: a mark is a pattern of them that no compiler makes.
    bytes: [u64; MARK.len()],
}

impl Trace {
    fn read(&mut self, line: &[u8]) {
        match line {
            [b'I', ..] => {}
            [b' ', kind @ (b'L' | b'S' | b'M'), b' ', rest @ ..] => {
                let text = std::str::from_utf8(rest).unwrap_or_default().trim_end();
                let Some((address, size)) = text.split_once(',') else {
                    return;
                };
                let address = u64::from_str_radix(address, 16).expect("an address");
                self.access(*kind, address, size.parse().expect("a size"));
            }
            _ => {
                let text = String::from_utf8_lossy(line);
                if let Some((_, rest)) = text.split_once("SCHED[") {
                    if let (Some((thread, _)), true) =
                        (rest.split_once(']'), rest.contains(" acquired lock"))
                    {
                        self.thread = thread.parse().expect("a thread's number");
                    }
                }
            }
        }
    }

    fn access(&mut self, kind: u8, address: u64, size: u64) {
        let what = Use {
            reads: kind != b'S',
            writes: kind != b'L',
        };
        let lines = address / LINE..=(address + size.max(1) - 1) / LINE;
        for line in lines {
            if self.is_set {
                let used = self.used.entry(self.thread).or_default();
                used.entry(line).or_default().add(what);
            }
            if let Some(open) = self.open.get_mut(&self.thread) {
                open.entry(line).or_default().add(what);
            }
        }
        if (kind, size) == (b'S', 1) {
            self.bytes.rotate_left(1);
            *self.bytes.last_mut().expect("it is not empty") = address;
            self.look_for_mark();
        }
    }

    fn look_for_mark(&mut self) {
        let base = self.bytes[0].wrapping_sub(MARK[0]);
        let known = self.bytes.iter().zip(&MARK).rev().skip(1);
        if !known
            .into_iter()
            .all(|(byte, offset)| *byte == base + offset)
        {
            return;
        }
        let kind = self.bytes[MARK.len() - 1].wrapping_sub(base + MARK[MARK.len() - 1]);
        match Mark::ALL.get(kind as usize) {
            Some(Mark::Set) => self.is_set = true,
            Some(Mark::Call) => {
                let before = self.open.insert(self.thread, Lines::new());
                self.finish(before);
            }
            Some(Mark::End) => {
                let before = self.open.remove(&self.thread);
                self.finish(before);
            }
            None => {}
        }
    }

    fn finish(&mut self, lines: Option<Lines>) {
        let thread = self.thread;
        self.calls.extend(lines.map(|lines| Call { thread, lines }));
    }

    /// Of each call of that thread: how many lines it wrote that others touch, and read that others write.
    fn shared(&self, is_first: bool) -> (f64, f64) {
        let own = |thread: u32| (thread == 1) == is_first;
        let mut others_touch = HashSet::<u64>::new();
        let mut others_write = HashSet::<u64>::new();
        for (_, lines) in self.used.iter().filter(|(thread, _)| !own(**thread)) {
            others_touch.extend(lines.keys());
            others_write.extend(
                lines
                    .iter()
                    .filter(|(_, it)| it.writes)
                    .map(|(line, _)| line),
            );
        }
        let calls: Vec<&Call> = self.calls.iter().filter(|call| own(call.thread)).collect();
        let (mut written, mut read) = (0, 0);
        for (line, what) in calls.iter().flat_map(|call| &call.lines) {
            written += usize::from(what.writes && others_touch.contains(line));
            read += usize::from(!what.writes && others_write.contains(line));
        }
        let each = |count: usize| count as f64 / calls.len().max(1) as f64;
        (each(written), each(read))
    }
}

/// Traces the scenes, and tells.
pub(crate) fn tell() {
    println!(
        "{:<46} | publisher: writes reads | consumer: writes reads",
        "# shared lines that one message touches"
    );
    for (name, _) in cases::SCENES {
        let trace = trace(name);
        let (publisher, consumer) = (trace.shared(true), trace.shared(false));
        println!(
            "{name:<46} | {:>17.2} {:>5.2} | {:>16.2} {:>5.2}",
            publisher.0, publisher.1, consumer.0, consumer.1
        );
    }
}

fn trace(scene: &str) -> Trace {
    let program = std::env::current_exe().expect("the path of this program");
    let child = Command::new("valgrind")
        .args(["--tool=lackey", "--basic-counts=no", "--trace-mem=yes"])
        .args(["--trace-sched=yes", "--fair-sched=yes"])
        .arg(program)
        .args(["--scene", scene])
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("valgrind starts");
    let mut trace = Trace::default();
    let mut reader = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).expect("a line") > 0 {
        trace.read(&line);
        line.clear();
    }
    assert!(child.wait().expect("it ends").success(), "{scene}");
    assert!(!trace.calls.is_empty(), "no marks in {scene}");
    trace
}
