//! Names of images: also names of files, and rows of a table.

use crate::error::Error;

/// Longest name, in bytes.
const LONGEST: usize = 64;

/// Checks an image's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. No path and no option can have that form,
/// and no value that xCAT would evaluate.
///
/// # Errors
/// [`Error::Name`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = name.bytes().next().unwrap_or_default();
    if name.len() <= LONGEST && first.is_ascii_alphanumeric() && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::Name(name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn no_paths_no_options() {
        let long = "a".repeat(64);
        for name in ["a", "7", "rocky-9.4_x86-64", &long, "a..b", "A."] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let longer = "a".repeat(65);
        for name in [
            "", ".", "..", ".a", "-a", "_a", "a/b", "../a", "a b", "a\n", "a\0", "é", "|a|b|",
            &longer,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
