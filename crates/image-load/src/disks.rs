//! What the tables know of a node's disks: `hwinv.disksize`, as discovery writes it
//! (`sda:500GB,nvme0n1:1.9TB`).

/// The largest disk that the text tells of, in bytes, with one unit added: the text is rounded. None if
/// it tells of none: then nothing is known, and nothing is refused for it.
pub(crate) fn largest(text: &str) -> Option<u64> {
    text.split([',', ' ', ';'])
        .filter(|word| !word.is_empty())
        .filter_map(size)
        .max()
}

fn size(word: &str) -> Option<u64> {
    let text = word.rsplit_once(':').map_or(word, |(_, size)| size);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_uppercase().as_str() {
        "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    if !part.bytes().all(|b| b.is_ascii_digit()) || part.len() > 6 {
        return None;
    }
    let whole = whole.checked_mul(unit)?;
    // What stands behind the point is a tenth more at most, which is within the rounding.
    match part.bytes().next() {
        None => whole.checked_add(unit),
        Some(digit) => whole.checked_add(unit / 10 * (u64::from(digit - b'0') + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::largest;
    use proptest::prelude::*;

    #[test]
    fn what_discovery_writes() {
        assert_eq!(largest("sda:500GB"), Some(501 << 30));
        assert_eq!(
            largest("sda:8GB,nvme0n1:1.5TB"),
            Some((1 << 40) + (1 << 40) / 10 * 6)
        );
        assert_eq!(largest("256MB"), Some(257 << 20));
        for nothing in [
            "",
            "sda",
            "sda:",
            "sda:xGB",
            "-1GB",
            "sda:5QB",
            "99999999999999999999GB",
            "1.2.3GB",
        ] {
            assert_eq!(largest(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_none(text in "\\PC{0,40}|[0-9.]{0,25}[KMGT]?B?") {
            let _ = largest(&text);
        }
    }
}
