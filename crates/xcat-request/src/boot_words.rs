//! What the boot hands over: words of the kernel command line, and genesis' file of variables.

/// The value of the last `key=value` word of a kernel command line, as both generations of genesis
/// take it (the later word wins); the key's case does not matter, as in the older one.
pub fn kernel_word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_ascii_whitespace().rev().find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.eq_ignore_ascii_case(key).then_some(value)
    })
}

/// The value of the last `NAME=value` line of a file that a shell would read (the newer genesis'
/// `/run/xcat/genesis.env`). Quotes around the whole value are taken off; nothing is expanded.
pub fn variable<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.lines().rev().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=')?;
        (key == name).then(|| unquoted(value))
    })
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::{kernel_word, variable};
    use proptest::prelude::*;

    #[test]
    fn the_last_word_wins_whatever_its_case() {
        let line = "quiet xcatd=10.0.0.1:3001 destiny=standby XCATD=10.0.0.2:3002 BOOTIF=01-aa\n";
        assert_eq!(kernel_word(line, "xcatd"), Some("10.0.0.2:3002"));
        assert_eq!(kernel_word(line, "bootif"), Some("01-aa"));
        assert_eq!(kernel_word(line, "nodetools.pin"), None);
        assert_eq!(kernel_word("a=b=c", "a"), Some("b=c"));
    }

    #[test]
    fn variables_are_read_without_a_shell() {
        let file = "XCATDEST=[fd00::1]:3001\nXCATMASTER=10.0.0.9\nXCATMASTER='fd00::1'\n\
                    export XCATPORT=\"3002\"\n# XCATPORT=1\nX=$(reboot)\n";
        assert_eq!(variable(file, "XCATMASTER"), Some("fd00::1"));
        assert_eq!(variable(file, "XCATPORT"), Some("3002"));
        assert_eq!(variable(file, "X"), Some("$(reboot)"));
        assert_eq!(variable(file, "XCAT"), None);
        assert_eq!(variable("A=\"", "A"), Some("\""));
    }

    proptest! {
        #[test]
        fn any_text_is_only_cut(text in "([a-z]=|[\"' \n=]|export |.){0,40}") {
            for value in [kernel_word(&text, "a"), variable(&text, "a")].into_iter().flatten() {
                prop_assert!(text.contains(value));
            }
        }
    }
}
