//! Any bytes as a firmware archive: it ends, keeps its limits, and what it believes is printable.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = firmware_update::read_archive(&mut Cursor::new(bytes)) {
        assert!(!manifest.version.is_empty() && manifest.version.len() <= 256);
        assert!(!manifest.version.chars().any(char::is_control));
    }
});
