//! From a finished image in `adding` to one that has a name.

use std::path::Path;

use nix::fcntl::FlockArg;

use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::manifest::Manifest;
use crate::name::check_name;
use crate::store::Store;

/// What a commit did.
#[derive(Debug)]
pub struct Committed {
    /// The image.
    pub digest: Digest,
    /// Why images that nobody uses any more were left, if they could not be removed.
    pub not_swept: Option<Error>,
}

impl Store {
    /// Makes the store's directories.
    pub(crate) fn make(&self) -> Result<(), Error> {
        for part in ["objects", "names"] {
            files::make(&self.directory().join(part), 0o755)?;
        }
        files::make(&self.directory().join("adding"), 0o700)?;
        files::trust(self.directory())
    }

    /// Gives a finished image its place and its name. `work` is a directory of the caller's under
    /// `adding`, in which `frames` is whole and on disk. What the name meant before goes, unless
    /// another name or an order refers to it.
    pub(crate) fn commit(
        &self,
        name: &str,
        work: &Path,
        manifest: &Manifest,
    ) -> Result<Committed, Error> {
        check_name(name)?;
        let bytes = manifest.to_bytes()?;
        let digest = Manifest::digest(&bytes);
        let (beside, named) = (work.join("manifest"), work.join("name"));
        files::write(&beside, &bytes, 0o644)?;
        files::write(&named, format!("{digest}\n").as_bytes(), 0o644)?;
        // From here no sweep may come between the object and the name that keeps it.
        let held = self.lock(FlockArg::LockExclusive)?;
        files::rename(&work.join("frames"), &self.frames_path(digest))?;
        files::rename(&beside, &self.manifest_path(digest))?;
        files::sync(&self.directory().join("objects"))?;
        files::rename(&named, &self.name(name))?;
        files::sync(&self.directory().join("names"))?;
        let not_swept = self.sweep_held(&held).err();
        Ok(Committed { digest, not_swept })
    }
}
