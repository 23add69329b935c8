//! The whole of a range: parentheses, lists, exclusion, intersection, files.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::atom;
use crate::pieces::{outside_brackets, parenthesis};
use crate::{Error, Names};

/// More names than this are never made, whatever the options say.
pub const HARD_LIMIT: usize = 1_000_000;
/// Parentheses and `@` inside each other.
const DEPTH: usize = 64;
/// Bytes of a range, or of a file of names.
const LENGTH: usize = 16 << 20;

/// Bytes of all names that are made; brackets inside brackets make long ones quickly.
const BYTES: usize = 64 << 20;

/// How a range is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names that are no nodes are missed; otherwise they are taken as they stand.
    pub verify: bool,
    /// More names than this are an error; at most [`HARD_LIMIT`].
    pub max_nodes: usize,
    /// Takes out what [`Names::excluded`] says.
    pub honor_excludenodes: bool,
    /// Names are only texts: groups are not looked up.
    pub generic: bool,
    /// What a number alone is put behind; xCAT takes it from `XCAT_NODE_PREFIX`.
    pub prefix: String,
    /// What is put behind a number alone (`XCAT_NODE_SUFFIX`).
    pub suffix: String,
    /// Where `^FILE` is looked for if its name is relative; none: no file may be read.
    pub files: Option<PathBuf>,
}

/// What a range says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The nodes, bytewise sorted.
    pub nodes: BTreeSet<String>,
    /// What could not be resolved, in order, repeats kept. xCAT's daemon refuses a command for any.
    pub missed: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        let of = |name, default: &str| std::env::var(name).unwrap_or(default.to_string());
        Options {
            verify: true,
            max_nodes: HARD_LIMIT,
            honor_excludenodes: true,
            generic: false,
            prefix: of("XCAT_NODE_PREFIX", "node"),
            suffix: of("XCAT_NODE_SUFFIX", ""),
            files: Some(PathBuf::from(".")),
        }
    }
}

/// Expands a range, as xCAT's `noderange()` does, but for these differences: the number of names is
/// limited; a selection by an unknown table or column is an error, as is a file that cannot be read
/// and an empty pattern; with `excludenodes` set, bad names of the range are still reported, besides
/// those of `excludenodes`. Never endless: every step makes a name or shortens the text.
pub fn expand(range: &str, names: &dyn Names, options: &Options) -> Result<Expansion, Error> {
    if range.len() > LENGTH {
        return Err(Error::Length(LENGTH));
    }
    let mut work = Work {
        names,
        options,
        verify: options.verify,
        missed: Vec::new(),
        excluded: BTreeSet::new(),
        made: 0,
        bytes: 0,
        depth: 0,
    };
    let mut excluded = Vec::new();
    if options.honor_excludenodes
        && let Some(range) = names.excluded().map_err(Error::Tables)?
    {
        // Verified whatever the options say: an unknown name excludes nothing.
        work.verify = true;
        work.excluded = work.range(&plain(&range))?;
        work.verify = options.verify;
        excluded = std::mem::take(&mut work.missed);
    }
    let nodes = work.range(&plain(range))?;
    let mut missed = work.missed;
    missed.append(&mut excluded);
    if nodes.len() > options.max_nodes {
        return Err(Error::TooMany(options.max_nodes));
    }
    Ok(Expansion { nodes, missed })
}

/// Quotes are left over from shells.
fn plain(range: &str) -> String {
    range.replace(['\'', '"'], "")
}

/// One expansion at work.
pub(crate) struct Work<'a> {
    pub(crate) names: &'a dyn Names,
    pub(crate) options: &'a Options,
    pub(crate) verify: bool,
    pub(crate) missed: Vec<String>,
    excluded: BTreeSet<String>,
    made: usize,
    bytes: usize,
    depth: usize,
}

