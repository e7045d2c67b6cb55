//! Server transactions (RFC 3261, 17.2; RFC 6026): what makes a retransmission harmless.
//!
//! A transaction remembers its last response. A request that comes again is answered with it and
//! goes no further; a final answer to an INVITE is sent again until the ACK comes. What a request
//! means is not known here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ezk_sip_types::Method;

use crate::leg::DialogId;
use crate::message::Request;
use crate::reply::Packet;
use crate::snapshot::Moment;
use crate::timers::Timers;

/// Estimate of a round trip (17.1.1.1): the first pause before a response is sent again.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// The longest pause between two sendings of a response.
const T2: Duration = Duration::from_secs(4);
/// How long a finished transaction absorbs retransmissions, and a final answer waits for its ACK.
pub(crate) const LINGER: Duration = Duration::from_secs(32); // 64 * T1
/// More transactions than this at a time are refused.
pub(crate) const MAX_TRANSACTIONS: usize = 65_536;

/// What tells transactions apart (17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    branch: String,
    sent_by: String,
    method: Method,
}

/// Where a transaction stands. The names are those of the RFCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final response yet.
    Proceeding,
    /// An INVITE was refused; the ACK is awaited.
    Completed,
    /// An INVITE was answered; the ACK, which belongs to the dialog, is awaited.
    Accepted,
    /// All was said; retransmissions are absorbed for a while.
    Confirmed,
}

/// What a response does to its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 1xx.
    Provisional,
    /// 2xx to an INVITE.
    Accept,
    /// 3xx to 6xx to an INVITE.
    Refuse,
    /// Any final response to another request.
    Finish,
}

impl Answer {
    /// What a final response other than 2xx to an INVITE is to the transaction of `request`.
    pub(crate) fn last(request: &Request) -> Answer {
        if request.method == Method::INVITE {
            Answer::Refuse
        } else {
            Answer::Finish
        }
    }
}

#[derive(Debug)]
struct Transaction {
    phase: Phase,
    response: Option<Packet>,
    /// When and after which pause the response is sent again; only while the ACK is awaited.
    resend: Option<(Moment, Duration)>,
    /// When the transaction is forgotten.
    ends: Option<Moment>,
    /// The call that an INVITE began.
    dialog: Option<Arc<DialogId>>,
}

/// What an ACK found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The refusal it acknowledges.
    Now,
    /// A refusal that was acknowledged before: it is a retransmission.
    Before,
    /// No refusal: it may belong to a dialog.
    Nothing,
}

/// All transactions that are not over.
#[derive(Debug)]
pub(crate) struct Transactions {
    live: HashMap<Arc<Key>, Transaction>,
    /// The latest INVITE of each call, as long as it is remembered.
    invites: HashMap<Arc<DialogId>, Arc<Key>>,
    timers: Timers<Arc<Key>>,
}

impl Key {
    /// The key of a request. An ACK has the key of the INVITE that it acknowledges.
    pub(crate) fn of(request: &Request) -> Key {
        let branch = if request.branch.starts_with("z9hG4bK") {
            request.branch.clone()
        } else {
            // An RFC 2543 client: its branch says nothing.
            format!("{} {} {}", request.call_id, request.from_tag, request.cseq)
        };
        let method = if request.method == Method::ACK {
            Method::INVITE
        } else {
            request.method.clone()
        };
        Key {
            branch,
            sent_by: request.sent_by.clone(),
            method,
        }
    }

    /// The key of the INVITE that a CANCEL with this key is about (9.2).
    pub(crate) fn invite(&self) -> Key {
        Key {
            method: Method::INVITE,
            ..self.clone()
        }
    }
}

impl Transactions {
    /// None.
    pub(crate) fn new() -> Transactions {
        Transactions {
            live: HashMap::new(),
            invites: HashMap::new(),
            timers: Timers::new(),
        }
    }

    /// Whether another one can begin.
    pub(crate) fn is_full(&self) -> bool {
        self.live.len() >= MAX_TRANSACTIONS
    }

