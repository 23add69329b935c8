//! From what a user types to nodes.

use std::collections::HashSet;
use std::io::Read;

use noderange::{Expansion, Names, Options, Warning};

use crate::{Error, NodeCondition, NodeNames, Tables};

/// Bytes of names on standard input.
const LIMIT: u64 = 16 << 20;

impl Tables {
    /// The nodes and groups, for any number of ranges.
    pub fn names(&self) -> Result<NodeNames, Error> {
        NodeNames::read(self)
    }

    /// Expands a range; `site.excludenodes` is honoured as `options` say.
    pub fn expand(&self, range: &str, options: &Options) -> Result<Expansion, Error> {
        Ok(noderange::expand(range, &self.names()?, options)?)
    }

    /// As [`Tables::expand`], where `-` stands for the names that `input` holds, one or more ranges
    /// a line. `input` is touched in no other case.
    pub fn expand_or_read(
        &self,
        range: &str,
        input: &mut dyn Read,
        options: &Options,
    ) -> Result<Expansion, Error> {
        if range != "-" {
            return self.expand(range, options);
        }
        self.expand(&listed(input)?, options)
    }

    /// Those of `nodes` that fulfil all of these conditions.
    pub fn fulfilling(
        &self,
        mut nodes: Vec<String>,
        conditions: &[NodeCondition],
    ) -> Result<Vec<String>, Error> {
        if conditions.is_empty() {
            return Ok(nodes);
        }
        let names = self.names()?;
        for condition in conditions {
            let text = condition.attribute.as_str();
            let fit = names
                .select(text, condition.op, &condition.value)
                .map_err(noderange::Error::Tables)?
                .ok_or_else(|| Error::Condition(text.into(), "no such attribute".into()))?;
            let fit: HashSet<String> = fit.into_iter().collect();
            nodes.retain(|node| fit.contains(node));
        }
        Ok(nodes)
    }

    /// The nodes of a range, sorted; `-` reads names from `input`. Any name that is no node is an
    /// error, as xCAT's daemon has it: nothing is done for the others either. What the range means by
    /// accident goes to `warn`, or is an error if `strict`.
    pub fn select(
        &self,
        range: &str,
        input: &mut dyn Read,
        strict: bool,
        warn: &mut dyn FnMut(&Warning),
    ) -> Result<Vec<String>, Error> {
        let options = Options {
            strict,
            ..Options::default()
        };
        let found = self.expand_or_read(range, input, &options)?;
        found.warnings.iter().for_each(warn);
        if !found.missed.is_empty() {
            return Err(Error::Missed(found.missed));
        }
        Ok(found.nodes.into_iter().collect())
    }
}

/// The names of a range, no table read: each is taken as it stands, a group like any other. `-` as
/// for [`Tables::expand_or_read`].
pub fn expand_unverified(
    range: &str,
    input: &mut dyn Read,
    strict: bool,
) -> Result<Expansion, Error> {
    let options = Options {
        verify: false,
        strict,
        ..Options::default()
    };
    let read = if range == "-" {
        Some(listed(input)?)
    } else {
        None
    };
    let range = read.as_deref().unwrap_or(range);
    Ok(noderange::expand(range, &noderange::Nothing, &options)?)
}

/// Names as other programs print them, one a line: a range that joins them.
fn listed(input: &mut dyn Read) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let subject = "standard input";
    input
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file(subject))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::file(subject)(
            std::io::ErrorKind::FileTooLarge.into(),
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::file(subject)(std::io::ErrorKind::InvalidData.into()))?;
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Ok(lines.join(","))
}
