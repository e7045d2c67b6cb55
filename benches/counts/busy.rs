//! What is watched on real threads, not under valgrind: a busy bus neither wakes somebody nor makes a system call for
//! each message, and an idle one does nothing at all. Only limits are checked: how it comes out is up to the clock.

use super::callgrind::is_there;
use super::cases;
use super::support::{self, Payload};
use super::threads::Others;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Sends messages to subscriptions that take about a microsecond for each, as fast as it can.
pub(crate) fn run(messages: u64) {
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
pub(crate) fn wakeups(failures: &mut Vec<String>) {
    const MESSAGES: u64 = 200_000;
    /// Of so many messages at most one may wake a worker.
    const PER_WAKEUP: u64 = 50;
    println!("busy bus, {MESSAGES} messages");
    let program = std::env::current_exe().expect("the path of this program");
    let args = ["--busy", &MESSAGES.to_string()];
    let output = Command::new(&program).args(args).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wakeups: u64 = text.trim().parse().expect("the number of wake-ups");
    println!("  {:<42} {wakeups:>8}", "wake-ups");
    if wakeups * PER_WAKEUP > MESSAGES {
        failures.push(format!("{wakeups} wake-ups for {MESSAGES} messages"));
    }
    if !is_there("strace") {
        println!("  (without strace, its system calls are not counted)");
        return;
    }
    let log = std::env::temp_dir().join(format!("strace.{}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .args([log.as_os_str(), program.as_os_str()])
        .args(args)
        .stdout(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("  (strace may not trace here: its system calls are not counted)");
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
    if calls * PER_WAKEUP / 5 > MESSAGES {
        failures.push(format!("{calls} system calls for {MESSAGES} messages"));
    }
}

/// An idle bus does nothing at all.
pub(crate) fn idle(failures: &mut Vec<String>) {
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
    let workers = Others::now();
    // That a worker is on the list of those that sleep is said a moment before it does.
    workers.wait_until_asleep();
    let (before, wakeups) = (workers.switches(), bus.stats().wakeups);
    std::thread::sleep(WATCHED);
    let (switched, woken) = (workers.switches() - before, bus.stats().wakeups - wakeups);
    println!("idle bus, 1000 subscriptions, {WATCHED:?}");
    println!("  {:<42} {switched:>8}", "times that a worker ran");
    if switched + woken > 0 {
        failures.push(format!(
            "an idle bus ran {switched} times, woke {woken} times"
        ));
    }
}
