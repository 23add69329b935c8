//! `Range:` with one range of bytes (RFC 9110, section 14).

/// A part of an object, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub length: u64,
}

/// What a request wants of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: there is no range, or one that may be ignored (another unit, several ranges).
    All,
    /// This part.
    Part(Span),
    /// A range that the object does not have.
    Nothing,
}

impl Wanted {
    /// What the header says of an object of `size` bytes.
    pub fn of(header: Option<&str>, size: u64) -> Wanted {
        let Some((unit, range)) = header.and_then(|header| header.split_once('=')) else {
            return Wanted::All;
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
            return Wanted::All;
        }
        let Some((first, last)) = range.split_once('-') else {
            return Wanted::All;
        };
        let span = match (number(first), number(last)) {
            (Some(None), Some(Some(count))) => {
                let length = count.min(size);
                let at = size - length;
                Span { at, length }
            }
            (Some(Some(at)), Some(None)) => Span {
                at,
                length: size.saturating_sub(at),
            },
            (Some(Some(at)), Some(Some(last))) if at <= last => Span {
                at,
                length: last
                    .min(size.saturating_sub(1))
                    .saturating_add(1)
                    .saturating_sub(at),
            },
            _ => return Wanted::All,
        };
        if span.length == 0 || span.at >= size {
            return Wanted::Nothing;
        }
        Wanted::Part(span)
    }
}

/// A number, or none for empty text; None: neither.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Span, Wanted};

    fn part(at: u64, length: u64) -> Wanted {
        Wanted::Part(Span { at, length })
    }

    #[test]
    fn the_forms_of_a_range() {
        for (header, wanted) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("bytes = 10-19", part(10, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=90-200", part(90, 10)),
            ("bytes=-30", part(70, 30)),
            ("bytes=-300", part(0, 100)),
            ("bytes=0-18446744073709551616", part(0, 100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=18446744073709551615-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=5-4", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes", Wanted::All),
        ] {
            assert_eq!(Wanted::of(Some(header), 100), wanted, "{header}");
        }
        assert_eq!(Wanted::of(None, 100), Wanted::All);
        assert_eq!(Wanted::of(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_is_within_the_object(header in "(bytes=)?[-0-9, a-z]{0,30}", size: u64) {
            if let Wanted::Part(span) = Wanted::of(Some(&header), size) {
                prop_assert!(span.length > 0 && span.at < size && span.length <= size - span.at);
            }
        }
    }
}
