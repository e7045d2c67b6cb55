//! What the switchboard sends: responses, and the BYE with which it ends a call itself.
//!
//! Only the text is made here; who is answered with what is decided in `switchboard`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use ezk_sip_types::msg::StatusLine;
use ezk_sip_types::{Headers, Name, StatusCode};

use crate::leg::Leg;
use crate::message::Echo;

/// The methods that the switchboard takes.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS";

/// A datagram to send.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Where it goes.
    pub(crate) to: SocketAddr,
    /// What it says.
    pub(crate) bytes: Bytes,
}

/// A response in the making.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    echo: &'a Echo,
    line: StatusLine,
    headers: Headers,
    body: String,
}

impl<'a> Reply<'a> {
    /// A response with `status` to the request that `echo` was taken from. `to_tag` is added to To
    /// unless the request came with a tag of ours.
    pub(crate) fn new(echo: &'a Echo, status: StatusCode, to_tag: Option<&str>) -> Reply<'a> {
        let mut headers = Headers::new();
        for via in &echo.via {
            headers.insert(Name::VIA, via);
        }
        headers.insert(Name::FROM, &echo.from);
        match to_tag {
            Some(tag) => headers.insert(Name::TO, format!("{};tag={tag}", echo.to)),
            None => headers.insert(Name::TO, &echo.to),
        }
        headers.insert(Name::CALL_ID, &echo.call_id);
        headers.insert(Name::CSEQ, &echo.cseq);
        let reason = status.text().unwrap_or("Unknown");
        let line = StatusLine {
            code: status,
            reason: Some(reason.into()),
        };
        Reply {
            echo,
            line,
            headers,
            body: String::new(),
        }
    }

    /// Replaces the reason phrase.
    pub(crate) fn reason(mut self, reason: &str) -> Reply<'a> {
        self.line.reason = Some(reason.into());
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: Name, value: &str) -> Reply<'a> {
        self.headers.insert(name, value);
        self
    }

    /// Adds a session description.
    pub(crate) fn sdp(mut self, body: String) -> Reply<'a> {
        self.headers.insert(Name::CONTENT_TYPE, "application/sdp");
        self.body = body;
        self
    }

    /// The datagram.
    pub(crate) fn packet(self) -> Packet {
        let Reply {
            echo,
            line,
            mut headers,
            body,
        } = self;
        headers.insert(Name::CONTENT_LENGTH, body.len());
        let text = format!("{line}\r\n{headers}\r\n{body}");
        Packet {
            to: echo.to_addr,
            bytes: Bytes::from(text),
        }
    }
}

/// The BYE that ends an answered call from the switchboard's side (RFC 3261, 12.2.1.1).
///
/// It is sent once: its answer changes nothing, the leg has ended already.
pub(crate) fn bye(leg: &Leg, local: SocketAddr) -> Option<Packet> {
    let target = leg.contact.as_ref()?;
    let mut text = format!("BYE {target} SIP/2.0\r\n");
    let branch = &leg.to_tag;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "Via: SIP/2.0/UDP {local};branch=z9hG4bK-{branch}-bye\r\n"
    );
    for route in &leg.record_route {
        let _ = write!(text, "Route: {route}\r\n");
    }
    let Echo {
        from, to, call_id, ..
    } = &leg.echo;
    let _ = write!(
        text,
        "Max-Forwards: 70\r\nFrom: {to};tag={}\r\nTo: {from}\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        leg.to_tag
    );
    Some(Packet {
        to: leg.source,
        bytes: Bytes::from(text),
    })
}
