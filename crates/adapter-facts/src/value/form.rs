//! The shapes of values, each a question about a text that is not empty.

/// The kernel's rule (`dev_valid_name`), with an ASCII set of our own: letters, digits and those
/// signs that neither the column nor a shell nor Perl gives a meaning to.
pub(super) fn interface(text: &str) -> bool {
    named(text, "#%+-.@^_~") && text != "." && text != ".."
}

/// As an interface's name, but up to 127 bytes: udev composes names that no interface can bear, and
/// the kernel takes them as alternative names.
pub(super) fn candidate(text: &str) -> bool {
    !text.is_empty() && text.len() < 128 && interface(text)
}

/// A path of sysfs names or an address; `,` would split the column.
pub(super) fn location(text: &str) -> bool {
    named(text, "#+-./:@_~") && !text.contains("//") && !text.split('/').any(|part| part == "..")
}

pub(super) fn mac(text: &str) -> bool {
    groups(text, text.len().div_ceil(3), 2)
}

/// Text that stands alone in a `name=text` field. What is dangerous was refused before; a blank at
/// an end would not survive a reader.
pub(super) fn label(text: &str) -> bool {
    text.trim() == text
}

pub(super) fn driver(text: &str) -> bool {
    named(text, "-._")
}

/// `count` groups of `width` hex digits, joined by `:`.
pub(super) fn groups(text: &str, count: usize, width: usize) -> bool {
    let hex = |group: &str| group.len() == width && group.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == count && text.split(':').all(hex)
}

fn named(text: &str, signs: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
}
