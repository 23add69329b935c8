//! Calls of remote procedures over TCP, by nobody (RFC 5531): what NFS and its helpers speak.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use super::wire::{PATIENCE, bytes, said};

/// Marks our calls.
const ID: u32 = 0x534e_4d56;
/// The last fragment of a record.
const LAST: u32 = 0x8000_0000;
/// Longest answer that is read.
const LARGEST: usize = 256 * 1024;
/// The program is there, in other versions only.
const OTHER_VERSION: u32 = 2;

/// A procedure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Procedure {
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) number: u32,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was done; the results.
    Done(Vec<u8>),
    /// The program has no such version.
    OtherVersion,
    /// Nothing that an answer to this could be.
    Nonsense,
}

/// Calls it.
///
/// # Errors
/// What the system says.
pub(crate) fn call(
    server: Ipv4Addr,
    port: u16,
    procedure: Procedure,
    arguments: &[u32],
) -> Result<Answer, String> {
    let work = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&(server, port).into(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&question(procedure, arguments))?;
        record(&mut stream)
    };
    work().map(|record| read(&record)).map_err(said)
}

/// One record: a call without credentials.
fn question(procedure: Procedure, arguments: &[u32]) -> Vec<u8> {
    let Procedure {
        program,
        version,
        number,
    } = procedure;
    let head = [ID, 0, 2, program, version, number, 0, 0, 0, 0];
    let words: Vec<u32> = head.into_iter().chain(arguments.iter().copied()).collect();
    let length = LAST | (words.len() as u32 * 4);
    let all = std::iter::once(length).chain(words);
    all.flat_map(u32::to_be_bytes).collect()
}

/// The fragments of one record, as far as they are not longer than anything sensible.
fn record(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark)?;
        let mark = u32::from_be_bytes(mark);
        let length = (mark & !LAST) as usize;
        if record.len() + length > LARGEST {
            return Ok(Vec::new());
        }
        let begin = record.len();
        record.resize(begin + length, 0);
        stream.read_exact(record.get_mut(begin..).unwrap_or_default())?;
        if mark & LAST != 0 {
            return Ok(record);
        }
    }
}

/// The answer in a record.
fn read(record: &[u8]) -> Answer {
    let word = |at: usize| bytes(record, at * 4).map(u32::from_be_bytes);
    if (word(0), word(1), word(2)) != (Some(ID), Some(1), Some(0)) {
        return Answer::Nonsense;
    }
    // The verifier may have a length.
    let Some(at) = word(4).map(|length| 5 + (length as usize).div_ceil(4)) else {
        return Answer::Nonsense;
    };
    match word(at) {
        Some(0) => Answer::Done(record.get((at + 1) * 4..).unwrap_or_default().to_vec()),
        Some(OTHER_VERSION) => Answer::OtherVersion,
        _ => Answer::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn answer(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn answers_are_judged() {
        let done = Answer::Done(7_u32.to_be_bytes().to_vec());
        assert_eq!(read(&answer(&[ID, 1, 0, 0, 0, 0, 7])), done);
        assert_eq!(read(&answer(&[ID, 1, 0, 0, 5, 0, 0, 0, 7])), done);
        let other = read(&answer(&[ID, 1, 0, 0, 0, 2, 4, 4]));
        assert_eq!(other, Answer::OtherVersion);
        for words in [
            &[ID, 1, 0, 0, 0, 1][..],
            &[ID + 1, 1, 0, 0, 0, 0],
            &[ID, 1],
            &[],
        ] {
            assert_eq!(read(&answer(words)), Answer::Nonsense, "{words:?}");
        }
    }

    #[test]
    fn a_question_is_one_record() {
        let procedure = Procedure {
            program: 100_003,
            version: 3,
            number: 0,
        };
        let question = question(procedure, &[1]);
        assert_eq!(record(&mut &question[..]).unwrap().len(), 44);
    }

    #[test]
    fn fragments_are_put_together_up_to_a_limit() {
        let parts = [&answer(&[4, 1])[..], &answer(&[LAST | 4, 2])].concat();
        assert_eq!(record(&mut &parts[..]).unwrap(), answer(&[1, 2]));
        assert!(record(&mut &parts[..10]).is_err());
        assert_eq!(record(&mut &b"HTTP/1.1 400 Bad Request"[..]).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut whole = answer(&[ID, 1, 0, 0]);
            whole.extend(&bytes);
            read(&whole);
            read(&bytes);
            let _ = record(&mut &bytes[..]);
        }
    }
}
