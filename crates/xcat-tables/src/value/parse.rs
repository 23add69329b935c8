//! The part of Perl's expressions that table values use, as a tree.
//!
//! Two ways to fail: what Perl itself would refuse makes an empty value there and here; what it
//! would accept and we do not understand is said, and no value is made up.

use super::Stop;
use super::literals::capture;
use super::words;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Integer(i64),
    Float(f64),
    /// Text with captures in it.
    Text(Vec<Piece>),
    Capture(usize),
    Call(String, Vec<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    /// Parses, but its value is Perl's own.
    Foreign(String),
}

/// A part of a text in double quotes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Plain(String),
    Capture(usize),
}

/// Binary operators by precedence, loosest first. `>>` stands before `>`: the longest is tried first.
const LEVELS: [&[&str]; 11] = [
    &["or", "xor"],
    &["and"],
    // `not`, the comma and `?:` are handled apart.
    &[".."],
    &["||", "//"],
    &["&&"],
    &["|", "^"],
    &["&"],
    &["==", "!=", "<=>", "eq", "ne", "cmp"],
    &["<=", ">=", "<", ">", "lt", "gt", "le", "ge"],
    &["<<", ">>"],
    &["+", "-", "."],
];
/// The level of `..`: what a comma separates begins here.
const ITEM: usize = 2;
/// Arguments of named unary operators bind tighter than comparison.
pub(crate) const ARGUMENT: usize = 9;
const TIGHT: [&str; 4] = ["*", "/", "%", "x"];
/// Parentheses and operators inside each other.
const DEPTH: usize = 40;

