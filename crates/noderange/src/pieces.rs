//! Cutting text: at separators outside of brackets, into digits and the rest, at parentheses.

use crate::Error;

/// Splits at `separator` where it does not stand in brackets: it does if a `]` follows before any
/// `[`.
pub(crate) fn outside_brackets(text: &str, separator: u8) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut cuts = Vec::new();
    let mut closes_first = false;
    for (at, byte) in bytes.iter().enumerate().rev() {
        match byte {
            b']' => closes_first = true,
            b'[' => closes_first = false,
            byte if *byte == separator && !closes_first => cuts.push(at),
            _ => {}
        }
    }
    let mut parts = Vec::with_capacity(cuts.len() + 1);
    let mut start = 0;
    for cut in cuts.into_iter().rev() {
        parts.push(&text[start..cut]);
        start = cut + 1;
    }
    parts.push(&text[start..]);
    parts
}

/// Runs of digits and runs of anything else, in order.
pub(crate) fn digits_and_rest(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for at in 1..bytes.len() {
        if bytes[at - 1].is_ascii_digit() != bytes[at].is_ascii_digit() {
            parts.push(&text[start..at]);
            start = at;
        }
    }
    if !text.is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

/// True if there is something and all of it is digits.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// What stands before, in and behind the first `(...)`; none if there is no `(`, an error if it, or a `)` before it, has
/// no partner. A backslash hides the character after it, as it does from the Perl module that xCAT
/// uses, for ranges and for values in tables.
pub fn parenthesis(text: &str) -> Option<Result<(&str, &str, &str), Error>> {
    let open = text.find('(')?;
    if text[..open].contains(')') {
        return Some(Err(Error::Parentheses));
    }
    let mut depth = 0;
    let mut bytes = text.bytes().enumerate().skip(open);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(Ok((&text[..open], &text[open + 1..at], &text[at + 1..])));
                }
            }
            _ => {}
        }
    }
    Some(Err(Error::Parentheses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_outside_of_brackets() {
        assert_eq!(outside_brackets("a[1,2],b", b','), ["a[1,2]", "b"]);
        assert_eq!(outside_brackets("a[1,", b','), ["a[1", ""]);
        assert_eq!(outside_brackets("", b','), [""]);
        assert_eq!(outside_brackets("a,b]", b','), ["a,b]"]);
    }

    #[test]
    fn digits() {
        assert_eq!(digits_and_rest("gpu08-ib0"), ["gpu", "08", "-ib", "0"]);
        assert_eq!(digits_and_rest("007"), ["007"]);
        assert!(digits_and_rest("").is_empty());
    }

    #[test]
    fn parentheses() {
        assert_eq!(parenthesis("a,(b(c)),d"), Some(Ok(("a,", "b(c)", ",d"))));
        assert_eq!(parenthesis("a"), None);
        assert_eq!(parenthesis("(a"), Some(Err(Error::Parentheses)));
        assert_eq!(parenthesis("a)(b)"), Some(Err(Error::Parentheses)));
        assert_eq!(parenthesis("(a\\)b)"), Some(Ok(("", "a\\)b", ""))));
    }
}
