//! Which events a client wants: by name, and by what stands in the lines that every event about a channel has.
//! It looks at the channel and not at the text, so nothing is rendered for who does not want it.

use stasis_bus::Message;
use stasis_bus::channels::ChannelSnapshot;

use crate::channel::{EVENTS, event_of};

/// One condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// The event has that name.
    Event(&'static str),
    /// A line of it has that value.
    Field(Field, Pattern),
}

/// A line that can be filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Channel,
    Uniqueid,
    CallerIdNum,
    Exten,
}

/// A value, or what it begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    is_prefix: bool,
}

/// All conditions of one client. An event passes if it has one of the names that were given, if any, and for
/// each line of which values were given one of those.
#[derive(Debug, Default)]
pub(super) struct Filters {
    all: Vec<Filter>,
}

impl Filter {
    /// Reads `<event name>`, `<key>=<value>` or `<key>=<beginning>*`.
    pub(super) fn parse(text: &str) -> Result<Filter, String> {
        let Some((key, value)) = text.split_once('=') else {
            let mut names = EVENTS.into_iter();
            return names
                .find(|name| name.eq_ignore_ascii_case(text))
                .map(Filter::Event)
                .ok_or_else(|| {
                    format!("there are no such events; there are {}", EVENTS.join(", "))
                });
        };
        let mut fields = Field::ALL.into_iter();
        let field = fields
            .find(|(name, _)| name.eq_ignore_ascii_case(key.trim_end()))
            .map(|(_, field)| field)
            .ok_or_else(|| {
                let names = Field::ALL.map(|(name, _)| name);
                format!("events are filtered by {} only", names.join(", "))
            })?;
        let value = value.trim_start();
        let (text, is_prefix) = match value.strip_suffix('*') {
            Some(text) => (text, true),
            None => (value, false),
        };
        if value.is_empty() {
            return Err("there is no value to filter by".into());
        }
        if text.contains('*') {
            return Err("an asterisk stands at the end only".into());
        }
        let text = text.to_owned();
        Ok(Filter::Field(field, Pattern { text, is_prefix }))
    }
}

impl Field {
    const ALL: [(&'static str, Field); 4] = [
        ("Channel", Field::Channel),
        ("Uniqueid", Field::Uniqueid),
        ("CallerIDNum", Field::CallerIdNum),
        ("Exten", Field::Exten),
    ];

    fn of(self, channel: &ChannelSnapshot) -> &str {
        match self {
            Field::Channel => channel.name(),
            Field::Uniqueid => channel.id(),
            Field::CallerIdNum => &channel.caller.number,
            Field::Exten => &channel.dialplan.extension,
        }
    }
}

impl Pattern {
    fn fits(&self, value: &str) -> bool {
        match self.is_prefix {
            true => value.starts_with(&self.text),
            false => value == self.text,
        }
    }
}

impl Filters {
    /// More conditions than this are refused.
    const MAX: usize = 16;

    /// One more.
    pub(super) fn add(&mut self, filter: Filter) -> Result<(), String> {
        if self.all.len() == Self::MAX {
            return Err(format!("there are {} filters already", Self::MAX));
        }
        self.all.push(filter);
        Ok(())
    }

    /// Whether everything passes.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a message is an event that is wanted. Runs on the publisher's thread; takes no lock.
    pub(super) fn pass(&self, message: &Message) -> bool {
        event_of(message).is_some_and(|(name, channel)| self.pass_event(name, channel))
    }

    fn pass_event(&self, name: &str, channel: &ChannelSnapshot) -> bool {
        let by_name = self.all.iter().filter_map(|filter| match filter {
            Filter::Event(wanted) => Some(*wanted == name),
            Filter::Field(..) => None,
        });
        let by_field = |field: Field| {
            self.all.iter().filter_map(move |filter| match filter {
                Filter::Field(of, pattern) if *of == field => Some(pattern.fits(field.of(channel))),
                _ => None,
            })
        };
        one_if_any(by_name)
            && Field::ALL
                .iter()
                .all(|(_, field)| one_if_any(by_field(*field)))
    }
}

/// Whether one of them is true, or there is none.
fn one_if_any(mut all: impl Iterator<Item = bool>) -> bool {
    match all.next() {
        None => true,
        Some(first) => first || all.any(|one| one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::messages;
    use crate::snapshot::{Cause, LegState};

    /// The names of the events of one call that pass.
    fn passing(filters: &[&str]) -> Vec<&'static str> {
        let ended = LegState::Ended(Cause::Cancelled);
        let messages = messages(7, &[LegState::Arrived, LegState::Ringing, ended]);
        let mut all = Filters::default();
        for filter in filters {
            let filter = Filter::parse(filter).expect("a filter");
            all.add(filter).expect("room");
        }
        let passing = messages.iter().filter(|message| all.pass(message));
        passing.filter_map(event_of).map(|(name, _)| name).collect()
    }

    #[test]
    fn names_and_each_line_must_fit() {
        let all = ["Newchannel", "VarSet", "Newstate", "Hangup"];
        assert_eq!(passing(&[]), all);
        assert_eq!(passing(&["hangup", "Newchannel"]), ["Newchannel", "Hangup"]);
        for filter in [
            "Channel=SIP/b-00000007",
            "channel = SIP/b*",
            "Channel=*",
            "Uniqueid=0.7",
            "CallerIDNum=b",
            "Exten=c",
        ] {
            assert_eq!(passing(&[filter]), all, "{filter}");
        }
        for filter in [
            "Channel=SIP/b",
            "Channel=sip/b*",
            "Uniqueid=0.8",
            "Exten=cc*",
        ] {
            assert!(passing(&[filter]).is_empty(), "{filter}");
        }
        assert_eq!(passing(&["Channel=x*", "Channel=SIP/b*"]), all);
        assert!(passing(&["Channel=SIP/b*", "Exten=x"]).is_empty());
        assert_eq!(passing(&["Exten=c", "VarSet"]), ["VarSet"]);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_reason() {
        for filter in [
            "",
            "Shutdown",
            "Channel",
            "State=Up",
            "Channel=",
            "Channel=a*b",
            "=x",
        ] {
            let refused = Filter::parse(filter).expect_err(filter);
            assert!(refused.len() > 10, "{filter}: {refused}");
        }
    }
}
