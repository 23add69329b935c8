//! A server's bytes, as a node reads them: the same answer however they arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_request::Limits;
use xcat_request::response::{Answer, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let at_once = read([bytes].into_iter());
    let by_piece = read(bytes.chunks(usize::from(*cut).max(1)));
    assert_eq!(at_once, by_piece);
});

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Answer> {
    let mut reader = Reader::new(&Limits::default());
    for piece in pieces {
        if reader.feed(piece).ok()? {
            break;
        }
    }
    let answer = reader.answer()?;
    let _ = (answer.failures(), answer.text_of("destiny").is_some());
    Some(answer)
}
