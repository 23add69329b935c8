//! What a range asks of the tables.

use crate::Accident;

/// A comparison in a selection such as `nodehm.mgt=~ipmi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `==` or `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: a pattern, found anywhere
    Match,
    /// `!~`
    NotMatch,
}

/// The nodes and groups that exist. Errors are texts: whoever implements this has said in them which
/// table could not be read.
pub trait Names {
    /// True if a node of that name exists and is enabled.
    fn is_node(&self, name: &str) -> bool;

    /// All nodes, in the order of the table.
    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// The members of a group, dynamic ones before static ones; none if there is no such group.
    fn group(&self, name: &str) -> Result<Option<Vec<String>>, String>;

    /// What is doubtful in the definition of a group that has just been asked for.
    fn doubts(&self, group: &str) -> Vec<Accident> {
        let _ = group;
        Vec::new()
    }

    /// The nodes for which `attribute` (`table.column` or a short name) compares so with `value`;
    /// none if there is no such attribute.
    fn select(&self, attribute: &str, op: Op, value: &str) -> Result<Option<Vec<String>>, String>;

    /// The range of nodes that nothing may be done to (`site.excludenodes`).
    fn excluded(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// No nodes, no groups: with [`Options::verify`](crate::Options) off, names are only texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Names for Nothing {
    fn is_node(&self, _: &str) -> bool {
        false
    }

    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(std::iter::empty())
    }

    fn group(&self, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }

    fn select(&self, _: &str, _: Op, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}
