//! What chtab and nodech take as arguments: assignments, and conditions on nodes.

use noderange::Op;

/// A column of a table of nodes: `table.column`, or one of xCAT's short names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnName {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// A new value for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Where.
    pub name: ColumnName,
    /// What becomes of the present value.
    pub how: How,
    /// The value, or items separated by commas.
    pub value: String,
}

/// What an assignment does with the present value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `=`: replaces it.
    Replace,
    /// `=NULL`: takes it away.
    Clear,
    /// `+=`: puts items behind it that it does not have.
    Append,
    /// `,=`: puts items before it that it does not have, the last one first, as nodech does.
    Front,
    /// `^=`: takes items out.
    Remove,
}

/// A condition that nodes have to fulfil: `mgt==ipmi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCondition {
    /// `table.column`, or a short name.
    pub attribute: String,
    /// How the values compare.
    pub op: Op,
    /// With what.
    pub value: String,
}

/// An argument of nodech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A new value.
    Assignment(Assignment),
    /// Which nodes.
    Condition(NodeCondition),
}

impl ColumnName {
    /// Understands `table.column`, `groups`, `tags` and `mgt`.
    pub fn parse(text: &str) -> Option<ColumnName> {
        let (table, column) = match text {
            "groups" | "tags" => ("nodelist", "groups"),
            "mgt" => ("nodehm", "mgt"),
            other => other.split_once('.')?,
        };
        (!table.is_empty() && !column.is_empty()).then(|| ColumnName {
            table: table.into(),
            column: column.into(),
        })
    }
}

impl How {
    /// True if the present value counts: items are put into it or taken out.
    pub fn extends(self) -> bool {
        matches!(self, How::Append | How::Front | How::Remove)
    }
}

impl std::fmt::Display for ColumnName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl Word {
    /// Understands `table.column` with `=`, `+=`, `,=`, `^=` (assignments; `=NULL` is no value, and
    /// after `=` one `@` is taken away and what follows is the value, whatever it is) or `==`, `!=`,
    /// `=~`, `!~` (conditions).
    pub fn parse(text: &str) -> Option<Word> {
        let at = text.find(['=', '!', '+', ',', '^'])?;
        let (name, rest) = text.split_at(at);
        let condition = |sign: &str, op| {
            let value = rest.strip_prefix(sign)?.into();
            ColumnName::parse(name)?;
            let attribute = name.into();
            Some(Word::Condition(NodeCondition {
                attribute,
                op,
                value,
            }))
        };
        let assignment = |sign: &str, how| {
            let value: String = rest.strip_prefix(sign)?.into();
            let name = ColumnName::parse(name)?;
            Some(Word::Assignment(Assignment { name, how, value }))
        };
        condition("==", Op::Equal)
            .or_else(|| condition("=~", Op::Match))
            .or_else(|| condition("!=", Op::NotEqual))
            .or_else(|| condition("!~", Op::NotMatch))
            .or_else(|| assignment("+=", How::Append))
            .or_else(|| assignment(",=", How::Front))
            .or_else(|| assignment("^=", How::Remove))
            .or_else(|| assignment("=@", How::Replace))
            .or_else(|| match rest {
                "=NULL" => assignment(rest, How::Clear),
                _ => assignment("=", How::Replace),
            })
    }
}

impl Assignment {
    /// The value that comes of the present one; empty for none. Items of a value that is not there yet
    /// are stored as they were given, repeats and all, as chtab does.
    pub(crate) fn apply(&self, present: Option<&str>) -> String {
        let given = || self.value.split(',');
        let Some(present) = present.filter(|_| self.how.extends()) else {
            return match self.how {
                How::Remove => String::new(),
                _ => self.value.clone(),
            };
        };
        let mut items: Vec<&str> = present.split(',').collect();
        match self.how {
            How::Replace | How::Clear => {}
            How::Append => {
                for item in given() {
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
            }
            How::Front => {
                for item in given() {
                    if !items.contains(&item) {
                        items.insert(0, item);
                    }
                }
            }
            How::Remove => items.retain(|item| !given().any(|gone| gone == *item)),
        }
        items.join(",")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn applied(word: &str, present: Option<&str>) -> String {
        match Word::parse(word).unwrap() {
            Word::Assignment(assignment) => assignment.apply(present),
            Word::Condition(_) => "condition".into(),
        }
    }

    #[test]
    fn items() {
        assert_eq!(applied("groups+=g9,all", Some("all,g1")), "all,g1,g9");
        assert_eq!(applied("t.c+=a,b,a", None), "a,b,a");
        assert_eq!(applied("t.c,=a,b", Some("x")), "b,a,x");
        assert_eq!(applied("t.c^=a,x", Some("x,y,a")), "y");
        assert_eq!(applied("t.c^=a", None), "");
        assert_eq!(applied("t.c=@=x", Some("y")), "=x");
        assert_eq!(applied("t.c=@@x", None), "@x");
        assert_eq!(applied("t.c=a!=b", None), "a!=b");
        assert_eq!(applied("t.c=NULL", Some("x")), "");
        assert_eq!(applied("t.c=@NULL", Some("x")), "NULL");
        assert_eq!(applied("t.c=NULLS", Some("x")), "NULLS");
    }

    #[test]
    fn conditions_and_nonsense() {
        for word in ["mgt==x", "t.c=~^a", "t.c!=x", "t.c!~x", "t.c=="] {
            assert_eq!(applied(word, None), "condition", "{word}");
        }
        for word in ["", "junk", "t.c", "plain=x", ".c=x", "t.=x", "t.c!x", "=x"] {
            assert_eq!(Word::parse(word), None, "{word}");
        }
    }
}
