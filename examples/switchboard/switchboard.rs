//! The switchboard: what each packet and each moment does to the calls. It answers by a list of
//! packets to send and publishes through `Outlet`; it has neither a socket nor a clock.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ezk_sip_types::{Method, Name, StatusCode};

use crate::counts::Counts;
use crate::dialplan::{self, Verdict};
use crate::leg::{DialogId, Leg, to_tag};
use crate::message::{self, Inbound, Malformed, Request};
use crate::reply::{self, ALLOW, Packet, Reply};
use crate::sdp;
use crate::snapshot::{Cause, LegSnapshot, LegState, Moment};
use crate::timers::Timers;
use crate::transaction::{Acked, Answer, Key, Pending, Transactions};

/// More calls than this at a time are refused with 503.
const MAX_LEGS: usize = 10_000;

/// Where the snapshots go.
pub(crate) trait Outlet {
    /// Publishes the newest snapshot of a leg. The first of a leg is `Arrived`, the last `Ended`.
    fn publish(&mut self, snapshot: LegSnapshot);
}

/// All calls of one address.
#[derive(Debug)]
pub(crate) struct Switchboard<O> {
    local: SocketAddr,
    legs: HashMap<Arc<DialogId>, Leg>,
    limits: Timers<Arc<DialogId>>,
    transactions: Transactions,
    counts: Counts,
    out: Vec<Packet>,
    outlet: O,
}

impl<O: Outlet> Switchboard<O> {
    /// A switchboard that callers know as `local`.
    pub(crate) fn new(local: SocketAddr, outlet: O) -> Switchboard<O> {
        Switchboard {
            local,
            legs: HashMap::new(),
            limits: Timers::new(),
            transactions: Transactions::new(),
            counts: Counts::default(),
            out: Vec::new(),
            outlet,
        }
    }

