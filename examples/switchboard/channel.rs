//! A call leg as a channel of telephony: what each of its changes means there, and what is published of it.
//! It knows no subscriber.
//!
//! Every change is one snapshot of the channel. Beside it goes the leg's own snapshot, as a message of its own
//! type, since a channel has neither the number of a change nor the times of a capture; that message has the
//! text for AMI as well.

use std::fmt;
use std::sync::Arc;

use stasis_bus::channels::{
    AMI, AmiEvent, CHANNEL_VARSET, Caller, Channel, ChannelSnapshot, ChannelState, Dial, Dialplan,
    Hangup, MAX_ID_LEN, Publication, Telephony,
};
use stasis_bus::{Formatter, Message, MessageType, Rendering, Topic};

use crate::snapshot::{Cause, LegSnapshot, LegState};

/// A leg changed, and goes on.
pub(crate) static LEG_CHANGED: MessageType<LegChange> =
    MessageType::with_formats("leg changed", &[Formatter::new(&AMI, ami)]);
/// A leg ended. Only this is worth a record, and whoever wants no more than that is not even offered
/// the others.
pub(crate) static LEG_ENDED: MessageType<LegChange> =
    MessageType::with_formats("leg ended", &[Formatter::new(&AMI, ami)]);

/// The names of all events that are published.
pub(crate) const EVENTS: [&str; 4] = ["Newchannel", "Newstate", "Hangup", "VarSet"];

/// Where all calls are in the dial plan.
const CONTEXT: &str = "switchboard";
/// The variable that has a call's Call-ID.
const CALL_ID: &str = "SIPCALLID";
/// What a channel does that was answered; the state is up from there.
const ANSWER: &str = "Answer";
/// What it does once the caller has acknowledged that.
const WAIT: &str = "Wait";

/// A change of a leg: its own snapshot, and that of its channel.
#[derive(Debug)]
pub(crate) struct LegChange {
    /// The leg after the change.
    pub(crate) leg: LegSnapshot,
    /// Its channel after the change.
    pub(crate) channel: Arc<ChannelSnapshot>,
}

impl LegChange {
    /// The name of the event that tells of it.
    fn event(&self) -> &'static str {
        match self.leg.state {
            LegState::Arrived => "Newchannel",
            LegState::Ringing | LegState::Answered | LegState::Up => "Newstate",
            LegState::Ended(_) => "Hangup",
        }
    }
}

fn ami(change: &LegChange, rendering: &Rendering<'_>) -> Option<String> {
    let LegChange { leg, channel } = change;
    if rendering.leaves_out(&channel.subject()) {
        return None;
    }
    let event = channel
        .ami_fields(AmiEvent::new(change.event()), "")
        .field("Leg", leg.leg)
        .field("Change", leg.change);
    let event = match leg.state {
        LegState::Ended(cause) => event
            .field("Cause", channel.hangup.cause)
            .field("Cause-txt", cause)
            .field("TechCause", channel.hangup.tech_cause),
        _ => event,
    };
    Some(event.finish())
}

/// What event a message is, and the channel that it is about; `None` for what is no event.
pub(crate) fn event_of(message: &Message) -> Option<(&'static str, &ChannelSnapshot)> {
    if let Some(change) = message.get::<LegChange>() {
        return Some((change.event(), &change.channel));
    }
    let varset = message.payload(&CHANNEL_VARSET)?;
    Some(("VarSet", varset.snapshot()?))
}

/// A leg's channel, as long as the leg lives.
#[derive(Debug)]
pub(crate) struct LegChannel {
    channel: Channel,
    /// While it rings. The leg is who is rung up: the one at the other end is no channel here.
    dial: Option<Dial>,
}

impl LegChannel {
    /// The channel of a leg that begins. Nothing is published yet.
    pub(crate) fn new(telephony: &Telephony, leg: &LegSnapshot) -> Result<LegChannel, Fault> {
        let uniqueid = format!("{}.{}", leg.times.arrived.as_secs(), leg.leg);
        let channel = telephony
            .channel(uniqueid, channel_name(leg))
            .map_err(fault)?;
        channel.set_protocol_id(&*leg.call_id).set_caller(Caller {
            number: leg.caller.to_string(),
            ..Caller::default()
        });
        Ok(LegChannel {
            channel,
            dial: None,
        })
    }

