//! The session description of an answer (RFC 3264): every stream of the offer is listed, the first
//! audio stream is taken and kept inactive, the rest is refused. The switchboard moves no media.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// More streams than this in an offer are not answered.
const MAX_STREAMS: usize = 16;

/// What is offered where the caller offers nothing.
const OWN_OFFER: &str = "m=audio 9 RTP/AVP 0\r\na=inactive\r\n";

/// The answer to `offer`, or an offer of our own if it is empty.
pub(crate) fn answer(offer: &str, local: SocketAddr) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    let mut text = format!(
        "v=0\r\no=switchboard 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n"
    );
    let mut taken = false;
    let mut listed = 0;
    for stream in offer
        .lines()
        .filter_map(|line| line.strip_prefix("m="))
        .take(MAX_STREAMS)
    {
        let mut words = stream.split_ascii_whitespace();
        let (media, _port) = (words.next(), words.next());
        let (Some(media), Some(protocol), Some(format)) = (media, words.next(), words.next())
        else {
            continue;
        };
        listed += 1;
        let take = media == "audio" && !taken;
        let port = if take { 9 } else { 0 };
        taken |= take;
        // Writing to a String cannot fail.
        let _ = write!(text, "m={media} {port} {protocol} {format}\r\n");
        if take {
            text.push_str("a=inactive\r\n");
        }
    }
    if listed == 0 {
        text.push_str(OWN_OFFER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> SocketAddr {
        ([127, 0, 0, 1], 5060).into()
    }

    #[test]
    fn takes_the_first_audio_stream_and_refuses_the_rest() {
        let offer = "v=0\r\nm=video 4000 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 8 0\r\n\
                     m=audio 4004 RTP/AVP 0\r\n";
        let answer = answer(offer, local());
        let streams: Vec<&str> = answer
            .lines()
            .filter(|line| line.starts_with("m="))
            .collect();
        let expected = [
            "m=video 0 RTP/AVP 31",
            "m=audio 9 RTP/AVP 8",
            "m=audio 0 RTP/AVP 0",
        ];
        assert_eq!(streams, expected);
    }

    #[test]
    fn offers_itself_where_nothing_is_offered() {
        assert!(answer("", local()).contains("m=audio 9 RTP/AVP 0"));
        assert!(answer("m=\r\nm=audio\r\n", local()).contains("m=audio 9 RTP/AVP 0"));
    }
}
