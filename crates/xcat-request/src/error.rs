//! Why a document was refused.

/// Why a document was refused. Names that came from outside are shown escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than [`Limits::bytes`].
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Deeper than [`Limits::depth`].
    #[error("elements more than {0} deep")]
    TooDeep(usize),
    /// More elements and attributes than [`Limits::elements`].
    #[error("more than {0} elements")]
    TooMany(usize),
    /// More text in one element than [`Limits::text`].
    #[error("{name}: more than {limit} bytes of text")]
    TooMuchText {
        /// The element.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// A document type declaration: the only place where a sender could define entities.
    #[error("document type declarations are not taken")]
    Doctype,
    /// `&name;` that is none of the five that XML itself knows.
    #[error("&{0};: no such entity")]
    Entity(String),
    /// A tag or attribute name that no request has.
    #[error("{0}: not a name")]
    Name(String),
    /// Not XML, at this byte of the (decoded) text.
    #[error("byte {at}: {what}")]
    Syntax {
        /// Offset.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// An attribute that is written wrongly, or twice.
    #[error("{name}: attributes: {what}")]
    Attribute {
        /// The element.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The text ends inside this element.
    #[error("{0}: not closed")]
    Unclosed(String),
    /// No element at all.
    #[error("no element in it")]
    Empty,
    /// Text or a second element beside the root.
    #[error("something stands outside the root element")]
    Outside,
    /// More than 15 bytes without `<xcatrequest>` (the framer's).
    #[error("no <xcatrequest> in the first bytes")]
    NotARequest,
}

/// Text from outside, in an error: escaped, and no longer than a name.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect()
}
