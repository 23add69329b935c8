//! NFS: does a server answer? The call that does nothing (RFC 1813, procedure 0). What it exports, and to whom, is not
//! asked.

use std::net::Ipv4Addr;

use super::wire::{bytes, call};

const PORT: u16 = 2049;
const ID: u32 = 0x534e_4d56;

/// True if it answers.
///
/// # Errors
/// What happened instead.
pub(crate) fn answers(server: Ipv4Addr) -> Result<String, String> {
    let answer = call(server, PORT, &question())?;
    if is_accepted(&answer) {
        return Ok("it answers".to_string());
    }
    Err("what answers is no NFS server".to_string())
}

/// One record: a call of program 100003, version 3, procedure 0, by nobody.
fn question() -> Vec<u8> {
    let words = [ID, 0, 2, 100_003, 3, 0, 0, 0, 0, 0];
    let length = 0x8000_0000 | (words.len() as u32 * 4);
    let all = std::iter::once(length).chain(words);
    all.flat_map(u32::to_be_bytes).collect()
}

/// Done, or a server of another version only: both are NFS.
fn is_accepted(answer: &[u8]) -> bool {
    let word = |at: usize| bytes(answer, at * 4).map(u32::from_be_bytes);
    // The verifier may have a length.
    let after = word(5).map(|length| 6 + (length as usize).div_ceil(4));
    word(1) == Some(ID)
        && word(2) == Some(1)
        && word(3) == Some(0)
        && after
            .and_then(word)
            .is_some_and(|state| state == 0 || state == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn answers_are_judged() {
        assert!(is_accepted(&answer(&[0x8000_0018, ID, 1, 0, 0, 0, 0])));
        assert!(is_accepted(&answer(&[
            0x8000_0020,
            ID,
            1,
            0,
            0,
            0,
            2,
            4,
            4
        ])));
        assert!(!is_accepted(&answer(&[0x8000_0018, ID, 1, 0, 0, 0, 1])));
        assert!(!is_accepted(&answer(&[0x8000_0018, ID + 1, 1, 0, 0, 0, 0])));
        assert!(!is_accepted(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        assert_eq!(question().len(), 44);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut whole = answer(&[0x8000_0018, ID, 1, 0, 0]);
            whole.extend(&bytes);
            is_accepted(&whole);
            is_accepted(&bytes);
        }
    }
}
