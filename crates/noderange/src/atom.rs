//! One name, group, selection, pattern or counted range.

use crate::expand::Work;
use crate::numbered::{bracket, brackets, count_up, range};
use crate::pattern::Pattern;
use crate::pieces::is_number;
use crate::{Accident, Error, Op};

/// No name is longer, no pattern, and nothing in brackets between two commas.
const LONGEST: usize = 4096;

/// Adds the names that an atom stands for to `nodes`; what it does not stand for goes into
/// `work.missed`. The first rule that fits decides (spec xcat-tables section 8, point 6).
pub(crate) fn expand(
    work: &mut Work<'_>,
    atom: &str,
    nodes: &mut Vec<String>,
) -> Result<(), Error> {
    if longest(atom) > LONGEST {
        return Err(Error::Length(LONGEST));
    }
    work.count(1, atom.len())?;
    if work.names.is_node(atom) {
        nodes.push(atom.into());
        return Ok(());
    }
    if atom.contains('@') {
        nodes.extend(work.range(atom)?);
        return Ok(());
    }
    if let Some((attribute, op, value)) = selection(atom) {
        nodes.extend(select(work, atom, attribute, op, value)?);
        return Ok(());
    }
    if atom.contains('~') {
        return unknown_attribute(work, atom, atom);
    }
    if is_number(atom) {
        let (prefix, suffix) = (&work.options.prefix, &work.options.suffix);
        let name = format!("{prefix}{atom}{suffix}");
        if is_number(&name) {
            return Err(Error::NoPrefix(atom.into()));
        }
        return work.deeper(|work| expand(work, &name, nodes));
    }
    if !work.options.generic
        && let Some(members) = work.names.group(atom).map_err(Error::Tables)?
    {
        for accident in work.names.doubts(atom) {
            work.warn(atom, accident)?;
        }
        work.count(members.len(), 0)?;
        nodes.extend(members);
        return Ok(());
    }
    if work.verify
        && let Some(pattern) = atom.strip_prefix('/')
    {
        return matching(work, atom, pattern, nodes);
    }
    if let Some(parts) = bracket(atom) {
        return work.deeper(|work| brackets(work, parts, nodes));
    }
    if let Some((base, steps)) = atom.split_once('+') {
        return count_up(work, base, steps, nodes);
    }
    if !range(work, atom, nodes)? {
        unknown(work, atom, nodes);
    }
    Ok(())
}

/// A name that nothing is known of.
pub(crate) fn unknown(work: &mut Work<'_>, name: &str, nodes: &mut Vec<String>) {
    if work.verify {
        work.missed.push(name.into());
    } else {
        nodes.push(name.into());
    }
}

/// The longest text that could become a name or a pattern.
fn longest(atom: &str) -> usize {
    match bracket(atom) {
        Some((before, inside, behind)) => {
            let element = inside.split(',').map(str::len).max().unwrap_or(0);
            element.max(before.len() + behind.len())
        }
        None => atom.len(),
    }
}

/// All nodes whose whole name fits; a `|` parts the anchored text, not what the user wrote.
fn matching(
    work: &mut Work<'_>,
    atom: &str,
    pattern: &str,
    nodes: &mut Vec<String>,
) -> Result<(), Error> {
    if has_alternatives(pattern) {
        work.warn(atom, Accident::Alternatives)?;
    }
    let pattern = Pattern::new(&format!("^{pattern}$"))?;
    let before = nodes.len();
    let found = work.names.nodes().filter(|node| pattern.matches(node));
    nodes.extend(found.map(String::from));
    work.count(nodes.len() - before, 0)
}

/// True for a `|` that is neither escaped nor in a class. Parentheses never get here.
fn has_alternatives(pattern: &str) -> bool {
    let mut class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' => class = true,
            ']' => class = false,
            '|' if !class => return true,
            _ => {}
        }
    }
    false
}

/// `attribute op value`; the operators are looked for in this order, wherever they stand.
fn selection(atom: &str) -> Option<(&str, Op, &str)> {
    // All have one of these; most atoms have neither, and there may be a hundred thousand.
    if !atom.bytes().any(|byte| byte == b'=' || byte == b'~') {
        return None;
    }
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

fn select(
    work: &mut Work<'_>,
    atom: &str,
    attribute: &str,
    op: Op,
    value: &str,
) -> Result<Vec<String>, Error> {
    let found = work.names.select(attribute, op, value);
    let Some(nodes) = found.map_err(Error::Tables)? else {
        unknown_attribute(work, atom, attribute)?;
        return Ok(Vec::new());
    };
    if op == Op::Equal && value.starts_with('=') {
        work.warn(atom, Accident::ThirdEqualsSign)?;
    }
    work.count(nodes.len(), 0)?;
    Ok(nodes)
}

/// No node, as in xCAT; but never where that would let nodes in.
fn unknown_attribute(work: &mut Work<'_>, atom: &str, attribute: &str) -> Result<(), Error> {
    if work.excluding {
        return Err(Error::Attribute(attribute.into()));
    }
    work.warn(atom, Accident::UnknownAttribute)
}
