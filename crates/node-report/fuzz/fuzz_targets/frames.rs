//! What comes out of a waiter's FIFO, in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use node_report::Frames;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut frames = Frames::default();
    for piece in &pieces {
        frames.feed(piece);
    }
});
