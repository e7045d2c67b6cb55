//! Patterns of topic names, and a tree of them in which those that match a name are found without a look at
//! the others. A pattern is *not* looked at when something is published: see `aggregates`.

use crate::error::{MAX_NAME_LEN, PatternError};
use crate::sync::unmodelled::Arc;
use std::collections::HashMap;
use std::iter;

/// What stands between two levels of a name.
pub(crate) const SEPARATOR: char = '/';

const ONE: &str = "*";
const REST: &str = "**";

/// A pattern that is as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: Arc<str>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_NAME_LEN {
            return Err(PatternError::TooLong { len: text.len() });
        }
        let mut levels = text.split(SEPARATOR).peekable();
        while let Some(level) = levels.next() {
            match level {
                "" => return Err(PatternError::EmptyLevel),
                REST if levels.peek().is_some() => return Err(PatternError::RestNotLast),
                ONE | REST => {}
                text if text.contains(ONE) => {
                    return Err(PatternError::MixedLevel {
                        level: text.to_owned(),
                    });
                }
                _ => {}
            }
        }
        Ok(Self { text: text.into() })
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut levels = name.split(SEPARATOR);
        for level in self.text.split(SEPARATOR) {
            let fits = match level {
                REST => return true,
                ONE => levels.next().is_some(),
                text => levels.next() == Some(text),
            };
            if !fits {
                return false;
            }
        }
        levels.next().is_none()
    }
}

/// A value for each of some patterns. To find those that match a name costs one step for each beginning of a
/// pattern, up to a level, that fits: not one for each pattern.
#[derive(Debug)]
pub(crate) struct Tree<V> {
    /// Of the pattern that ends here.
    here: Option<V>,
    /// Of the pattern that goes on with any number of levels.
    rest: Option<V>,
    one: Option<Box<Self>>,
    texts: HashMap<Box<str>, Self>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self {
            here: None,
            rest: None,
            one: None,
            texts: HashMap::new(),
        }
    }
}

impl<V> Tree<V> {
    /// Sets the value of a pattern.
    pub(crate) fn insert(&mut self, pattern: &Pattern, value: V) {
        let mut tree = self;
        for level in pattern.text.split(SEPARATOR) {
            tree = match level {
                REST => {
                    tree.rest = Some(value);
                    return;
                }
                ONE => tree.one.get_or_insert_default(),
                text => tree.texts.entry(text.into()).or_default(),
            };
        }
        tree.here = Some(value);
    }

    /// Removes the value of a pattern, and what leads to nothing then.
    pub(crate) fn remove(&mut self, pattern: &str) {
        let (level, below) = match pattern.split_once(SEPARATOR) {
            Some((level, below)) => (level, Some(below)),
            None => (pattern, None),
        };
        if level == REST {
            self.rest = None;
            return;
        }
        let tree = match level {
            ONE => self.one.as_deref_mut(),
            text => self.texts.get_mut(text),
        };
        let Some(tree) = tree else { return };
        match below {
            Some(below) => tree.remove(below),
            None => tree.here = None,
        }
        if tree.is_empty() {
            match level {
                ONE => self.one = None,
                text => drop(self.texts.remove(text)),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_none() && self.rest.is_none() && self.one.is_none() && self.texts.is_empty()
    }

    /// The values of all patterns that match a name.
    pub(crate) fn matching<'t>(&'t self, name: &str) -> Vec<&'t V> {
        let mut found = Vec::new();
        // All that is left to fit at the same level.
        let mut trees: Vec<&Self> = vec![self];
        let levels = name.split(SEPARATOR).map(Some).chain(iter::once(None));
        for level in levels {
            let mut next = Vec::new();
            for tree in trees {
                found.extend(&tree.rest);
                match level {
                    None => found.extend(&tree.here),
                    Some(text) => {
                        next.extend(tree.one.as_deref());
                        next.extend(tree.texts.get(text));
                    }
                }
            }
            if next.is_empty() {
                break;
            }
            trees = next;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn the_tree_finds_what_matches() {
        let texts = [
            "a", "a/b", "*", "*/b", "a/*", "a/**", "**", "*/*/**", "b/**", "*/**",
        ];
        let names = [
            "a", "b", "a/b", "a/c", "c/b", "a/b/c", "", "/", "a/", "/b", "a/b/c/d",
        ];
        let mut tree = Tree::default();
        for text in texts {
            tree.insert(&pattern(text), text);
        }
        for name in names {
            let mut found: Vec<_> = tree.matching(name).into_iter().copied().collect();
            found.sort_unstable();
            let mut each: Vec<_> = texts
                .into_iter()
                .filter(|it| pattern(it).matches(name))
                .collect();
            each.sort_unstable();
            assert_eq!(found, each, "{name}");
        }
        for (removed, text) in texts.iter().enumerate() {
            tree.remove(text);
            assert_eq!(tree.is_empty(), removed == texts.len() - 1);
            assert!(
                tree.matching("a/b")
                    .iter()
                    .all(|it| texts[removed + 1..].contains(*it))
            );
            tree.remove(text);
        }
    }

    #[test]
    fn what_leads_to_nothing_goes() {
        let mut tree = Tree::default();
        tree.insert(&pattern("a/b/c/d"), 1);
        tree.insert(&pattern("a/*"), 2);
        tree.remove("a/b/c/d");
        assert_eq!(tree.texts["a"].texts.len(), 0);
        assert_eq!(tree.matching("a/b"), [&2]);
    }
}
