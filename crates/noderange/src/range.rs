//! The whole of a range: parentheses, lists, exclusion, intersection, files.

use std::collections::BTreeSet;

use crate::expand::{LENGTH, Work};
use crate::pieces::{outside_brackets, parenthesis};
use crate::{Accident, Error, atom, file};

#[derive(Clone, Copy, PartialEq)]
enum Join {
    Either,
    Both,
    Without,
}

impl Work<'_> {
    /// A range with parentheses: only the first pair counts at a time. What stands before it is a
    /// range of its own, joined with the pair; the rest goes on from there.
    pub(crate) fn range(&mut self, text: &str) -> Result<BTreeSet<String>, Error> {
        self.deeper(|work| work.parenthesised(text))
    }

    fn parenthesised(&mut self, text: &str) -> Result<BTreeSet<String>, Error> {
        let mut nodes: Option<BTreeSet<String>> = None;
        let mut rest = text;
        while let Some(found) = parenthesis(rest) {
            let (written, inside, behind) = found?;
            let (before, join) = match written.strip_suffix(",-") {
                Some(before) => (before, Join::Without),
                None => match written.strip_suffix('@') {
                    Some(before) => (before, Join::Both),
                    None => (written, Join::Either),
                },
            };
            let nothing_before = nodes.is_none() && before.is_empty();
            if join != Join::Either && (inside.is_empty() || nothing_before) {
                self.warn(&format!("{written}({inside})"), Accident::Nothing)?;
            }
            let mut so_far = self.deeper(|work| work.list(nodes.take(), before))?;
            let inside = match join {
                Join::Without => self.exclusion(|work| work.range(inside))?,
                Join::Both | Join::Either => self.range(inside)?,
            };
            match join {
                Join::Without => so_far.retain(|node| !inside.contains(node)),
                Join::Both => so_far.retain(|node| inside.contains(node)),
                Join::Either => so_far.extend(inside),
            }
            nodes = Some(so_far);
            rest = behind;
        }
        self.list(nodes, rest)
    }

    /// A list without parentheses, after the nodes that there are already.
    fn list(
        &mut self,
        before: Option<BTreeSet<String>>,
        text: &str,
    ) -> Result<BTreeSet<String>, Error> {
        let mut atoms = outside_brackets(text, b',');
        let chain = before.is_none() && atoms.len() == 1;
        if chain {
            atoms = outside_brackets(text, b'@');
        }
        let linked = chain && atoms.len() > 1;
        let mut nodes: Vec<String> = before.into_iter().flatten().collect();
        let mut without = Vec::new();
        for (at, written) in atoms.into_iter().enumerate() {
            let (join, atom) = match written.strip_prefix('@') {
                Some(atom) => (Join::Both, atom),
                None => match written.strip_prefix('-') {
                    // In a chain a minus means nothing.
                    Some(atom) if chain && at > 0 => (Join::Both, atom),
                    Some(atom) => (Join::Without, atom),
                    None if chain && at > 0 => (Join::Both, written),
                    None => (Join::Either, written),
                },
            };
            if atom.is_empty() || atom == "^" {
                if linked || !written.is_empty() {
                    self.warn(text, Accident::Nothing)?;
                }
                continue;
            }
            if let Some(name) = atom.strip_prefix('^') {
                if join != Join::Either {
                    self.warn(text, Accident::FileAdded)?;
                }
                // Added, whatever stands before it.
                nodes.extend(self.file(name)?);
                continue;
            }
            if join == Join::Both && written.starts_with('-') {
                self.warn(text, Accident::MinusIgnored)?;
            }
            match join {
                Join::Without => {
                    self.exclusion(|work| atom::expand(work, atom, &mut without))?;
                }
                Join::Both => {
                    let mut found = Vec::new();
                    atom::expand(self, atom, &mut found)?;
                    let found: BTreeSet<String> = found.into_iter().collect();
                    nodes.retain(|node| found.contains(node));
                }
                Join::Either => atom::expand(self, atom, &mut nodes)?,
            }
        }
        let without: BTreeSet<String> = without.into_iter().collect();
        nodes.retain(|node| !without.contains(node) && !self.excluded.contains(node));
        // Mostly sorted already, which makes a set quickly.
        Ok(nodes.into_iter().collect())
    }

    /// A file of names, one range per line up to the first blank, tab or colon. A `^` in it names no
    /// further file.
    fn file(&mut self, name: &str) -> Result<BTreeSet<String>, Error> {
        let Some(base) = &self.options.files else {
            return Err(Error::FileRefused(format!("^{name}")));
        };
        let text = file::read(&base.join(name), LENGTH).map_err(|why| Error::File {
            file: name.into(),
            why,
        })?;
        let mut nodes = BTreeSet::new();
        let mut forgotten = Vec::new();
        // A carriage return is kept: it is a part of the name that xCAT sees.
        for line in text.strip_suffix('\n').unwrap_or(&text).split('\n') {
            if line.starts_with('^') {
                self.warn(&format!("^{name}: {line}"), Accident::FileInFile)?;
            }
            if line.starts_with(['#', '^']) {
                continue;
            }
            let end = line.find([' ', '\t', ':']).unwrap_or(line.len());
            // As in xCAT, each line forgets what was missed before it, but not inside parentheses.
            if self.depth <= 1 {
                forgotten.append(&mut self.missed);
            }
            nodes.extend(self.range(&line[..end])?);
        }
        if !forgotten.is_empty() {
            self.warn(&format!("^{name}"), Accident::Forgotten(forgotten))?;
        }
        Ok(nodes)
    }
}
