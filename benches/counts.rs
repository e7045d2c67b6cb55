//! What does not depend on the clock: allocations a publish, wake-ups and system calls on a busy bus, what an idle
//! one does, and, with `--callgrind`, instructions and atomic read-modify-writes a call. It fails when one of them
//! is more than it should be. What they should be stands in `counts.txt`, which `--update` writes anew.

mod support;

#[path = "support/alloc.rs"]
mod alloc;
#[path = "support/callgrind.rs"]
mod callgrind;
#[path = "support/cases.rs"]
mod cases;

use alloc::{Allocated, Counting};
use callgrind::Callgrind;
use cases::{CALLS, CASES};
use stasis_bus::{Message, Receiver};
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;
use support::{Flags, Payload};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The function that [`Callgrind`] looks at; see `support/cases.rs`.
const MEASURED: &str = "measured_calls";

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts.txt");

fn said(flag: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|arg| arg != flag);
    args.next()?;
    Some(args.next().unwrap_or_default())
}

fn main() {
    if let Some(case) = said("--case") {
        alloc::stop_counting();
        return cases::run(&case);
    }
    if let Some(messages) = said("--busy") {
        alloc::stop_counting();
        return busy(messages.parse().expect("a number"));
    }
    let flags = Flags::read();
    let mut failures = Vec::new();
    allocations(&mut failures);
    wakeups(if flags.test { 20_000 } else { 200_000 }, &mut failures);
    idle(&mut failures);
    if said("--callgrind").is_some() {
        if callgrind::is_possible() {
            executed(&mut failures);
        } else {
            failures.push(String::from("valgrind and objdump are needed"));
        }
    }
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if !failures.is_empty() {
        std::process::exit(1);
    }
}

/// How often an action allocates, in steady state.
fn count_allocations(mut action: impl FnMut(), mut drain: impl FnMut()) -> f64 {
    const ROUNDS: u64 = 100;
    const BURST: u64 = 16;
    let mut calls = 0;
    for round in 0..ROUNDS + 1 {
        let before = Allocated::now().calls;
        (0..BURST).for_each(|_| action());
        // The first round is for what is there once.
        calls += if round == 0 {
            0
        } else {
            Allocated::now().calls - before
        };
        drain();
    }
    calls as f64 / (ROUNDS * BURST) as f64
}

fn allocations(failures: &mut Vec<String>) {
    println!("allocations a publish");
    let mut check = |what: &str, expected: f64, slack: f64, found: f64| {
        println!("  {what:<42} {found:>8.3}");
        if found < expected || found > expected + slack {
            failures.push(format!("{what}: {found} allocations, not {expected}"));
        }
    };
    for count in [0, 1, 8, 64] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let mut receivers: Vec<Receiver> = (0..count)
            .map(|_| topic.subscribe().receiver().expect("a receiver"))
            .collect();
        let mut drain = || {
            receivers
                .iter_mut()
                .for_each(|receiver| receiver.try_iter().for_each(drop));
        };
        let publish = || {
            topic.publish(Payload::new(0)).expect("published");
        };
        let found = count_allocations(publish, &mut drain);
        check(
            &format!("fresh message, {count} receivers"),
            1.0,
            0.0,
            found,
        );
        let message = Message::new(Payload::new(0));
        let publish = || {
            topic.publish(message.clone()).expect("published");
        };
        let found = count_allocations(publish, drain);
        check(
            &format!("handle of a message, {count} receivers"),
            0.0,
            0.0,
            found,
        );
    }
    for count in [1, 8, 64] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let _subscriptions = cases::pool_subscriptions(&topic, count);
        support::wait_for_rest(&bus);
        let publish = || {
            topic.publish(Payload::new(0)).expect("published");
        };
        let found = count_allocations(publish, || support::wait_for_rest(&bus));
        // Delivery is counted too, and what workers allocate once in a while: garbage of the epoch.
        check(
            &format!("fresh message, {count} in the pool, handled"),
            1.0,
            0.1,
            found,
        );
    }
}

/// Sends messages to subscriptions that take about a microsecond for each, as fast as it can.
fn busy(messages: u64) {
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    let subscription = topic.subscribe().run(|it: &Payload| {
        for _ in 0..100 {
            std::hint::black_box(it.number);
        }
    });
    let subscription = subscription.expect("a subscription");
    for number in 0..messages {
        topic.publish(Payload::new(number)).expect("published");
    }
    subscription.flush().expect("an open subscription");
    let stats = subscription.stats();
    assert_eq!((stats.delivered, stats.shed), (messages, 0));
    println!("{}", bus.stats().wakeups);
}

