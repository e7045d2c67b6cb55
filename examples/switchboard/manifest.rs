//! What a capture must lead to, told by who sent it: SIPp's own statistics, as `ci/record-capture.sh`
//! and `ci/switchboard-live.sh` collect them, and the rules that turn calls into events.
//!
//! Nothing here comes from the bus or from the switchboard's counters.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::capture::Capture;
use crate::failure::Failure;

/// The file beside a capture.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    /// The capture it describes; a live run has none.
    pub(crate) capture: Option<CaptureId>,
    /// What was sent.
    pub(crate) scenarios: Vec<Scenario>,
}

/// Which capture a manifest describes.
#[derive(Debug, Deserialize)]
pub(crate) struct CaptureId {
    /// Length of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
}

/// What one sender says it did.
#[derive(Debug, Deserialize)]
pub(crate) struct Scenario {
    /// The scenario file, or the name of the sender.
    pub(crate) scenario: String,
    /// What each of its calls does.
    pub(crate) kind: Kind,
    /// SIPp's TotalCallCreated.
    pub(crate) created: u64,
    /// SIPp's SuccessfulCall(C).
    pub(crate) successful: u64,
    /// SIPp's FailedCall(C).
    pub(crate) failed: u64,
    /// Packets that it sent, by its count of each message.
    pub(crate) sent: u64,
    /// Those of them that it sent again because no answer came.
    pub(crate) retransmitted: u64,
}

/// What one call of a scenario does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Is answered and hung up: arrived, ringing, answered, up, ended.
    Answered,
    /// The same, with INVITE, ACK and BYE sent twice.
    Repeated,
    /// Is answered and hung up before the caller acknowledged: arrived, ringing, answered, ended.
    Unacknowledged,
    /// Is refused: arrived, ended.
    Rejected,
    /// Rings and is cancelled: arrived, ringing, ended.
    Cancelled,
    /// Is no call: a request that is answered outside of any.
    NoCall,
    /// Is one malformed packet.
    Malformed,
}

/// What a run must come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Expected {
    /// Calls begun.
    pub(crate) calls: u64,
    /// Snapshots published.
    pub(crate) events: u64,
    /// Call detail records in the file.
    pub(crate) cdrs: u64,
    /// Malformed packets.
    pub(crate) malformed: u64,
    /// Packets received.
    pub(crate) packets: u64,
    /// Requests that came again.
    pub(crate) repeats: u64,
}

impl Kind {
    /// What each call of this kind leads to.
    fn each(self) -> Expected {
        let call = |events| Expected {
            calls: 1,
            events,
            cdrs: 1,
            ..Expected::default()
        };
        match self {
            Kind::Answered => call(5),
            Kind::Repeated => Expected {
                repeats: 3,
                ..call(5)
            },
            Kind::Unacknowledged => call(4),
            Kind::Rejected => call(2),
            Kind::Cancelled => call(3),
            Kind::NoCall => Expected::default(),
            Kind::Malformed => Expected {
                malformed: 1,
                ..Expected::default()
            },
        }
    }
}

impl Manifest {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Manifest, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::file(path, format!("not a manifest: {error}")))
    }

    /// Refuses a capture that is not the one described.
    pub(crate) fn check(&self, path: &Path, capture: &Capture) -> Result<(), Failure> {
        match &self.capture {
            Some(id) if id.bytes == capture.bytes && id.sha256 == capture.sha256 => Ok(()),
            Some(id) => {
                let what = format!(
                    "describes another capture ({} bytes, sha256 {}) than this one ({} bytes, {})",
                    id.bytes, id.sha256, capture.bytes, capture.sha256
                );
                Err(Failure::file(path, what))
            }
            None => Err(Failure::file(path, "names no capture")),
        }
    }

    /// What the run must come to, by the rules of each kind. A call that failed by SIPp's count
    /// follows no rule, so that nothing can be expected.
    pub(crate) fn expected(&self, path: &Path) -> Result<Expected, Failure> {
        let mut sum = Expected::default();
        for scenario in &self.scenarios {
            let Scenario {
                scenario: name,
                created,
                successful,
                failed,
                ..
            } = scenario;
            if *failed != 0 || created != successful {
                let what = format!("{name}: {successful} of {created} succeeded, {failed} failed");
                return Err(Failure::file(path, what));
            }
            let each = scenario.kind.each();
            sum.calls += each.calls * created;
            sum.events += each.events * created;
            sum.cdrs += each.cdrs * created;
            sum.malformed += each.malformed * created;
            sum.packets += scenario.sent;
            sum.repeats += each.repeats * created + scenario.retransmitted;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        serde_json::from_str(text).expect("a manifest")
    }

    #[test]
    fn calls_become_events_by_their_kind() {
        let manifest = manifest(
            r#"{"scenarios": [
                {"scenario": "a", "kind": "answered", "created": 3, "successful": 3, "failed": 0,
                 "sent": 9, "retransmitted": 0},
                {"scenario": "c", "kind": "cancelled", "created": 2, "successful": 2, "failed": 0,
                 "sent": 7, "retransmitted": 1},
                {"scenario": "o", "kind": "no_call", "created": 9, "successful": 9, "failed": 0,
                 "sent": 9, "retransmitted": 0},
                {"scenario": "m", "kind": "malformed", "created": 4, "successful": 4, "failed": 0,
                 "sent": 4, "retransmitted": 0}
            ]}"#,
        );
        let expected = Expected {
            calls: 5,
            events: 21,
            cdrs: 5,
            malformed: 4,
            packets: 29,
            repeats: 1,
        };
        assert_eq!(manifest.expected(Path::new("m")), Ok(expected));
    }

    #[test]
    fn a_failed_call_spoils_it() {
        let manifest = manifest(
            r#"{"scenarios": [
                {"scenario": "a", "kind": "rejected", "created": 3, "successful": 2, "failed": 1,
                 "sent": 9, "retransmitted": 0}
            ]}"#,
        );
        let refused = manifest
            .expected(Path::new("m"))
            .expect_err("a failed call");
        assert_eq!(refused.0, "m: a: 2 of 3 succeeded, 1 failed");
    }
}