/// Parses a whole program.
pub(crate) fn parse(text: &str) -> Result<Expr, Stop> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let expr = parser.whole()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.unexpected());
    }
    Ok(expr)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    pub(crate) at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn space(&mut self) {
        let rest = self.rest();
        let blank = |c: char| c.is_ascii_whitespace();
        self.at += rest.len() - rest.trim_start_matches(blank).len();
    }

    pub(crate) fn peek(&mut self) -> Option<char> {
        self.space();
        self.rest().chars().next()
    }

    fn eat(&mut self, mark: char) -> bool {
        let there = self.peek() == Some(mark);
        if there {
            self.at += mark.len_utf8();
        }
        there
    }

    pub(crate) fn unsupported(&self) -> Stop {
        Stop::Unsupported(self.text.to_string())
    }

    /// Something stands where an operator or the end should.
    pub(crate) fn unexpected(&mut self) -> Stop {
        let word = word(self.rest());
        let repeats = word.strip_prefix('x').is_some_and(|times| {
            times.is_empty() || times.starts_with(|c: char| c.is_ascii_digit())
        });
        if repeats || words::may_follow_a_term(word) {
            return self.unsupported();
        }
        match self.peek() {
            // A term after a term, a bracket without a partner, a semicolon inside of one.
            Some(c) if c.is_ascii_alphanumeric() || "_$\"'`();".contains(c) => Stop::Error,
            _ => self.unsupported(),
        }
    }

    fn whole(&mut self) -> Result<Expr, Stop> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.unsupported());
        }
        let expr = self.binary(0)?;
        self.depth -= 1;
        Ok(expr)
    }

    pub(crate) fn list(&mut self) -> Result<Expr, Stop> {
        let mut items = vec![self.choice()?];
        let mut comma = false;
        while self.eat(',') {
            comma = true;
            if matches!(self.peek(), None | Some(')')) {
                break;
            }
            items.push(self.choice()?);
        }
        match items.pop() {
            Some(only) if items.is_empty() && !comma => Ok(only),
            Some(last) => {
                items.push(last);
                Ok(Expr::List(items))
            }
            None => Err(Stop::Error),
        }
    }

    fn choice(&mut self) -> Result<Expr, Stop> {
        let condition = self.binary(ITEM)?;
        if !self.eat('?') {
            return Ok(condition);
        }
        let yes = self.choice()?;
        if !self.eat(':') {
            return Err(Stop::Error);
        }
        let no = self.choice()?;
        Ok(Expr::Choice(condition.into(), yes.into(), no.into()))
    }

    pub(crate) fn binary(&mut self, level: usize) -> Result<Expr, Stop> {
        let Some(operators) = LEVELS.get(level) else {
            return self.product();
        };
        let next = |parser: &mut Self| {
            if level + 1 == ITEM {
                parser.negation()
            } else {
                parser.binary(level + 1)
            }
        };
        let mut left = next(self)?;
        while let Some(operator) = self.operator(operators) {
            let right = next(self)?;
            left = Expr::Binary(operator, left.into(), right.into());
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, Stop> {
        self.space();
        if word(self.rest()) == "not" {
            self.at += 3;
            return Ok(Expr::Unary("!", self.negation()?.into()));
        }
        self.list()
    }

    fn product(&mut self) -> Result<Expr, Stop> {
        let mut left = self.sign()?;
        while let Some(operator) = self.operator(&TIGHT) {
            let right = self.sign()?;
            left = Expr::Binary(operator, left.into(), right.into());
        }
        Ok(left)
    }

    /// `!`, `~`, `\` and signs, then `**`, which binds tighter on its left.
    fn sign(&mut self) -> Result<Expr, Stop> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.unsupported());
        }
        let sign = match self.peek() {
            Some('!') => Some("!"),
            Some('~') => Some("~"),
            Some('-') => Some("-"),
            Some('+') => Some("+"),
            Some('\\') => Some("\\"),
            _ => None,
        };
        let expr = match sign {
            Some(sign) => {
                self.at += 1;
                if self.rest().starts_with(sign) && "+-".contains(sign) {
                    return Err(self.unsupported());
                }
                let operand = self.sign()?;
                match sign {
                    "\\" => Expr::Foreign(self.text.into()),
                    sign => Expr::Unary(sign, operand.into()),
                }
            }
            None => {
                let base = self.term()?;
                self.space();
                if self.rest().starts_with("**") && !self.rest().starts_with("**=") {
                    self.at += 2;
                    Expr::Binary("**", base.into(), self.sign()?.into())
                } else {
                    base
                }
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn operator(&mut self, among: &[&'static str]) -> Option<&'static str> {
        self.space();
        let rest = self.rest();
        let found = among.iter().find(|operator| {
            if operator.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return word(rest) == **operator;
            }
            let Some(behind) = rest.strip_prefix(**operator) else {
                return false;
            };
            // Not the beginning of a longer operator, nor of an assignment.
            let longer = match **operator {
                "<" => behind.starts_with(['<', '=']),
                ">" => behind.starts_with(['>', '=']),
                "<=" => behind.starts_with('>'),
                "&" => behind.starts_with(['&', '=']),
                "|" => behind.starts_with(['|', '=']),
                "*" => behind.starts_with(['*', '=']),
                "/" => behind.starts_with(['/', '=']),
                "." => behind.starts_with(['.', '=']),
                ".." => behind.starts_with('.'),
                "==" | "!=" | "<=>" | ">=" => false,
                "-" => behind.starts_with(['-', '=', '>']),
                "+" => behind.starts_with(['+', '=']),
                _ => behind.starts_with('='),
            };
            !longer
        })?;
        self.at += found.len();
        Some(found)
    }

    pub(crate) fn term(&mut self) -> Result<Expr, Stop> {
        let Some(first) = self.peek() else {
            return Err(Stop::Error);
        };
        match first {
            '(' => {
                self.at += 1;
                self.closed()
            }
            '"' => self.interpolated(),
            '\'' => self.literal(),
            '$' => self.variable(),
            '`' => Err(Stop::Error),
            c if c.is_ascii_digit() => self.number(),
            c if c.is_ascii_alphabetic() || c == '_' => self.word(),
            ')' | ',' | ';' | '?' | ':' | '*' | '|' | '^' | '=' => Err(Stop::Error),
            _ => Err(self.unsupported()),
        }
    }

    /// What stands before the next closing parenthesis.
    fn closed(&mut self) -> Result<Expr, Stop> {
        if self.eat(')') {
            return Ok(Expr::List(Vec::new()));
        }
        let inside = self.whole()?;
        if self.eat(')') {
            return Ok(inside);
        }
        Err(match self.peek() {
            None => Stop::Error,
            Some(_) => self.unexpected(),
        })
    }

    fn variable(&mut self) -> Result<Expr, Stop> {
        let (number, length) = capture(self.rest()).ok_or_else(|| self.unsupported())?;
        self.at += length;
        Ok(Expr::Capture(number))
    }
}

/// The word that a text begins with; nothing if it begins with none.
pub(crate) fn word(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}