impl Work<'_> {
    /// A range with parentheses: only the first pair counts at a time. What stands before it is a
    /// range of its own, joined with the pair; the rest goes on from there.
    pub(crate) fn range(&mut self, text: &str) -> Result<BTreeSet<String>, Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::Depth);
        }
        let mut nodes: Option<BTreeSet<String>> = None;
        let mut rest = text;
        while let Some(found) = parenthesis(rest) {
            let (before, inside, behind) = found.map_err(|()| Error::Parentheses)?;
            let (before, join) = match before.strip_suffix(",-") {
                Some(before) => (before, Join::Without),
                None => match before.strip_suffix('@') {
                    Some(before) => (before, Join::Both),
                    None => (before, Join::Either),
                },
            };
            let mut so_far = self.deeper(|work| work.list(nodes.take(), before))?;
            let inside = self.range(inside)?;
            match join {
                Join::Without => so_far.retain(|node| !inside.contains(node)),
                Join::Both => so_far.retain(|node| inside.contains(node)),
                Join::Either => so_far.extend(inside),
            }
            nodes = Some(so_far);
            rest = behind;
        }
        let nodes = self.list(nodes, rest)?;
        self.depth -= 1;
        Ok(nodes)
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
        let mut nodes = before.unwrap_or_default();
        let mut without = BTreeSet::new();
        for (at, atom) in atoms.into_iter().enumerate() {
            let (join, atom) = match atom.strip_prefix('@') {
                Some(atom) => (Join::Both, atom),
                None => match atom.strip_prefix('-') {
                    // In a chain a minus means nothing.
                    Some(atom) if chain && at > 0 => (Join::Both, atom),
                    Some(atom) => (Join::Without, atom),
                    None if chain && at > 0 => (Join::Both, atom),
                    None => (Join::Either, atom),
                },
            };
            if atom.is_empty() || atom == "^" {
                continue;
            }
            if let Some(file) = atom.strip_prefix('^') {
                // Added, whatever stands before it.
                nodes.extend(self.file(file)?);
                continue;
            }
            let found = atom::expand(self, atom)?;
            match join {
                Join::Without => without.extend(found),
                Join::Both => {
                    let found: BTreeSet<String> = found.into_iter().collect();
                    nodes.retain(|node| found.contains(node));
                }
                Join::Either => nodes.extend(found),
            }
        }
        nodes.retain(|node| !without.contains(node) && !self.excluded.contains(node));
        Ok(nodes)
    }

    /// A file of names, one range per line up to the first blank, tab or colon. A `^` in it names no
    /// further file.
    fn file(&mut self, name: &str) -> Result<BTreeSet<String>, Error> {
        let Some(base) = &self.options.files else {
            return Err(Error::FileRefused(format!("^{name}")));
        };
        let text = read(&base.join(name)).map_err(|why| Error::File {
            file: name.into(),
            why,
        })?;
        let mut nodes = BTreeSet::new();
        for line in text.lines_as_written() {
            if line.starts_with(['#', '^']) {
                continue;
            }
            let end = line.find([' ', '\t', ':']).unwrap_or(line.len());
            // As in xCAT, each line forgets what was missed before it, but not inside parentheses.
            if self.depth <= 1 {
                self.missed.clear();
            }
            nodes.extend(self.range(&line[..end])?);
        }
        Ok(nodes)
    }

    /// Counts what is made, so that nothing goes on for ever: names and their bytes. What is taken
    /// out again counts as well.
    pub(crate) fn count(&mut self, names: usize, bytes: usize) -> Result<(), Error> {
        self.made += names;
        self.bytes += bytes;
        if self.made > HARD_LIMIT || self.bytes > BYTES {
            return Err(Error::TooMany(self.options.max_nodes.min(HARD_LIMIT)));
        }
        Ok(())
    }

    /// Goes one level deeper: brackets in brackets' results.
    pub(crate) fn deeper<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::Depth);
        }
        let result = work(self);
        self.depth -= 1;
        result
    }
}

#[derive(Clone, Copy)]
enum Join {
    Either,
    Both,
    Without,
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LENGTH as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() > LENGTH {
        return Err("too long".into());
    }
    String::from_utf8(bytes).map_err(|_| "not text".into())
}

/// Lines that keep their carriage return: it is a part of the name that xCAT sees.
trait Lines {
    fn lines_as_written(&self) -> std::str::Split<'_, char>;
}

impl Lines for String {
    fn lines_as_written(&self) -> std::str::Split<'_, char> {
        self.strip_suffix('\n').unwrap_or(self).split('\n')
    }
}
