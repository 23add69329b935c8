//! Whether an image in the store still is what it was: each frame, and the whole disk.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use fork_worker::{Crew, Job, Limits, Report, What};

use crate::chunk::fill;
use crate::digest::{Digest, Hasher};
use crate::error::Error;
use crate::frame::Frame;
use crate::manifest::Manifest;
use crate::store::Store;

/// How many stored bytes one child reads.
const SHARE: u64 = 64 << 20;

/// The key of the child that digests the whole disk; the others have the number of their first frame.
const WHOLE: usize = usize::MAX;

impl Store {
    /// Reads all of an image: each frame against its digest, and the disk that they make against the
    /// manifest's. Returns what is wrong, one text for each, in the disk's order; nothing if all is as it
    /// was. The calling process must have no threads.
    ///
    /// # Errors
    /// If the image is not there, its manifest is damaged, or a child failed.
    pub fn verify(&self, digest: Digest, jobs: usize) -> Result<Vec<String>, Error> {
        let manifest = Arc::new(self.manifest(digest)?);
        let object = self.frames_file(digest)?;
        let path = self.frames_path(digest);
        let length = object
            .metadata()
            .map_err(|why| Error::system(&path, why))?
            .len();
        if length != manifest.object_size() {
            let expected = manifest.object_size();
            return Ok(vec![format!(
                "its object has {length} bytes instead of {expected}"
            )]);
        }
        let object = Arc::new(object);
        let mut crew = Crew::new(Limits::fanout(jobs));
        crew.start(WHOLE, whole(&manifest, &object));
        let mut first = 0;
        while first < manifest.frames().len() {
            let frames = &manifest.frames()[first..];
            let limit = frames[0].at + SHARE;
            let count = frames.iter().take_while(|frame| frame.at < limit).count();
            crew.start(first, each(&manifest, &object, first..first + count));
            first += count;
        }
        let mut wrong: Vec<(usize, String)> = Vec::new();
        let mut disk = None;
        while !crew.is_idle() {
            let ready = crew
                .wait(&[], None)
                .map_err(|why| Error::system(&path, why))?;
            for event in ready.events {
                match event.what {
                    What::Line(line) => wrong.push((event.key, line)),
                    What::Ended(Ok(text)) if event.key == WHOLE => disk = Some(text),
                    What::Ended(Ok(_)) => {}
                    What::Ended(Err(failure)) => {
                        return Err(Error::Worker {
                            subject: digest.to_string(),
                            why: failure.to_string(),
                        });
                    }
                }
            }
        }
        let expected = manifest.disk_digest();
        match disk.as_deref() {
            // A frame that cannot be read: said by the child that has it.
            Some("") if !wrong.is_empty() => {}
            Some(found) if found == expected.to_string() => {}
            found => {
                let found = found.unwrap_or_default();
                wrong.push((
                    WHOLE,
                    format!("the disk has the digest {found}, not {expected}"),
                ));
            }
        }
        // A child's own lines come in their order.
        wrong.sort_by_key(|(first, _)| *first);
        Ok(wrong.into_iter().map(|(_, text)| text).collect())
    }
}

/// Checks frames one by one; a line for each that is wrong.
fn each(manifest: &Arc<Manifest>, object: &Arc<File>, which: std::ops::Range<usize>) -> Job {
    let (manifest, object) = (Arc::clone(manifest), Arc::clone(object));
    let descriptor = object.as_raw_fd();
    let body = move |report: &mut Report| {
        for frame in manifest.frames().get(which).unwrap_or_default() {
            let checked = stored(&object, frame).and_then(|stored| frame.decode(&stored));
            if let Err(error) = checked {
                report
                    .line(&error.to_string())
                    .map_err(|why| why.to_string())?;
            }
        }
        Ok(String::new())
    };
    Job::new(body).keep(descriptor)
}

/// The digest of the whole disk; nothing if a frame cannot be unpacked.
fn whole(manifest: &Arc<Manifest>, object: &Arc<File>) -> Job {
    let (manifest, object) = (Arc::clone(manifest), Arc::clone(object));
    let descriptor = object.as_raw_fd();
    let body = move |_: &mut Report| {
        let (mut hasher, mut offset) = (Hasher::new(), 0);
        for frame in manifest.frames() {
            let Ok(raw) = stored(&object, frame).and_then(|stored| frame.unpack(&stored)) else {
                return Ok(String::new());
            };
            for (place, piece) in frame.pieces(&raw) {
                hasher.zeros(place - offset);
                hasher.update(piece);
                offset = place + piece.len() as u64;
            }
        }
        hasher.zeros(manifest.size() - offset);
        Ok(hasher.finish().to_string())
    };
    Job::new(body).keep(descriptor)
}

fn stored(object: &File, frame: &Frame) -> Result<Vec<u8>, Error> {
    let mut stored = vec![0; frame.stored as usize];
    fill(object, &mut stored, frame.at).map_err(|why| Error::Frame {
        offset: frame.offset,
        why: why.to_string(),
    })?;
    Ok(stored)
}
