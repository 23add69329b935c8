//! The part of Perl's expressions that table values use, as a tree.
//!
//! Two ways to fail: what Perl itself would refuse makes an empty value there and here; what it
//! would accept and we do not understand is said, and no value is made up.

use super::Stop;

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
const ARGUMENT: usize = 9;
const TIGHT: [&str; 4] = ["*", "/", "%", "x"];
/// Parentheses and operators inside each other.
const DEPTH: usize = 40;

/// Operators that take one argument, with or without parentheses.
const NAMED_UNARY: [&str; 11] = [
    "int", "abs", "length", "ord", "chr", "hex", "oct", "uc", "lc", "ucfirst", "lcfirst",
];
/// Functions that take a list; the last six are xCAT's own.
const LISTS: [&str; 11] = [
    "sprintf", "join", "substr", "index", "rindex", "mknum", "a2idx", "a2zidx", "dim2idx", "skip",
    "ipadd",
];
/// What xCAT's compartment refuses.
const REFUSED: [&str; 12] = [
    "time",
    "system",
    "exec",
    "fork",
    "kill",
    "sleep",
    "unlink",
    "rename",
    "open",
    "exit",
    "localtime",
    "gmtime",
];
/// Words that mean something to Perl, and nothing here.
const PERL: [&str; 60] = [
    "and", "atan2", "bless", "chomp", "chop", "cmp", "cos", "defined", "delete", "die", "do",
    "each", "else", "elsif", "eq", "eval", "exists", "exp", "for", "foreach", "ge", "grep", "gt",
    "if", "isa", "keys", "last", "lc", "le", "local", "log", "lt", "m", "map", "my", "ne", "next",
    "no", "not", "or", "our", "pack", "pop", "print", "printf", "push", "q", "qq", "qr", "rand",
    "ref", "return", "reverse", "s", "sort", "split", "tr", "unpack", "y", "x",
];
const MORE_PERL: [&str; 22] = [
    "scalar",
    "shift",
    "sin",
    "splice",
    "sqrt",
    "srand",
    "study",
    "sub",
    "tie",
    "undef",
    "unless",
    "unshift",
    "until",
    "use",
    "values",
    "vec",
    "wantarray",
    "while",
    "xor",
    "lcfirst",
    "pos",
    "quotemeta",
];

