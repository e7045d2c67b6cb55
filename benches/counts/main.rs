//! What does not depend on the clock: instructions, atomic read-modify-writes, allocations and system calls of each
//! operation, compared with `benches/counts.txt`. It fails when one of them is not what it should be, better or worse:
//! a table that is not kept true would hide the next thing that gets worse. `--renew` writes it anew, `--only TEXT`
//! looks at the cases with that in their names, `--where` tells the functions in which what was counted happens,
//! `--lines` which lines of memory are shared. Run by `ci/counts.sh`, which sees to the tools.

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod callgrind;
mod cases;
mod lines;
mod probe;
mod table;
mod threads;

use callgrind::Counter;
use cases::{CASES, Case};
use std::process::Command;
use support::Flags;
use table::{Kind, Row};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EXPECTED: &str = "benches/counts.txt";
const PAGE: &str = "docs/performance.md";

fn said(flag: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|arg| arg != flag);
    args.next()?;
    Some(args.next().unwrap_or_default())
}

fn main() {
    if let Some(case) = said("--case") {
        return cases::run(&case);
    }
    if let Some(scene) = said("--scene") {
        return cases::play(&scene);
    }
    if let Some(messages) = said("--busy") {
        return busy::run(messages.parse().expect("a number"));
    }
    if Flags::read().test {
        return CASES.iter().for_each(|case| cases::run(case.name));
    }
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        fail("instructions are told apart on x86-64 with Linux only");
    }
    for (tool, package) in [("valgrind", "valgrind"), ("objdump", "binutils")] {
        if !callgrind::is_there(tool) {
            fail(&format!("{tool} is needed: install the package {package}"));
        }
    }
    if said("--lines").is_some() {
        return lines::tell();
    }
    let only = said("--only");
    let rows = count(only.as_deref().unwrap_or_default());
    if rows.is_empty() {
        fail("no case has that in its name");
    }
    if said("--renew").is_some() {
        return renew(rows);
    }
    let mut failures = compare(&rows);
    if only.is_none() {
        busy::wakeups(&mut failures);
        busy::idle(&mut failures);
    }
    if !failures.is_empty() {
        fail(&failures.join("\n"));
    }
}

fn fail(why: &str) -> ! {
    println!("FAILED\n{why}");
    std::process::exit(1);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).expect("a file of the repository")
}

/// Counts what the cases execute that have `only` in their names.
fn count(only: &str) -> Vec<Row> {
    let program = std::env::current_exe().expect("the path of this program");
    let mut counter = Counter::default();
    let is_asked_where = said("--where").is_some();
    println!("{}", table::head());
    let cases = CASES.iter().enumerate();
    let cases = cases.filter(|(_, case)| case.name.contains(only));
    let count = |(number, case): (usize, &Case)| {
        let profile = callgrind::run(&program, &["--case", case.name], &number.to_string());
        let mut figures = counter.sum(&profile);
        for kind in Kind::ALL {
            figures[kind] /= case.calls as f64;
        }
        let row = Row {
            case: case.name.to_owned(),
            figures,
        };
        println!("{}", row.print());
        if is_asked_where {
            for (kind, function, count) in counter.places() {
                let each = count / case.calls as f64;
                println!("    {each:>7.2} {:<18} {function}", kind.name());
            }
        }
        row
    };
    cases.map(count).collect()
}

fn compare(rows: &[Row]) -> Vec<String> {
    let text = read(EXPECTED);
    let known = table::parse(&text);
    let mut failures = Vec::new();
    let (mut worse, mut better) = (0, 0);
    for row in rows {
        let Some(expected) = known.iter().find(|known| known.case == row.case) else {
            failures.push(format!("{}: not in {EXPECTED}", row.case));
            continue;
        };
        for complaint in expected.compare(row, cases::loose(&row.case)) {
            worse += usize::from(complaint.is_worse);
            better += usize::from(!complaint.is_worse);
            failures.push(complaint.text);
        }
    }
    for expected in &known {
        if !CASES.iter().any(|case| case.name == expected.case) {
            failures.push(format!("{}: in {EXPECTED} only", expected.case));
        }
    }
    if failures.is_empty() {
        return failures;
    }
    failures.push(format!(
        "{worse} figures are worse than {EXPECTED} says, {better} better. If that is meant, or if it is better, write it \
         down with\n    ci/counts.sh --renew\nand say in the commit what has changed."
    ));
    let tools = tools();
    if !text.contains(&format!("{}{tools}", table::TOOLS)) {
        failures.push(format!(
            "The tools are others than it was written with: {tools}."
        ));
    }
    failures
}

/// Writes the table anew: what was counted now, and what was there of the other cases.
fn renew(rows: Vec<Row>) {
    let mut known = table::parse(&read(EXPECTED));
    known.retain(|known| !rows.iter().any(|row| row.case == known.case));
    known.extend(rows);
    let of = |case: &Case| known.iter().find(|row| row.case == case.name).cloned();
    let rows: Vec<Row> = CASES.iter().filter_map(of).collect();
    let text = table::write(&rows, cases::loose, &tools());
    let page = table::put_into(&read(PAGE), &table::parse(&text));
    for (path, text) in [(EXPECTED, text), (PAGE, page)] {
        std::fs::write(format!("{ROOT}/{path}"), text).expect("the file is writable");
        println!("written: {path}");
    }
}

/// What the figures depend on besides the source.
fn tools() -> String {
    let first_line = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let output = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        text.lines().next().unwrap_or("unknown").to_owned()
    };
    let compiler = first_line("rustc", &["--version"]);
    let library = first_line("getconf", &["GNU_LIBC_VERSION"]);
    let valgrind = first_line("valgrind", &["--version"]);
    // With one core the bus does not wait for another one to be quick.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{compiler}, {library}, {valgrind}, {cores} cores")
}
