//! The file that an image is made from, and what its format may not do.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::error::Error;
use crate::files;

/// A format that is declared, never guessed: content of a disk that looks like another format is
/// content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// QEMU's, versions 2 and 3.
    Qcow2,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
    /// VMware's, as one file (monolithicSparse, streamOptimized).
    Vmdk,
    /// Virtual PC's.
    Vpc,
}

/// All formats, with their names: qemu-img's own.
pub const FORMATS: [(Format, &str); 6] = [
    (Format::Raw, "raw"),
    (Format::Qcow2, "qcow2"),
    (Format::Vdi, "vdi"),
    (Format::Vhdx, "vhdx"),
    (Format::Vmdk, "vmdk"),
    (Format::Vpc, "vpc"),
];

/// Which file, in which state: if this is the same, so is its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A source, open and looked at.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    /// Absolute, without links: no name that qemu-img takes for something else than a file.
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
}

impl Opened {
    /// Opens a regular file and looks at its header, so that no format leads to another file.
    pub(crate) fn open(path: &Path, format: Format) -> Result<Opened, Error> {
        let path = std::fs::canonicalize(path).map_err(|why| Error::system(path, why))?;
        let missing = || Error::system(&path, io::ErrorKind::NotFound);
        let file = files::open(&path)?.ok_or_else(missing)?;
        let identity = Identity::of(&path, &file)?;
        let mut head = [0; 80];
        let read = read_some(&file, &mut head, 0).map_err(|why| Error::system(&path, why))?;
        check_header(format, &head[..read]).map_err(|why| Error::source(&path, why))?;
        if identity.size == 0 {
            return Err(Error::source(&path, "is empty"));
        }
        Ok(Opened {
            file,
            path,
            identity,
        })
    }

    /// Fails if the file was written, or another took its place, since it was opened.
    pub(crate) fn unchanged(&self) -> Result<(), Error> {
        let of_path = files::open(&self.path)?;
        let same = of_path.is_some_and(|file| {
            Identity::of(&self.path, &file).is_ok_and(|now| now == self.identity)
        });
        match same {
            true => Ok(()),
            false => Err(Error::source(&self.path, "was changed while it was read")),
        }
    }
}

impl Identity {
    fn of(path: &Path, file: &File) -> Result<Identity, Error> {
        let about = file.metadata().map_err(|why| Error::system(path, why))?;
        Ok(Identity {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

impl Format {
    /// Its name.
    pub fn name(self) -> &'static str {
        let found = FORMATS.iter().find(|(format, _)| *format == self);
        found.map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let found = FORMATS.iter().find(|(_, name)| *name == text);
        found.map(|(format, _)| *format).ok_or_else(|| {
            let names = FORMATS.map(|(_, name)| name).join(", ");
            format!("is none of {names}")
        })
    }
}

/// Reads at most as much as fits; less only at the end of the file.
pub(crate) fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Refuses what leads to other files, before any program opens the file by its format: a qcow2 with a
/// backing file or an external data file, a vmdk that is a list of files.
fn check_header(format: Format, head: &[u8]) -> Result<(), String> {
    let number = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes)
    };
    match format {
        Format::Qcow2 => {
            if head.get(..4) != Some(b"QFI\xfb") {
                return Err("is no qcow2 file".to_string());
            }
            if number(8) != Some(0) {
                return Err("has a backing file: convert it to a file of its own".to_string());
            }
            // Incompatible features, which version 2 does not have: bit 2 is external data.
            let version = head.get(4..8);
            if version != Some(&[0, 0, 0, 2]) && number(72).is_none_or(|bits| bits & 4 != 0) {
                return Err("has its data in another file".to_string());
            }
        }
        Format::Vmdk => {
            // Of a sparse extent; one without a capacity is only the place of a list of files.
            let capacity = head.get(12..20);
            if head.get(..4) != Some(b"KDMV") || capacity.is_none_or(|bytes| bytes == [0; 8]) {
                return Err("is no vmdk file that holds its data itself".to_string());
            }
        }
        Format::Raw | Format::Vdi | Format::Vhdx | Format::Vpc => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{FORMATS, Format, check_header};

    #[test]
    fn names_are_formats() {
        for (format, name) in FORMATS {
            assert_eq!(name.parse::<Format>().unwrap(), format);
            assert_eq!(format.to_string(), name);
        }
        for name in ["", "RAW", "qed", "luks", "nbd"] {
            assert!(name.parse::<Format>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_format_that_leads_elsewhere_is_refused() {
        let mut qcow2 = [0; 80];
        qcow2[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        assert!(check_header(Format::Qcow2, &qcow2).is_ok());
        assert!(check_header(Format::Qcow2, &qcow2[..76]).is_err());
        assert!(check_header(Format::Raw, &qcow2).is_ok());
        let mut external = qcow2;
        external[79] = 4;
        assert!(
            check_header(Format::Qcow2, &external)
                .unwrap_err()
                .contains("another file")
        );
        let mut backed = qcow2;
        backed[14] = 1;
        assert!(
            check_header(Format::Qcow2, &backed)
                .unwrap_err()
                .contains("backing file")
        );
        assert!(check_header(Format::Qcow2, b"").is_err());
        let mut vmdk = [0; 80];
        vmdk[..4].copy_from_slice(b"KDMV");
        assert!(check_header(Format::Vmdk, &vmdk).is_err());
        vmdk[12] = 1;
        assert!(check_header(Format::Vmdk, &vmdk).is_ok());
        assert!(check_header(Format::Vmdk, b"# Disk DescriptorFile\n").is_err());
    }
}
