//! Words: functions that are known, what is refused, what is Perl's own, and bare ones.

use super::Stop;
use super::parse::{ARGUMENT, Expr, Parser, Piece, word};

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

/// True for a word that may stand behind a term.
pub(crate) fn may_follow_a_term(word: &str) -> bool {
    AFTER_A_TERM.contains(&word)
}

impl Parser<'_> {
    pub(crate) fn word(&mut self) -> Result<Expr, Stop> {
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