/// A busy bus makes no system call for each message, nor does it wake anybody for each.
fn wakeups(messages: u64, failures: &mut Vec<String>) {
    /// Of so many messages at most one may wake a worker.
    const PER_WAKEUP: u64 = 50;
    println!("busy bus, {messages} messages");
    let program = std::env::current_exe().expect("the path of this program");
    let args = ["--busy", &messages.to_string()];
    let output = Command::new(&program).args(args).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wakeups: u64 = text.trim().parse().expect("the number of wake-ups");
    println!("  {:<42} {wakeups:>8}", "wake-ups");
    if wakeups * PER_WAKEUP > messages {
        failures.push(format!("{wakeups} wake-ups for {messages} messages"));
    }
    if !callgrind::is_there("strace") {
        println!("  (without strace, system calls are not counted)");
        return;
    }
    let log = std::env::temp_dir().join(format!("strace.{}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .args([log.as_os_str(), program.as_os_str()])
        .args(args)
        .stdout(std::process::Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("  (strace may not trace here: system calls are not counted)");
        return;
    }
    let table = std::fs::read_to_string(&log).expect("strace's table");
    let _ = std::fs::remove_file(&log);
    let total = table.lines().rev().find(|line| line.ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let calls = calls.expect("the total of strace's table");
    println!(
        "  {:<42} {calls:>8}",
        "system calls, start and end included"
    );
    if calls * PER_WAKEUP / 5 > messages {
        failures.push(format!("{calls} system calls for {messages} messages"));
    }
}

/// How often threads of this process gave up the CPU by themselves, all but this one.
fn switches() -> u64 {
    let own = std::process::id().to_string();
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let others = tasks.filter(|task| task.file_name() != *own);
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap_or(0))
    };
    others.map(count).sum()
}

/// An idle bus does nothing at all.
fn idle(failures: &mut Vec<String>) {
    const WATCHED: Duration = Duration::from_millis(500);
    let bus = support::bus(2);
    let topics: Vec<_> = (0..100)
        .map(|number| bus.topic(&format!("t{number}")).expect("a topic"))
        .collect();
    let _subscriptions: Vec<_> = topics
        .iter()
        .map(|topic| cases::pool_subscriptions(topic, 10))
        .collect();
    for topic in &topics {
        topic.publish(Payload::new(0)).expect("published");
    }
    support::wait_for_rest(&bus);
    std::thread::sleep(Duration::from_millis(50));
    let (before, wakeups) = (switches(), bus.stats().wakeups);
    std::thread::sleep(WATCHED);
    let (switched, woken) = (switches() - before, bus.stats().wakeups - wakeups);
    println!("idle bus, 1000 subscriptions, {WATCHED:?}");
    println!("  {:<42} {switched:>8}", "times that a worker ran");
    if switched + woken > 0 {
        failures.push(format!(
            "an idle bus ran {switched} times, woke {woken} times"
        ));
    }
}

/// A line of `counts.txt`.
struct Expected {
    case: String,
    read_modify_writes: f64,
    instructions: f64,
    /// How much more either may be, in hundredths, and as a number of read-modify-writes.
    tolerance: f64,
    slack: f64,
}

fn expected() -> Vec<Expected> {
    let text = std::fs::read_to_string(EXPECTED).unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let parse = |line: &str| {
        let (case, figures) = line.split_once(':').expect("`case: figures`");
        let figures: Vec<f64> = figures
            .split_whitespace()
            .map(|figure| figure.parse().expect("a figure"))
            .collect();
        let [read_modify_writes, instructions, slack, tolerance] = figures[..] else {
            panic!("four figures: {line}");
        };
        Expected {
            case: case.to_owned(),
            read_modify_writes,
            instructions,
            tolerance,
            slack,
        }
    };
    lines.map(parse).collect()
}

fn executed(failures: &mut Vec<String>) {
    let update = said("--update").is_some();
    let known = expected();
    let program = std::env::current_exe().expect("the path of this program");
    let mut callgrind = Callgrind::default();
    let mut file = String::from(HEAD);
    println!(
        "{:<44} {:>8} {:>8} {:>8}",
        "a call", "RMWs", "fences", "instr."
    );
    for case in CASES {
        let executed = callgrind.run(&program, &["--case", case.name], MEASURED);
        let a_call = |count: u64| count as f64 / CALLS as f64;
        let (found, instructions) = (
            a_call(executed.read_modify_writes),
            a_call(executed.instructions),
        );
        let fences = a_call(executed.fences);
        println!(
            "  {:<42} {found:>8.2} {fences:>8.2} {instructions:>8.0}",
            case.name
        );
        writeln!(
            file,
            "{}: {found:.2} {instructions:.0} {} {}",
            case.name, case.slack, case.tolerance
        )
        .expect("a string takes it");
        let Some(known) = known.iter().find(|known| known.case == case.name) else {
            if !update {
                failures.push(format!("{} is not in counts.txt", case.name));
            }
            continue;
        };
        if found > known.read_modify_writes + known.slack {
            failures.push(format!(
                "{}: {found:.2} read-modify-writes a call, {} + {} expected",
                case.name, known.read_modify_writes, known.slack
            ));
        }
        if instructions > known.instructions * (1.0 + known.tolerance / 100.0) {
            failures.push(format!(
                "{}: {instructions:.0} instructions a call, {} + {} % expected",
                case.name, known.instructions, known.tolerance
            ));
        }
    }
    if update {
        failures.clear();
        std::fs::write(EXPECTED, file).expect("counts.txt is writable");
    }
}

const HEAD: &str = "\
# What a call executes, as `ci/counts.sh` measures it; `ci/counts.sh --update` writes this file. Of each case: atomic
# read-modify-writes a call, instructions a call, by how many read-modify-writes the first may be exceeded (it
# includes what comes once in many calls: collecting garbage, a block of message numbers), and by how many
# hundredths the second, which another compiler changes a little.
";
