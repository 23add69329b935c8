//! Why a range cannot be expanded at all.

/// The texts that xCAT's users know are xCAT's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parenthesis without its partner.
    #[error("Unbalanced parentheses in noderange")]
    Parentheses,
    /// Parentheses or `@` nested deeper than anybody writes.
    #[error("noderange: nested too deeply")]
    Depth,
    /// The range is longer than one may be.
    #[error("noderange: longer than {0} bytes")]
    Length(usize),
    /// More names than are allowed.
    #[error("noderange: more than {0} names")]
    TooMany(usize),
    /// Numbers alone need a prefix to be names.
    #[error("noderange: {0}: a number, and there is no prefix to make it a name")]
    NoPrefix(String),
    /// An exclusion of nodes by something that no table has.
    #[error("noderange: {0}: no such attribute")]
    Attribute(String),
    /// A pattern that cannot be compiled.
    #[error("noderange: {0}")]
    Pattern(#[from] crate::pattern::PatternError),
    /// A file of names that cannot be read.
    #[error("noderange: {file}: {why}")]
    File {
        /// Its name as it stands in the range.
        file: String,
        /// What the system said.
        why: String,
    },
    /// A range that names a file where none may be read.
    #[error("noderange: {0}: no file may be read here")]
    FileRefused(String),
    /// What is a warning where [`crate::Options::strict`] is not set.
    #[error("noderange: {0} (strict)")]
    Strict(crate::Warning),
    /// The tables could not answer.
    #[error("{0}")]
    Tables(String),
}