    /// Begins one; `dialog` is the call that it begins, if it does.
    pub(crate) fn begin(&mut self, key: Arc<Key>, dialog: Option<Arc<DialogId>>) {
        if let Some(dialog) = &dialog {
            self.invites.insert(dialog.clone(), key.clone());
        }
        let transaction = Transaction {
            phase: Phase::Proceeding,
            response: None,
            resend: None,
            ends: None,
            dialog,
        };
        let earlier = self.live.insert(key, transaction);
        debug_assert!(earlier.is_none(), "a retransmission began a transaction");
    }

    /// If a request with this key came before: the response to send again, if there was one.
    pub(crate) fn repeat(&self, key: &Key) -> Option<Option<Packet>> {
        self.live
            .get(key)
            .map(|transaction| transaction.response.clone())
    }

    /// Whether this call has an INVITE that is still remembered, though the call may be over.
    pub(crate) fn remembers(&self, dialog: &DialogId) -> bool {
        self.invites.contains_key(dialog)
    }

    /// The call whose INVITE has this key, unless that INVITE has its final response.
    pub(crate) fn pending(&self, invite: &Key) -> Pending {
        match self.live.get(invite) {
            Some(Transaction {
                phase: Phase::Proceeding,
                dialog: Some(dialog),
                ..
            }) => Pending::Call(dialog.clone()),
            Some(_) => Pending::Over,
            None => Pending::Unknown,
        }
    }

    /// Remembers the response that is being sent.
    pub(crate) fn respond(&mut self, key: &Arc<Key>, now: Moment, answer: Answer, packet: Packet) {
        let Some(transaction) = self.live.get_mut(key) else {
            return;
        };
        transaction.response = Some(packet);
        let (phase, resend) = match answer {
            Answer::Provisional => return,
            Answer::Accept => (Phase::Accepted, Some((now + T1, T1))),
            Answer::Refuse => (Phase::Completed, Some((now + T1, T1))),
            Answer::Finish => (Phase::Confirmed, None),
        };
        transaction.phase = phase;
        transaction.resend = resend;
        transaction.ends = Some(now + LINGER);
        self.timers.set(now + LINGER, key.clone());
        if let Some((at, _)) = resend {
            self.timers.set(at, key.clone());
        }
    }

    /// An ACK with this key came.
    pub(crate) fn acked(&mut self, key: &Key) -> Acked {
        match self.live.get_mut(key) {
            Some(transaction) if transaction.phase == Phase::Completed => {
                transaction.confirm();
                Acked::Now
            }
            Some(transaction) if transaction.phase == Phase::Confirmed => Acked::Before,
            _ => Acked::Nothing,
        }
    }

    /// The ACK to the answer of this INVITE came, or the call is over: the answer is not sent again.
    pub(crate) fn settle(&mut self, invite: &Key) {
        if let Some(transaction) = self.live.get_mut(invite) {
            transaction.confirm();
        }
    }

    /// Sends again and forgets what is due by `now`.
    pub(crate) fn tick(&mut self, now: Moment, out: &mut Vec<Packet>) {
        while let Some(key) = self.timers.pop(now) {
            let Some(transaction) = self.live.get_mut(&key) else {
                continue;
            };
            if transaction.ends.is_some_and(|ends| ends <= now) {
                self.forget(&key);
                continue;
            }
            let Some((at, pause)) = transaction.resend.filter(|(at, _)| *at <= now) else {
                continue;
            };
            out.extend(transaction.response.clone());
            // An answer is sent again ever more slowly, a refusal as well (17.2.1, 13.3.1.4).
            let pause = (pause * 2).min(T2);
            transaction.resend = Some((at + pause, pause));
            self.timers.set(at + pause, key);
        }
    }

    fn forget(&mut self, key: &Arc<Key>) {
        let dialog = self
            .live
            .remove(key)
            .and_then(|transaction| transaction.dialog);
        if let Some(dialog) = dialog.filter(|dialog| self.invites.get(dialog) == Some(key)) {
            self.invites.remove(&dialog);
        }
    }
}

/// What a CANCEL found.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// The call to cancel.
    Call(Arc<DialogId>),
    /// An INVITE that has its final response: it is too late.
    Over,
    /// No such INVITE.
    Unknown,
}

impl Transaction {
    fn confirm(&mut self) {
        self.phase = Phase::Confirmed;
        self.resend = None;
    }
}
