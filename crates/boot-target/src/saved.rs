//! What a node would have booted before we told it otherwise, kept until it is put back.
//!
//! One file per node in the state directory. It is safe on disk before anything is changed, so that a
//! crash at any later moment leaves enough to put the node back.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{Batch, flush_directory};
use crate::error::Error;

/// The form of the file; a newer one is refused.
const FORMAT: u32 = 1;
/// No record is nearly as large: it holds a few values and two boot scripts.
const LARGEST: u64 = 256 * 1024;

/// One node's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// [`FORMAT`]
    pub format: u32,
    /// Our values of `chain.currstate`, of this run and of those that could not put the node back: as
    /// long as the row says one of them, it is ours to change.
    pub ours: Vec<String>,
    /// Our `chain.currchain`: what `nextdestiny` makes the state.
    pub then: String,
    /// What was there.
    pub before: Before,
}

/// The values and files that we change, as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// `chain.currstate`
    pub currstate: Option<String>,
    /// `chain.currchain`
    pub currchain: Option<String>,
    /// `nodetype.provmethod` as resolved; xCAT blanks the node's own when it goes to `boot`.
    pub provmethod: Option<String>,
    /// The node's own `nodetype.provmethod`.
    pub own_provmethod: Option<String>,
    /// The node's own `bootparams.addkcmdline`.
    pub addkcmdline: Option<String>,
    /// `bootparams.addkcmdline` as it applied to the node, its groups' value included.
    pub applied: Option<String>,
    /// The node had a row of its own in `bootparams`.
    pub has_bootparams: bool,
    /// Boot scripts by path; `None`: there was none.
    pub files: BTreeMap<PathBuf, Option<String>>,
}

impl Saved {
    /// A record of the present form.
    pub(crate) fn new(ours: Vec<String>, then: &str, before: Before) -> Saved {
        Saved {
            format: FORMAT,
            ours,
            then: then.to_string(),
            before,
        }
    }
}

/// The directory of the records.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the directory of this machine, and makes it (0700: a record tells of the cluster).
    pub(crate) fn open() -> Result<Store, Error> {
        let directory = program::paths::state_dir().join("boot");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(Error::at(&directory))?;
        Ok(Store { directory })
    }

    /// Each node's record, if it has one. A record that cannot be believed is an error for its node:
    /// to overwrite it would lose the way back.
    pub(crate) fn load(&self, node: &str) -> Result<Option<Saved>, String> {
        let path = self.directory.join(node);
        let wrong = |why: String| format!("{}: {why}", path.display());
        let file = match OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        read(file).map(Some).map_err(wrong)
    }

    /// Writes the records; returns the nodes for which that failed.
    pub(crate) fn save(&self, records: &BTreeMap<String, Saved>) -> Vec<(String, String)> {
        let mut batch = Batch::new(&self.directory, 0o600);
        let mut failed = Vec::new();
        for (node, record) in records {
            let written = serde_json::to_vec(record)
                .map_err(std::io::Error::other)
                .and_then(|text| batch.write(node, &text));
            if let Err(error) = written {
                failed.push((node.clone(), error.to_string()));
            }
        }
        failed.extend(batch.commit());
        failed
    }

    /// Drops the records of nodes that are back. One that stays behind is harmless: it says so itself
    /// when it is read again.
    pub(crate) fn forget<'a>(&self, nodes: impl Iterator<Item = &'a String>) {
        let mut any = false;
        for node in nodes {
            any |= std::fs::remove_file(self.directory.join(node)).is_ok();
        }
        if any {
            let _ = flush_directory(&self.directory);
        }
    }
}

/// The text of a boot script, `None` if there is none.
pub(crate) fn script(path: &Path) -> Result<Option<String>, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let bytes = bounded(file, LARGEST / 4).map_err(wrong)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no text".to_string()))?;
    Ok(Some(text))
}

fn read(file: File) -> Result<Saved, String> {
    let data = file.metadata().map_err(|error| error.to_string())?;
    let mine = nix::unistd::geteuid().as_raw();
    if (data.uid() != mine && data.uid() != 0) || data.mode() & 0o022 != 0 {
        return Err("somebody else could have written it".to_string());
    }
    let bytes = bounded(file, LARGEST)?;
    let record: Saved =
        serde_json::from_slice(&bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if record.format != FORMAT {
        return Err(format!(
            "has format {}, this version knows {FORMAT}",
            record.format
        ));
    }
    Ok(record)
}

fn bounded(file: File, limit: u64) -> Result<Vec<u8>, String> {
    let data = file.metadata().map_err(|error| error.to_string())?;
    if !data.is_file() {
        return Err("is no file".to_string());
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("is larger than {limit} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn store(dir: &tempfile::TempDir) -> Store {
        Store {
            directory: dir.path().to_path_buf(),
        }
    }

    fn record() -> Saved {
        Saved::new(
            vec!["runcmd=getadapter".to_string()],
            "boot",
            Before {
                currstate: Some("netbooted \u{e9}".into()),
                files: BTreeMap::from([
                    (PathBuf::from("/x"), Some("a\nb".into())),
                    (PathBuf::from("/y"), None),
                ]),
                ..Before::default()
            },
        )
    }

    #[test]
    fn a_record_comes_back_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        assert_eq!(store.load("n1").unwrap(), None);
        let records = BTreeMap::from([("n1".to_string(), record()), ("n2".to_string(), record())]);
        assert_eq!(store.save(&records), []);
        assert_eq!(store.load("n1").unwrap(), Some(record()));
        store.forget(["n1".to_string()].iter());
        assert_eq!(store.load("n1").unwrap(), None);
        assert_eq!(store.load("n2").unwrap(), Some(record()));
    }

    #[test]
    fn what_cannot_be_believed_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        std::fs::write(dir.path().join("torn"), "{\"format\":1,").unwrap();
        let newer = serde_json::to_string(&Saved {
            format: 2,
            ..record()
        })
        .unwrap();
        std::fs::write(dir.path().join("newer"), newer).unwrap();
        std::fs::write(dir.path().join("large"), vec![b' '; 300_000]).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("torn"), dir.path().join("link")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let anyone = dir.path().join("anyone");
        std::fs::write(&anyone, serde_json::to_string(&record()).unwrap()).unwrap();
        std::fs::set_permissions(&anyone, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        for (name, why) in [
            ("torn", "cannot be read"),
            ("newer", "has format 2"),
            ("large", "larger"),
            ("folder", "is no file"),
            ("link", "symbolic links"),
            ("fifo", "is no file"),
            ("anyone", "somebody else"),
        ] {
            let error = store.load(name).unwrap_err();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_script_that_is_no_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1");
        assert_eq!(script(&path).unwrap(), None);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(script(&path).unwrap_err().contains("is no text"));
    }
}