/// Words that may follow a term: operators and the modifiers of statements.
const AFTER_A_TERM: [&str; 18] = [
    "and", "cmp", "eq", "for", "foreach", "ge", "gt", "if", "isa", "le", "lt", "ne", "or",
    "unless", "until", "when", "while", "xor",
];

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

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        let blank = |c: char| c.is_ascii_whitespace();
        self.at += rest.len() - rest.trim_start_matches(blank).len();
    }

    fn peek(&mut self) -> Option<char> {
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

    fn unsupported(&self) -> Stop {
        Stop::Unsupported(self.text.to_string())
    }

    /// Something stands where an operator or the end should.
    fn unexpected(&mut self) -> Stop {
        let word = word(self.rest());
        let repeats = word.strip_prefix('x').is_some_and(|times| {
            times.is_empty() || times.starts_with(|c: char| c.is_ascii_digit())
        });
        if repeats || AFTER_A_TERM.contains(&word) {
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

    fn list(&mut self) -> Result<Expr, Stop> {
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

    fn binary(&mut self, level: usize) -> Result<Expr, Stop> {
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

    fn term(&mut self) -> Result<Expr, Stop> {
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

    fn number(&mut self) -> Result<Expr, Stop> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        // In `1x3` the number ends before the operator.
        let digits = rest[..length].find(|c: char| !c.is_ascii_digit() && c != '_');
        let (digits, tail) = rest[..length].split_at(digits.unwrap_or(length));
        let plain = digits.replace('_', "");
        self.at += digits.len();
        if plain == "0" && tail.starts_with(['x', 'X', 'b', 'B']) {
            let radix = if tail.starts_with(['x', 'X']) { 16 } else { 2 };
            self.at += tail.len();
            return i64::from_str_radix(&tail[1..].replace('_', ""), radix)
                .map(Expr::Integer)
                .map_err(|_| self.unsupported());
        }
        if tail.starts_with(['e', 'E']) {
            return Err(self.unsupported());
        }
        let behind = self.rest();
        if behind.starts_with('.') && behind[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let fraction = &behind[1..];
            let end = fraction
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(fraction.len());
            self.at += 1 + end;
            // Two dots make a version string; an exponent may follow.
            let more = &self.rest();
            if more.starts_with(['e', 'E', '_'])
                || (more.starts_with('.') && !more.starts_with(".."))
            {
                return Err(self.unsupported());
            }
            return format!("{plain}.{}", &fraction[..end])
                .parse()
                .map(Expr::Float)
                .map_err(|_| self.unsupported());
        }
        if plain.len() > 1 && plain.starts_with('0') {
            // An octal number; 8 and 9 in it are Perl's error.
            if plain.contains(['8', '9']) {
                return Err(Stop::Error);
            }
            return i64::from_str_radix(&plain, 8)
                .map(Expr::Integer)
                .map_err(|_| self.unsupported());
        }
        plain
            .parse()
            .map(Expr::Integer)
            .map_err(|_| self.unsupported())
    }

    fn literal(&mut self) -> Result<Expr, Stop> {
        let mut text = String::new();
        let mut chars = self.rest()[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.at += at + 2;
                    return Ok(Expr::Text(vec![Piece::Plain(text)]));
                }
                '\\' => match chars.next() {
                    Some((_, next @ ('\\' | '\''))) => text.push(next),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => return Err(Stop::Error),
                },
                c => text.push(c),
            }
        }
        Err(Stop::Error)
    }

    fn interpolated(&mut self) -> Result<Expr, Stop> {
        self.at += 1;
        let (mut pieces, mut text) = (Vec::new(), String::new());
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return Err(Stop::Error);
            };
            match c {
                '"' => {
                    self.at += 1;
                    pieces.push(Piece::Plain(text));
                    return Ok(Expr::Text(pieces));
                }
                '\\' => {
                    let escaped = match rest[1..].chars().next() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some(next) if next.is_ascii_punctuation() => next,
                        _ => return Err(self.unsupported()),
                    };
                    text.push(escaped);
                    self.at += 2;
                }
                '$' => {
                    let (number, length) = capture(rest).ok_or_else(|| self.unsupported())?;
                    pieces.push(Piece::Plain(std::mem::take(&mut text)));
                    pieces.push(Piece::Capture(number));
                    self.at += length;
                }
                '@' => return Err(self.unsupported()),
                c => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn word(&mut self) -> Result<Expr, Stop> {
        let name = word(self.rest());
        self.at += name.len();
        if self.rest().starts_with("::") || self.rest().starts_with('\'') {
            return Err(self.unsupported());
        }
        let called = self.peek() == Some('(');
        if self.rest().starts_with("=>") {
            return Err(self.unsupported());
        }
        if name == "qw" && called {
            return self.words();
        }
        if name == "undef" && !called {
            return Ok(Expr::List(Vec::new()));
        }
        if REFUSED.contains(&name) {
            return Err(Stop::Error);
        }
        if NAMED_UNARY.contains(&name) {
            if !called && matches!(self.peek(), None | Some(')' | ',' | '?' | ':')) {
                // Without an argument it takes `$_`.
                return Err(self.unsupported());
            }
            let argument = if called {
                self.term()?
            } else {
                self.binary(ARGUMENT)?
            };
            return Ok(Expr::Call(name.into(), vec![argument]));
        }
        if LISTS.contains(&name) {
            if !called && name != "sprintf" && name != "join" {
                return Err(self.unsupported());
            }
            let arguments = if called { self.term()? } else { self.list()? };
            let arguments = match arguments {
                Expr::List(items) => items,
                one => vec![one],
            };
            return Ok(Expr::Call(name.into(), arguments));
        }
        if PERL.contains(&name) || MORE_PERL.contains(&name) {
            return Err(self.unsupported());
        }
        match self.peek() {
            // A function that nobody defined, or a method of something that is no object.
            Some('(' | '$' | '"' | '\'') => Err(Stop::Error),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => Err(self.unexpected()),
            // Without `use strict` a bare word is text.
            None | Some('-' | '+' | '.' | '*' | ')' | ',' | '?' | ':') => {
                Ok(Expr::Text(vec![Piece::Plain(name.into())]))
            }
            _ => Err(self.unsupported()),
        }
    }

    fn words(&mut self) -> Result<Expr, Stop> {
        let rest = &self.rest()[1..];
        let Some(end) = rest.find(')') else {
            return Err(Stop::Error);
        };
        if rest[..end].contains(['(', '\\']) {
            return Err(self.unsupported());
        }
        let word = |word: &str| Expr::Text(vec![Piece::Plain(word.into())]);
        let words = rest[..end].split_ascii_whitespace().map(word).collect();
        self.at += end + 2;
        Ok(Expr::List(words))
    }
}

/// `$1` or `${1}`: the number, and how long it is written. An index behind it would make it another
/// variable.
fn capture(text: &str) -> Option<(usize, usize)> {
    let name = text.strip_prefix('$')?;
    let (digits, braces) = match name.strip_prefix('{') {
        Some(inner) => (&inner[..inner.find('}')?], 2),
        None => {
            let end = name
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(name.len());
            (&name[..end], 0)
        }
    };
    let number: usize = digits.parse().ok()?;
    let length = 1 + digits.len() + braces;
    let indexed = text[length..].starts_with(['[', '{']);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    (plain && !indexed && digits.len() < 4).then_some((number, length))
}

fn word(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}
