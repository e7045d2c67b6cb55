//! A packet, read: what one UDP datagram says, or why it says nothing that can be used.
//!
//! The grammar is the work of `ezk-sip-types`; this file decides which of the readable messages are
//! acceptable (RFC 3261, 8.1.1 and 18.3) and keeps what an answer must repeat. It answers nothing
//! itself and knows no call.

use std::net::SocketAddr;

use bytes::Bytes;
use ezk_sip_types::header::HeaderParse;
use ezk_sip_types::header::typed::{CSeq, Contact, FromTo, Via};
use ezk_sip_types::msg::{Line, MessageLine, PullParser, RequestLine};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::print::AppendCtx;
use ezk_sip_types::uri::{SipUri, SipUriUserPart};
use ezk_sip_types::{Headers, Method, Name, StatusCode};

/// More header lines than this in one packet are malformed.
const MAX_HEADER_LINES: usize = 128;

/// What a datagram turned out to be.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A request that can be acted on.
    Request(Box<Request>),
    /// A response. The switchboard asks for nothing but the end of calls, so nothing waits for it.
    Response,
    /// Nothing but line ends: a keep-alive (RFC 5626, 4.4.1).
    KeepAlive,
    /// Not SIP, or not acceptable SIP.
    Malformed(Malformed),
}

/// An unusable packet.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Which rule it breaks.
    pub(crate) why: &'static str,
    /// The status to refuse it with, and what the answer repeats. `None`: no one to answer to.
    pub(crate) refusal: Option<(StatusCode, Echo)>,
}

/// A request that can be acted on.
#[derive(Debug)]
pub(crate) struct Request {
    /// What it asks for.
    pub(crate) method: Method,
    /// The user part of the request URI: who is called.
    pub(crate) called: String,
    /// The user part of the From URI: who calls.
    pub(crate) caller: String,
    /// Call-ID.
    pub(crate) call_id: String,
    /// The caller's tag.
    pub(crate) from_tag: String,
    /// Our tag, in requests inside a dialog.
    pub(crate) to_tag: Option<String>,
    /// The number in CSeq.
    pub(crate) cseq: u32,
    /// The branch of the top Via; empty where an old client (RFC 2543) gives none.
    pub(crate) branch: String,
    /// The host and port in the top Via.
    pub(crate) sent_by: String,
    /// The caller's Contact URI: where requests inside the dialog go.
    pub(crate) contact: Option<String>,
    /// Record-Route, in the order received.
    pub(crate) record_route: Vec<String>,
    /// The value of Require: extensions that the caller insists on.
    pub(crate) require: Option<String>,
    /// The session description, if there is one.
    pub(crate) body: String,
    /// What every answer repeats.
    pub(crate) echo: Echo,
}

/// What a response repeats from its request, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    /// Every Via, the top one with `received` and `rport` filled in (RFC 3581).
    pub(crate) via: Vec<String>,
    /// From, as it came.
    pub(crate) from: String,
    /// To, as it came.
    pub(crate) to: String,
    /// Call-ID.
    pub(crate) call_id: String,
    /// CSeq, as it came.
    pub(crate) cseq: String,
    /// Where the response goes.
    pub(crate) to_addr: SocketAddr,
}

/// Reads one datagram that came from `source`.
pub(crate) fn read(packet: &[u8], source: SocketAddr) -> Inbound {
    if !packet.is_empty() && packet.iter().all(|b| matches!(b, b'\r' | b'\n')) {
        return Inbound::KeepAlive;
    }
    let (start, headers, body) = match split(packet) {
        Ok(parts) => parts,
        Err(why) => return Inbound::Malformed(Malformed { why, refusal: None }),
    };
    let bytes = Bytes::copy_from_slice(start.as_bytes());
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Inbound::Malformed(Malformed {
            why: "not UTF-8",
            refusal: None,
        });
    };
    let refuse = |why, status| {
        // No ACK is ever answered, whatever is wrong with it (RFC 3261, 17.1.1.3).
        let echo = Echo::of(&headers, source).filter(|_| !text.starts_with("ACK "));
        let refusal = echo.map(|echo| (status, echo));
        Inbound::Malformed(Malformed { why, refusal })
    };
    match MessageLine::parse(&bytes)(text) {
        Ok(("", MessageLine::Request(line))) => match request(line, &headers, body, source) {
            Ok(request) => Inbound::Request(Box::new(request)),
            Err(why) => refuse(why, StatusCode::BAD_REQUEST),
        },
        Ok((_, MessageLine::Response(_))) if Echo::of(&headers, source).is_some() => {
            Inbound::Response
        }
        _ if text.starts_with("SIP/") => Inbound::Malformed(Malformed {
            why: "status line",
            refusal: None,
        }),
        _ => {
            let (why, status) = start_line_fault(text);
            refuse(why, status)
        }
    }
}

/// Start line, headers and body of a datagram.
fn split(packet: &[u8]) -> Result<(String, Headers, &[u8]), &'static str> {
    let mut lines = PullParser::new(packet, 0);
    let start = lines.next().and_then(Result::ok).ok_or("no start line")?;
    let start = std::str::from_utf8(start)
        .map_err(|_| "start line is not UTF-8")?
        .to_owned();
    let mut headers = Headers::new();
    for (idx, line) in lines.by_ref().enumerate() {
        if idx == MAX_HEADER_LINES {
            return Err("too many header lines");
        }
        let line = line.map_err(|_| "the headers do not end")?;
        let line = Bytes::copy_from_slice(line);
        let text = std::str::from_utf8(&line).map_err(|_| "header line is not UTF-8")?;
        let (_, line) = Line::parse(&line, text).map_err(|_| "header line without a name")?;
        headers.insert(line.name, line.value);
    }
    let body = packet.get(lines.head_end()..).unwrap_or_default();
    Ok((start, headers, body))
}

