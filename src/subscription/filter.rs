//! What a subscription lets in, and the closures of the user's that publishers run: filters, key functions,
//! congestion callbacks. They are owned by the consumer and end with it (R1); a publisher that wants one
//! borrows it through a weak reference, and takes the subscription for closed if it is gone.

use super::options::Congestion;
use crate::message::{CHANGE, Format, Key, Message, TypeInfo};

pub(crate) type FilterFn = Box<dyn Fn(&Message) -> bool + Send + Sync>;
pub(crate) type KeyFn = Box<dyn Fn(&Message) -> Key + Send + Sync>;
pub(crate) type CongestionFn = Box<dyn Fn(&Congestion) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) filter: Option<FilterFn>,
    pub(crate) key: Option<KeyFn>,
    pub(crate) congestion: Option<CongestionFn>,
}

impl Hooks {
    pub(crate) fn is_empty(&self) -> bool {
        self.filter.is_none() && self.key.is_none() && self.congestion.is_none()
    }
}

/// The message types that a subscription wants, and whether it wants the notices of subscriptions that come
/// and go as well. Two words, and nothing behind them for the usual one type.
#[derive(Debug)]
pub(crate) enum TypeFilter {
    /// Every type but the bus's own.
    Any { changes: bool },
    One {
        changes: bool,
        info: &'static TypeInfo,
    },
    Several {
        changes: bool,
        infos: Box<Box<[&'static TypeInfo]>>,
    },
    /// Those types, and all that have one of the formats, in use already or not.
    Formats { changes: bool, wanted: Box<Wanted> },
}

/// See [`TypeFilter::Formats`].
#[derive(Debug)]
pub(crate) struct Wanted {
    infos: Vec<&'static TypeInfo>,
    formats: Vec<&'static Format>,
}

impl TypeFilter {
    /// Of those types; of all if there are none.
    pub(crate) fn new(accepted: Vec<&'static TypeInfo>, changes: bool) -> Self {
        match accepted[..] {
            [] => Self::Any { changes },
            [info] => Self::One { changes, info },
            _ => Self::Several {
                changes,
                infos: Box::new(accepted.into()),
            },
        }
    }

    /// Of those types, or with one of those formats.
    pub(crate) fn with_formats(
        accepted: Vec<&'static TypeInfo>,
        formats: Vec<&'static Format>,
        changes: bool,
    ) -> Self {
        if formats.is_empty() {
            return Self::new(accepted, changes);
        }
        let infos = accepted;
        Self::Formats {
            changes,
            wanted: Box::new(Wanted { infos, formats }),
        }
    }

    /// Whether a type that is not the bus's own is among them.
    #[inline]
    pub(crate) fn wants(&self, info: &TypeInfo) -> bool {
        if let Self::Formats { wanted, .. } = self {
            return wanted.infos.contains(&info)
                || wanted.formats.iter().any(|format| info.has_format(format));
        }
        self.accepted().is_empty() || self.accepted().contains(&info)
    }

    /// The types, sorted by number. Empty: every type but the bus's own, or such as have a format.
    #[inline]
    pub(crate) fn accepted(&self) -> &[&'static TypeInfo] {
        match self {
            Self::Any { .. } => &[],
            Self::One { info, .. } => std::slice::from_ref(info),
            Self::Several { infos, .. } => infos,
            Self::Formats { wanted, .. } => &wanted.infos,
        }
    }

    /// The notices of subscriptions that come and go as well.
    #[inline]
    pub(crate) fn changes(&self) -> bool {
        match *self {
            Self::Any { changes }
            | Self::One { changes, .. }
            | Self::Several { changes, .. }
            | Self::Formats { changes, .. } => changes,
        }
    }

    /// The numbers of the types by which the subscription is to be found.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        let changes = self.changes().then(|| CHANGE.id());
        self.accepted().iter().map(|info| info.id()).chain(changes)
    }
}
