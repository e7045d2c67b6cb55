//! Things to be done at a time. Nothing is ever taken out: who is woken looks at whether there is
//! still something to do.

use std::collections::BTreeMap;

use crate::snapshot::Moment;

/// What is to be done when.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    due: BTreeMap<(Moment, u64), T>,
    set: u64,
}

impl<T> Timers<T> {
    /// Without timers.
    pub(crate) fn new() -> Timers<T> {
        Timers {
            due: BTreeMap::new(),
            set: 0,
        }
    }

    /// Wakes `what` at `at`, after all that was set for the same moment before.
    pub(crate) fn set(&mut self, at: Moment, what: T) {
        self.set += 1;
        self.due.insert((at, self.set), what);
    }

    /// Takes the next that is due by `now`.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<T> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_of_time_then_of_setting() {
        let mut timers = Timers::new();
        timers.set(Moment::from_secs(2), 'c');
        timers.set(Moment::from_secs(1), 'a');
        timers.set(Moment::from_secs(1), 'b');
        assert_eq!(timers.pop(Moment::ZERO), None);
        let now = Moment::from_secs(2);
        let woken: Vec<char> = std::iter::from_fn(|| timers.pop(now)).collect();
        assert_eq!(woken, ['a', 'b', 'c']);
    }
}
