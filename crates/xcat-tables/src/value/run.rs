//! Computing an expression as Perl does under `use integer`.

use super::Stop;
use super::functions;
use super::parse::{Expr, Piece, parse};

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Undefined,
    Integer(i64),
    Float(f64),
    Text(String),
}

/// Elements of a list, and bytes of a text.
const LIMIT: usize = 64 << 10;

/// A program, ready to be run for any number of nodes.
#[derive(Debug)]
pub(crate) struct Program {
    text: String,
    expr: Expr,
}

impl Program {
    pub(crate) fn new(text: &str) -> Result<Program, Stop> {
        Ok(Program {
            text: text.into(),
            expr: parse(text)?,
        })
    }

    /// Runs it; `captures` are `$1`, `$2` and so on.
    pub(crate) fn run(&self, captures: &[Option<String>]) -> Result<String, Stop> {
        let program = &self.text;
        Ok(Run { program, captures }.scalar(&self.expr)?.text())
    }
}

struct Run<'a> {
    program: &'a str,
    captures: &'a [Option<String>],
}

impl Run<'_> {
    fn unsupported(&self) -> Stop {
        Stop::Unsupported(self.program.to_string())
    }

    fn capture(&self, number: usize) -> Value {
        match self.captures.get(number.wrapping_sub(1)) {
            Some(Some(text)) => Value::Text(text.clone()),
            _ => Value::Undefined,
        }
    }

    fn scalar(&self, expr: &Expr) -> Result<Value, Stop> {
        match expr {
            Expr::Integer(number) => Ok(Value::Integer(*number)),
            Expr::Float(number) => Ok(Value::Float(*number)),
            Expr::Capture(number) => Ok(self.capture(*number)),
            Expr::Text(pieces) => Ok(Value::Text(self.joined(pieces))),
            Expr::Foreign(_) => Err(self.unsupported()),
            Expr::Choice(condition, yes, no) => {
                let chosen = if self.scalar(condition)?.is_true() {
                    yes
                } else {
                    no
                };
                self.scalar(chosen)
            }
            // The comma's value is its last; the others count for their errors.
            Expr::List(items) => items
                .iter()
                .try_fold(Value::Undefined, |_, item| self.scalar(item)),
            Expr::Unary(operator, operand) => Ok(unary(operator, self.scalar(operand)?)),
            Expr::Binary(operator, left, right) => self.binary(operator, left, right),
            Expr::Call(name, arguments) => {
                let mut values = Vec::new();
                for argument in arguments {
                    self.list(argument, &mut values)?;
                }
                functions::call(name, &values)?.ok_or_else(|| self.unsupported())
            }
        }
    }

    /// An argument: a range or a list is all of its values.
    fn list(&self, expr: &Expr, values: &mut Vec<Value>) -> Result<(), Stop> {
        match expr {
            Expr::List(items) => {
                for item in items {
                    self.list(item, values)?;
                }
            }
            Expr::Binary("..", from, to) => {
                let (from, to) = (self.scalar(from)?.integer(), self.scalar(to)?.integer());
                if to.saturating_sub(from) > LIMIT as i64 {
                    return Err(self.unsupported());
                }
                values.extend((from..=to).map(Value::Integer));
            }
            other => values.push(self.scalar(other)?),
        }
        Ok(())
    }

    fn joined(&self, pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Capture(number) => self.capture(*number).text(),
        };
        pieces.iter().map(text).collect()
    }

    fn binary(&self, operator: &str, left: &Expr, right: &Expr) -> Result<Value, Stop> {
        let first = self.scalar(left)?;
        // These look at their right side only if they must.
        match operator {
            "&&" | "and" => {
                return if first.is_true() {
                    self.scalar(right)
                } else {
                    Ok(first)
                };
            }
            "||" | "or" => {
                return if first.is_true() {
                    Ok(first)
                } else {
                    self.scalar(right)
                };
            }
            "//" => {
                return if first == Value::Undefined {
                    self.scalar(right)
                } else {
                    Ok(first)
                };
            }
            _ => {}
        }
        let second = self.scalar(right)?;
        let (a, b) = (first.integer(), second.integer());
        let integer = |number: i64| Ok(Value::Integer(number));
        match operator {
            "+" => integer(a.wrapping_add(b)),
            "-" => integer(a.wrapping_sub(b)),
            "*" => integer(a.wrapping_mul(b)),
            "/" | "%" if b == 0 => Err(Stop::Error),
            "/" => integer(a.wrapping_div(b)),
            "%" => integer(a.wrapping_rem(b)),
            "**" => self.power(&first, &second),
            "<<" => integer(shifted(a, b)),
            ">>" => integer(shifted(a, b.saturating_neg())),
            "&" | "|" | "^" if first.is_text() && second.is_text() => Err(self.unsupported()),
            "&" => integer(a & b),
            "|" => integer(a | b),
            "^" => integer(a ^ b),
            "==" => Ok(truth(a == b)),
            "!=" => Ok(truth(a != b)),
            "<" => Ok(truth(a < b)),
            ">" => Ok(truth(a > b)),
            "<=" => Ok(truth(a <= b)),
            ">=" => Ok(truth(a >= b)),
            "<=>" => integer(a.cmp(&b) as i64),
            "xor" => Ok(truth(first.is_true() != second.is_true())),
            "." => self.limited(first.text() + &second.text()),
            "x" => {
                let text = first.text();
                let times = usize::try_from(b).unwrap_or(0);
                if text.len().saturating_mul(times) > LIMIT || matches!(left, Expr::List(_)) {
                    return Err(self.unsupported());
                }
                Ok(Value::Text(text.repeat(times)))
            }
            _ => {
                let order = first.text().as_bytes().cmp(second.text().as_bytes());
                match operator {
                    "eq" => Ok(truth(order.is_eq())),
                    "ne" => Ok(truth(order.is_ne())),
                    "lt" => Ok(truth(order.is_lt())),
                    "gt" => Ok(truth(order.is_gt())),
                    "le" => Ok(truth(order.is_le())),
                    "ge" => Ok(truth(order.is_ge())),
                    "cmp" => integer(order as i64),
                    // `..` outside of a list remembers its state from call to call.
                    _ => Err(self.unsupported()),
                }
            }
        }
    }

    /// Not an integer operation in Perl; whole powers of whole numbers are the same all the same.
    fn power(&self, base: &Value, exponent: &Value) -> Result<Value, Stop> {
        let whole = !matches!(base, Value::Float(_)) && !matches!(exponent, Value::Float(_));
        let power = u32::try_from(exponent.integer()).ok();
        power
            .filter(|_| whole)
            .and_then(|power| base.integer().checked_pow(power))
            .map(Value::Integer)
            .ok_or_else(|| self.unsupported())
    }

    fn limited(&self, text: String) -> Result<Value, Stop> {
        if text.len() > LIMIT {
            return Err(self.unsupported());
        }
        Ok(Value::Text(text))
    }
}

