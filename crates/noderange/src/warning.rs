//! Parts of a range that mean, by accident, what hardly anybody means by them.

use std::fmt;

/// Characters of a part that are shown.
const SHOWN: usize = 80;
/// Names that are shown.
const NAMES: usize = 10;

/// A part of a range, and what xCAT makes of it. The nodes are xCAT's all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The part, as it was written, shortened.
    pub part: String,
    /// What happens.
    pub accident: Accident,
}

/// What loses or adds nodes where xCAT says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accident {
    /// `n5-n1`
    Descending,
    /// `n001-n5`
    LongerFirst,
    /// `n009-n007`, `n01-n005`: counts on to the end of the width.
    NeverReached,
    /// `n1-n005`
    OnlyLastPadded,
    /// `n1:n3:n5`
    ThirdEnd,
    /// `n1+x`, `n1+2+3`
    Steps,
    /// `all@-n1`
    MinusIgnored,
    /// `all,-^file`, `n1@^file`
    FileAdded,
    /// `all,-`, `all@`, `-(n1)`, `all,-()`: an operator with nothing on one side of it.
    Nothing,
    /// `/n1|n2`
    Alternatives,
    /// `nodehm.nosuch==x`
    UnknownAttribute,
    /// `nodehm.mgt===x`
    ThirdEqualsSign,
    /// Names in or before a file that are no nodes; xCAT reports those of its last line only.
    Forgotten(Vec<String>),
    /// A line of a file that names another file.
    FileInFile,
    /// A dynamic group whose conditions cannot be read.
    GroupOfAll,
    /// A dynamic group with a condition on an attribute that no node can have.
    GroupAttribute(String),
    /// A dynamic group with two conditions on one attribute.
    GroupTwice(String),
}

impl Warning {
    pub(crate) fn new(part: &str, accident: Accident) -> Warning {
        let mut shown: String = part.chars().take(SHOWN).collect();
        if shown.len() < part.len() {
            shown.push_str("...");
        }
        Warning {
            part: shown,
            accident,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.accident)
    }
}

impl fmt::Display for Accident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accident::Descending => "names no node: it goes down",
            Accident::LongerFirst => "names no node: its first number is longer than its last",
            Accident::NeverReached => {
                "counts up to the end of its width: it begins with a 0 and does not meet its last number"
            }
            Accident::OnlyLastPadded => "counts without leading zeros: only its last number has some",
            Accident::ThirdEnd => "ends at its second name: a range has two ends",
            Accident::Steps => "counts as far as there are digits: the rest is no number",
            Accident::MinusIgnored => "excludes nothing: behind @ a minus is ignored",
            Accident::FileAdded => "adds its nodes: a file is neither excluded nor intersected",
            Accident::Nothing => {
                "does not do what it says: nothing stands before or behind the - or @ or ^"
            }
            Accident::Alternatives => {
                "also matches names that only begin or only end so: | parts the whole pattern"
            }
            Accident::UnknownAttribute => "names no node: no table has this column",
            Accident::ThirdEqualsSign => "compares with a value that begins with =",
            Accident::Forgotten(names) => return forgotten(f, names),
            Accident::FileInFile => "is skipped: a file cannot name another one",
            Accident::GroupOfAll => "has every node: its wherevals cannot be read",
            Accident::GroupAttribute(name) => {
                return write!(f, "has no node: there is no attribute {name}");
            }
            Accident::GroupTwice(name) => {
                return write!(f, "judges by its last condition on {name} only");
            }
        })
    }
}

fn forgotten(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    let shown = &names[..names.len().min(NAMES)];
    write!(
        f,
        "goes on without names that are no nodes: {}",
        shown.join(",")
    )?;
    match names.len() - shown.len() {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
