//! What a peer says it has.
#![no_main]

use image_transfer::read_news;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|said: (usize, Vec<u8>)| {
    let (count, bytes) = said;
    if let Some(frames) = read_news(&bytes, count) {
        assert!(frames.iter().all(|frame| *frame < count));
    }
});
