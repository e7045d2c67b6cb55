//! The SIP side alone: packets in, packets and snapshots out, with neither socket nor bus. And the event
//! stream, with both.

mod calls;
mod events;
mod hostile;

use std::net::SocketAddr;
use std::time::Duration;

use crate::snapshot::{LegSnapshot, LegState, Moment};
use crate::switchboard::{Outlet, Switchboard};

/// Keeps what is published.
#[derive(Debug, Default)]
struct Published(Vec<LegSnapshot>);

impl Outlet for Published {
    fn publish(&mut self, snapshot: LegSnapshot) {
        self.0.push(snapshot);
    }
}

/// A switchboard and a caller who talks to it.
struct Talk {
    switchboard: Switchboard<Published>,
    now: Moment,
}

fn caller() -> SocketAddr {
    ([127, 0, 0, 1], 6000).into()
}

fn board() -> SocketAddr {
    ([127, 0, 0, 1], 5060).into()
}

impl Talk {
    fn new() -> Talk {
        let switchboard = Switchboard::new(board(), Published::default());
        Talk {
            switchboard,
            now: Moment::from_secs(1_000_000),
        }
    }

    /// Sends a packet; gives back the first lines of what comes in return.
    fn send(&mut self, packet: &str) -> Vec<String> {
        self.send_full(packet)
            .into_iter()
            .map(|text| first_line(&text))
            .collect()
    }

    /// Sends a packet; gives back all that comes in return.
    fn send_full(&mut self, packet: &str) -> Vec<String> {
        self.switchboard
            .receive(packet.as_bytes(), caller(), self.now);
        self.outbound()
    }

    /// Lets time pass; gives back the first lines of what is sent meanwhile.
    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.switchboard.tick(self.now);
        self.outbound()
            .iter()
            .map(|text| first_line(text))
            .collect()
    }

    fn outbound(&mut self) -> Vec<String> {
        let packets = self.switchboard.outbound();
        packets
            .map(|packet| String::from_utf8_lossy(&packet.bytes).into_owned())
            .collect()
    }

    /// Begins a call; gives back our tag.
    fn call(&mut self, user: &str) -> String {
        let answers = self.send_full(&Sip::invite(user).text());
        let last = answers.last().expect("an answer");
        let to = last
            .lines()
            .find(|line| line.starts_with("To:"))
            .expect("To");
        to.rsplit_once(";tag=").expect("a tag").1.to_owned()
    }

    /// Stops the switchboard; gives back the states of all calls in order.
    fn states(self) -> Vec<LegState> {
        let (published, _, _) = self.switchboard.stop(self.now);
        published.0.iter().map(|snapshot| snapshot.state).collect()
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A request in the making.
#[derive(Clone)]
struct Sip {
    method: &'static str,
    user: String,
    branch: &'static str,
    cseq: u32,
    to_tag: Option<String>,
    extra: &'static str,
}

impl Sip {
    fn new(method: &'static str, user: &str, branch: &'static str, cseq: u32) -> Sip {
        Sip {
            method,
            user: user.into(),
            branch,
            cseq,
            to_tag: None,
            extra: "",
        }
    }

    fn invite(user: &str) -> Sip {
        let extra = "Contact: <sip:alice@127.0.0.1:6000>\r\n";
        Sip {
            extra,
            ..Sip::new("INVITE", user, "invite", 1)
        }
    }

    fn inside(mut self, tag: &str) -> Sip {
        self.to_tag = Some(tag.to_owned());
        self
    }

    fn with(mut self, extra: &'static str) -> Sip {
        self.extra = extra;
        self
    }

    fn text(&self) -> String {
        let Sip {
            method,
            user,
            branch,
            cseq,
            to_tag,
            extra,
        } = self;
        let tag = to_tag
            .as_ref()
            .map(|tag| format!(";tag={tag}"))
            .unwrap_or_default();
        format!(
            "{method} sip:{user}@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK-{branch}\r\n\
             From: \"Alice\" <sip:alice@127.0.0.1>;tag=a\r\n\
             To: <sip:{user}@127.0.0.1>{tag}\r\n\
             Call-ID: call@127.0.0.1\r\n\
             CSeq: {cseq} {method}\r\n\
             {extra}Content-Length: 0\r\n\r\n"
        )
    }
}
