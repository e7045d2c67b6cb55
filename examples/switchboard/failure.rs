//! Why the switchboard could not do what it was told: a sentence for the person who told it.

use std::fmt;
use std::path::Path;

/// A sentence. Leads to exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// Something about a file went wrong.
    pub(crate) fn file(path: &Path, what: impl fmt::Display) -> Failure {
        Failure(format!("{}: {what}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Failure {
        Failure(format!("{error} (--help lists the options)"))
    }
}
