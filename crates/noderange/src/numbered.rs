//! Names that are counted: brackets, `name+N`, `L-R`.

use crate::atom::{expand, unknown};
use crate::count::{between, doubt, increment};
use crate::expand::Work;
use crate::pieces::{digits_and_rest, is_number};
use crate::{Accident, Error};

/// `A[inside]B`, the first pair.
pub(crate) fn bracket(atom: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = atom.split_once('[')?;
    let (inside, behind) = rest.split_once(']')?;
    (!before.is_empty() && !inside.is_empty()).then_some((before, inside, behind))
}

/// Every element between the two texts.
pub(crate) fn brackets(
    work: &mut Work<'_>,
    (before, inside, behind): (&str, &str, &str),
    nodes: &mut Vec<String>,
) -> Result<(), Error> {
    // As Perl splits: empty parts at the end are none.
    for element in inside.trim_end_matches(',').split(',') {
        let parts: Vec<&str> = element.split(['-', ':']).collect();
        if let [first, last] = parts[..]
            && !first.is_empty()
            && !last.is_empty()
        {
            let first = format!("{before}{first}{behind}");
            let last = format!("{before}{last}{behind}");
            if let Some(found) = counted(&first, &last) {
                each(work, &format!("[{element}]"), found, nodes)?;
                continue;
            }
        }
        let text = spelled(element, before, behind);
        expand(work, &text, nodes)?;
    }
    Ok(())
}

/// `1-3:5` between `n` and `x` is `n1x-n3x:n5x`; nothing behind the last mark stays nothing.
fn spelled(element: &str, before: &str, behind: &str) -> String {
    let mut text = String::new();
    let mut rest = element;
    loop {
        let end = rest.find(['-', ':']).unwrap_or(rest.len());
        let (part, mark) = rest.split_at(end);
        if text.is_empty() || !rest.is_empty() {
            text.push_str(&format!("{before}{part}{behind}"));
        }
        let Some(sign) = mark.chars().next() else {
            return text;
        };
        text.push(sign);
        rest = &mark[1..];
    }
}

/// `name+N`: the number at the end of the name, or before its domain, counted up N times.
pub(crate) fn count_up(
    work: &mut Work<'_>,
    base: &str,
    steps: &str,
    nodes: &mut Vec<String>,
) -> Result<(), Error> {
    let part = format!("{base}+{steps}");
    let digits = steps.bytes().take_while(u8::is_ascii_digit);
    let times: usize = digits.fold(0, |n, b| {
        n.saturating_mul(10).saturating_add(usize::from(b - b'0'))
    });
    let Some((head, number, tail)) = last_number(base) else {
        // What xCAT makes of a name without such a number.
        let name = if base.contains(|c: char| c.is_ascii_digit()) {
            String::new()
        } else {
            work.options.prefix.clone()
        };
        unknown(work, &name, nodes);
        return Ok(());
    };
    if !is_number(steps) {
        work.warn(&part, Accident::Steps)?;
    }
    let prefix = work.options.prefix.clone();
    let head = if head.is_empty() { &prefix } else { head };
    let numbers = std::iter::successors(Some(number.to_string()), |text| Some(increment(text)));
    let found = Counted {
        head,
        numbers: Box::new(numbers.take(times.saturating_add(1))),
        tail,
        accident: None,
    };
    each(work, &part, found, nodes)
}

/// `n12`, `n12.domain`: what stands before the number, the number, the domain.
fn last_number(name: &str) -> Option<(&str, &str, &str)> {
    let bytes = name.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let from = start + name[start..].find(|c: char| c.is_ascii_digit())?;
        let length = name[from..].find(|c: char| !c.is_ascii_digit());
        let to = length.map_or(name.len(), |length| from + length);
        let tail = &name[to..];
        if tail.is_empty() || (tail.starts_with('.') && tail.len() > 1) {
            return Some((&name[..from], &name[from..to], tail));
        }
        start = to;
    }
    None
}

/// `L-R` or `L:R`; false if it is no range.
pub(crate) fn range(
    work: &mut Work<'_>,
    atom: &str,
    nodes: &mut Vec<String>,
) -> Result<bool, Error> {
    let Some(found) = ends(atom).and_then(|(first, last)| counted(first, last)) else {
        return Ok(false);
    };
    if atom.matches(':').count() > 1 {
        work.warn(atom, Accident::ThirdEnd)?;
    }
    each(work, atom, found, nodes)?;
    Ok(true)
}

/// The two ends. Of several dashes the middle one is it.
fn ends(atom: &str) -> Option<(&str, &str)> {
    let mut parts = atom.split(':');
    let first = parts.next()?;
    if let Some(last) = parts.next() {
        return Some((first, last));
    }
    let dashes: Vec<usize> = atom.match_indices('-').map(|(at, _)| at).collect();
    if dashes.len().is_multiple_of(2) {
        return None;
    }
    let at = *dashes.get(dashes.len() / 2)?;
    Some((&atom[..at], &atom[at + 1..]))
}

/// What two names have in common, and the numbers between those in which they differ.
struct Counted<'a> {
    head: &'a str,
    numbers: Box<dyn Iterator<Item = String>>,
    tail: &'a str,
    accident: Option<Accident>,
}

/// Names that differ in more than one number, or in anything else, are no range.
fn counted<'a>(first: &'a str, last: &'a str) -> Option<Counted<'a>> {
    if first == last {
        // No number differs: the name itself, once.
        return Some(Counted {
            head: first,
            numbers: Box::new(std::iter::once(String::new())),
            tail: "",
            accident: None,
        });
    }
    let (a, b) = (digits_and_rest(first), digits_and_rest(last));
    if a.len() != b.len() {
        return None;
    }
    let mut found = None;
    let mut at = 0;
    for (one, other) in a.iter().zip(&b) {
        if one != other {
            if found.is_some() || !is_number(one) || !is_number(other) {
                return None;
            }
            found = Some((at, at + one.len(), *one, *other));
        }
        at += one.len();
    }
    let (from, to, low, high) = found?;
    Some(Counted {
        head: &first[..from],
        numbers: between(low, high),
        tail: &first[to..],
        accident: doubt(low, high),
    })
}

/// Every number between head and tail, expanded in turn: brackets may follow.
fn each(
    work: &mut Work<'_>,
    part: &str,
    found: Counted<'_>,
    nodes: &mut Vec<String>,
) -> Result<(), Error> {
    if let Some(accident) = found.accident {
        work.warn(part, accident)?;
    }
    let mut name = found.head.to_string();
    work.deeper(|work| {
        for number in found.numbers {
            name.truncate(found.head.len());
            name.push_str(&number);
            name.push_str(found.tail);
            expand(work, &name, nodes)?;
        }
        Ok(())
    })
}
