//! Conditions of `dump -w`, as tabdump has them: comparisons of text (spec xcat-tables section 7).

use std::cmp::Ordering;

/// `column op value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    column: String,
    op: Op,
    value: String,
}

/// What is wrong with a filter; the texts are tabdump's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Not `column op value` with an operator that is known.
    #[error("Unsupported operator:{0} on -w flag input")]
    Operator(String),
    /// The table has no such column.
    #[error("No column \"{column}\" in table \"{table}\"")]
    Column {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// The last rows were asked for, and nothing numbers the rows.
    #[error("{0}: its rows have no numbers; those of auditlog and eventlog have")]
    NotNumbered(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Like,
    NotLike,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer ones first: `<=` begins as `<` does.
const OPERATORS: [(&str, Op); 8] = [
    ("==", Op::Equal),
    ("!=", Op::NotEqual),
    ("=~", Op::Like),
    ("!~", Op::NotLike),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    ("<", Op::Less),
    (">", Op::Greater),
];

impl Filter {
    /// Understands `column==value` and, in the place of `==`, `!=`, `=~`, `!~`, `<`, `<=`, `>`, `>=`.
    /// `=~` compares as SQL's LIKE does: `%` is any text, `_` any character, ASCII letters in either
    /// case, and the whole value has to fit. One slash at each end of its text is taken away.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let unsupported = || FilterError::Operator(text.into());
        let at = text.find(['=', '!', '<', '>']).ok_or_else(unsupported)?;
        let (column, rest) = text.split_at(at);
        let (op, value) = OPERATORS
            .iter()
            .find_map(|(sign, op)| Some((*op, rest.strip_prefix(sign)?)))
            .ok_or_else(unsupported)?;
        let value = match op {
            Op::Like | Op::NotLike => {
                let value = value.strip_prefix('/').unwrap_or(value);
                value.strip_suffix('/').unwrap_or(value)
            }
            _ => value,
        };
        Ok(Filter {
            column: column.into(),
            op,
            value: value.into(),
        })
    }

    /// Rows whose number is higher.
    pub(crate) fn numbered_after(column: &str, number: i64) -> Filter {
        Filter {
            column: column.into(),
            op: Op::Greater,
            value: number.to_string(),
        }
    }

    /// The column that it looks at.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// True if a stored value fits; NULL never does. Values that the database numbers are compared
    /// as numbers, all others as text, byte by byte.
    pub fn holds(&self, value: Option<&[u8]>, numbered: bool) -> bool {
        let Some(value) = value else { return false };
        let order = || self.order(value, numbered);
        match self.op {
            Op::Equal => order() == Ordering::Equal,
            Op::NotEqual => order() != Ordering::Equal,
            Op::Less => order() == Ordering::Less,
            Op::LessOrEqual => order() != Ordering::Greater,
            Op::Greater => order() == Ordering::Greater,
            Op::GreaterOrEqual => order() != Ordering::Less,
            Op::Like => like(&self.value, &String::from_utf8_lossy(value)),
            Op::NotLike => !like(&self.value, &String::from_utf8_lossy(value)),
        }
    }

    fn order(&self, value: &[u8], numbered: bool) -> Ordering {
        let number = |text: &str| text.trim().parse::<i64>().ok();
        if numbered && let Some(mine) = std::str::from_utf8(value).ok().and_then(number) {
            // A number is less than any text.
            return number(&self.value).map_or(Ordering::Less, |wanted| mine.cmp(&wanted));
        }
        value.cmp(self.value.as_bytes())
    }
}

/// SQL's LIKE. Only the last `%` is ever tried again: time is bounded by the product of the lengths.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `%` stands, and up to where the text is taken by it.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    p = star + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn holds(filter: &str, value: &str) -> bool {
        Filter::parse(filter)
            .unwrap()
            .holds(Some(value.as_bytes()), false)
    }

    #[test]
    fn patterns_are_those_of_sql() {
        for (pattern, text) in [
            ("%", ""),
            ("a%", "A"),
            ("%a", "ba"),
            ("%a%b%", "xaxbx"),
            ("_", "\u{e9}"),
            ("%ab", "aab"),
            ("/x%/", "xy"),
        ] {
            assert!(holds(&format!("c=~{pattern}"), text), "{pattern} {text}");
            assert!(!holds(&format!("c!~{pattern}"), text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("_", ""),
            ("a", "ab"),
            ("%b", "ba"),
            ("\u{c9}", "\u{e9}"),
        ] {
            assert!(!holds(&format!("c=~{pattern}"), text), "{pattern} {text}");
        }
    }

    #[test]
    fn numbers_of_the_database_are_numbers() {
        let filter = Filter::parse("recid>9").unwrap();
        assert!(filter.holds(Some(b"10"), true));
        assert!(!filter.holds(Some(b"10"), false));
        assert!(Filter::parse("recid<x").unwrap().holds(Some(b"10"), true));
    }

    #[test]
    fn null_fits_nothing() {
        for op in ["==", "!=", "=~", "!~", "<", "<=", ">", ">="] {
            let filter = Filter::parse(&format!("c{op}")).unwrap();
            assert!(!filter.holds(None, false), "{op}");
        }
        assert!(Filter::parse("c=x").is_err() && Filter::parse("c").is_err());
    }
}
