//! What concerns the system as a whole: the payloads of the system topic. Its types are in
//! `types/system.rs`.

use super::AmiEvent;

/// The network has changed: addresses that were looked up are to be looked up again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange;

/// A registration of ours with somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// The technology.
    pub channel_type: String,
    /// Who we are there.
    pub username: String,
    /// Where.
    pub domain: String,
    /// How it stands.
    pub status: String,
    /// Why, if it is not registered.
    pub cause: Option<String>,
}

/// A step of a call completion: of calling back who was busy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCompletion {
    /// Which one.
    pub core_id: u32,
    /// Who wants to be called back.
    pub caller: Option<String>,
    /// Who was busy.
    pub callee: Option<String>,
    /// What is offered.
    pub service: Option<String>,
    /// In how many seconds the offer ends.
    pub expires: Option<u32>,
    /// Why it failed.
    pub reason: Option<String>,
}

impl CallCompletion {
    pub(super) fn ami(&self, name: &str) -> String {
        AmiEvent::new(name)
            .field("CoreID", self.core_id)
            .optional("Caller", self.caller.as_ref())
            .optional("Callee", self.callee.as_ref())
            .optional("Service", self.service.as_ref())
            .optional("Expires", self.expires)
            .optional("Reason", self.reason.as_ref())
            .finish()
    }
}

/// A node of the cluster came, or went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterDiscovery {
    /// The node's number.
    pub node_id: u32,
    /// The cluster's.
    pub cluster_id: u32,
    /// The node's address.
    pub address: String,
    /// The node's name.
    pub hostname: String,
    /// It came; else it went.
    pub has_joined: bool,
}
