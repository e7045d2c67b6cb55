//! Runs a program under valgrind's callgrind and tells what one of its functions executed, all that it calls
//! included: instructions, and of those the atomic read-modify-writes (`lock ...`, and `xchg` with memory) and
//! the full fences. What is a read-modify-write is read from the disassembly, by address.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// What was executed, summed over all calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Executed {
    pub(crate) instructions: u64,
    pub(crate) read_modify_writes: u64,
    pub(crate) fences: u64,
}

/// The addresses of one object file at which something special stands.
#[derive(Debug, Default)]
struct Special {
    read_modify_writes: HashSet<u64>,
    fences: HashSet<u64>,
}

/// Whether the tools are there.
pub(crate) fn is_possible() -> bool {
    ["valgrind", "objdump"].iter().all(|tool| is_there(tool))
}

pub(crate) fn is_there(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs programs; disassembles each object file once.
#[derive(Debug, Default)]
pub(crate) struct Callgrind {
    objects: HashMap<String, Special>,
}

impl Callgrind {
    /// Runs `program` with `args`, and gives what functions named like `function` executed.
    pub(crate) fn run(&mut self, program: &Path, args: &[&str], function: &str) -> Executed {
        let out = std::env::temp_dir().join(format!("callgrind.{}", std::process::id()));
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--dump-instr=yes", "--dump-line=no"])
            .args(["--compress-pos=no", "--compress-strings=no"])
            .args(["--collect-atstart=no", "--fair-sched=yes"])
            .arg(format!("--toggle-collect=*{function}*"))
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
        self.sum(&profile)
    }

    fn sum(&mut self, profile: &str) -> Executed {
        let mut executed = Executed::default();
        let mut object = String::new();
        let mut is_inclusive = false;
        for line in profile.lines() {
            if let Some(path) = line.strip_prefix("ob=") {
                path.clone_into(&mut object);
            } else if line.starts_with("calls=") {
                // The next line is what was called, which has lines of its own.
                is_inclusive = true;
            } else if line.starts_with("0x") && !std::mem::take(&mut is_inclusive) {
                self.add(line, &object, &mut executed);
            }
        }
        executed
    }

    fn add(&mut self, line: &str, object: &str, executed: &mut Executed) {
        let mut words = line.split_whitespace();
        let (Some(address), Some(count)) = (words.next(), words.next()) else {
            return;
        };
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).expect("hex");
        let count: u64 = count.parse().expect("a count");
        executed.instructions += count;
        if !self.objects.contains_key(object) {
            self.objects.insert(object.to_owned(), disassemble(object));
        }
        let special = &self.objects[object];
        if special.read_modify_writes.contains(&address) {
            executed.read_modify_writes += count;
        }
        if special.fences.contains(&address) {
            executed.fences += count;
        }
    }
}

fn disassemble(object: &str) -> Special {
    let mut special = Special::default();
    if !Path::new(object).exists() {
        return special;
    }
    let output = Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn", object])
        .output()
        .expect("objdump starts");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((address, instruction)) = line.split_once(":\t") else {
            continue;
        };
        let Ok(address) = u64::from_str_radix(address.trim(), 16) else {
            continue;
        };
        let swaps = instruction.starts_with("xchg") && instruction.contains('(');
        // A `lock or` of zero on the stack is a fence by another name.
        let is_fence = instruction.starts_with("mfence")
            || instruction.starts_with("lock or") && instruction.contains("$0x0,");
        if is_fence {
            special.fences.insert(address);
        } else if swaps || instruction.starts_with("lock") {
            special.read_modify_writes.insert(address);
        }
    }
    special
}
