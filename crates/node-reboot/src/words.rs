//! A site's command as words: blanks part them, quotes hold them together, and no shell is in it.

/// Splits `text`. Single and double quotes keep blanks and are taken off; a backslash outside single
/// quotes takes the next character as it is. Nothing is expanded.
///
/// # Errors
/// The text says what is wrong: a quote that does not end, a backslash at the end, a NUL.
pub(crate) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (_, '\0') => return Err("holds a NUL"),
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some('\0') => return Err("holds a NUL"),
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("ends in a backslash"),
            },
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote that does not end");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::split;
    use proptest::prelude::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            split("/opt/site/boot  --zone 'a b' \"c 'd'\" e\\ f '' g\"h\"").unwrap(),
            ["/opt/site/boot", "--zone", "a b", "c 'd'", "e f", "", "gh"]
        );
        assert_eq!(split("  ").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_expanded() {
        assert_eq!(
            split("/bin/x $HOME;rm * `id` |y").unwrap(),
            ["/bin/x", "$HOME;rm", "*", "`id`", "|y"]
        );
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for bad in ["/x 'a", "/x \"a", "/x \\", "/x a\0b", "/x \\\0"] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[^'\0]{0,12}", 0..6)) {
            let text = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&text).unwrap(), words);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ '\"\\\\a\0\\PC]{0,40}") {
            if let Ok(words) = split(&text) {
                let length: usize = words.iter().map(String::len).sum();
                prop_assert!(length <= text.len());
            }
        }
    }
}
