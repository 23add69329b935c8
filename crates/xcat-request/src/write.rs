//! XML out.

use std::borrow::Cow;
use std::fmt::Write;

use crate::Element;

/// Text as it may stand between tags or in an attribute: `&`, `<`, `>` and `"` escaped (the four
/// that xCAT's own writer escapes), control characters that no XML may hold replaced by `?`.
pub fn escape(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !matches!(c, '&' | '<' | '>' | '"') && !forbidden(c);
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if forbidden(c) => safe.push('?'),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// `<name>text</name>`, the text escaped, without a line end. `name` is the program's own.
pub fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A whole document as xCAT's writer lays it out: two blanks of indent a level, one element a line,
/// a newline at the end, no attributes. The tree is the program's own or was parsed within limits.
pub fn document(root: &Element) -> String {
    let mut text = String::new();
    write_at(root, 0, &mut text);
    text
}

fn write_at(element: &Element, level: usize, out: &mut String) {
    let (name, indent) = (&element.name, 2 * level);
    let text = escape(&element.text);
    // Writing to a String cannot fail.
    if element.children.is_empty() {
        let _ = writeln!(out, "{:indent$}<{name}>{text}</{name}>", "");
        return;
    }
    let _ = writeln!(out, "{:indent$}<{name}>{text}", "");
    for child in &element.children {
        write_at(child, level + 1, out);
    }
    let _ = writeln!(out, "{:indent$}</{name}>", "");
}

fn forbidden(c: char) -> bool {
    (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r'))
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{document, element, escape};
    use crate::{Element, Limits, parse};
    use proptest::prelude::*;

    #[test]
    fn escapes_what_xcat_escapes() {
        assert_eq!(
            escape("a<b> & \"c\" 'd'"),
            "a&lt;b&gt; &amp; &quot;c&quot; 'd'"
        );
        assert_eq!(escape("\u{1b}[2J\0"), "?[2J?");
        assert!(matches!(
            escape("eno1 Größe"),
            std::borrow::Cow::Borrowed(_)
        ));
    }

    #[test]
    fn a_document_is_laid_out_as_xcat_does() {
        let nic = Element::node("nic", vec![Element::leaf("interface", "eno1")]);
        let root = Element::node("opt", vec![Element::leaf("node", "n1"), nic]);
        assert_eq!(
            document(&root),
            "<opt>\n  <node>n1</node>\n  <nic>\n    <interface>eno1</interface>\n  </nic>\n</opt>\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\u{fffe}\u{ffff}\r]{0,200}") {
            let read = parse(element("a", &text).as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(read, Element::leaf("a", text));
        }
    }
}
