//! Values that are expressions (spec xcat-tables section 5): `/pattern/text/` and `|pattern|text|`
//! are applied to the node's name; what stands in parentheses in the latter is computed.

use noderange::pattern::Pattern;

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

/// Evaluates `value` for a node. A value that is no expression is returned as it is; one that
/// evaluates to nothing is the empty string, which is undefined.
pub fn evaluate(value: &str, node: &str) -> Result<String, ValueError> {
    if let Some(inner) = between_slashes(value) {
        let (pattern, text) = inner.split_once('/').unwrap_or((inner, ""));
        return replace_first(pattern, node, text);
    }
    match between_bars(value) {
        Some(inner) => substituted(inner, node),
        None => Ok(value.to_string()),
    }
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

fn substituted(inner: &str, node: &str) -> Result<String, ValueError> {
    let made;
    let (pattern, text) = match inner.split_once('|') {
        Some(parts) => parts,
        None => {
            made = pattern_for(node)?;
            (made.as_str(), inner)
        }
    };
    if text.contains('(') {
        return Err(ValueError::Unsupported(text.to_string()));
    }
    replace_first(pattern, node, text)
}

/// The pattern of `|text|`: one group per number in the node's name, without leading zeros.
fn pattern_for(node: &str) -> Result<String, ValueError> {
    const NUMBER: &str = "[\\D0]*(\\d+)";
    let number = compile(NUMBER)?;
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
fn replace_first(pattern: &str, node: &str, text: &str) -> Result<String, ValueError> {
    if pattern.is_empty() {
        return Ok(node.to_string());
    }
    let Some(range) = compile(pattern)?
        .captures(node)
        .and_then(|found| Some(found.get(0)?.range()))
    else {
        return Ok(node.to_string());
    };
    let bytes = node.as_bytes();
    let parts = [&bytes[..range.start], text.as_bytes(), &bytes[range.end..]];
    Ok(String::from_utf8_lossy(&parts.concat()).into_owned())
}

fn compile(pattern: &str) -> Result<Pattern, ValueError> {
    Pattern::new(pattern).map_err(|error| ValueError::Pattern(error.to_string()))
}
