//! Values that are expressions (spec xcat-tables section 5): `/pattern/text/` and `|pattern|text|`
//! are applied to the node's name; what stands in parentheses in the latter is computed.

mod functions;
mod literals;
mod parse;
mod run;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use noderange::pattern::Pattern;

use run::Program;

/// Why a value could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The pattern is none, or uses what only Perl's engine has.
    #[error("{0}")]
    Pattern(String),
    /// The program uses more of Perl than is understood here. Perl's answer may be any text, so
    /// none is given.
    #[error("expression {0}: not understood")]
    Unsupported(String),
}

/// Why a program has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Perl refuses it as well: the value is empty there and here.
    Error,
    /// More of Perl than is understood here.
    Unsupported(String),
}

/// Programs in one value, and rounds of evaluating what came out of them.
const ROUNDS: usize = 100;

/// Evaluates `value` for a node. A value that is no expression is returned as it is; one that
/// evaluates to nothing is the empty string, which is undefined.
pub fn evaluate(value: &str, node: &str) -> Result<String, ValueError> {
    Evaluator::default().evaluate(value, node)
}

/// Evaluates one table's values for many nodes: a pattern is compiled once, not once per node.
#[derive(Debug, Default)]
pub(crate) struct Evaluator {
    patterns: RefCell<HashMap<String, Rc<Pattern>>>,
    programs: RefCell<HashMap<String, Rc<Program>>>,
}

/// Patterns, and programs, that are kept; `|text|` makes one for each number of numbers in names.
const KEPT: usize = 256;

impl Evaluator {
    /// See [`evaluate`].
    pub(crate) fn evaluate(&self, value: &str, node: &str) -> Result<String, ValueError> {
        if let Some(inner) = between_slashes(value) {
            let (pattern, text) = inner.split_once('/').unwrap_or((inner, ""));
            return self.replaced(pattern, node, text);
        }
        match between_bars(value) {
            Some(inner) => self.substituted(inner, node),
            None => Ok(value.to_string()),
        }
    }

    fn substituted(&self, inner: &str, node: &str) -> Result<String, ValueError> {
        let made;
        let (pattern, text) = match inner.split_once('|') {
            Some(parts) => parts,
            None => {
                made = self.pattern_for(node)?;
                (made.as_str(), inner)
            }
        };
        if parenthesis(text).is_none() || pattern.is_empty() {
            return self.replaced(pattern, node, text);
        }
        let compiled = self.compiled(pattern)?;
        let Some(found) = compiled.captures(node) else {
            return Ok(node.to_string());
        };
        let Some(whole) = found.get(0).map(|all| all.range()) else {
            return Ok(node.to_string());
        };
        let bytes = |at: usize| found.get(at).map(|group| group.as_bytes());
        let captures: Vec<Option<String>> = (1..found.len())
            .map(|at| bytes(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
            .collect();
        let text = computed(text, |group| {
            // xCAT runs what the name becomes with the group in it, the rest of the name included.
            match self.run(&spliced(node, &whole, group), &captures) {
                Ok(value) => Ok(value),
                Err(Stop::Error) => Ok(String::new()),
                Err(Stop::Unsupported(program)) => Err(ValueError::Unsupported(program)),
            }
        })?;
        Ok(spliced(node, &whole, &text))
    }

    /// The pattern of `|text|`: one group per number in the node's name, without leading zeros.
    fn pattern_for(&self, node: &str) -> Result<String, ValueError> {
        const NUMBER: &str = "[\\D0]*(\\d+)";
        let number = self.compiled(NUMBER)?;
        let mut count = 0;
        let mut rest = node;
        while let Some(found) = number.captures(rest) {
            count += 1;
            let end = found.get(0).map_or(rest.len(), |all| all.end());
            // A digit ends every match, so this is a boundary of characters.
            rest = rest.get(end..).unwrap_or_default();
        }
        Ok(NUMBER.repeat(count) + ".*$")
    }

    /// The node's name with the first match replaced by `text`, literally. An empty pattern is Perl's
    /// "the last one again", which here is none.
    fn replaced(&self, pattern: &str, node: &str, text: &str) -> Result<String, ValueError> {
        if pattern.is_empty() {
            return Ok(node.to_string());
        }
        let pattern = self.compiled(pattern)?;
        let found = pattern.captures(node);
        let range = found.and_then(|found| Some(found.get(0)?.range()));
        Ok(match range {
            Some(range) => spliced(node, &range, text),
            None => node.to_string(),
        })
    }

    fn run(&self, program: &str, captures: &[Option<String>]) -> Result<String, Stop> {
        let mut programs = self.programs.borrow_mut();
        if let Some(program) = programs.get(program) {
            return program.run(captures);
        }
        let made = Rc::new(Program::new(program)?);
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(program.to_string(), made.clone());
        made.run(captures)
    }

    fn compiled(&self, pattern: &str) -> Result<Rc<Pattern>, ValueError> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some(found) = patterns.get(pattern) {
            return Ok(found.clone());
        }
        let made = Pattern::new(pattern).map_err(|error| ValueError::Pattern(error.to_string()))?;
        if patterns.len() >= KEPT {
            patterns.clear();
        }
        let made = Rc::new(made);
        patterns.insert(pattern.to_string(), made.clone());
        Ok(made)
    }
}

fn spliced(node: &str, range: &std::ops::Range<usize>, text: &str) -> String {
    let bytes = node.as_bytes();
    let parts = [&bytes[..range.start], text.as_bytes(), &bytes[range.end..]];
    String::from_utf8_lossy(&parts.concat()).into_owned()
}

/// The inside of a value with exactly three slashes, two of them at its ends. Before a trailing
/// newline Perl still sees the end, but it is the newline that it cuts off.
fn between_slashes(value: &str) -> Option<&str> {
    let line = value.strip_suffix('\n').unwrap_or(value);
    let inner = line.strip_prefix('/')?.strip_suffix('/')?;
    (inner.matches('/').count() == 1).then(|| inside(value))
}

fn between_bars(value: &str) -> Option<&str> {
    let line = value.strip_suffix('\n').unwrap_or(value);
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    (!inner.contains('\n')).then(|| inside(value))
}

fn inside(value: &str) -> &str {
    value.get(1..value.len() - 1).unwrap_or_default()
}

/// Replaces each outermost pair of parentheses, from the left, by what its program gives.
fn computed(
    text: &str,
    run: impl Fn(&str) -> Result<String, ValueError>,
) -> Result<String, ValueError> {
    let mut text = text.to_string();
    for _ in 0..ROUNDS {
        let Some(range) = parenthesis(&text) else {
            return Ok(text);
        };
        let value = run(&text[range.clone()])?;
        text.replace_range(range, &value);
    }
    Err(ValueError::Unsupported(text))
}

/// The first pair of parentheses, if nothing unbalanced stands before it.
fn parenthesis(text: &str) -> Option<std::ops::Range<usize>> {
    let (before, _, behind) = noderange::parenthesis(text)?.ok()?;
    Some(before.len()..text.len() - behind.len())
}
