//! The 13 message types of the system topic, and the type of user events.

use super::ami_by;
use crate::channels::{
    AmiEvent, CallCompletion, ClusterDiscovery, EventObject, NetworkChange, Registry, user_event,
};
use crate::json::{self, UserEvent};
use crate::{MessageType, Rendering};

/// The network has changed.
pub static NETWORK_CHANGE: MessageType<NetworkChange> = MessageType::new("ast_network_change_type");

/// A registration of ours has changed. AMI: `Registry`.
pub static SYSTEM_REGISTRY: MessageType<Registry> =
    MessageType::with_formats("ast_system_registry_type", &[ami_by(registry)]);

/// A call can be completed later. AMI: `CCAvailable`.
pub static CC_AVAILABLE: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_available_type",
    &[ami_by(|step, _| Some(step.ami("CCAvailable")))],
);

/// The time to accept the offer begins. AMI: `CCOfferTimerStart`.
pub static CC_OFFER_TIMER_START: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_offertimerstart_type",
    &[ami_by(|step, _| Some(step.ami("CCOfferTimerStart")))],
);

/// The offer was accepted. AMI: `CCRequested`.
pub static CC_REQUESTED: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_requested_type",
    &[ami_by(|step, _| Some(step.ami("CCRequested")))],
);

/// The other side has confirmed that. AMI: `CCRequestAcknowledged`.
pub static CC_REQUEST_ACKNOWLEDGED: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_requestacknowledged_type",
    &[ami_by(|step, _| Some(step.ami("CCRequestAcknowledged")))],
);

/// The caller is busy, and not to be called back for now. AMI: `CCCallerStopMonitoring`.
pub static CC_CALLER_STOP_MONITORING: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_callerstopmonitoring_type",
    &[ami_by(|step, _| Some(step.ami("CCCallerStopMonitoring")))],
);

/// The caller can be called back again. AMI: `CCCallerStartMonitoring`.
pub static CC_CALLER_START_MONITORING: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_callerstartmonitoring_type",
    &[ami_by(|step, _| Some(step.ami("CCCallerStartMonitoring")))],
);

/// The caller is being called back. AMI: `CCCallerRecalling`.
pub static CC_CALLER_RECALLING: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_callerrecalling_type",
    &[ami_by(|step, _| Some(step.ami("CCCallerRecalling")))],
);

/// They talk. AMI: `CCRecallComplete`.
pub static CC_RECALL_COMPLETE: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_recallcomplete_type",
    &[ami_by(|step, _| Some(step.ami("CCRecallComplete")))],
);

/// It came to nothing. AMI: `CCFailure`.
pub static CC_FAILURE: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_failure_type",
    &[ami_by(|step, _| Some(step.ami("CCFailure")))],
);

/// One of those that were called cannot be watched any more. AMI: `CCMonitorFailed`.
pub static CC_MONITOR_FAILED: MessageType<CallCompletion> = MessageType::with_formats(
    "ast_cc_monitorfailed_type",
    &[ami_by(|step, _| Some(step.ami("CCMonitorFailed")))],
);

/// A node of the cluster came, or went.
pub static CLUSTER_DISCOVERY: MessageType<ClusterDiscovery> =
    MessageType::new("ast_cluster_discovery_type");

/// An application's own event. On the topic of the channel that it came from, or of all channels. JSON:
/// `ChannelUserevent`, see [`UserEvent`]; AMI: `UserEvent`, with the lines of its channels and bridges,
/// the second one of a kind and those after it with `Chan2`, `Bridge2` and so on before each key.
pub static USER_EVENT: MessageType<UserEvent<EventObject>> = MessageType::with_formats(
    "ast_multi_user_event_type",
    &[json::formatter(), ami_by(user_event::ami)],
);

fn registry(registry: &Registry, _: &Rendering<'_>) -> Option<String> {
    let event = AmiEvent::new("Registry")
        .field("ChannelType", &registry.channel_type)
        .field("Username", &registry.username)
        .field("Domain", &registry.domain)
        .field("Status", &registry.status)
        .optional("Cause", registry.cause.as_ref());
    Some(event.finish())
}
