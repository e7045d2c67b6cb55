//! What the SIP side counts, by itself and without the bus.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Datagrams received.
    pub(crate) packets: u64,
    /// Calls begun.
    pub(crate) legs: u64,
    /// Changes of call legs.
    pub(crate) snapshots: u64,
    /// Requests that came again and were absorbed.
    pub(crate) repeats: u64,
    /// Responses sent again because no ACK came.
    pub(crate) resent: u64,
    /// OPTIONS answered.
    pub(crate) options: u64,
    /// Requests with a method that is not taken.
    pub(crate) not_allowed: u64,
    /// Requests for a call or a transaction that does not exist.
    pub(crate) strays: u64,
    /// Calls and requests refused because a limit was reached.
    pub(crate) overload: u64,
    /// Responses received.
    pub(crate) responses: u64,
    /// Empty datagrams.
    pub(crate) keep_alives: u64,
    /// Packets that are not SIP, or not acceptable SIP.
    pub(crate) malformed: u64,
    /// Those of them that were answered with a refusal; the rest was dropped.
    pub(crate) malformed_answered: u64,
    /// The malformed ones by what was wrong.
    pub(crate) malformed_by: BTreeMap<&'static str, u64>,
}