    /// What it has counted.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The packets to send since the last call.
    pub(crate) fn outbound(&mut self) -> std::vec::Drain<'_, Packet> {
        self.out.drain(..)
    }

    /// Ends every call and gives back the outlet with what was counted.
    pub(crate) fn stop(mut self, now: Moment) -> (O, Counts, Vec<Packet>) {
        let mut left: Vec<_> = self
            .legs
            .iter()
            .map(|(id, leg)| (leg.latest.leg, id.clone()))
            .collect();
        left.sort_unstable_by_key(|(number, _)| *number);
        for (_, id) in left {
            self.give_up(&id, Cause::Stopped, now);
        }
        (self.outlet, self.counts, self.out)
    }

    /// A datagram came.
    pub(crate) fn receive(&mut self, packet: &[u8], source: SocketAddr, now: Moment) {
        self.tick(now);
        self.counts.packets += 1;
        match message::read(packet, source) {
            Inbound::Request(request) => self.request(&request, source, now),
            Inbound::Response => self.counts.responses += 1,
            Inbound::KeepAlive => self.counts.keep_alives += 1,
            Inbound::Malformed(malformed) => self.malformed(malformed),
        }
    }

    /// Time passed: does all that is due by `now`.
    pub(crate) fn tick(&mut self, now: Moment) {
        let before = self.out.len();
        self.transactions.tick(now, &mut self.out);
        self.counts.resent += (self.out.len() - before) as u64;
        while let Some(id) = self.limits.pop(now) {
            let Some(leg) = self.legs.get(&id) else {
                continue;
            };
            if leg.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let cause = match leg.latest.state {
                LegState::Ringing => Cause::NoAnswer,
                LegState::Answered => Cause::NoAck,
                _ => Cause::TooLong,
            };
            self.give_up(&id, cause, now);
        }
    }

    fn malformed(&mut self, Malformed { why, refusal }: Malformed) {
        self.counts.malformed += 1;
        *self.counts.malformed_by.entry(why).or_default() += 1;
        let Some((status, echo)) = refusal else {
            return;
        };
        self.counts.malformed_answered += 1;
        // Stateless: the same packet gets the same answer again. An answer in a dialog of ours
        // would need no tag, any other needs some tag (8.2.6.2).
        let tag = (!echo.to.contains(";tag=")).then_some("malformed");
        let text = status.text().unwrap_or("Bad Request");
        let reply = Reply::new(&echo, status, tag).reason(&format!("{text} ({why})"));
        self.out.push(reply.packet());
    }

    fn request(&mut self, request: &Request, source: SocketAddr, now: Moment) {
        let key = Arc::new(Key::of(request));
        if request.method == Method::ACK {
            return self.ack(request, &key, now);
        }
        if let Some(response) = self.transactions.repeat(&key) {
            self.counts.repeats += 1;
            self.out.extend(response);
            return;
        }
        if self.transactions.is_full() {
            self.counts.overload += 1;
            let tag = to_tag(request);
            let tag = request.to_tag.is_none().then_some(tag.as_str());
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.out
                .push(Reply::new(&request.echo, status, tag).packet());
            return;
        }
        if request.method == Method::CANCEL {
            self.cancel(request, &key, now);
        } else if request.to_tag.is_some() {
            self.inside(request, &key, now);
        } else if let Some(require) = &request.require {
            self.transactions.begin(key.clone(), None);
            let reply = own_reply(request, StatusCode::BAD_EXTENSION);
            let packet = reply(&to_tag(request))
                .header(Name::UNSUPPORTED, require)
                .packet();
            self.respond(&key, Answer::last(request), packet, now);
        } else if request.method == Method::INVITE {
            self.invite(request, key, source, now);
        } else {
            self.outside(request, &key, now);
        }
    }

    /// An ACK. It is never answered.
    fn ack(&mut self, request: &Request, key: &Key, now: Moment) {
        match self.transactions.acked(key) {
            Acked::Now => return,
            Acked::Before => {
                self.counts.repeats += 1;
                return;
            }
            Acked::Nothing => {}
        }
        let id = DialogId::of(request);
        match self.legs.get_mut(&id) {
            Some(leg) if request.to_tag.as_ref() == Some(&leg.to_tag) => match leg.latest.state {
                LegState::Answered => {
                    let invite = leg.invite.clone();
                    self.transactions.settle(&invite);
                    self.advance(&Arc::new(id), LegState::Up, now);
                }
                _ => self.counts.repeats += 1,
            },
            // The call may be over already.
            None if self.transactions.remembers(&id) => self.counts.repeats += 1,
            _ => self.counts.strays += 1,
        }
    }

    /// CANCEL (9.2).
    fn cancel(&mut self, request: &Request, key: &Arc<Key>, now: Moment) {
        let pending = self.transactions.pending(&key.invite());
        self.transactions.begin(key.clone(), None);
        let id = match pending {
            Pending::Call(id) => Some(id),
            Pending::Over => None,
            Pending::Unknown => {
                self.counts.strays += 1;
                return self.reply(
                    request,
                    key,
                    StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
                    now,
                );
            }
        };
        self.reply(request, key, StatusCode::OK, now);
        if let Some(id) = id {
            self.refuse(&id, StatusCode::REQUEST_TERMINATED, Cause::Cancelled, now);
        }
    }

    /// A request inside a dialog.
    fn inside(&mut self, request: &Request, key: &Arc<Key>, now: Moment) {
        self.transactions.begin(key.clone(), None);
        let id = Arc::new(DialogId::of(request));
        let leg = self.legs.get_mut(&id);
        let Some(leg) = leg.filter(|leg| request.to_tag.as_ref() == Some(&leg.to_tag)) else {
            self.counts.strays += 1;
            return self.reply(
                request,
                key,
                StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
                now,
            );
        };
        if request.cseq <= leg.cseq {
            // Out of order (12.2.2).
            return self.reply(request, key, StatusCode::SERVER_INTERNAL_ERROR, now);
        }
        leg.cseq = request.cseq;
        let (state, invite) = (leg.latest.state, leg.invite.clone());
        if request.method == Method::BYE {
            self.reply(request, key, StatusCode::OK, now);
            match state {
                LegState::Answered | LegState::Up => {
                    self.transactions.settle(&invite);
                    self.advance(&id, LegState::Ended(Cause::HungUp), now);
                }
                // A BYE in an early dialog ends the INVITE as well (15.1.2).
                _ => self.refuse(&id, StatusCode::REQUEST_TERMINATED, Cause::Cancelled, now),
            }
        } else if request.method == Method::INVITE {
            // A session of the switchboard cannot be changed; it goes on as it is (14.2).
            self.reply(request, key, StatusCode::NOT_ACCEPTABLE_HERE, now);
        } else {
            self.outside(request, key, now);
        }
    }

    /// A request that concerns no call: OPTIONS, or a method that is not taken.
    fn outside(&mut self, request: &Request, key: &Arc<Key>, now: Moment) {
        if self.transactions.repeat(key).is_none() {
            self.transactions.begin(key.clone(), None);
        }
        let status = if request.method == Method::OPTIONS {
            self.counts.options += 1;
            StatusCode::OK
        } else if request.method == Method::BYE {
            self.counts.strays += 1;
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
        } else {
            self.counts.not_allowed += 1;
            StatusCode::METHOD_NOT_ALLOWED
        };
        let packet = own_reply(request, status)(&to_tag(request))
            .header(Name::ALLOW, ALLOW)
            .header(Name::ACCEPT, "application/sdp")
            .packet();
        self.respond(key, Answer::Finish, packet, now);
    }

    /// An INVITE that begins a call.
    fn invite(&mut self, request: &Request, key: Arc<Key>, source: SocketAddr, now: Moment) {
        let id = Arc::new(DialogId::of(request));
        if self.legs.contains_key(&id) {
            // The same request by another way (8.2.2.2).
            self.transactions.begin(key.clone(), None);
            return self.reply(request, &key, StatusCode::LOOP_DETECTED, now);
        }
        if self.legs.len() >= MAX_LEGS {
            self.counts.overload += 1;
            self.transactions.begin(key.clone(), None);
            return self.reply(request, &key, StatusCode::SERVICE_UNAVAILABLE, now);
        }
        self.transactions.begin(key.clone(), Some(id.clone()));
        self.counts.legs += 1;
        let leg = Leg::new(self.counts.legs, request, key.clone(), source, now);
        let first = leg.latest.clone();
        self.legs.insert(id.clone(), leg);
        self.publish(first);
        let trying = Reply::new(&request.echo, StatusCode::TRYING, None).packet();
        self.respond(&key, Answer::Provisional, trying, now);
        match dialplan::look_up(&request.called) {
            Verdict::Reject(status) => {
                self.refuse(&id, status, Cause::Rejected(status.into_u16()), now);
            }
            Verdict::Ring => self.ring(request, &key, &id, now),
            Verdict::Answer => {
                self.ring(request, &key, &id, now);
                self.answer(request, &key, &id, now);
            }
        }
    }

    fn ring(&mut self, request: &Request, key: &Arc<Key>, id: &Arc<DialogId>, now: Moment) {
        let packet = self.with_contact(own_reply(request, StatusCode::RINGING)(&to_tag(request)));
        self.respond(key, Answer::Provisional, packet.packet(), now);
        self.advance(id, LegState::Ringing, now);
    }

    fn answer(&mut self, request: &Request, key: &Arc<Key>, id: &Arc<DialogId>, now: Moment) {
        let mut reply = self.with_contact(own_reply(request, StatusCode::OK)(&to_tag(request)));
        for route in &request.record_route {
            reply = reply.header(Name::RECORD_ROUTE, route);
        }
        let packet = reply.sdp(sdp::answer(&request.body, self.local)).packet();
        self.respond(key, Answer::Accept, packet, now);
        self.advance(id, LegState::Answered, now);
    }

    fn with_contact<'a>(&self, reply: Reply<'a>) -> Reply<'a> {
        reply
            .header(Name::CONTACT, &format!("<sip:{}>", self.local))
            .header(Name::ALLOW, ALLOW)
    }

    /// Gives a call that is not answered yet its final response, and ends it.
    fn refuse(&mut self, id: &Arc<DialogId>, status: StatusCode, cause: Cause, now: Moment) {
        let Some(leg) = self.legs.get(id) else {
            return;
        };
        let packet = Reply::new(&leg.echo, status, Some(&leg.to_tag)).packet();
        let invite = leg.invite.clone();
        self.respond(&invite, Answer::Refuse, packet, now);
        self.advance(id, LegState::Ended(cause), now);
    }

    /// Ends a call from the switchboard's side.
    fn give_up(&mut self, id: &Arc<DialogId>, cause: Cause, now: Moment) {
        let Some(leg) = self.legs.get(id) else {
            return;
        };
        match leg.latest.state {
            LegState::Answered | LegState::Up => {
                let invite = leg.invite.clone();
                self.out.extend(reply::bye(leg, self.local));
                self.transactions.settle(&invite);
                self.advance(id, LegState::Ended(cause), now);
            }
            _ => self.refuse(id, StatusCode::TEMPORARILY_UNAVAILABLE, cause, now),
        }
    }

    /// Changes a leg and publishes the change; the leg is gone when it has ended.
    fn advance(&mut self, id: &Arc<DialogId>, state: LegState, now: Moment) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.advance(state, now);
        let latest = leg.latest.clone();
        if let Some(deadline) = leg.deadline() {
            self.limits.set(deadline, id.clone());
        }
        if state.is_ended() {
            self.legs.remove(id);
        }
        self.publish(latest);
    }

    fn publish(&mut self, snapshot: LegSnapshot) {
        self.counts.snapshots += 1;
        self.outlet.publish(snapshot);
    }

    /// A final response with nothing in it.
    fn reply(&mut self, request: &Request, key: &Arc<Key>, status: StatusCode, now: Moment) {
        let packet = own_reply(request, status)(&to_tag(request)).packet();
        self.respond(key, Answer::last(request), packet, now);
    }

    fn respond(&mut self, key: &Arc<Key>, answer: Answer, packet: Packet, now: Moment) {
        self.out.push(packet.clone());
        self.transactions.respond(key, now, answer, packet);
    }
}

/// A response with our tag, which a request inside a dialog brings along.
fn own_reply<'a>(request: &'a Request, status: StatusCode) -> impl Fn(&str) -> Reply<'a> {
    let has_tag = request.to_tag.is_some();
    move |tag| Reply::new(&request.echo, status, (!has_tag).then_some(tag))
}
