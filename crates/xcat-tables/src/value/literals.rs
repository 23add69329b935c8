//! Numbers and texts as Perl writes them.

use super::Stop;
use super::parse::{Expr, Parser, Piece};

impl Parser<'_> {
    pub(crate) fn number(&mut self) -> Result<Expr, Stop> {
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

    pub(crate) fn literal(&mut self) -> Result<Expr, Stop> {
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

    pub(crate) fn interpolated(&mut self) -> Result<Expr, Stop> {
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
}

/// `$1` or `${1}`: the number, and how long it is written. An index behind it would make it another
/// variable.
pub(crate) fn capture(text: &str) -> Option<(usize, usize)> {
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
