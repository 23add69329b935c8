//! Perl's patterns on a linear-time engine.
//!
//! Sites write patterns in ranges, groups and table values. They are run on bytes, as Perl sees
//! names, and cannot be made to take long. What the two engines read differently is translated or
//! refused here; what only Perl has (look-around, back-references) the engine refuses itself.

use regex::bytes::{Captures, Regex, RegexBuilder};

/// Bytes of compiled program that one pattern may take.
const SIZE: usize = 1 << 20;
/// A longer pattern is no pattern of a person's.
const LENGTH: usize = 4096;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern}: {why}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it, in a few words.
    pub why: String,
}

impl Pattern {
    /// Compiles a Perl pattern.
    pub fn new(pattern: &str) -> Result<Pattern, PatternError> {
        let error = |why: &str| PatternError {
            pattern: pattern.chars().take(80).collect(),
            why: why.into(),
        };
        if pattern.len() > LENGTH {
            return Err(error("too long"));
        }
        let translated = translate(pattern).map_err(error)?;
        RegexBuilder::new(&translated)
            .unicode(false)
            .size_limit(SIZE)
            .build()
            .map(Pattern)
            .map_err(|problem| error(&last_line(&problem.to_string())))
    }

    /// True if it matches anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// The first match.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.0.captures(text.as_bytes())
    }
}

/// regex shows the pattern with marks below, then `error: why`.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text);
    line.strip_prefix("error: ").unwrap_or(line).to_string()
}

/// Rewrites what Perl and the engine read differently.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.char_indices().peekable();
    // Inside `[...]`: how many characters since it opened.
    let mut class: Option<usize> = None;
    let mut after_quantifier = false;
    while let Some((at, c)) = chars.next() {
        let rest = &pattern[at..];
        let quantified = std::mem::take(&mut after_quantifier);
        match (c, class) {
            ('\\', _) => {
                let Some((_, next)) = chars.next() else {
                    return Err("a backslash at its end");
                };
                match next {
                    // Word boundaries in one, plain characters in the other.
                    '<' | '>' => out.push(next),
                    'b' if rest[2..].starts_with('{') => return Err("\\b{ is Perl's own"),
                    'Z' if class.is_none() => out.push_str("\\n?\\z"),
                    'h' if class.is_none() => out.push_str("[ \\t]"),
                    _ => {
                        out.push('\\');
                        out.push(next);
                    }
                }
                class = class.map(|n| n + 1);
            }
            ('[', None) => {
                out.push('[');
                class = Some(0);
                if chars.next_if(|(_, c)| *c == '^').is_some() {
                    out.push('^');
                }
            }
            // The first `]` of a class is one of its characters.
            (']', Some(0)) => {
                out.push_str("\\]");
                class = Some(1);
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
            }
            ('[', Some(n)) => {
                // Named classes are the same; a nested class is none in Perl.
                if rest.starts_with("[:") && rest.contains(":]") {
                    let end = rest.find(":]").map_or(0, |end| end + 2);
                    out.push_str(&rest[..end]);
                    while chars.next_if(|(i, _)| *i < at + end).is_some() {}
                } else {
                    out.push_str("\\[");
                }
                class = Some(n + 1);
            }
            // Set operations of the engine: `&&`, `~~`, `--`.
            ('&' | '~', Some(n)) => {
                out.push('\\');
                out.push(c);
                class = Some(n + 1);
            }
            ('-', Some(n)) => {
                let doubled = rest[1..].starts_with('-');
                out.push_str(if doubled { "\\-" } else { "-" });
                class = Some(n + 1);
            }
            (_, Some(n)) => {
                out.push(c);
                class = Some(n + 1);
            }
            ('{', None) if !is_quantifier(rest) => out.push_str("\\{"),
            ('}', None) if !closes_quantifier(&pattern[..at]) => out.push_str("\\}"),
            ('(', None) if rest.starts_with("(?R") || rest.starts_with("(?U") => {
                return Err("recursion is Perl's own");
            }
            ('+', None) if quantified => return Err("possessive quantifiers are Perl's own"),
            _ => {
                after_quantifier = matches!(c, '*' | '+' | '?' | '}') && !quantified;
                out.push(c);
            }
        }
    }
    if class.is_some() {
        return Err("unmatched [");
    }
    Ok(out)
}

/// `{3}`, `{3,}`, `{3,5}`: anything else in braces is text.
fn is_quantifier(text: &str) -> bool {
    let Some(end) = text.find('}') else {
        return false;
    };
    let (low, high) = text[1..end].split_once(',').unwrap_or((&text[1..end], ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

fn closes_quantifier(before: &str) -> bool {
    // `\x{41}` and `\p{L}` close with a brace as well.
    before.rfind('{').is_some_and(|open| {
        let escaped = before[..open].ends_with("\\x") || before[..open].ends_with("\\p");
        let inner = format!("{}}}", &before[open..]);
        escaped || is_quantifier(&inner)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn read_as_perl_reads_it() {
        for (pattern, yes, no) in [
            ("^a{2}$", "aa", "a"),
            ("^a{x}$", "a{x}", "axx"),
            ("^a}$", "a}", "a"),
            ("^[]a]$", "]", "b"),
            ("^[[a]$", "[", "b"),
            ("^[a&&b]$", "&", "c"),
            ("^[[:digit:]]$", "5", "a"),
            ("^[a-c]$", "b", "-"),
            ("^\\<a\\>$", "<a>", "a"),
            ("^n\\d+$", "n1", "n"),
            ("^.$", "x", "xy"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn bytes_not_characters() {
        assert!(matches("^gr..e$", "gr\u{f6}e"));
        assert!(!matches("^\\w+$", "gr\u{f6}e"));
    }

    #[test]
    fn what_is_refused() {
        for pattern in [
            "[", "(", "a\\", "(?=a)", "(?<!a)b", "a++", "(a)\\1", "(?R)", "*",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::new(&"a".repeat(5000)).is_err());
        assert!(Pattern::new("(((((a{99}){99}){99}){99}){99})").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_refused(text in ".{0,40}") {
            let _ = Pattern::new(&text);
        }

        #[test]
        fn escaped_text_matches_itself(text in "[a-z0-9_.-]{1,20}") {
            let pattern: String = text.chars().map(|c| if c.is_alphanumeric() || c == '_' { c.to_string() } else { format!("\\{c}") }).collect();
            let whole = format!("^{pattern}$");
            prop_assert!(matches(&whole, &text));
        }
    }
}
