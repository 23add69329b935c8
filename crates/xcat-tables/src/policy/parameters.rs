//! The column `parameters`: a pattern of Perl's.

use noderange::pattern::Pattern;

/// Compiles the pattern, or says why it cannot be believed to mean what Perl makes of it.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    only_plain_groups(text)?;
    Pattern::new(text).map_err(|error| error.to_string())
}

/// Of everything that `(?` can begin, only `(?:`, `(?i)` and `(?i:` mean the same to both engines
/// beyond doubt: under `x` they even disagree about blanks in a class.
fn only_plain_groups(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '(']) {
        let (_, found) = rest.split_at(at);
        if found.starts_with("(?") && !["(?:", "(?i)", "(?i:"].iter().any(|g| found.starts_with(g))
        {
            return Err("a group that begins with (? and is not (?: or (?i)".into());
        }
        // A backslash and what it stands before, or the parenthesis.
        let taken = found
            .chars()
            .take(if found.starts_with('\\') { 2 } else { 1 });
        rest = &found[taken.map(char::len_utf8).sum::<usize>()..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn groups_that_both_engines_read_alike() {
        for text in [
            "^(a|b)$",
            "(?:x)",
            "(?i)reset",
            r"\(?x",
            r"a\\(?:b)",
            "[a-z]+",
        ] {
            pattern(text).unwrap();
        }
        for text in [
            "(?x) a b",
            "(?=a)",
            "(?{ system 1 })",
            "(?iU)a",
            r"\\(?x)",
            "(?<n>a)",
            "(a",
            r"(a)\1",
            r"\Qa\E",
            "a++",
            "\\",
        ] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}
