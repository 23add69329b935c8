//! What is to be done, before any BMC is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive;
use crate::manifest::{Manifest, Purpose};
use crate::{Limits, Request, Waves};

/// How far an update goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Look at every BMC, and change nothing.
    Preflight,
    /// `-u`: the BMC holds the image.
    Upload,
    /// `-a`: the image is active, and boots next.
    Activate,
    /// `-d`: BMC and host run it.
    Run {
        /// `--no-host-reboot`: a new host image waits for the next power cycle.
        keep_host: bool,
    },
}

/// One archive of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The file as the user named it; empty for `-a ID`.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the archive; filled in when it is copied.
    pub sha256: String,
    /// `-a ID`: nothing is sent, the BMC has it.
    pub id: Option<String>,
}

/// One run: what a journal begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How far.
    pub goal: Goal,
    /// For the BMC first, then for the host.
    pub images: Vec<Image>,
    /// All nodes.
    pub nodes: Vec<String>,
    /// Options.
    pub options: Options,
}

/// What the user set beside that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Children at a time.
    pub fanout: usize,
    /// Canaries, batches, when to stop.
    pub waves: Waves,
    /// Every wait.
    pub limits: Limits,
    /// Bytes a second, over all uploads together.
    pub rate: Option<u64>,
    /// `--pull`: where BMCs that take no upload find the archives, see [`Options::pull`].
    #[serde(default)]
    pub pull: Option<String>,
    /// Leave nodes alone that run the version already.
    pub skip_current: bool,
    /// What BMCs' certificates are held against.
    pub trust: Trust,
}

impl Options {
    /// The URL of an archive: below one that ends in `/` it has the archive's own file name.
    pub fn pull(&self, image: &Image) -> Option<String> {
        let url = self.pull.clone()?;
        let name = image.path.file_name().filter(|_| url.ends_with('/'));
        Some(url + &name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
    }
}

/// `--insecure`, `--accept-new-cert`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Nothing is checked.
    pub insecure: bool,
    /// A changed key is taken as the new one.
    pub accept_new: bool,
}

/// Why a request cannot be planned; each is xCAT's text, without `Error: `.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such file, or not readable.
    #[error("Cannot access {0}. Check the management node and/or service nodes.")]
    Access(String),
    /// Not a directory.
    #[error("Can't open directory : {0}")]
    Directory(String),
    /// The directory lacks an archive; may be two lines.
    #[error("{0}")]
    Missing(String),
    /// Two of a kind: which one is meant?
    #[error("More than 1 {0} tar file {1} found in {2}")]
    Several(&'static str, String, String),
    /// The archive itself.
    #[error("{0}: {1}")]
    Archive(String, archive::Wrong),
}

/// Reads an archive.
///
/// # Errors
/// [`Refused::Access`], [`Refused::Archive`].
pub fn image(path: &Path) -> Result<Image, Refused> {
    let name = path.display().to_string();
    let mut file = std::fs::File::open(path).map_err(|_| Refused::Access(name.clone()))?;
    let meta = file.metadata().map_err(|_| Refused::Access(name.clone()))?;
    if !meta.is_file() {
        return Err(Refused::Access(name));
    }
    let manifest = archive::read(&mut file).map_err(|wrong| Refused::Archive(name, wrong))?;
    Ok(Image {
        path: path.to_path_buf(),
        size: meta.len(),
        manifest,
        sha256: String::new(),
        id: None,
    })
}

/// Goal and images of a request. `typed` is the directory as typed, for texts. A request that
/// flashes nothing has no plan.
///
/// # Errors
/// [`Refused`].
pub fn read(request: &Request, typed: &str) -> Result<Option<(Goal, Vec<Image>)>, Refused> {
    Ok(Some(match request {
        Request::Upload(path) => (Goal::Upload, vec![image(path)?]),
        Request::ActivateFile(path) => (Goal::Activate, vec![image(path)?]),
        Request::ActivateId(id) => (Goal::Activate, vec![known(id)]),
        Request::Directory { path, keep_host } => (
            Goal::Run {
                keep_host: *keep_host,
            },
            directory(path, typed)?,
        ),
        Request::List | Request::Check(_) | Request::Delete(_) => return Ok(None),
    }))
}

