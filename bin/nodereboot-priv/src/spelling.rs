//! Which options are handed on, and what their values look like.

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    None,
    /// A number of up to six digits.
    Number,
    /// A number, or a percentage.
    Share,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `NAME=SECONDS`.
    Limit,
    /// Names as nodes and images have them, separated by commas.
    Names,
    /// `IMAGE=KIND:NUMBER`, or without the image: a disk.
    Disk,
}

/// An option: its letter, its long name, its value.
pub(crate) type Spelling = (Option<char>, Option<&'static str>, Value);

/// nodereboot's, but those that name a file, a descriptor or standard input, or say which management
/// controllers to believe: root's passwords go there.
pub(crate) const NODEREBOOT: &[Spelling] = &[
    (Some('a'), None, Value::None),
    (Some('b'), None, Value::None),
    (Some('c'), Some("configure"), Value::None),
    (Some('d'), None, Value::None),
    (Some('f'), Some("power"), Value::None),
    (Some('F'), Some("force"), Value::None),
    (Some('k'), Some("kill"), Value::None),
    (Some('p'), Some("prepare"), Value::None),
    (Some('s'), Some("silent"), Value::None),
    (Some('V'), Some("verbose"), Value::None),
    (Some('w'), Some("wait"), Value::None),
    (Some('W'), Some("wait-time"), Value::Number),
    (None, Some("batch"), Value::Number),
    (None, Some("boot"), Value::OneOf(&["net", "disk", "none"])),
    (None, Some("canary"), Value::Number),
    (None, Some("direct-bootp"), Value::None),
    (None, Some("dry-run"), Value::None),
    (None, Some("fanout"), Value::Number),
    (None, Some("json"), Value::None),
    (None, Some("limit"), Value::Limit),
    (None, Some("max-fail"), Value::Share),
    (None, Some("max-nodes"), Value::Number),
    (None, Some("pause"), Value::Number),
    (None, Some("per-chassis"), Value::Number),
    (None, Some("status-more"), Value::None),
    (None, Some("strict"), Value::None),
];

/// osload's.
pub(crate) const OSLOAD: &[Spelling] = &[
    (Some('F'), None, Value::None),
    (Some('P'), None, Value::None),
    (Some('R'), None, Value::None),
    (Some('V'), Some("verbose"), Value::None),
    (Some('c'), None, Value::None),
    (Some('d'), None, Value::None),
    (Some('i'), None, Value::Names),
    (Some('m'), None, Value::Names),
    (Some('o'), None, Value::Limit),
    (Some('p'), None, Value::Names),
    (Some('r'), None, Value::None),
    (Some('w'), None, Value::None),
    (Some('z'), None, Value::OneOf(&["0", "1", "2"])),
    (None, Some("disk"), Value::Disk),
    (None, Some("dry-run"), Value::None),
    (None, Some("fanout"), Value::Number),
    (None, Some("json"), Value::None),
    (None, Some("max-fail"), Value::Share),
    (None, Some("max-nodes"), Value::Number),
    (None, Some("overwrite"), Value::Names),
    (None, Some("status-more"), Value::None),
    (None, Some("strict"), Value::None),
    (None, Some("timeout"), Value::Number),
    (None, Some("wait-time"), Value::Number),
];

impl Value {
    /// True if `text` is such a value.
    pub(crate) fn takes(self, text: &str) -> bool {
        match self {
            Value::None => false,
            Value::Number => is_number(text),
            Value::Share => is_number(text.strip_suffix('%').unwrap_or(text)),
            Value::OneOf(words) => words.contains(&text),
            Value::Limit => text.split_once('=').is_some_and(|(name, seconds)| {
                !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_lowercase())
                    && is_number(seconds)
            }),
            Value::Names => text.split(',').all(is_name),
            Value::Disk => {
                let (image, disk) = match text.split_once('=') {
                    Some((image, disk)) if !image.contains(':') => (Some(image), disk),
                    _ => (None, text),
                };
                let number = disk
                    .split_once(':')
                    .filter(|(kind, _)| matches!(*kind, "serial" | "wwn"));
                image.is_none_or(is_name)
                    && number.is_some_and(|(_, number)| {
                        (1..=128).contains(&number.len())
                            && number.bytes().all(|byte| matches!(byte, b' '..=b'~'))
                    })
            }
        }
    }
}

/// A node's, a group's or an image's name: letters, digits, `.`, `_` and `-`, beginning with a letter
/// or digit, so that it can be no option, no path and no `^FILE`.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 255
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(inner)
}

fn is_number(text: &str) -> bool {
    (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
