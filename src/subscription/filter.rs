//! What a subscription lets in, and the closures of the user's that publishers run: filters, key functions,
//! congestion callbacks. They are owned by the consumer and end with it (R1); a publisher that wants one
//! borrows it through a weak reference, and takes the subscription for closed if it is gone.

use super::options::Congestion;
use super::types::Changeable;
use crate::epoch::Guard;
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
    /// Any, some or none, and not for good.
    Changeable(Box<Changeable>),
}

/// The types, sorted by number. `None`: every type but the bus's own.
pub(crate) type Accepted<'a> = Option<&'a [&'static TypeInfo]>;

/// See [`TypeFilter::Formats`].
#[derive(Debug)]
pub(crate) struct Wanted {
    infos: Vec<&'static TypeInfo>,
    formats: Vec<&'static Format>,
}

pub(super) fn sorted(mut infos: Vec<&'static TypeInfo>) -> Vec<&'static TypeInfo> {
    infos.sort_by_key(|info| info.id());
    infos.dedup();
    infos
}

impl TypeFilter {
    /// Of those types; of all if there are none.
    pub(crate) fn new(accepted: Vec<&'static TypeInfo>, changes: bool) -> Self {
        let accepted = sorted(accepted);
        match accepted[..] {
            [] => Self::Any { changes },
            [info] => Self::One { changes, info },
            _ => Self::Several {
                changes,
                infos: Box::new(accepted.into()),
            },
        }
    }

    /// Of those types, and of none if there are none, until it is changed; of all for `None`.
    pub(crate) fn changeable(
        accepted: Option<Vec<&'static TypeInfo>>,
        formats: Vec<&'static Format>,
        changes: bool,
    ) -> Self {
        let types = Changeable::new(accepted, formats, changes);
        Self::Changeable(Box::new(types))
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
        let infos = sorted(accepted);
        Self::Formats {
            changes,
            wanted: Box::new(Wanted { infos, formats }),
        }
    }

    /// What is wanted as of now, formats aside.
    #[inline]
    pub(crate) fn accepted<'g>(&'g self, guard: &'g Guard) -> Accepted<'g> {
        match self {
            Self::Any { .. } => None,
            Self::One { info, .. } => Some(std::slice::from_ref(info)),
            Self::Several { infos, .. } => Some(infos),
            Self::Formats { wanted, .. } => Some(&wanted.infos),
            Self::Changeable(types) => types.accepted(guard),
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
            Self::Changeable(ref types) => types.changes(),
        }
    }

    /// Types that have one of these are wanted besides.
    #[inline]
    fn formats<'g>(&'g self, guard: &'g Guard) -> &'g [&'static Format] {
        match self {
            Self::Formats { wanted, .. } => &wanted.formats,
            Self::Changeable(types) => types.formats(guard),
            Self::Any { .. } | Self::One { .. } | Self::Several { .. } => &[],
        }
    }

    pub(crate) fn as_changeable(&self) -> Option<&Changeable> {
        match self {
            Self::Changeable(types) => Some(types),
            _ => None,
        }
    }

    /// Whether that type is wanted as of now. A type of the bus's own is if it is the notice that was asked
    /// for.
    #[inline]
    pub(crate) fn wants(&self, info: &TypeInfo, guard: &Guard) -> bool {
        if info.is_control() {
            return self.changes() && *info == *CHANGE.info();
        }
        let accepted = self.accepted(guard);
        accepted.is_none_or(|infos| infos.contains(&info))
            || self
                .formats(guard)
                .iter()
                .any(|format| info.has_format(format))
    }
}
