//! A disk's bytes, whoever wrote them: signatures and partition tables at both ends, and the marker. The
//! input is the beginning and the end of a disk that has zeros between.
#![no_main]

use std::io;

use disk_load::marker::Marker;
use disk_load::signature::{Bytes, KINDS, find};
use libfuzzer_sys::fuzz_target;

struct Disk<'a> {
    begin: &'a [u8],
    end: &'a [u8],
    size: u64,
}

impl Bytes for Disk<'_> {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let last = at.checked_add(into.len() as u64).unwrap();
        assert!(last <= self.size, "reads past the end");
        assert!(into.len() <= 128 << 10, "reads too much at once");
        let behind = self.size - self.end.len() as u64;
        for (place, byte) in (at..).zip(into) {
            let begin = usize::try_from(place)
                .ok()
                .and_then(|at| self.begin.get(at));
            let end = place
                .checked_sub(behind)
                .and_then(|at| self.end.get(at as usize));
            *byte = *begin.or(end).unwrap_or(&0);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    // Up to 16 TiB, in sectors; at least what was given.
    let size = u64::from(u32::from_le_bytes(*size)) * 4096 + bytes.len() as u64;
    let (begin, end) = bytes.split_at(bytes.len() / 2);
    let found = find(&Disk { begin, end, size }).unwrap();
    for found in found {
        assert!(KINDS.contains(&found.kind) && found.at < size);
        assert!(!found.to_string().is_empty());
    }
    let _ = Marker::from_block(bytes);
});
