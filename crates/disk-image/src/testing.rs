//! Small images for tests of whoever uses them, made in memory.

use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::manifest::{Manifest, Partitions, Source};
use crate::pack::Packer;
use crate::store::Store;

/// The manifest's bytes and the object of a disk.
///
/// # Errors
/// As [`Manifest::new`].
pub fn image(disk: &[u8], frame_size: u32) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (mut frames, mut object) = (Vec::new(), Vec::new());
    let (mut packer, mut offset) = (Packer::new(1)?, 0);
    for window in disk.chunks(frame_size as usize) {
        if let Some((frame, stored)) = packer.pack(offset, window, object.len() as u64)? {
            frames.push(frame);
            object.extend_from_slice(stored);
        }
        offset += window.len() as u64;
    }
    let digest = Digest::of(disk);
    let source = Source {
        format: "raw".to_string(),
        size: disk.len() as u64,
        digest,
    };
    let size = disk.len() as u64;
    let partitions = Partitions::default();
    let manifest = Manifest::new(size, frame_size, digest, source, partitions, frames)?;
    Ok((manifest.to_bytes()?, object))
}

/// Puts the image of a disk into a store, which is made if it is not there. Returns what names it.
///
/// # Errors
/// As [`image`], or the store cannot be written.
pub fn put(store: &Store, name: &str, disk: &[u8], frame_size: u32) -> Result<Digest, Error> {
    let (bytes, object) = image(disk, frame_size)?;
    store.make()?;
    let work = store.directory().join("adding").join(name);
    files::make(&work, 0o700)?;
    files::write(&work.join("frames"), &object, 0o600)?;
    let committed = store.commit(name, &work, &Manifest::parse(&bytes)?)?;
    std::fs::remove_dir_all(&work).map_err(|why| Error::system(&work, why))?;
    Ok(committed.digest)
}
