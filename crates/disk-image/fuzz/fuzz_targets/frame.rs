//! Any bytes as a stored frame: the first byte says how many blocks it is to hold. What comes back has
//! that length and the digest that was promised; memory stays bounded.
#![no_main]

use disk_image::{BLOCK, Digest, Extent, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((blocks, stored)) = bytes.split_first() else {
        return;
    };
    let length = (u32::from(*blocks) + 1) * BLOCK;
    let mut frame = Frame {
        offset: 0,
        length,
        extents: vec![Extent { offset: 0, length }],
        at: 0,
        stored: stored.len() as u32,
        digest: Digest::of(b""),
    };
    // The first pass learns nothing but whether it unpacks: its digest cannot be right.
    let Err(error) = frame.decode(stored) else {
        panic!("nothing has the digest of nothing");
    };
    let text = error.to_string();
    if let Some(found) = text.split("has the digest ").nth(1).and_then(|rest| rest.get(..64)) {
        frame.digest = found.parse().expect("our own");
        let raw = frame.decode(stored).expect("with its digest");
        assert_eq!(raw.len(), length as usize);
        assert_eq!(Digest::of(&raw), frame.digest);
        assert_eq!(frame.pieces(&raw).count(), 1);
    }
});
