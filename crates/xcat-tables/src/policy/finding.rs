//! What is wrong with a row.

use std::fmt;

/// A row that does not mean what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row's priority as it stands there; empty if it has none.
    pub priority: String,
    /// The column.
    pub column: &'static str,
    /// What is wrong with it.
    pub why: String,
    /// True if it refuses the requests that the row concerns; else it is only odd.
    pub refuses: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            priority,
            column,
            why,
            ..
        } = self;
        write!(f, "policy row {priority:?}: {column}: {why}")
    }
}