/// Why a start line that is no status line cannot be read, and how that is refused.
fn start_line_fault(text: &str) -> (&'static str, StatusCode) {
    let mut words = text.split_ascii_whitespace();
    let (_, uri, version) = (words.next(), words.next(), words.next());
    match (uri, version, words.next()) {
        (Some(_), Some(version), None) if version.starts_with("SIP/") && version != "SIP/2.0" => {
            ("SIP version", StatusCode::VERSION_NOT_SUPPORTED)
        }
        (Some(uri), Some("SIP/2.0"), None) if !uri.starts_with("sip") && uri.contains(':') => {
            ("URI scheme", StatusCode::UNSUPPORTED_URI_SCHEME)
        }
        _ => ("request line", StatusCode::BAD_REQUEST),
    }
}

/// A request, if its headers hold what RFC 3261, 8.1.1 asks for.
fn request(
    line: RequestLine,
    headers: &Headers,
    body: &[u8],
    source: SocketAddr,
) -> Result<Request, &'static str> {
    let echo = Echo::of(headers, source).ok_or("a mandatory header is missing or repeated")?;
    let top: Via = headers.get_named().map_err(|_| "Via")?;
    let from: FromTo = headers.get(Name::FROM).map_err(|_| "From")?;
    let to: FromTo = headers.get(Name::TO).map_err(|_| "To")?;
    let cseq: CSeq = headers.get_named().map_err(|_| "CSeq")?;
    if cseq.method != line.method {
        return Err("CSeq names another method");
    }
    if cseq.cseq > i32::MAX as u32 {
        return Err("CSeq is not below 2^31");
    }
    let contact = match headers.try_get_named::<Contact>() {
        None => None,
        Some(Ok(contact)) => Some(contact.uri.uri.default_print_ctx().to_string()),
        Some(Err(_)) => return Err("Contact"),
    };
    let raw = |name: Name| {
        headers
            .get_raw(&name)
            .map(|value| value.as_str().to_owned())
    };
    let require: Vec<String> = raw(Name::REQUIRE).collect();
    Ok(Request {
        method: line.method,
        called: user(&line.uri),
        caller: user(&from.uri.uri),
        call_id: echo.call_id.clone(),
        from_tag: from
            .tag
            .filter(|tag| !tag.is_empty())
            .ok_or("From has no tag")?
            .to_string(),
        to_tag: to.tag.map(|tag| tag.to_string()),
        cseq: cseq.cseq,
        branch: top
            .params
            .get_val("branch")
            .map(ToString::to_string)
            .unwrap_or_default(),
        sent_by: top.sent_by.default_print_ctx().to_string(),
        contact,
        record_route: raw(Name::RECORD_ROUTE).collect(),
        require: (!require.is_empty()).then(|| require.join(", ")),
        body: content(headers, body)?,
        echo,
    })
}

/// The body, cut to Content-Length; a datagram shorter than it says is refused (18.3).
fn content(headers: &Headers, body: &[u8]) -> Result<String, &'static str> {
    let stated = match headers.get_raw(&Name::CONTENT_LENGTH).next() {
        None => body.len(),
        Some(value) => value
            .trim()
            .parse()
            .map_err(|_| "Content-Length is not a number")?,
    };
    let body = body
        .get(..stated)
        .ok_or("shorter than its Content-Length")?;
    Ok(String::from_utf8_lossy(body).into_owned())
}

/// The user part of a URI; empty if it has none.
fn user(uri: &SipUri) -> String {
    match &uri.user_part {
        SipUriUserPart::Empty => String::new(),
        SipUriUserPart::User(user) => user.to_string(),
        SipUriUserPart::UserPw(pair) => pair.user.to_string(),
    }
}

impl Echo {
    /// What an answer repeats, if each of it is there, once.
    fn of(headers: &Headers, source: SocketAddr) -> Option<Echo> {
        let one = |name: Name| {
            let mut values = headers.get_raw(&name);
            let value = values.next().filter(|value| !value.trim().is_empty())?;
            values.next().is_none().then(|| value.as_str().to_owned())
        };
        let (via, to_addr) = vias(headers, source)?;
        Some(Echo {
            via,
            from: one(Name::FROM)?,
            to: one(Name::TO)?,
            call_id: one(Name::CALL_ID)?,
            cseq: one(Name::CSEQ)?,
            to_addr,
        })
    }
}

/// Every Via as a response repeats it, and where the top one says that the response goes
/// (RFC 3261, 18.2.2; RFC 3581, 4).
fn vias(headers: &Headers, source: SocketAddr) -> Option<(Vec<String>, SocketAddr)> {
    let mut values = headers.get_raw(&Name::VIA);
    let top = values.next()?;
    let (rest, mut via) = Via::parse(top.as_ref(), top.as_str()).ok()?;
    let mut first = top.as_str().to_owned();
    let mut to_addr = SocketAddr::new(source.ip(), via.sent_by.port.unwrap_or(5060));
    let wants_port = via.params.get("rport").is_some();
    if wants_port {
        via.params.push_or_edit("rport", source.port().to_string());
        to_addr.set_port(source.port());
    }
    if wants_port || via.sent_by.ip() != Some(source.ip()) {
        via.params.push_or_edit("received", source.ip().to_string());
        first = format!("{}{rest}", via.default_print_ctx());
    }
    let others = values.map(|value| value.as_str().to_owned());
    Some((std::iter::once(first).chain(others).collect(), to_addr))
}
