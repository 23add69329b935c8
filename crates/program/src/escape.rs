//! Outside text on its way to a terminal, a log or a script.

use std::borrow::Cow;
use std::fmt::Write;

/// Makes text from outside (a node, a BMC, a file) safe to show: control characters, including
/// escape sequences' ESC and the C1 range, line ends and Unicode's direction overrides, become
/// `\n`, `\t` or `\u{..}`. Everything else passes unchanged.
pub fn escape(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain || !text.chars().any(dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if dangerous(c) => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

fn dangerous(c: char) -> bool {
    // The bidirectional controls let a node name read as another one on a terminal.
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(
            escape("n1: eno1 Größe"),
            std::borrow::Cow::Borrowed("n1: eno1 Größe")
        ));
    }

    #[test]
    fn controls_are_shown_not_sent() {
        assert_eq!(
            escape("a\x1b[2Jb\nc\u{9b}d\u{202e}e"),
            "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}e"
        );
    }
}