fn unary(operator: &str, value: Value) -> Value {
    match operator {
        "!" => truth(!value.is_true()),
        "~" => Value::Integer(!value.integer()),
        "+" => value,
        // Of a word it is the word with a minus in front.
        _ => match &value {
            Value::Text(text)
                if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') =>
            {
                Value::Text(format!("-{text}"))
            }
            other => Value::Integer(other.integer().wrapping_neg()),
        },
    }
}

fn shifted(number: i64, left: i64) -> i64 {
    match left {
        0..=63 => number.wrapping_shl(left as u32),
        -63..=-1 => number >> left.unsigned_abs(),
        64.. => 0,
        _ => number >> 63,
    }
}

fn truth(holds: bool) -> Value {
    if holds {
        Value::Integer(1)
    } else {
        Value::Text(String::new())
    }
}

impl Value {
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Undefined => String::new(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        }
    }

    /// As a whole number: what stands at the beginning of a text, cut at the point.
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Value::Undefined => 0,
            Value::Integer(number) => *number,
            Value::Float(number) => *number as i64,
            Value::Text(text) => leading_integer(text),
        }
    }

    fn is_true(&self) -> bool {
        !matches!(self.text().as_str(), "" | "0")
    }

    fn is_text(&self) -> bool {
        matches!(self, Value::Text(_))
    }
}

fn leading_integer(text: &str) -> i64 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0_i64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'))
        });
    if negative { -number } else { number }
}
