//! Disk images: a manifest, and one object of zstd frames that can be read each by itself.
//!
//! An image is what its manifest says: the SHA-256 of the manifest's bytes names it, and through the
//! digests in it each frame, wherever its bytes come from and in whichever order. A frame is one window
//! of the disk; only its blocks that hold anything but zeros are in it. What no frame holds is zero:
//! file systems count on that, so a disk is loaded when those parts read as zeros as well.
//!
//! This crate goes into the static agent on the node: no tables, no network. Every byte of a manifest
//! or a frame is taken as hostile; osload-image(5) has the form.

mod add;
mod chunk;
mod commit;
mod digest;
mod error;
mod files;
mod frame;
mod manifest;
mod name;
pub mod order;
mod orders;
mod pack;
mod partitions;
mod qemu;
mod source;
mod store;
#[doc(hidden)]
pub mod testing;
mod verify;
mod work;

pub use add::{LEVELS, Request};
pub use commit::Committed;
pub use digest::{Digest, Hasher};
pub use error::Error;
pub use frame::{BLOCK, Extent, Frame, LARGEST_FRAME, SMALLEST_FRAME, longest_stored};
pub use manifest::{
    FORMAT, LONGEST_MANIFEST, MOST_FRAMES, Manifest, Partition, PartitionTable, Partitions, Source,
};
pub use name::check_name;
pub use source::{FORMATS, Format};
pub use store::{Held, Named, Store};
