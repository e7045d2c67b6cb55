//! Call detail records: one line of JSON for each call that has ended, in a file.
//!
//! A call's last snapshot knows all that its record says, so this subscriber takes only those, and
//! loses none of them. `count` reads the file again, which is how a run proves that nothing is lost.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::consumer::{Consumer, Finding, Outcome};
use crate::failure::Failure;
use crate::snapshot::{Cause, LegSnapshot, LegState, Moment};

/// A line of the file. Times are microseconds since the Unix epoch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    leg: u64,
    call_id: String,
    caller: String,
    called: String,
    arrived_us: u64,
    answered_us: Option<u64>,
    ended_us: u64,
    talk_us: u64,
    cause: String,
    status: u16,
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct Cdr {
    file: BufWriter<File>,
    seen: u64,
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
            seen: 0,
            error: None,
        })
    }
}

impl Consumer for Cdr {
    fn see(&mut self, snapshot: &LegSnapshot) {
        self.seen += 1;
        if let Err(error) = write(&mut self.file, snapshot) {
            self.error.get_or_insert(error.to_string());
        }
    }

    fn finish(&mut self) -> Outcome {
        if let Err(error) = self.file.flush() {
            self.error.get_or_insert(error.to_string());
        }
        Outcome {
            seen: self.seen,
            result: Finding::Cdr {
                error: self.error.take(),
            },
        }
    }
}

fn write(file: &mut impl Write, snapshot: &LegSnapshot) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, &Record::of(snapshot))?;
    file.write_all(b"\n")
}

impl Record {
    fn of(snapshot: &LegSnapshot) -> Record {
        let LegSnapshot {
            leg,
            call_id,
            caller,
            called,
            state,
            times,
            ..
        } = snapshot;
        let micros = |at: Moment| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let ended = times.ended.unwrap_or(times.arrived);
        let (cause, status) = match state {
            LegState::Ended(cause) => (cause.to_string(), status(*cause, times.answered.is_some())),
            state => (format!("{state:?}"), 0),
        };
        Record {
            leg: *leg,
            call_id: call_id.to_string(),
            caller: caller.to_string(),
            called: called.to_string(),
            arrived_us: micros(times.arrived),
            answered_us: times.answered.map(micros),
            ended_us: micros(ended),
            talk_us: times
                .answered
                .map_or(0, |at| micros(ended.saturating_sub(at))),
            cause,
            status,
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
    use std::time::Instant;

    use super::*;
    use crate::snapshot::Times;

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
            let snapshot = LegSnapshot {
                leg,
                call_id: "a".into(),
                caller: "b".into(),
                called: "c".into(),
                change: 2,
                state: LegState::Ended(Cause::Cancelled),
                times: Times::default(),
                published: Instant::now(),
            };
            write(&mut file, &snapshot).expect("a record");
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
