//! What can go wrong with caches.

use crate::error::{ForwardError, SubscribeError, TopicError};
use crate::message::KeyKind;
use std::error::Error;
use std::fmt;

/// Why a cache did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum CacheError {
    /// The cache has no key function for messages of that type, so it never keeps one.
    NotCacheable {
        /// The name of the type.
        name: &'static str,
    },
    /// The keys of that type are made of something else.
    WrongKey {
        /// The name of the type.
        name: &'static str,
        /// What its keys are made of.
        expected: KeyKind,
        /// What the given key is made of.
        given: KeyKind,
    },
    /// There is nothing of that type, key and origin.
    NotCached {
        /// The name of the type.
        name: &'static str,
    },
    /// Two key functions, or two rules of a kind, for one type.
    DuplicateType {
        /// The name of the type; `*` for all others.
        name: &'static str,
    },
    /// A rule for a type that has no key function.
    NoKey {
        /// The name of the type.
        name: &'static str,
    },
    /// The topic is closed, or the bus is shut down.
    Subscribe(SubscribeError),
    /// The caching topic could not be had.
    Topic(TopicError),
    /// One of the topics is closed, or the bus is shut down.
    Forward(ForwardError),
    /// A member of that name lives, and it is a sink where a single was asked for, or the reverse.
    OtherMember,
    /// The caching topic is on another bus than those that use the cache already.
    OtherBus,
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCacheable { name } => {
                write!(
                    f,
                    "the cache has no key function for messages of type `{name}`"
                )
            }
            Self::WrongKey {
                name,
                expected,
                given,
            } => write!(
                f,
                "the keys of type `{name}` are {expected}, the given one is {given}"
            ),
            Self::NotCached { name } => {
                write!(
                    f,
                    "nothing of type `{name}` is cached for that key and origin"
                )
            }
            Self::DuplicateType { name } => {
                write!(f, "there is such a rule for type `{name}` already")
            }
            Self::NoKey { name } => {
                write!(f, "a rule for type `{name}`, which has no key function")
            }
            Self::Subscribe(error) => error.fmt(f),
            Self::Topic(error) => error.fmt(f),
            Self::Forward(error) => error.fmt(f),
            Self::OtherMember => {
                f.write_str("a member of that name lives, and one of them is a sink")
            }
            Self::OtherBus => f.write_str("the cache is used on another bus"),
        }
    }
}

impl Error for CacheError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Subscribe(error) => Some(error),
            Self::Topic(error) => Some(error),
            Self::Forward(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SubscribeError> for CacheError {
    fn from(error: SubscribeError) -> Self {
        Self::Subscribe(error)
    }
}

impl From<ForwardError> for CacheError {
    fn from(error: ForwardError) -> Self {
        Self::Forward(error)
    }
}

impl From<TopicError> for CacheError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}
