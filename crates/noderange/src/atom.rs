//! One name, group, selection, pattern or counted range.

use crate::count::{between, increment};
use crate::expand::Work;
use crate::pattern::Pattern;
use crate::pieces::{digits_and_rest, is_number};
use crate::{Error, Op};

/// No name, and no pattern, is longer.
const LONGEST: usize = 4096;

/// The names that an atom stands for; what it does not stand for goes into `work.missed`. The first
/// rule that fits decides (spec xcat-tables section 8, point 6).
pub(crate) fn expand(work: &mut Work<'_>, atom: &str) -> Result<Vec<String>, Error> {
    if atom.len() > LONGEST {
        return Err(Error::Length(LONGEST));
    }
    work.count(1, atom.len())?;
    if work.names.is_node(atom) {
        return Ok(vec![atom.into()]);
    }
    if atom.contains('@') {
        let nodes = work.range(atom)?;
        return Ok(nodes.into_iter().collect());
    }
    if let Some((attribute, op, value)) = selection(atom) {
        return select(work, attribute, op, value);
    }
    if atom.contains('~') {
        return Err(Error::Attribute(atom.into()));
    }
    if is_number(atom) {
        let (prefix, suffix) = (&work.options.prefix, &work.options.suffix);
        let name = format!("{prefix}{atom}{suffix}");
        if is_number(&name) {
            return Err(Error::NoPrefix(atom.into()));
        }
        return work.deeper(|work| expand(work, &name));
    }
    if !work.options.generic
        && let Some(members) = work.names.group(atom).map_err(Error::Tables)?
    {
        work.count(members.len(), 0)?;
        return Ok(members);
    }
    if work.verify
        && let Some(pattern) = atom.strip_prefix('/')
    {
        let pattern = Pattern::new(&format!("^{pattern}$"))?;
        let nodes = work.names.nodes().filter(|node| pattern.matches(node));
        return Ok(nodes.map(String::from).collect());
    }
    if let Some(parts) = bracket(atom) {
        return work.deeper(|work| brackets(work, parts));
    }
    if let Some((base, steps)) = atom.split_once('+') {
        return count_up(work, base, steps);
    }
    match ends(atom) {
        Some((first, last)) => match counted(first, last) {
            Some((head, numbers, tail)) => each(work, head, numbers, tail),
            None => Ok(unknown(work, atom)),
        },
        None => Ok(unknown(work, atom)),
    }
}

/// A name that nothing is known of.
fn unknown(work: &mut Work<'_>, name: &str) -> Vec<String> {
    if work.verify {
        work.missed.push(name.into());
        return Vec::new();
    }
    vec![name.into()]
}

/// `attribute op value`; the operators are looked for in this order, wherever they stand.
fn selection(atom: &str) -> Option<(&str, Op, &str)> {
    let operators = [
        ("!=", Op::NotEqual),
        ("=~", Op::Match),
        ("==", Op::Equal),
        ("=", Op::Equal),
        ("!~", Op::NotMatch),
    ];
    operators.into_iter().find_map(|(text, op)| {
        let (attribute, value) = atom.split_once(text)?;
        Some((attribute, op, value))
    })
}

fn select(work: &mut Work<'_>, attribute: &str, op: Op, value: &str) -> Result<Vec<String>, Error> {
    let found = work.names.select(attribute, op, value);
    let nodes = found
        .map_err(Error::Tables)?
        .ok_or_else(|| Error::Attribute(attribute.into()))?;
    work.count(nodes.len(), 0)?;
    Ok(nodes)
}

/// `A[inside]B`, the first pair.
fn bracket(atom: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = atom.split_once('[')?;
    let (inside, behind) = rest.split_once(']')?;
    (!before.is_empty() && !inside.is_empty()).then_some((before, inside, behind))
}

fn brackets(
    work: &mut Work<'_>,
    (before, inside, behind): (&str, &str, &str),
) -> Result<Vec<String>, Error> {
    let mut nodes = Vec::new();
    // As Perl splits: empty parts at the end are none.
    for element in inside.trim_end_matches(',').split(',') {
        let parts: Vec<&str> = element.split(['-', ':']).collect();
        if let [first, last] = parts[..]
            && !first.is_empty()
            && !last.is_empty()
        {
            let first = format!("{before}{first}{behind}");
            let last = format!("{before}{last}{behind}");
            if let Some((head, numbers, tail)) = counted(&first, &last) {
                nodes.extend(each(work, head, numbers, tail)?);
                continue;
            }
        }
        let text = spelled(element, before, behind);
        nodes.extend(expand(work, &text)?);
    }
    Ok(nodes)
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
fn count_up(work: &mut Work<'_>, base: &str, steps: &str) -> Result<Vec<String>, Error> {
    let steps = steps.split('+').next().unwrap_or_default();
    let steps: usize = steps
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0, |n, b| {
            n.saturating_mul(10).saturating_add(usize::from(b - b'0'))
        });
    let Some((head, number, tail)) = last_number(base) else {
        // What xCAT makes of a name without such a number.
        let name = if base.contains(|c: char| c.is_ascii_digit()) {
            String::new()
        } else {
            work.options.prefix.clone()
        };
        return Ok(unknown(work, &name));
    };
    let head = if head.is_empty() {
        work.options.prefix.clone()
    } else {
        head.to_string()
    };
    let numbers = std::iter::successors(Some(number.to_string()), |text| Some(increment(text)));
    let numbers = Box::new(numbers.take(steps.saturating_add(1)));
    each(work, &head, numbers, tail)
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

/// The two ends of `L-R` or `L:R`. Of several dashes the middle one is it.
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

type Numbers = Box<dyn Iterator<Item = String>>;

/// What two names have in common, and the numbers between those in which they differ. Names that
/// differ in more than one number, or in anything else, are no range.
fn counted<'a>(first: &'a str, last: &'a str) -> Option<(&'a str, Numbers, &'a str)> {
    if first == last {
        // No number differs: the name itself, once.
        return Some((first, Box::new(std::iter::once(String::new())), ""));
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
    Some((&first[..from], between(low, high), &first[to..]))
}

/// Every number between head and tail, expanded in turn: brackets may follow.
fn each(
    work: &mut Work<'_>,
    head: &str,
    numbers: Numbers,
    tail: &str,
) -> Result<Vec<String>, Error> {
    work.deeper(|work| {
        let mut nodes = Vec::new();
        for number in numbers {
            nodes.extend(expand(work, &format!("{head}{number}{tail}"))?);
        }
        Ok(nodes)
    })
}
