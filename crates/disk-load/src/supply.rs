//! Where frames come from.

use std::io;
use std::time::Duration;

/// What a disk that is being written has of its image.
pub trait Written {
    /// The bytes of a frame's extents, one after the other, as `frame.check` takes them.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn raw(&mut self, frame: usize) -> io::Result<Vec<u8>>;
}

/// Frames, from a server, from peers, or from a test.
pub trait Supply {
    /// Begins, or begins again, to get all frames but those that are there. Frames of before are given
    /// to peers until then.
    ///
    /// # Errors
    /// [`Ended`]
    fn begin(&mut self, have: &[bool]) -> Result<(), Ended>;
    /// The next frame, in any order: its number and its extents' bytes, their digest checked. Waits at
    /// most about `timeout`; peers are served by the way.
    ///
    /// # Errors
    /// [`Ended`]
    fn next(
        &mut self,
        disk: &mut dyn Written,
        timeout: Duration,
    ) -> Result<Option<(usize, Vec<u8>)>, Ended>;
    /// The frame is on the disk, and can be read from it.
    fn written(&mut self, frame: usize);
    /// All of the disk was read back: nothing more is needed. Takes a few seconds at most.
    fn done(&mut self, disk: &mut dyn Written);
}

/// Why no more frames come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The run does not want it any more.
    #[error("{0}")]
    Cancelled(String),
    /// The time for all of it is over.
    #[error("{0}")]
    Late(String),
    /// The server has other bytes than the manifest promises.
    #[error("{0}")]
    Damaged(String),
}
