//! Node names that may become part of a path, a noderange or a line of output.

/// The longest name of a host (RFC 1035).
const LONGEST: usize = 255;

/// True if `name` can be one component of a path and one atom of a noderange: letters, digits, `-`,
/// `_` and `.`, the first one a letter, a digit or `_`. That leaves out `..`, hidden files, options,
/// and everything that a noderange would expand (`@`, `^`, `/`, brackets, commas).
pub fn is_plain(name: &str) -> bool {
    let first_fits = name
        .bytes()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_');
    first_fits
        && name.len() <= LONGEST
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn names_that_would_leave_a_directory_or_select_other_nodes_are_refused() {
        for bad in [
            "", ".", "..", ".n1", "../n1", "a/b", "/etc", "-n1", "n1,n2", "@grp", "^file",
            "n[1-9]", "n1 n2", "n1\n", "n\u{e9}", "~x", "a:b",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
        assert!(!is_plain(&"a".repeat(256)));
    }

    #[test]
    fn ordinary_names_pass() {
        for good in ["n1", "node-01.cluster.example", "_n", "1a", "Rack_2-n3"] {
            assert!(is_plain(good), "{good:?}");
        }
    }
}
