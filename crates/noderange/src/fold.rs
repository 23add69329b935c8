//! Names back into a range.

use std::collections::{BTreeMap, BTreeSet};

use crate::count::{increment, value};
use crate::pieces::{digits_and_rest, is_number};

/// Numbers of a name that are tried, from its end.
const NUMBERS: usize = 4;

/// The short form that a person would write: `n[1-4,7]`, `gpu[08-12]-ib0`. Numbers keep their width.
/// Sorted, without repeats; [`crate::expand`] of it gives the same names again, as long as they are
/// nodes, and so does a line of a `^FILE`. A name that a range cannot spell becomes a pattern.
pub fn fold<'a>(nodes: impl IntoIterator<Item = &'a str>) -> String {
    let named = nodes.into_iter().filter(|name| !name.is_empty());
    let mut names: BTreeSet<&str> = named.collect();
    let mut parts = Vec::new();
    // A node that is called `n[1-2]` would be taken for what brackets made of others.
    let numbers = if names.iter().any(|name| name.contains('[')) {
        0
    } else {
        NUMBERS
    };
    for number in 0..numbers {
        // By what stands before and behind the number.
        let mut families: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for name in &names {
            if let Some((head, _, tail)) = cut(name, number) {
                families.entry((head, tail)).or_default().push(name);
            }
        }
        for ((head, tail), members) in families {
            if members.len() > 1 {
                let mut digits = Vec::with_capacity(members.len());
                for name in members {
                    names.remove(name);
                    digits.push(&name[head.len()..name.len() - tail.len()]);
                }
                parts.push(family(head, digits, tail));
            }
        }
    }
    parts.extend(names.into_iter().map(spelled));
    parts.sort_unstable();
    parts.join(",")
}

/// A single name; as a pattern if the grammar, or a file of names, would see something else in it.
fn spelled(name: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || ",@()'\"[]#:".contains(c);
    if !name.starts_with(['-', '^', '/']) && !name.contains(special) {
        return name.into();
    }
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    name.bytes()
        .map(byte)
        .fold("/".into(), |text, byte| text + &byte)
}

/// What stands before, in and behind a number of the name, counted from its end. None for names in
/// which brackets would not mean what they say.
fn cut(name: &str, number: usize) -> Option<(&str, &str, &str)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) {
        return None;
    }
    let mut end = name.len();
    let mut seen = 0;
    for piece in digits_and_rest(name).into_iter().rev() {
        let start = end - piece.len();
        if is_number(piece) {
            if seen == number {
                return Some((&name[..start], piece, &name[end..]));
            }
            seen += 1;
        }
        end = start;
    }
    None
}

fn family(head: &str, mut numbers: Vec<&str>, tail: &str) -> String {
    // A leading zero makes a width count, for 100 after 099 as well.
    let widths: BTreeSet<usize> = numbers
        .iter()
        .filter(|number| number.starts_with('0') && number.len() > 1)
        .map(|number| number.len())
        .collect();
    let padded = |number: &str| widths.get(&number.len()).copied().unwrap_or(0);
    numbers.sort_unstable_by_key(|number| (padded(number), value(number)));
    let mut runs: Vec<(String, String)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, last)) if increment(last) == number && padded(first) == padded(number) => {
                *last = number.to_string();
            }
            _ => runs.push((number.to_string(), number.to_string())),
        }
    }
    let runs: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first,
            false => format!("{first}-{last}"),
        })
        .collect();
    format!("{head}[{}]{tail}", runs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(names: &str) -> String {
        fold(names.split_whitespace())
    }

    #[test]
    fn runs_and_single_numbers() {
        assert_eq!(folded("n1 n2 n3 n4 n7"), "n[1-4,7]");
        assert_eq!(folded("n9 n10 n11"), "n[9-11]");
        assert_eq!(folded("n1"), "n1");
        assert_eq!(folded("b a"), "a,b");
        assert_eq!(folded(""), "");
        assert_eq!(folded("n2 n1 n2"), "n[1-2]");
    }

    #[test]
    fn padding_is_kept() {
        assert_eq!(folded("n008 n009 n010"), "n[008-010]");
        assert_eq!(folded("n098 n099 n100 n101"), "n[098-101]");
        assert_eq!(folded("n08 n8 n9 n09"), "n[8-9,08-09]");
        assert_eq!(folded("gpu08-ib0 gpu09-ib0"), "gpu[08-09]-ib0");
        assert_eq!(folded("db01.x db02.x"), "db[01-02].x");
    }

    #[test]
    fn odd_names_stand_alone() {
        assert_eq!(folded("5 6"), "5,6");
        assert_eq!(folded("-n1 a,b"), "/\\x2dn1,/a\\x2cb");
        assert_eq!(folded("n1 n2 n[1-2]"), "/n\\x5b1\\x2d2\\x5d,n1,n2");
        assert_eq!(folded("r1c1 r1c2 r2c1 r2c2"), "r1c[1-2],r2c[1-2]");
    }
}