    /// The channel itself.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes a change: one snapshot of the channel, one of the leg, and what else there is to say.
    pub(crate) fn publish(&mut self, telephony: &Telephony, leg: LegSnapshot) -> Result<(), Fault> {
        let application = match leg.state {
            LegState::Arrived => "",
            LegState::Ringing => "Ringing",
            LegState::Answered => ANSWER,
            LegState::Up => WAIT,
            LegState::Ended(cause) => return self.end(telephony, cause, leg),
        };
        self.channel.set_state(channel_state(leg.state));
        self.channel.set_dialplan(Dialplan {
            application: application.into(),
            context: CONTEXT.into(),
            extension: leg.called.to_string(),
            priority: 1,
            ..Dialplan::default()
        });
        if self.channel.publish().map_err(fault)? != Publication::Published {
            return Err(Fault("the change of a leg is none of its channel".into()));
        }
        match leg.state {
            LegState::Ringing => {
                let dial = Dial::begin(telephony, None, &self.channel, &*leg.called);
                self.dial = Some(dial.map_err(fault)?);
            }
            LegState::Answered => self.end_dial("ANSWER")?,
            _ => {}
        }
        let call_id = (leg.state == LegState::Arrived).then(|| leg.call_id.clone());
        self.tell(self.channel.topic(), &LEG_CHANGED, leg)?;
        match call_id {
            Some(call_id) => self.channel.set_variable(CALL_ID, &*call_id).map_err(fault),
            None => Ok(()),
        }
    }

    fn end(&mut self, telephony: &Telephony, cause: Cause, leg: LegSnapshot) -> Result<(), Fault> {
        let hangup = hangup(cause);
        if let Cause::HungUp | Cause::Cancelled = cause {
            self.channel
                .hangup_request(Some(hangup.cause), false)
                .map_err(fault)?;
        }
        self.end_dial(match cause {
            Cause::Cancelled => "CANCEL",
            Cause::NoAnswer => "NOANSWER",
            _ => "CONGESTION",
        })?;
        self.channel
            .set_state(channel_state(leg.state))
            .set_hangup(hangup);
        self.channel.end().map_err(fault)?;
        // The topic of a channel that has ended leads nowhere.
        self.tell(telephony.channel_topic_all(), &LEG_ENDED, leg)
    }

    /// Ends the dial, if there is one.
    fn end_dial(&mut self, status: &str) -> Result<(), Fault> {
        match self.dial.take() {
            Some(dial) => dial.end(status, None).map_err(fault),
            None => Ok(()),
        }
    }

    /// The leg's own snapshot, with that of the channel which was published last.
    fn tell(
        &self,
        topic: &Topic,
        kind: &MessageType<LegChange>,
        leg: LegSnapshot,
    ) -> Result<(), Fault> {
        let Some(channel) = self.channel.snapshot() else {
            return Err(Fault("the channel has no snapshot".into()));
        };
        let message = kind.message(LegChange { leg, channel });
        topic.publish(message).map(drop).map_err(fault)
    }
}

/// Why something about a channel could not be published: a sentence.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(error: impl fmt::Display) -> Fault {
    Fault(error.to_string())
}

/// `SIP/alice-0000002a`. A caller's name may be as long as a datagram, and is cut so that this is a name.
fn channel_name(leg: &LegSnapshot) -> String {
    let tail = format!("-{:08x}", leg.leg);
    let room = MAX_ID_LEN - "SIP/".len() - tail.len();
    let caller = &leg.caller[..cut(&leg.caller, room)];
    format!("SIP/{caller}{tail}")
}

/// The last place up to `at` where a text may be cut.
fn cut(text: &str, at: usize) -> usize {
    let mut places = (0..=at.min(text.len())).rev();
    places
        .find(|place| text.is_char_boundary(*place))
        .unwrap_or(0)
}

fn channel_state(state: LegState) -> ChannelState {
    match state {
        LegState::Arrived => ChannelState::Ring,
        LegState::Ringing => ChannelState::Ringing,
        LegState::Answered | LegState::Up => ChannelState::Up,
        LegState::Ended(_) => ChannelState::Down,
    }
}

/// The state of the leg whose channel was like that; `None` if no leg's channel is.
pub(crate) fn state_of(channel: &ChannelSnapshot) -> Option<LegState> {
    if channel.ended {
        return cause_of(&channel.hangup).map(LegState::Ended);
    }
    match (channel.state(), &*channel.dialplan.application) {
        (ChannelState::Ring, _) => Some(LegState::Arrived),
        (ChannelState::Ringing, _) => Some(LegState::Ringing),
        (ChannelState::Up, ANSWER) => Some(LegState::Answered),
        (ChannelState::Up, WAIT) => Some(LegState::Up),
        _ => None,
    }
}

/// A cause in the numbers of Q.850 (RFC 3398, 8.2.6.1) and of SIP; 0 where SIP has none.
fn hangup(cause: Cause) -> Hangup {
    let (number, status) = match cause {
        Cause::HungUp => (16, 0),
        Cause::Cancelled => (16, 487),
        Cause::Rejected(404) => (1, 404),
        Cause::Rejected(486) => (17, 486),
        Cause::Rejected(603) => (21, 603),
        Cause::Rejected(status) => (127, status),
        Cause::NoAnswer => (19, 480),
        Cause::NoAck => (102, 408),
        Cause::TooLong => (31, 0),
        Cause::Stopped => (41, 0),
    };
    let source = match cause {
        Cause::HungUp | Cause::Cancelled => "caller",
        _ => CONTEXT,
    };
    Hangup {
        cause: number,
        source: source.into(),
        tech_cause: status.into(),
    }
}

