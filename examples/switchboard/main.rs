//! A SIP answering switchboard that embeds the bus.
//!
//! It takes SIP over UDP, answers calls, and publishes every change of every call leg as an immutable
//! snapshot of a channel on that channel's own topic; all of these are forwarded into one aggregate. On the
//! aggregate sit a writer of call detail records, a live board of calls and rates, a latency histogram, and
//! the clients of an event stream; on each channel's topic sits a subscriber that follows this call alone and
//! ends with it.
//!
//! ```text
//! cargo run --release --example switchboard             # replays a capture made with SIPp
//! cargo run --release --example switchboard -- --listen 127.0.0.1:5060 --events 127.0.0.1:5038
//! cargo run --release --example switchboard -- --help
//! ```
//!
//! The SIP side (`message` to `switchboard`) knows neither a socket nor the bus. `channel` says what a leg is
//! on the bus, `feed` has all subscriptions but those of the event stream's clients, which are in `events`; the
//! consumers know no more of the bus than what a channel was like.
#![allow(
    clippy::disallowed_types,
    reason = "the ban keeps the library's shared state where loom sees it; this is a program"
)]

mod args;
mod failure;

mod dialplan;
mod leg;
mod message;
mod reply;
mod sdp;
mod snapshot;
mod switchboard;
mod timers;
mod transaction;

mod board;
mod cdr;
mod channel;
mod consumer;
mod events;
mod feed;
mod latency;
mod timeline;

mod audience;
mod capture;
mod live;
mod manifest;
mod replay;
mod run;

mod books;
mod counts;
mod report;
mod totals;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use args::{Args, Command, Source};
use failure::Failure;
use report::Report;

fn main() -> ExitCode {
    match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            say(args::HELP.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Command::Run(args)) => {
            let json = args.json;
            match run(args) {
                Ok(report) => conclude(&report, json),
                Err(failure) => refuse(&failure),
            }
        }
        Err(failure) => refuse(&failure),
    }
}

fn run(args: Args) -> Result<Report, Failure> {
    let Args {
        source,
        events,
        manifest,
        cdr,
        json: _,
    } = args;
    let cdr = cdr.unwrap_or_else(run::default_cdr);
    match source {
        Source::Replay { capture, speed } => replay::run(capture, speed, events, manifest, cdr),
        Source::Listen { addr, record } => live::run(addr, record, events, manifest, cdr),
    }
}

fn conclude(report: &Report, json: bool) -> ExitCode {
    say(&report.tables());
    for complaint in report.complaints() {
        eprintln!("switchboard: {complaint}");
    }
    if json {
        say(&report.json());
    }
    if report.balances() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn refuse(failure: &Failure) -> ExitCode {
    eprintln!("switchboard: {failure}");
    ExitCode::from(2)
}

/// Prints a line; whoever closed the pipe does not want to read more.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
