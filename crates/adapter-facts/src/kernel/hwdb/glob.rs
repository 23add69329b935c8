//! Shell patterns as `fnmatch` has them: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a byte that
//! stands for itself.

/// True if `pattern` matches all of `text`. Takes at most their lengths' product of steps.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    // Where the last star was, and how much of the text it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, here));
            at += 1;
            continue;
        }
        let matched = match (pattern.get(at), text.get(here)) {
            (None, None) => return true,
            (Some(_), Some(byte)) => one(&pattern[at..], *byte),
            _ => None,
        };
        match (matched, star) {
            (Some(length), _) => {
                at += length;
                here += 1;
            }
            (None, Some((after, swallowed))) if swallowed < text.len() => {
                star = Some((after, swallowed + 1));
                (at, here) = (after, swallowed + 1);
            }
            _ => return false,
        }
    }
}

/// The length of the pattern's first item if it matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', set @ ..] => match set_matches(set, byte) {
            Some((length, true)) => Some(length + 1),
            Some((_, false)) => None,
            // A set without an end is a bracket.
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// How long the set is, its closing bracket included, and whether `byte` is in it.
fn set_matches(set: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut found = false;
    let first = at;
    loop {
        let low = *set.get(at)?;
        // A bracket that comes first stands for itself.
        if low == b']' && at > first {
            return Some((at + 1, found != negated));
        }
        match (set.get(at + 1), set.get(at + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                found |= (low..=*high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_fnmatch() {
        let yes = [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("\\*", "*"),
            ("a*b*c", "aXbXbXc"),
            ("[a", "[a"),
            ("pci:v00008086d*", "pci:v00008086d000010FB"),
            ("*[0-9]", "ab7"),
            ("[a-]", "-"),
        ];
        for (pattern, text) in yes {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        let no = [
            ("", "a"),
            ("?", ""),
            ("a", ""),
            ("a*c", "abcd"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
            ("*a", "b"),
            ("a*b", "ac"),
            ("[a]", ""),
        ];
        for (pattern, text) in no {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_text_without_signs_matches_itself(text in "[a-z0-9:]{0,40}", other in "[a-z0-9:]{0,40}") {
            prop_assert!(matches(text.as_bytes(), text.as_bytes()));
            prop_assert_eq!(matches(text.as_bytes(), other.as_bytes()), text == other);
            let star = format!("{text}*");
            prop_assert_eq!(matches(star.as_bytes(), other.as_bytes()), other.starts_with(&text));
        }

        #[test]
        fn any_pattern_ends(pattern in proptest::collection::vec(any::<u8>(), 0..200), text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = matches(&pattern, &text);
            prop_assert!(matches(b"*", &text));
        }
    }
}
