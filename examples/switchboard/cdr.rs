//! Call detail records: one line of JSON for each call that has ended, in a file.
//!
//! A call's last change knows nearly all that its record says, so this subscriber takes only those, and the
//! dials, of which it keeps how they ended. It loses none of them. `count` reads the file again, which is how a run proves that nothing is lost.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use stasis_bus::channels::MultiChannelBlob;

use crate::channel::{LegChange, state_of};
use crate::consumer::{Finding, Outcome};
use crate::failure::Failure;
use crate::snapshot::{Cause, LegState, Moment};

/// A line of the file. Times are microseconds since the Unix epoch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    leg: u64,
    uniqueid: String,
    call_id: String,
    caller: String,
    called: String,
    arrived_us: u64,
    answered_us: Option<u64>,
    ended_us: u64,
    talk_us: u64,
    cause: String,
    status: u16,
    /// How its ringing ended; none if it never rang.
    dialstatus: Option<String>,
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct Cdr {
    file: BufWriter<File>,
    /// The status of each dial, empty while it rings, by the id of its channel. Until that ends.
    dials: HashMap<String, String>,
    seen: u64,
    records: u64,
    dials_begun: u64,
    dials_ended: u64,
    error: Option<String>,
}

impl Cdr {
    /// Begins a file.
    pub(crate) fn create(path: &Path) -> Result<Cdr, Failure> {
        let cannot = |error| Failure::file(path, error);
        let file = File::create(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            let what = "records go to a regular file, as they are read again at the end";
            return Err(Failure::file(path, what));
        }
        Ok(Cdr {
            file: BufWriter::new(file),
            dials: HashMap::new(),
            seen: 0,
            records: 0,
            dials_begun: 0,
            dials_ended: 0,
            error: None,
        })
    }

    /// A dial began or ended. Each that ends must have begun, once.
    pub(crate) fn dial(&mut self, dial: &MultiChannelBlob) {
        self.seen += 1;
        let (Some(peer), Some(status)) = (dial.get("peer"), dial.data()["dialstatus"].as_str())
        else {
            return;
        };
        if status.is_empty() {
            self.dials_begun += 1;
            self.dials.insert(peer.id().to_owned(), String::new());
        } else if let Some(pending) = self.dials.get_mut(peer.id()) {
            self.dials_ended += u64::from(pending.is_empty());
            status.clone_into(pending);
        }
    }

    /// A call ended.
    pub(crate) fn end(&mut self, change: &LegChange) {
        self.seen += 1;
        let dialstatus = self.dials.remove(change.channel.id());
        match write(&mut self.file, &Record::of(change, dialstatus)) {
            Ok(()) => self.records += 1,
            Err(error) => drop(self.error.get_or_insert(error.to_string())),
        }
    }

    /// There is nothing more.
    pub(crate) fn finish(&mut self) -> Outcome {
        if let Err(error) = self.file.flush() {
            self.error.get_or_insert(error.to_string());
        }
        Outcome {
            seen: self.seen,
            result: Finding::Cdr {
                records: self.records,
                dials_begun: self.dials_begun,
                dials_ended: self.dials_ended,
                error: self.error.take(),
            },
        }
    }
}

fn write(file: &mut impl Write, record: &Record) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, record)?;
    file.write_all(b"\n")
}

impl Record {
    /// Times are the leg's own, all else is its channel's.
    fn of(change: &LegChange, dialstatus: Option<String>) -> Record {
        let LegChange { leg, channel } = change;
        let times = &leg.times;
        let micros = |at: Moment| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let ended = times.ended.unwrap_or(times.arrived);
        let (cause, status) = match state_of(channel) {
            Some(LegState::Ended(cause)) => {
                (cause.to_string(), status(cause, times.answered.is_some()))
            }
            state => (format!("{state:?}"), 0),
        };
        Record {
            leg: leg.leg,
            uniqueid: channel.id().to_owned(),
            call_id: channel.base.protocol_id.clone(),
            caller: channel.caller.number.clone(),
            called: channel.dialplan.extension.clone(),
            arrived_us: micros(times.arrived),
            answered_us: times.answered.map(micros),
            ended_us: micros(ended),
            talk_us: times
                .answered
                .map_or(0, |at| micros(ended.saturating_sub(at))),
            cause,
            status,
            dialstatus,
        }
    }
}

/// The final status that the INVITE of a call got.
fn status(cause: Cause, answered: bool) -> u16 {
    match cause {
        _ if answered => 200,
        Cause::Rejected(status) => status,
        Cause::Cancelled => 487,
        _ => 480,
    }
}

/// How many calls have a record in a file. A line that is no record, or a second one of the same
/// call, is an error; one that was cut off, because the disk is full, is none at all.
pub(crate) fn count(path: &Path) -> Result<u64, Failure> {
    let cannot = |error| Failure::file(path, error);
    let mut file = BufReader::new(File::open(path).map_err(cannot)?);
    let mut legs = HashSet::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        file.read_line(&mut line).map_err(cannot)?;
        if !line.ends_with('\n') {
            break;
        }
        let record: Record = serde_json::from_str(&line)
            .map_err(|error| Failure::file(path, format!("line {number}: {error}")))?;
        if !legs.insert(record.leg) {
            let what = format!("line {number}: call {} has two records", record.leg);
            return Err(Failure::file(path, what));
        }
    }
    Ok(legs.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::messages;

    #[test]
    fn refuses_what_cannot_be_read_again() {
        let refused = Cdr::create("/dev/null".as_ref()).expect_err("a device");
        assert!(refused.0.contains("regular file"), "{refused}");
    }

    #[test]
    fn a_record_that_was_cut_off_does_not_count() {
        let name = format!("switchboard-cdr-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = Vec::new();
        for leg in [1, 2] {
            let ended = LegState::Ended(Cause::Cancelled);
            let messages = messages(leg, &[LegState::Arrived, ended]);
            let change = messages.last().and_then(|last| last.get());
            let record = Record::of(change.expect("the end"), None);
            write(&mut file, &record).expect("a record");
        }
        for (cut, records) in [(0, 2), (1, 1), (9, 1)] {
            std::fs::write(&path, &file[..file.len() - cut]).expect("the file");
            assert_eq!(count(&path), Ok(records), "without the last {cut}");
        }
        std::fs::write(&path, file.repeat(2)).expect("the file");
        count(&path).expect_err("calls with two records");
        std::fs::remove_file(path).expect("the file");
    }
}
