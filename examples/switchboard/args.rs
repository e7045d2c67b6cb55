//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::failure::Failure;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A SIP answering switchboard that publishes every change of every call on a stasis-bus.

Usage: switchboard [--capture FILE] [--speed N] [option ...]
       switchboard --listen ADDR [--record FILE] [option ...]

Without --listen it replays a capture of real SIP traffic and checks the books against what SIPp
says it sent. With --listen it answers SIP over UDP until SIGINT or SIGTERM.

      --listen ADDR    answer SIP on this address, say 127.0.0.1:5060
      --record FILE    write what is received to a pcap file (with --listen)
      --capture FILE   replay this pcap file instead of the one that comes with the example
      --manifest FILE  what to expect; for a capture the default is the file beside it that ends
                       in .json, if there is one; with --listen it is read at the end
      --speed N        replay N times as fast as recorded (1: in real time); the default is as
                       fast as it goes
      --events ADDR    tell clients on this loopback address, say 127.0.0.1:5038, what happens to
                       the calls, as AMI text; a replay does so to clients of its own in any case
      --cdr FILE       where to write the call detail records; the default is a file in the
                       directory for temporary files
      --json           print, as the last line, one JSON object with the results
  -h, --help           print this

Called users: 1000 to 1999 answer, ring rings until cancelled, busy is busy, decline declines,
all others are unknown.

Exit code: 0 if the books balance, 1 if they do not, 2 if it could not run.
";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    /// Replay or live.
    pub(crate) source: Source,
    /// Where the event stream is to be, if said.
    pub(crate) events: Option<SocketAddr>,
    /// Where the expectations are, if said.
    pub(crate) manifest: Option<PathBuf>,
    /// Where the call detail records go, if said.
    pub(crate) cdr: Option<PathBuf>,
    /// Whether to print the JSON line.
    pub(crate) json: bool,
}

/// Where the packets come from.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    /// A capture: the given one, or the example's own; at this multiple of its speed, if any.
    Replay {
        /// The given one.
        capture: Option<PathBuf>,
        /// `None`: as fast as it goes.
        speed: Option<f64>,
    },
    /// A socket.
    Listen {
        /// The address to listen on.
        addr: SocketAddr,
        /// The capture to write, if any.
        record: Option<PathBuf>,
    },
}

/// A command line, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// `--help`.
    Help,
    /// Anything else.
    Run(Args),
}

impl Command {
    /// Reads a command line, without the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
        let (mut listen, mut record, mut capture, mut speed) = (None, None, None, None);
        let (mut events, mut manifest, mut cdr, mut json) = (None, None, None, false);
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => return Ok(Command::Help),
                Long("listen") => listen = Some(address(&parser.value()?.string()?)?),
                Long("events") => events = Some(loopback(&parser.value()?.string()?)?),
                Long("record") => record = Some(PathBuf::from(parser.value()?)),
                Long("capture") => capture = Some(PathBuf::from(parser.value()?)),
                Long("speed") => speed = Some(multiple(&parser.value()?.string()?)?),
                Long("manifest") => manifest = Some(PathBuf::from(parser.value()?)),
                Long("cdr") => cdr = Some(PathBuf::from(parser.value()?)),
                Long("json") => json = true,
                Short(_) | Long(_) | Value(_) => return Err(arg.unexpected().into()),
            }
        }
        let source = match listen {
            Some(_) if capture.is_some() || speed.is_some() => {
                return Err(Failure(
                    "--listen goes with neither --capture nor --speed".into(),
                ));
            }
            Some(addr) => Source::Listen { addr, record },
            None if record.is_some() => {
                return Err(Failure("--record needs --listen".into()));
            }
            None => Source::Replay { capture, speed },
        };
        Ok(Command::Run(Args {
            source,
            events,
            manifest,
            cdr,
            json,
        }))
    }
}

/// An address that callers can be told.
fn address(word: &str) -> Result<SocketAddr, Failure> {
    let addr: SocketAddr = word.parse().map_err(|_| {
        Failure(format!(
            "--listen: {word:?} is not an address such as 127.0.0.1:5060"
        ))
    })?;
    if addr.ip().is_unspecified() {
        let what = "it stands in Contact and in the session description";
        return Err(Failure(format!(
            "--listen: {word} is not one address; {what}"
        )));
    }
    Ok(addr)
}

/// An address that only this machine can reach: whoever comes there is told all.
fn loopback(word: &str) -> Result<SocketAddr, Failure> {
    let addr = word.parse().ok();
    addr.filter(|addr: &SocketAddr| addr.ip().is_loopback())
        .ok_or_else(|| {
            let what = "is not a loopback address such as 127.0.0.1:5038";
            Failure(format!("--events: {word:?} {what}"))
        })
}

fn multiple(word: &str) -> Result<f64, Failure> {
    match word.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.01 => Ok(speed),
        _ => Err(Failure(format!(
            "--speed: {word:?} is not a number of at least 0.01"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Failure> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn nothing_means_the_capture_at_full_speed() {
        let source = Source::Replay {
            capture: None,
            speed: None,
        };
        let args = Args {
            source,
            events: None,
            manifest: None,
            cdr: None,
            json: false,
        };
        assert_eq!(parse(""), Ok(Command::Run(args)));
    }

    #[test]
    fn wrong_lines_are_refused_with_a_sentence() {
        for line in [
            "--listen",
            "--listen here",
            "--listen 0.0.0.0:5060",
            "--listen 127.0.0.1:99999",
            "--listen 127.0.0.1:0 --speed 1",
            "--events 5038",
            "--events 0.0.0.0:5038",
            "--events 192.0.2.1:5038",
            "--record x.pcap",
            "--speed 0",
            "--speed NaN",
            "--speed fast",
            "--json=1",
            "--what",
            "calls.pcap",
        ] {
            let refused = parse(line).expect_err(line);
            assert!(refused.0.len() > 10, "{line}: {refused}");
        }
    }

    #[test]
    fn help_wins() {
        assert_eq!(parse("--json -h --what"), Ok(Command::Help));
    }
}
