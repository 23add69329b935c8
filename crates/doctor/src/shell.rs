//! Words of a command that somebody will paste into a shell.

/// The text as one word: as it stands if no shell sees anything in it, else in single quotes.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%^".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::word;

    #[test]
    fn a_shell_takes_each_for_one_word_and_for_nothing_else() {
        for text in [
            "n1",
            "",
            "a b",
            "n[1-3]",
            "it's",
            "'",
            "$(id)",
            "`id`",
            "a;b",
            "a&b|c>d<e",
            "*",
            "~",
            "!x",
            "\\",
            "\"",
            "#",
            "a\nb",
            "node=n1",
            "{a,b}",
            "ä",
        ] {
            let script = format!("printf '<%s>' {}", word(text));
            let shell = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8(shell.stdout).unwrap(),
                format!("<{text}>"),
                "{script}"
            );
        }
        assert_eq!(word("nodehm.mgt=ipmi"), "nodehm.mgt=ipmi");
    }
}
