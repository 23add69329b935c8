//! Any bytes as a manifest: what is believed is consistent, and reads back as it was written.
#![no_main]

use disk_image::{BLOCK, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    let (mut begin, mut at) = (0, 0);
    for frame in manifest.frames() {
        assert!(frame.offset >= begin && frame.at == at && frame.stored > 0);
        begin = frame.offset + u64::from(frame.length);
        at += u64::from(frame.stored);
        let mut behind = 0;
        for extent in &frame.extents {
            assert!(extent.offset >= behind && extent.offset.is_multiple_of(BLOCK) && extent.length > 0);
            behind = extent.offset + extent.length;
        }
        assert!(behind <= frame.length && frame.raw() > 0 && frame.raw() <= frame.length);
    }
    assert!(begin <= manifest.size() && at == manifest.object_size());
    let again = manifest.to_bytes().expect("as long as it was, or shorter");
    assert_eq!(Manifest::parse(&again).expect("our own"), manifest);
});