fn known(id: &str) -> Image {
    Image {
        path: PathBuf::new(),
        size: 0,
        manifest: Manifest {
            version: String::new(),
            purpose: Purpose::Other(String::new()),
            machine: None,
            extended: None,
        },
        sha256: String::new(),
        id: Some(id.to_ascii_lowercase()),
    }
}

/// The one BMC archive and the one host archive of a directory.
fn directory(path: &Path, typed: &str) -> Result<Vec<Image>, Refused> {
    let refuse = |_| Refused::Directory(typed.to_string());
    let mut found: BTreeMap<Purpose, Vec<Image>> = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(refuse)? {
        let file = entry.map_err(refuse)?.path();
        let name = file.to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".tar") && file.is_file() {
            let image = image(&file)?;
            found
                .entry(image.manifest.purpose.clone())
                .or_default()
                .push(image);
        }
    }
    let mut images = Vec::new();
    let mut missing = Vec::new();
    for (purpose, short, label) in [
        (Purpose::Bmc, "BMC", "BMC"),
        (Purpose::Host, "Host", "HOST"),
    ] {
        let mut of = found.remove(&purpose).unwrap_or_default();
        if of.len() > 1 {
            let mut names: Vec<String> = of
                .iter()
                .map(|image| image.path.display().to_string())
                .collect();
            names.sort();
            return Err(Refused::Several(label, names.join(" "), typed.to_string()));
        }
        match of.pop() {
            Some(image) => images.push(image),
            None => missing.push(format!("No {short} tar file found in {typed}")),
        }
    }
    if missing.is_empty() {
        Ok(images)
    } else {
        Err(Refused::Missing(missing.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Goal, read};
    use crate::Request;
    use crate::testing::firmware;

    #[test]
    fn a_directory_has_one_of_each() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Directory {
            path: dir.path().into(),
            keep_host: false,
        };
        let said = |request: &Request| read(request, "fw").unwrap_err().to_string();
        assert_eq!(
            said(&request),
            "No BMC tar file found in fw\nNo Host tar file found in fw"
        );
        std::fs::write(dir.path().join("b.tar"), firmware("b1", "BMC", 100)).unwrap();
        std::fs::write(dir.path().join("notes"), "x").unwrap();
        assert_eq!(said(&request), "No Host tar file found in fw");
        std::fs::write(dir.path().join("h.TAR"), firmware("h1", "Host", 100)).unwrap();
        let (goal, images) = read(&request, "fw").unwrap().unwrap();
        assert_eq!(goal, Goal::Run { keep_host: false });
        let versions: Vec<&str> = images
            .iter()
            .map(|image| image.manifest.version.as_str())
            .collect();
        assert_eq!(versions, ["b1", "h1"]);
        std::fs::write(dir.path().join("c.tar"), firmware("b2", "BMC", 100)).unwrap();
        assert!(said(&request).starts_with("More than 1 BMC tar file "));
        let gone = Request::Directory {
            path: dir.path().join("gone"),
            keep_host: false,
        };
        assert_eq!(said(&gone), "Can't open directory : fw");
    }

    #[test]
    fn files_are_looked_into_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.tar");
        let said = |path: &std::path::Path| {
            read(&Request::Upload(path.into()), "")
                .unwrap_err()
                .to_string()
        };
        assert!(said(&path).starts_with("Cannot access "));
        assert!(said(dir.path()).starts_with("Cannot access "));
        let whole = firmware("v1", "BMC", 5000);
        std::fs::write(&path, &whole[..3000]).unwrap();
        assert!(said(&path).contains("f.tar: is truncated"));
        std::fs::write(&path, &whole).unwrap();
        let (goal, images) = read(&Request::Upload(path), "").unwrap().unwrap();
        assert_eq!((goal, images[0].size), (Goal::Upload, whole.len() as u64));
    }
}
