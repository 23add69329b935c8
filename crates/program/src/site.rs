//! `/etc/xcat-nodetools.conf`: what a site sets once for all programs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest file.
const LONGEST: u64 = 64 << 10;

/// A site's settings; without the file all are unset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// `bmc-ca`: a PEM file. Only management controllers with a certificate of these CAs are believed.
    pub bmc_ca: Option<PathBuf>,
    /// `bmc-old-tls`: a noderange. These nodes' management controllers know only old TLS suites.
    pub bmc_old_tls: Option<String>,
    /// `images`: the directory of the disk images.
    pub images: Option<PathBuf>,
    /// `max-loads`: disks that are loaded at a time, at most; no limit without it.
    pub max_loads: Option<usize>,
}

/// A file that cannot be used; nothing is done then, rather than without what it says.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The file itself.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// One of its lines.
    #[error("{}: line {line}: {why}", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl Site {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// [`SiteError`]: it cannot be read, or a line is none of ours.
    pub fn read() -> Result<Site, SiteError> {
        Site::read_file(&crate::paths::site_file())
    }

    /// Where the disk images are: as the site has it, or `images` in the state directory.
    pub fn image_dir(&self) -> PathBuf {
        let ours = || crate::paths::state_dir().join("images");
        self.images.clone().unwrap_or_else(ours)
    }

    fn read_file(path: &Path) -> Result<Site, SiteError> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| {
            let read = file.take(LONGEST + 1).read_to_string(&mut text)?;
            match read as u64 > LONGEST {
                true => Err(io::ErrorKind::FileTooLarge.into()),
                false => Ok(()),
            }
        });
        match read {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Site::default()),
            Err(why) => {
                let file = path.to_owned();
                return Err(SiteError::File { file, why });
            }
        }
        Site::parse(&text).map_err(|(line, why)| SiteError::Line {
            file: path.to_owned(),
            line,
            why,
        })
    }

    /// `key = value` lines, empty ones, and those that begin with `#`. An error has its line's number.
    fn parse(text: &str) -> Result<Site, (usize, String)> {
        let mut site = Site::default();
        let mut seen = BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            site.set(line, &mut seen).map_err(|why| (at + 1, why))?;
        }
        Ok(site)
    }

    fn set(&mut self, line: &str, seen: &mut BTreeSet<String>) -> Result<(), String> {
        let Some((key, value)) = line.split_once('=') else {
            return Err("is not KEY = VALUE".to_string());
        };
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() {
            return Err(format!("{key}: has no value"));
        }
        match key {
            "bmc-ca" if value.starts_with('/') => self.bmc_ca = Some(value.into()),
            "images" if value.starts_with('/') => self.images = Some(value.into()),
            "max-loads" => match value.parse() {
                Ok(most) if most > 0 => self.max_loads = Some(most),
                _ => return Err(format!("{key}: {value}: is no number of nodes")),
            },
            "bmc-ca" | "images" => return Err(format!("{key}: {value}: is no absolute path")),
            "bmc-old-tls" => self.bmc_old_tls = Some(value.to_string()),
            _ => {
                return Err(format!(
                    "{key}: no such setting (bmc-ca, bmc-old-tls, images, max-loads)"
                ));
            }
        }
        match seen.insert(key.to_string()) {
            true => Ok(()),
            false => Err(format!("{key}: is set twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Site;

    #[test]
    fn settings_and_comments() {
        let text = "# ours\n\n bmc-ca = /etc/pki/bmc ca.pem \nbmc-old-tls=rack1,n[3-9]\nimages = /big/images\nmax-loads = 64";
        let site = Site::parse(text).unwrap();
        assert_eq!(site.image_dir().to_str(), Some("/big/images"));
        assert_eq!(site.max_loads, Some(64));
        assert_eq!(site.bmc_ca.unwrap().to_str(), Some("/etc/pki/bmc ca.pem"));
        assert_eq!(site.bmc_old_tls.as_deref(), Some("rack1,n[3-9]"));
        assert_eq!(Site::parse("#\n"), Ok(Site::default()));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for (text, line, part) in [
            ("x", 1, "KEY = VALUE"),
            ("\nfoo = 1", 2, "foo: no such setting"),
            ("bmc-ca =", 1, "no value"),
            ("bmc-ca = ca.pem", 1, "absolute"),
            ("images = images", 1, "absolute"),
            ("max-loads = 0", 1, "is no number"),
            ("max-loads = -1", 1, "is no number"),
            ("bmc-old-tls = a\nbmc-old-tls = b", 2, "twice"),
        ] {
            let (at, why) = Site::parse(text).unwrap_err();
            assert!(at == line && why.contains(part), "{text:?}: {at}: {why}");
        }
    }

    #[test]
    fn no_file_sets_nothing_and_one_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        assert_eq!(Site::read_file(&path).unwrap(), Site::default());
        std::fs::write(&path, vec![b'#'; 70_000]).unwrap();
        assert!(Site::read_file(&path).is_err());
        assert!(Site::read_file(dir.path()).is_err());
        std::fs::write(&path, "bmc-ca = x").unwrap();
        let error = Site::read_file(&path).unwrap_err().to_string();
        assert!(error.contains("conf: line 1: bmc-ca: x: "), "{error}");
    }
}