/// The other way round.
fn cause_of(hangup: &Hangup) -> Option<Cause> {
    match (hangup.cause, u16::try_from(hangup.tech_cause).ok()?) {
        (16, 0) => Some(Cause::HungUp),
        (16, 487) => Some(Cause::Cancelled),
        (19, 480) => Some(Cause::NoAnswer),
        (102, 408) => Some(Cause::NoAck),
        (31, 0) => Some(Cause::TooLong),
        (41, 0) => Some(Cause::Stopped),
        (1 | 17 | 21 | 127, status @ 300..) => Some(Cause::Rejected(status)),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use stasis_bus::Bus;
    use stasis_bus::channels::{CHANNEL_SNAPSHOT, ChannelUpdate};

    use super::*;
    use crate::snapshot::Times;

    /// The snapshot of a leg.
    pub(crate) fn leg(leg: u64, change: u32, state: LegState) -> LegSnapshot {
        LegSnapshot {
            leg,
            call_id: "a".into(),
            caller: "b".into(),
            called: "c".into(),
            change,
            state,
            times: Times::default(),
            published: Instant::now(),
        }
    }

    /// All that is published of leg `number` as it goes through those states.
    pub(crate) fn messages(number: u64, states: &[LegState]) -> Vec<Message> {
        let bus = Bus::new().expect("a bus");
        let telephony = Telephony::new(&bus).expect("telephony");
        let mut receiver = telephony
            .channel_topic_all()
            .subscribe()
            .receiver()
            .expect("a receiver");
        let first = leg(number, 1, LegState::Arrived);
        let mut channel = LegChannel::new(&telephony, &first).expect("a channel");
        for (change, state) in (1..).zip(states) {
            let leg = leg(number, change, *state);
            channel.publish(&telephony, leg).expect("published");
        }
        let messages = receiver.try_iter().collect();
        drop(channel);
        messages
    }

    /// The updates of its channel.
    pub(crate) fn updates(number: u64, states: &[LegState]) -> Vec<ChannelUpdate> {
        let messages = messages(number, states);
        let updates = messages
            .iter()
            .filter_map(|message| message.payload(&CHANNEL_SNAPSHOT));
        updates.cloned().collect()
    }

    #[test]
    fn a_channel_tells_the_state_of_its_leg() {
        let causes = [
            Cause::HungUp,
            Cause::Rejected(404),
            Cause::Rejected(480),
            Cause::Rejected(486),
            Cause::Rejected(603),
            Cause::Cancelled,
            Cause::NoAnswer,
            Cause::NoAck,
            Cause::TooLong,
            Cause::Stopped,
        ];
        for cause in causes {
            let states = [
                LegState::Arrived,
                LegState::Ringing,
                LegState::Answered,
                LegState::Up,
                LegState::Ended(cause),
            ];
            let updates = updates(1, &states);
            let told: Vec<_> = updates.iter().filter_map(|it| state_of(&it.new)).collect();
            assert_eq!(told, states);
        }
    }

    #[test]
    fn each_change_is_one_event_and_the_call_id_another_one() {
        let ended = LegState::Ended(Cause::Cancelled);
        let messages = messages(7, &[LegState::Arrived, LegState::Ringing, ended]);
        let names: Vec<_> = messages.iter().map(Message::type_name).collect();
        assert_eq!(
            names,
            [
                "ast_channel_snapshot_type",
                "leg changed",
                "ast_channel_varset_type",
                "ast_channel_snapshot_type",
                "ast_channel_dial_type",
                "leg changed",
                "ast_channel_hangup_request_type",
                "ast_channel_dial_type",
                "ast_channel_snapshot_type",
                "leg ended",
            ]
        );
        let events: Vec<_> = messages.iter().filter_map(event_of).collect();
        let names: Vec<_> = events.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Newchannel", "VarSet", "Newstate", "Hangup"]);
        let text = messages.last().and_then(|last| last.render(&AMI));
        let text = text.expect("AMI");
        assert!(text.starts_with("Event: Hangup\r\nChannel: SIP/b-00000007\r\n"));
        assert!(text.ends_with("Cause: 16\r\nCause-txt: cancelled\r\nTechCause: 487\r\n\r\n"));
    }

    #[test]
    fn a_name_is_cut_where_a_letter_ends() {
        let long = LegSnapshot {
            caller: "\u{e9}".repeat(40_000).into(),
            ..leg(1, 1, LegState::Arrived)
        };
        let name = channel_name(&long);
        assert!(
            (MAX_ID_LEN - 1..=MAX_ID_LEN).contains(&name.len()),
            "{}",
            name.len()
        );
        assert!(name.ends_with("\u{e9}-00000001"));
    }
}
