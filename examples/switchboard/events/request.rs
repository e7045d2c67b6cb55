//! What a client may say, a line each:
//!
//! | line | |
//! | --- | --- |
//! | `Action: Login` | the events begin; the two below come before it |
//! | `Filter: <event name>`, `Filter: <key>=<value>` | only such events; see `filter` |
//! | `Queue: <number>` | so many events may wait; more are lost, oldest first |
//! | `Action: Ping` | is answered |
//! | `Action: Logoff` | the end |
//!
//! After a wrong line the next login is refused, as it may have been a filter, and what was asked for is
//! forgotten: nobody who makes a mistake gets more than they asked for.
//!
//! Keys, actions and names of events are alike in both cases of their letters. Empty lines are nothing.

use super::filter::Filter;

/// How many events wait for a client that has not said.
pub(super) const QUEUE: usize = 1024;
/// The most that may.
pub(super) const MAX_QUEUE: usize = 1 << 16;

/// A line, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Login,
    Logoff,
    Ping,
    Queue(usize),
    Filter(Filter),
    /// An empty line.
    Nothing,
}

impl Request {
    /// Reads a line. The error is a reason for people.
    pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let line = line.trim();
        if line.is_empty() {
            return Ok(Request::Nothing);
        }
        let (key, value) = line
            .split_once(':')
            .ok_or("a line is a key, a colon and a value")?;
        let (key, value) = (key.trim_end().to_ascii_lowercase(), value.trim_start());
        match (&*key, &*value.to_ascii_lowercase()) {
            ("action", "login") => Ok(Request::Login),
            ("action", "logoff") => Ok(Request::Logoff),
            ("action", "ping") => Ok(Request::Ping),
            ("action", _) => Err("the actions are Login, Ping and Logoff".into()),
            ("filter", _) => Filter::parse(value).map(Request::Filter),
            ("queue", number) => match number.parse() {
                Ok(queue @ 1..=MAX_QUEUE) => Ok(Request::Queue(queue)),
                _ => Err(format!("a queue has from 1 to {MAX_QUEUE} places")),
            },
            _ => Err("the keys are Action, Filter and Queue".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_said() {
        let said = |line: &str| Request::parse(line.as_bytes());
        assert_eq!(said("Action: Login"), Ok(Request::Login));
        assert_eq!(said("  ACTION :ping "), Ok(Request::Ping));
        assert_eq!(said("action:logoff"), Ok(Request::Logoff));
        assert_eq!(said("Queue: 1"), Ok(Request::Queue(1)));
        assert_eq!(
            said("Filter: varset"),
            Ok(Request::Filter(Filter::Event("VarSet")))
        );
        assert_eq!(said(" \t"), Ok(Request::Nothing));
    }

    #[test]
    fn all_else_is_refused_with_a_reason() {
        for line in [
            &b"Login"[..],
            b"Action",
            b"Action:",
            b"Action: Originate",
            b"Queue: 0",
            b"Queue: -1",
            b"Queue: 65537",
            b"Queue: 99999999999999999999",
            b"Filter:",
            b"Secret: x",
            b": x",
            b"\xff\xfe: Login",
            b"\0\0\0\0",
        ] {
            let refused = Request::parse(line).expect_err("refused");
            assert!(refused.len() > 10, "{line:?}: {refused}");
        }
    }
}
