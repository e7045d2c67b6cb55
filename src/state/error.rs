//! What can go wrong with states.

use crate::error::{PoolError, SubscribeError};
use crate::topic::PublishError;
use std::error::Error;
use std::fmt;

/// Why something could not be done with a state.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateError {
    /// The state's topic cannot be had.
    Pool(PoolError),
    /// There is no subscription.
    Subscribe(SubscribeError),
    /// The message was not published, or not by everybody taken: see there. It is handed back.
    Publish(PublishError),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(error) => write!(f, "no topic for the state: {error}"),
            Self::Subscribe(error) => write!(f, "no subscription of the state: {error}"),
            Self::Publish(error) => write!(f, "not published on the state: {error}"),
        }
    }
}

impl Error for StateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Pool(error) => error,
            Self::Subscribe(error) => error,
            Self::Publish(error) => error,
        })
    }
}
