//! A password in memory.

use std::fmt;

/// Text that no message shows. Its memory is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Shortest secret that is looked for in others' texts: a single letter is in every sentence.
const WORTH_HIDING: usize = 3;

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into().into_bytes())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        // It was made from text; bytes that are none are never put in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// `text` with the secret blotted out: a BMC may repeat it in an error.
    pub fn hide(&self, text: &str) -> String {
        match self.0.len() {
            0..WORTH_HIDING => text.to_string(),
            _ => text.replace(self.reveal(), "[password]"),
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Else the compiler may see that nobody reads it any more.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn no_form_of_it_shows_it() {
        let secret = Secret::new("pass 'word\"");
        for text in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{:#?}", Some(&secret)),
            secret.hide("login as root with pass 'word\" failed"),
        ] {
            assert!(!text.contains("word\""), "{text}");
        }
        assert_eq!(secret.reveal(), "pass 'word\"");
        assert_eq!(Secret::new("").hide("as it is"), "as it is");
    }
}
