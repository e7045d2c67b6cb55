//! Runs a program under valgrind's callgrind and tells what it executed while it was told to count (`probe`): every
//! instruction, in whatever crate or library, with what is special about some of them. Which ones those are is read
//! from the disassembly and the symbols of each object file, by address: so an atomic read-modify-write in the C
//! library's allocator counts like one of ours.

use super::table::{Figures, Kind};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

/// Entering one of these is an allocation. A new size is one, and no free.
const ALLOCATE: [&str; 6] = [
    "malloc",
    "calloc",
    "realloc",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
];

const FREE: &str = "free";

/// Read without a system call, but not under valgrind, which hides what the kernel has for that.
const CLOCK: &str = "clock_gettime";

/// What stands at which address of an object file.
type Special = HashMap<u64, Vec<Kind>>;

pub(crate) fn is_there(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `program` with `args`; gives callgrind's profile.
pub(crate) fn run(program: &Path, args: &[&str], name: &str) -> String {
    let out = std::env::temp_dir().join(format!("callgrind.{}.{name}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-instr=yes", "--dump-line=no"])
        .args(["--compress-pos=no", "--compress-strings=no"])
        .args(["--collect-atstart=no", "--fair-sched=yes"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(args)
        .output()
        .expect("valgrind starts");
    assert!(
        output.status.success(),
        "{args:?} under valgrind:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let profile = std::fs::read_to_string(&out).expect("callgrind's profile");
    // It is in the way of nobody if it stays.
    let _ = std::fs::remove_file(&out);
    profile
}

/// Adds up profiles; disassembles each object file once.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    objects: HashMap<String, Special>,
    /// What was special in the last profile: in which function, and how often.
    places: HashMap<(Kind, String), f64>,
}

impl Counter {
    /// What was executed, summed over all threads.
    pub(crate) fn sum(&mut self, profile: &str) -> Figures {
        let mut executed = Figures::default();
        let (mut object, mut function) = ("", "");
        let mut is_inclusive = false;
        self.places.clear();
        for line in profile.lines() {
            if let Some(path) = line.strip_prefix("ob=") {
                object = path;
            } else if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                // The next line is what was called, which has lines of its own.
                is_inclusive = true;
            } else if line.starts_with("0x") && !std::mem::take(&mut is_inclusive) {
                self.add(line, object, function, &mut executed);
            }
        }
        executed
    }

    fn add(&mut self, line: &str, object: &str, function: &str, executed: &mut Figures) {
        let mut words = line.split_whitespace();
        let (Some(address), Some(count)) = (words.next(), words.next()) else {
            return;
        };
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).expect("hex");
        let count = count.parse::<u64>().expect("a count") as f64;
        executed[Kind::Instructions] += count;
        if !self.objects.contains_key(object) {
            self.objects.insert(object.to_owned(), special(object));
        }
        for &kind in self.objects[object].get(&address).into_iter().flatten() {
            executed[kind] += count;
            let place = (kind, function.to_owned());
            *self.places.entry(place).or_default() += count;
        }
    }

    /// Of the last profile: what kind of thing, in which function, how often; what is most frequent first.
    pub(crate) fn places(&self) -> Vec<(Kind, &str, f64)> {
        let places = self.places.iter();
        let places = places.map(|((kind, function), count)| (*kind, function.as_str(), *count));
        let mut places: Vec<_> = places.collect();
        places.sort_by(|one, other| other.2.total_cmp(&one.2).then(one.1.cmp(other.1)));
        places
    }
}

fn objdump(args: &[&str], object: &str) -> String {
    let output = Command::new("objdump").args(args).arg(object).output();
    let output = output.expect("objdump starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn special(object: &str) -> Special {
    let mut special = Special::new();
    if !Path::new(object).exists() {
        return special;
    }
    let mut clock = 0..0;
    for (name, addresses) in functions(&objdump(&["--dynamic-syms"], object)) {
        let kind = match name.as_str() {
            CLOCK => {
                clock = addresses.clone();
                Kind::Clocks
            }
            FREE => Kind::Frees,
            name if ALLOCATE.contains(&name) => Kind::Allocations,
            _ => continue,
        };
        let kinds = special.entry(addresses.start).or_default();
        // Functions may share an address.
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    for line in objdump(&["--disassemble", "--no-show-raw-insn"], object).lines() {
        let Some((address, instruction)) = line.split_once(":\t") else {
            continue;
        };
        let Ok(address) = u64::from_str_radix(address.trim(), 16) else {
            continue;
        };
        match kind(instruction) {
            Some(Kind::SystemCalls) if clock.contains(&address) => {}
            Some(kind) => special.entry(address).or_default().push(kind),
            None => {}
        }
    }
    special
}

fn kind(instruction: &str) -> Option<Kind> {
    let is = |name| instruction.split_whitespace().next() == Some(name);
    // A `lock or` of zero on the stack is a fence by another name.
    if is("mfence") || instruction.starts_with("lock or") && instruction.contains("$0x0,") {
        return Some(Kind::Fences);
    }
    // An exchange with memory is locked without being told so.
    if is("lock") || is("xchg") && instruction.contains('(') {
        return Some(Kind::ReadModifyWrites);
    }
    if is("syscall") {
        return Some(Kind::SystemCalls);
    }
    (is("rdtsc") || is("rdtscp")).then_some(Kind::Clocks)
}

/// The functions of a table of symbols, each once, with their addresses.
fn functions(symbols: &str) -> HashMap<String, Range<u64>> {
    let parse = |line: &str| {
        let (address, rest) = line.split_once(' ')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let section = words.iter().position(|word| *word == ".text")?;
        let size = u64::from_str_radix(words.get(section + 1)?, 16).ok()?;
        let name = (*words.last()?).to_owned();
        Some((name, address..address + size))
    };
    symbols.lines().filter_map(parse).collect()
}
