//! Why a router, or a change of one, was refused.

use crate::error::{AcceptError, SubscribeError};
use std::error::Error;
use std::fmt;

/// Why a router could not be made, or its routes not be changed. They are as they were, and the handler that
/// was handed over has been dropped, or will be in a moment where the others run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RouterError {
    /// That type has a route already.
    DuplicateRoute {
        /// The name of the type.
        name: &'static str,
    },
    /// There is a default already.
    DuplicateDefault,
    /// That type has no route, or one that somebody is adding just now.
    NoSuchRoute {
        /// The name of the type.
        name: &'static str,
    },
    /// There is no default, or one that somebody is setting just now.
    NoDefault,
    /// The bus declines that message type, so the handler would never run.
    DeclinedType {
        /// The name of the type.
        name: &'static str,
    },
    /// The router is not subscribed yet: its builder is still at work.
    NotSubscribed,
    /// The subscription has ended.
    Ended,
    /// The subscription could not be made.
    Subscribe(SubscribeError),
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateRoute { name } => write!(f, "`{name}` has a route already"),
            Self::DuplicateDefault => f.write_str("the router has a default already"),
            Self::NoSuchRoute { name } => write!(f, "`{name}` has no route"),
            Self::NoDefault => f.write_str("the router has no default"),
            Self::DeclinedType { name } => write!(
                f,
                "the bus declines messages of type `{name}`, so none would come"
            ),
            Self::NotSubscribed => f.write_str("the router is not subscribed yet"),
            Self::Ended => f.write_str("the router's subscription has ended"),
            Self::Subscribe(error) => error.fmt(f),
        }
    }
}

impl Error for RouterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Subscribe(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SubscribeError> for RouterError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::DeclinedType { name } => Self::DeclinedType { name },
            error => Self::Subscribe(error),
        }
    }
}

impl From<AcceptError> for RouterError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::DeclinedType { name } => Self::DeclinedType { name },
            AcceptError::NotChangeable | AcceptError::AcceptsAll | AcceptError::Ended => {
                Self::Ended
            }
        }
    }
}
