//! Where images lie: objects by their digest, names that refer to them.
//!
//! A name is a small file that holds a digest, and is renamed into place: who has resolved a name keeps
//! that image, whatever the name means later. Nothing half-made is ever in `objects` or `names`: it is
//! made in `adding` and moved when it is whole and on disk.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::manifest::{LONGEST_MANIFEST, Manifest};
use crate::name::check_name;
use crate::orders;
use crate::work;

/// A digest in hexadecimal form and a line end.
const LONGEST_NAME: usize = 65;

/// The store of images of this host.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    orders: PathBuf,
}

/// A name in the store.
#[derive(Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The image that it means, or why that cannot be told.
    pub digest: Result<Digest, Error>,
}

/// While it lives, no image is removed from the store: who resolves a name and writes an order for the
/// image holds the store from before the one until after the other.
#[derive(Debug)]
pub struct Held {
    _lock: Flock<File>,
}

impl Store {
    /// The store in `directory`; running loads have their orders in `orders`
    /// (`*.json`, each with `images`, each of which has a `manifest`). A directory that is not there
    /// is a store without images.
    ///
    /// # Errors
    /// If the directory belongs to a stranger or others may write into it.
    pub fn open(directory: &Path, orders: &Path) -> Result<Store, Error> {
        match files::trust(directory) {
            Err(Error::System { why, .. }) if why.kind() == std::io::ErrorKind::NotFound => {}
            trusted => trusted?,
        }
        Ok(Store {
            directory: directory.to_owned(),
            orders: orders.to_owned(),
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The image that a name means now.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::NoSuchImage`], or the name's file cannot be read.
    pub fn resolve(&self, name: &str) -> Result<Digest, Error> {
        check_name(name)?;
        let path = self.name(name);
        let bytes = files::read(&path, LONGEST_NAME)?;
        let bytes = bytes.ok_or_else(|| Error::NoSuchImage(name.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let digest = text.strip_suffix('\n').unwrap_or(&text).parse();
        digest.map_err(|error: Error| Error::store(&path, error.to_string()))
    }

    /// All names in alphabetical order, with the image that each means; one name that cannot be read
    /// hides no other.
    ///
    /// # Errors
    /// If the directory of names cannot be read.
    pub fn list(&self) -> Result<Vec<Named>, Error> {
        let mut names = files::names(&self.directory.join("names"))?;
        names.retain(|name| check_name(name).is_ok());
        let resolved = names.into_iter().map(|name| {
            let digest = self.resolve(&name);
            Named { name, digest }
        });
        Ok(resolved.collect())
    }

    /// The bytes of an image's manifest, which have this digest.
    ///
    /// # Errors
    /// If there is no such image, or the file holds something else.
    pub fn manifest_bytes(&self, digest: Digest) -> Result<Vec<u8>, Error> {
        let path = self.manifest_path(digest);
        let bytes = files::read(&path, LONGEST_MANIFEST)?;
        let bytes = bytes.ok_or_else(|| Error::NoSuchImage(digest.to_string()))?;
        match Manifest::digest(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(Error::store(
                &path,
                format!("is damaged: has the digest {found}"),
            )),
        }
    }

    /// An image's manifest.
    ///
    /// # Errors
    /// As [`Store::manifest_bytes`] and [`Manifest::parse`].
    pub fn manifest(&self, digest: Digest) -> Result<Manifest, Error> {
        Manifest::parse(&self.manifest_bytes(digest)?)
    }

    /// An image's object, open for reading. It stays readable when the image is removed.
    ///
    /// # Errors
    /// If there is no such image.
    pub fn frames_file(&self, digest: Digest) -> Result<File, Error> {
        let file = files::open(&self.frames_path(digest))?;
        file.ok_or_else(|| Error::NoSuchImage(digest.to_string()))
    }

    /// Holds the store against removals, waiting until one that goes on has ended.
    ///
    /// # Errors
    /// If there is no store yet, or its lock cannot be opened.
    pub fn hold(&self) -> Result<Held, Error> {
        self.lock(FlockArg::LockShared)
    }

    /// Takes a name away, damaged or not, then every image that no name and no order refers to, and what
    /// killed adds have left. Not in a process that [holds](Store::hold) the store.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::NoSuchImage`], and as [`Store::sweep`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let path = self.name(name);
        if !path.is_symlink() && !path.exists() {
            return Err(Error::NoSuchImage(name.to_string()));
        }
        let held = self.lock(FlockArg::LockExclusive)?;
        files::remove(&path)?;
        files::sync(&self.directory.join("names"))?;
        self.sweep_held(&held)?;
        work::sweep(&self.directory.join("adding"), None)
    }

    /// Removes every image that no name and no order refers to. Returns how many.
    ///
    /// # Errors
    /// If a name or an order cannot be read: then nothing is removed.
    pub fn sweep(&self) -> Result<usize, Error> {
        let held = self.lock(FlockArg::LockExclusive)?;
        self.sweep_held(&held)
    }

    /// Where an image's manifest is.
    pub(crate) fn manifest_path(&self, digest: Digest) -> PathBuf {
        self.directory
            .join("objects")
            .join(format!("{digest}.json"))
    }

    /// Where an image's frames are.
    pub(crate) fn frames_path(&self, digest: Digest) -> PathBuf {
        self.directory
            .join("objects")
            .join(format!("{digest}.frames"))
    }

    /// The file of a name.
    pub(crate) fn name(&self, name: &str) -> PathBuf {
        self.directory.join("names").join(name)
    }

    /// The store's lock: shared by who reads and must not lose, exclusive for who removes.
    pub(crate) fn lock(&self, how: FlockArg) -> Result<Held, Error> {
        let path = self.directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(|why| Error::system(&path, why))?;
        loop {
            match Flock::lock(file, how) {
                Ok(lock) => return Ok(Held { _lock: lock }),
                Err((again, Errno::EINTR)) => file = again,
                Err((_, why)) => return Err(Error::system(&path, why)),
            }
        }
    }

    /// The caller has the lock, exclusively.
    pub(crate) fn sweep_held(&self, _held: &Held) -> Result<usize, Error> {
        let mut used: BTreeSet<Digest> = orders::wanted(&self.orders)?;
        for named in self.list()? {
            used.insert(named.digest?);
        }
        let objects = self.directory.join("objects");
        let names = files::names(&objects)?;
        let mut unused = BTreeSet::new();
        for name in &names {
            let stem = name.split_once('.').map(|(stem, _)| stem);
            if let Some(digest) = stem.and_then(|stem| stem.parse().ok())
                && !used.contains(&digest)
            {
                unused.insert(digest);
            }
        }
        for digest in &unused {
            // The manifest first: without it there is no image.
            files::remove(&self.manifest_path(*digest))?;
            files::remove(&self.frames_path(*digest))?;
        }
        if !unused.is_empty() {
            files::sync(&objects)?;
        }
        Ok(unused.len())
    }
}
