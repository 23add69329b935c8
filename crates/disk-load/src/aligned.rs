//! Memory that a disk can be written from without a copy by the kernel.

use std::io;

/// What its beginning is a multiple of: no disk asks for more.
pub(crate) const ALIGNMENT: usize = 4096;

/// Bytes, zeros at first.
pub(crate) struct Aligned {
    store: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Aligned {
    pub(crate) fn new(length: u64) -> io::Result<Aligned> {
        let too_long = || io::Error::from(io::ErrorKind::OutOfMemory);
        let length = usize::try_from(length).map_err(|_| too_long())?;
        let whole = length.checked_add(ALIGNMENT).ok_or_else(too_long)?;
        let store = vec![0; whole];
        let begin = store.as_ptr().align_offset(ALIGNMENT);
        Ok(Aligned {
            store,
            begin,
            length,
        })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.store[self.begin..self.begin + self.length]
    }

    pub(crate) fn shared(&self) -> &[u8] {
        &self.store[self.begin..self.begin + self.length]
    }
}
