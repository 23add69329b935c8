//! Who may have what of the image server: nodes with a living claim whose order lists the image.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use image_transfer::{Gate, Refusal};

use super::desk::{self, Loaders};

/// How often the tables are read, and at most how often for somebody unknown.
const ROUND: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(1);

/// What was read is believed for so long, if the tables cannot be read any more.
const OLD: Duration = Duration::from_secs(60);

/// Unknown addresses that are remembered.
const UNKNOWN: usize = 4_096;

/// The gate's book.
#[derive(Debug, Default)]
pub(super) struct Book {
    loaders: Loaders,
    /// When the reading began that this is of.
    as_of: Option<Instant>,
    /// When the last reading began, ended or not.
    begun: Option<Instant>,
    reading: Option<Loaders>,
    /// When each was first refused for not being in the book.
    unknown: HashMap<IpAddr, Instant>,
    wanted: bool,
}

impl Book {
    /// True if the tables are to be read now; then they are taken to be.
    pub(super) fn wants_reading(&mut self, now: Instant) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        let pause = if self.wanted { AGAIN } else { ROUND };
        let due = self.begun.is_none_or(|begun| since(begun) >= pause);
        if self.reading.is_some() || !due {
            return false;
        }
        self.begun = Some(now);
        self.reading = Some(Loaders::default());
        self.wanted = false;
        true
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Some(reading) = &mut self.reading {
            reading.take_line(line);
        }
    }

    /// The reading has ended, well or not.
    pub(super) fn read(&mut self, well: bool, now: Instant) {
        if let Some(read) = self.reading.take().filter(|_| well) {
            self.loaders = read;
            self.as_of = self.begun;
        }
        self.unknown
            .retain(|_, at| now.saturating_duration_since(*at) < OLD);
    }

    pub(super) fn loaders(&self) -> &Loaders {
        &self.loaders
    }

    /// True if what is in the book can be believed.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.as_of
            .is_some_and(|at| now.saturating_duration_since(at) < OLD)
    }

    fn run_of(&mut self, peer: IpAddr) -> Result<&str, Refusal> {
        let now = Instant::now();
        if !self.is_fresh(now) {
            self.wanted = true;
            return Err(Refusal::Later("the tables are being read".into()));
        }
        if self.loaders.at(peer).is_none() {
            self.wanted = true;
            if self.unknown.len() >= UNKNOWN {
                self.unknown.clear();
            }
            let first = *self.unknown.entry(peer).or_insert(now);
            return match self.as_of.is_some_and(|read| read > first) {
                true => Err(Refusal::Forbidden(
                    "no node with this address loads this image now".into(),
                )),
                false => Err(Refusal::Later("the tables are read again for it".into())),
            };
        }
        self.unknown.remove(&peer);
        let (_, nonce) = self.loaders.at(peer).unwrap_or_default();
        Ok(nonce)
    }
}

impl Gate for Book {
    fn order(&mut self, peer: IpAddr, nonce: &str) -> Result<Vec<u8>, Refusal> {
        self.run(peer, nonce)?;
        let order = desk::order(nonce).map(|(_, bytes)| bytes);
        order.ok_or_else(|| Refusal::Missing("there is no such order".into()))
    }

    fn image(&mut self, peer: IpAddr) -> Result<(), Refusal> {
        self.run_of(peer).map(drop)
    }

    fn run(&mut self, peer: IpAddr, nonce: &str) -> Result<(), Refusal> {
        match self.run_of(peer)? {
            own if own == nonce => Ok(()),
            _ => {
                // Perhaps a newer one than the book knows.
                self.wanted = true;
                Err(Refusal::Forbidden(
                    "the node's claim is of another run".into(),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(book: &mut Book, lines: &[&str]) {
        // The pause between two readings is not waited for here.
        book.begun = None;
        assert!(book.wants_reading(Instant::now()));
        lines.iter().for_each(|line| book.line(line));
        book.read(true, Instant::now());
    }

    #[test]
    fn unknown_until_the_tables_were_read_again() {
        let mut book = Book::default();
        let [known, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(matches!(book.image(known), Err(Refusal::Later(_))));
        read(&mut book, &["10.0.0.1 n1 ab"]);
        assert_eq!(book.image(known), Ok(()));
        assert_eq!(book.run(known, "ab"), Ok(()));
        assert!(matches!(book.run(known, "cd"), Err(Refusal::Forbidden(_))));
        assert!(matches!(book.image(other), Err(Refusal::Later(_))));
        assert!(!book.wants_reading(Instant::now()), "not twice in a second");
        read(&mut book, &["10.0.0.1 n1 ab"]);
        assert!(matches!(book.image(other), Err(Refusal::Forbidden(_))));
        read(&mut book, &["10.0.0.2 n2 cd"]);
        assert_eq!(book.image(other), Ok(()));
        assert!(book.image(known).is_err());
    }

    #[test]
    fn what_cannot_be_read_again_is_believed_for_a_while() {
        let mut book = Book::default();
        read(&mut book, &["10.0.0.1 n1 ab"]);
        book.begun = None;
        assert!(book.wants_reading(Instant::now()));
        book.read(false, Instant::now());
        assert_eq!(book.image("10.0.0.1".parse().unwrap()), Ok(()));
        assert!(!book.is_fresh(Instant::now() + OLD));
    }
}
