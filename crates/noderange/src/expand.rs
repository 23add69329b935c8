//! One expansion: its state and its bounds.

use std::collections::BTreeSet;

use crate::{Accident, Error, Expansion, HARD_LIMIT, Names, Options, Warning};

/// Bytes of a range, or of a file of names.
pub(crate) const LENGTH: usize = 16 << 20;
/// Parentheses, `@` and brackets inside each other.
const DEPTH: usize = 64;
/// Bytes of all names that are made; brackets inside brackets make long ones quickly.
const BYTES: usize = 64 << 20;
/// More accidents than these nobody reads.
const WARNINGS: usize = 64;

/// Expands a range, as xCAT's `noderange()` does, but for these differences: the number of names is
/// limited; a selection by an unknown table or column is an error in an exclusion, where it would let
/// nodes in; a file that cannot be read is an error, and so is an empty pattern; with `excludenodes`
/// set, bad names of the range are still reported, besides those of `excludenodes`. Never endless:
/// every step makes a name or shortens the text.
pub fn expand(range: &str, names: &dyn Names, options: &Options) -> Result<Expansion, Error> {
    if range.len() > LENGTH {
        return Err(Error::Length(LENGTH));
    }
    let mut work = Work {
        names,
        options,
        verify: options.verify,
        missed: Vec::new(),
        warnings: Vec::new(),
        source: "",
        excluding: false,
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
        work.source = "site.excludenodes: ";
        work.excluded = work.exclusion(|work| work.range(&plain(&range)))?;
        work.source = "";
        work.verify = options.verify;
        excluded = std::mem::take(&mut work.missed);
    }
    let nodes = work.range(&plain(range))?;
    let mut missed = work.missed;
    missed.append(&mut excluded);
    if nodes.len() > options.max_nodes {
        return Err(Error::TooMany(options.max_nodes));
    }
    Ok(Expansion {
        nodes,
        missed,
        warnings: work.warnings,
    })
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
    /// What is being expanded will be taken out of something.
    pub(crate) excluding: bool,
    pub(crate) excluded: BTreeSet<String>,
    pub(crate) depth: usize,
    warnings: Vec<Warning>,
    /// Said before each part, if it is not the caller's range.
    source: &'static str,
    made: usize,
    bytes: usize,
}

impl Work<'_> {
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

    /// Goes one level deeper: parentheses, brackets in brackets' results.
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

    /// Expands what will be taken out.
    pub(crate) fn exclusion<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let before = std::mem::replace(&mut self.excluding, true);
        let result = work(self);
        self.excluding = before;
        result
    }

    /// Notes an accident in `part`; when strict, that is an error.
    pub(crate) fn warn(&mut self, part: &str, accident: Accident) -> Result<(), Error> {
        let warning = Warning::new(&format!("{}{part}", self.source), accident);
        if self.options.strict {
            return Err(Error::Strict(warning));
        }
        if self.warnings.len() < WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        Ok(())
    }
}
