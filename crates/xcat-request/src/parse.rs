//! Bytes to a tree, with limits and without entities of the sender's own.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::shown;
use crate::{Element, Error, Limits};

/// Attributes of one element. The reader compares each with all before it, so this must stay small;
/// stock senders use one at most.
const ATTRIBUTES: usize = 64;

/// Parses one document. The root may have any name: the caller checks it (`xcatrequest`, `opt`).
///
/// Taken as stock senders write it: bytes that are not UTF-8 and characters that XML forbids become
/// U+FFFD, so that one broken string of a device's firmware costs that field and not the report; an
/// `&` that starts no entity stands for itself, because the stock node script does not escape (spec
/// section 10.14). Refused: document types, and with them every entity but the five and the numeric.
/// Nothing here recurses; the depth of the tree is bounded by `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Element, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLong(limits.bytes));
    }
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text));
    reader.config_mut().allow_dangling_amp = true;
    let mut tree = Tree::new(limits);
    loop {
        let event = reader.read_event().map_err(|why| Error::Syntax {
            at: reader.error_position(),
            what: shown(&why.to_string()),
        })?;
        match event {
            Event::Start(start) => tree.open(&start)?,
            Event::Empty(start) => {
                tree.open(&start)?;
                tree.close()?;
            }
            // The reader has checked that the names match.
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.into_inner())?,
            Event::CData(text) => tree.text(&text.into_inner())?,
            Event::GeneralRef(entity) => tree.reference(&entity)?,
            Event::DocType(_) => return Err(Error::Doctype),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// The tree as it grows.
struct Tree<'l> {
    limits: &'l Limits,
    open: Vec<Element>,
    root: Option<Element>,
    count: usize,
}

impl<'l> Tree<'l> {
    fn new(limits: &'l Limits) -> Self {
        Tree {
            limits,
            open: Vec::new(),
            root: None,
            count: 0,
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), Error> {
        if self.root.is_some() {
            return Err(Error::Outside);
        }
        if self.open.len() >= self.limits.depth {
            return Err(Error::TooDeep(self.limits.depth));
        }
        self.counted()?;
        let mut element = Element::leaf(name(start.name().as_ref())?, "");
        for (number, attribute) in start.attributes().enumerate() {
            if number >= ATTRIBUTES {
                return Err(Error::Attribute {
                    name: element.name,
                    what: format!("more than {ATTRIBUTES}"),
                });
            }
            let attribute = attribute.map_err(|why| Error::Attribute {
                name: element.name.clone(),
                what: shown(&why.to_string()),
            })?;
            // An attribute is one level down, like the child that it becomes.
            if self.open.len() + 1 >= self.limits.depth {
                return Err(Error::TooDeep(self.limits.depth));
            }
            self.counted()?;
            let key = name(attribute.key.as_ref())?;
            let value = decoded(&attribute.value)?;
            let child = Element::leaf(key, value);
            self.fits(&child)?;
            element.children.push(child);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(mut element) = self.open.pop() else {
            return Err(Error::Outside);
        };
        if !element.children.is_empty() && element.text.trim().is_empty() {
            element.text = String::new();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        let Some(element) = self.open.last_mut() else {
            let blank = text.chars().all(char::is_whitespace);
            return if blank { Ok(()) } else { Err(Error::Outside) };
        };
        element.text.extend(text.chars().map(allowed));
        let element = &self.open[self.open.len() - 1];
        self.fits(element)
    }

    fn reference(&mut self, entity: &BytesRef<'_>) -> Result<(), Error> {
        let text = resolved(entity)?;
        self.text(&text)
    }

    fn finish(self) -> Result<Element, Error> {
        match (self.open.last(), self.root) {
            (Some(element), _) => Err(Error::Unclosed(element.name.clone())),
            (None, Some(root)) => Ok(root),
            (None, None) => Err(Error::Empty),
        }
    }

    fn counted(&mut self) -> Result<(), Error> {
        self.count += 1;
        if self.count > self.limits.elements {
            return Err(Error::TooMany(self.limits.elements));
        }
        Ok(())
    }

    fn fits(&self, element: &Element) -> Result<(), Error> {
        if element.text.len() > self.limits.text {
            return Err(Error::TooMuchText {
                name: element.name.clone(),
                limit: self.limits.text,
            });
        }
        Ok(())
    }
}

/// Names in requests are short and plain; anything else is somebody's experiment.
fn name(raw: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let first = raw.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || raw.len() > 64 || !raw.chars().all(plain) {
        return Err(Error::Name(shown(raw)));
    }
    Ok(raw.to_string())
}

/// An attribute's value: the reader leaves its references alone.
fn decoded(raw: &str) -> Result<String, Error> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        text.extend(rest[..at].chars().map(allowed));
        let after = &rest[at + 1..];
        match after.find([';', '&']) {
            Some(end) if after[end..].starts_with(';') => {
                text.push_str(&resolved(&after[..end])?);
                rest = &after[end + 1..];
            }
            _ => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.extend(rest.chars().map(allowed));
    Ok(text)
}

/// What stands between `&` and `;`, resolved; the text itself where that cannot be a reference
/// (`R&D department; rack 4`).
fn resolved(entity: &str) -> Result<String, Error> {
    let known = match entity {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => return numeric_or_literal(entity),
    };
    Ok(known.to_string())
}

fn numeric_or_literal(entity: &str) -> Result<String, Error> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u32::from_str_radix(hex, 16).ok()
            }
            None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok(),
            _ => return Ok(literal(entity)),
        };
        // A number too large for any character is as unusable as one that XML forbids.
        let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
        return Ok(allowed(c).to_string());
    }
    match name(entity) {
        Ok(name) => Err(Error::Entity(name)),
        Err(_) => Ok(literal(entity)),
    }
}

fn literal(entity: &str) -> String {
    ["&", entity, ";"].concat().chars().map(allowed).collect()
}

/// XML's character set; what is outside of it cannot be a name, an address or a model either.
fn allowed(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => c,
        c if c.is_control() && c.is_ascii() && c != '\u{7f}' => '\u{fffd}',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests;
