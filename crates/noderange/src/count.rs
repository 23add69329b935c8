//! Counting, as Perl's `..` does it on the numbers in node names.

use crate::Accident;

/// The numbers from `first` to `last`. Without a leading zero they are numbers, and there are none
/// if they go down. With one they are texts of that width: counted until `last` is reached or the
/// next would be longer than it, so that a range which goes down runs to the end of the width.
pub(crate) fn between(first: &str, last: &str) -> Box<dyn Iterator<Item = String>> {
    if !first.starts_with('0')
        && let (Ok(from), Ok(to)) = (first.parse::<u64>(), last.parse::<u64>())
    {
        return Box::new((from..=to).map(|number| number.to_string()));
    }
    let last = last.to_string();
    let start = (first.len() <= last.len()).then(|| first.to_string());
    Box::new(std::iter::successors(start, move |text| {
        let next = increment(text);
        (*text != last && next.len() <= last.len()).then_some(next)
    }))
}

/// What of [`between`] nobody means who writes these two numbers.
pub(crate) fn doubt(first: &str, last: &str) -> Option<Accident> {
    let (low, high) = (value(first), value(last));
    if !first.starts_with('0') {
        return if low > high {
            Some(Accident::Descending)
        } else if last.starts_with('0') {
            Some(Accident::OnlyLastPadded)
        } else {
            None
        };
    }
    if first.len() > last.len() {
        return Some(Accident::LongerFirst);
    }
    let padded = last.len() > first.len() && last.starts_with('0');
    (low > high || padded).then_some(Accident::NeverReached)
}

/// Numbers of any length, in order.
pub(crate) fn value(number: &str) -> (usize, &str) {
    let digits = number.trim_start_matches('0');
    (digits.len(), digits)
}

/// The next number of the same width, or one digit longer.
pub(crate) fn increment(digits: &str) -> String {
    let mut bytes = digits.as_bytes().to_vec();
    for byte in bytes.iter_mut().rev() {
        if *byte == b'9' {
            *byte = b'0';
        } else {
            *byte += 1;
            break;
        }
    }
    if bytes.iter().all(|byte| *byte == b'0') {
        bytes.insert(0, b'1');
    }
    // Digits are text.
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(first: &str, last: &str) -> String {
        between(first, last).take(12).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn as_perl_counts() {
        assert_eq!(list("8", "11"), "8 9 10 11");
        assert_eq!(list("1", "003"), "1 2 3");
        assert_eq!(list("5", "1"), "");
        assert_eq!(list("008", "011"), "008 009 010 011");
        assert_eq!(list("098", "101"), "098 099 100 101");
        assert_eq!(list("001", "5"), "");
        assert_eq!(list("0", "2"), "0 1 2");
        assert_eq!(list("07", "05").split(' ').count(), 12);
        assert_eq!(between("009", "007").count(), 991);
        assert_eq!(list("7", "7"), "7");
        assert_eq!(
            list("99999999999999999999", "99999999999999999999"),
            "99999999999999999999"
        );
    }

    #[test]
    fn what_is_doubtful() {
        for (first, last, accident) in [
            ("5", "1", Some(Accident::Descending)),
            ("10", "09", Some(Accident::Descending)),
            ("001", "5", Some(Accident::LongerFirst)),
            ("009", "007", Some(Accident::NeverReached)),
            ("01", "005", Some(Accident::NeverReached)),
            ("1", "005", Some(Accident::OnlyLastPadded)),
            ("1", "5", None),
            ("0", "12", None),
            ("08", "100", None),
            ("008", "012", None),
        ] {
            assert_eq!(doubt(first, last), accident, "{first}-{last}");
        }
    }
}
