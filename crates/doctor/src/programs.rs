//! Where our programs are, and which of two with one name a login shell finds: xCAT's profile puts its
//! own directories first, and a file that is read after it can put ours before them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// All of ours.
pub(crate) const NAMES: [&str; 11] = [
    "callbackd",
    "findadapter-agent",
    "getadapter",
    "nodereboot",
    "nodereboot-priv",
    "oneserver",
    "osload",
    "osload-agent",
    "rflash",
    "snmove",
    "xtab",
];

/// Sorts after xCAT's `xcat.sh` and `xcat.csh`, which put xCAT's directories first.
const PROFILE: &str = "zz-xcat-nodetools";

/// Where our programs are, and what makes a login shell find them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The directory that shells search.
    pub directory: PathBuf,
    /// The directory of those that have the name of an xCAT command: no shell looks there.
    pub clashing: PathBuf,
    /// Links to those that were taken over.
    pub taken: PathBuf,
    /// What login shells read: `/etc/profile.d`.
    pub profile: PathBuf,
}

/// Why a name was not taken over or given back; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// No program of ours.
    #[error("{0}: is no program of ours")]
    Unknown(String),
    /// It is not here.
    #[error("{0}: is not installed")]
    Missing(String),
    /// A file could not be written or removed.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
}

impl Programs {
    /// Our program of that name, if it is installed.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        [&self.directory, &self.clashing]
            .map(|directory| directory.join(name))
            .into_iter()
            .find(|path| is_command(path))
    }

    /// Lets login shells find our program of that name before any other, from the next login on. Again
    /// is once.
    ///
    /// # Errors
    /// [`TakeOverError`].
    pub fn take_over(&self, name: &str) -> Result<PathBuf, TakeOverError> {
        let program = self.ours(name)?;
        let program = program.ok_or_else(|| TakeOverError::Missing(name.into()))?;
        let at = |path: &Path| {
            let path = path.to_path_buf();
            |why| TakeOverError::File { path, why }
        };
        let mut directories = fs::DirBuilder::new();
        directories.recursive(true).mode(0o755);
        directories.create(&self.taken).map_err(at(&self.taken))?;
        let link = self.taken.join(name);
        replace(&link, |new| symlink(&program, new)).map_err(at(&link))?;
        for (kind, text) in [("sh", self.sh()), ("csh", self.csh())] {
            let file = self.file(kind);
            let written = replace(&file, |new| {
                let mut options = fs::OpenOptions::new();
                let mut file = options.write(true).create_new(true).mode(0o644).open(new)?;
                io::Write::write_all(&mut file, text.as_bytes())
            });
            written.map_err(at(&file))?;
        }
        Ok(program)
    }

    /// Takes back what [`Programs::take_over`] did. A name that was not taken over is as it was.
    ///
    /// # Errors
    /// [`TakeOverError`].
    pub fn give_back(&self, name: &str) -> Result<(), TakeOverError> {
        self.ours(name)?;
        remove(&self.taken.join(name))?;
        // Fails, and nothing more is to be done, while another name is taken over.
        if fs::remove_dir(&self.taken).is_ok() || !self.taken.exists() {
            for kind in ["sh", "csh"] {
                remove(&self.file(kind))?;
            }
        }
        Ok(())
    }

    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.taken.join(name).symlink_metadata().is_ok()
    }

    fn ours(&self, name: &str) -> Result<Option<PathBuf>, TakeOverError> {
        match NAMES.contains(&name) {
            true => Ok(self.find(name)),
            false => Err(TakeOverError::Unknown(name.into())),
        }
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.profile.join(format!("{PROFILE}.{kind}"))
    }

    fn sh(&self) -> String {
        let links = crate::shell::word(&self.taken.display().to_string());
        format!(
            "{ABOUT}case $PATH in\n{links}:*) ;;\n*) PATH={links}:$PATH ;;\nesac\nexport PATH\n"
        )
    }

    fn csh(&self) -> String {
        let links = crate::shell::word(&self.taken.display().to_string());
        format!("{ABOUT}if (\"$path[1]\" != {links}) set path = ({links} $path:q)\n")
    }
}

const ABOUT: &str = "\
# Made by `xtab doctor --take-over`: commands with a link in this directory are found before xCAT's, whose
# own file is read earlier. `xtab doctor --give-back` removes the link, and with the last one this file.
";

/// A shell goes past what nobody may execute.
pub(crate) fn is_command(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Makes a file beside `path` and renames it: who reads sees the old one or the new one.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_os_string();
    name.push(format!(".{}", std::process::id()));
    // No shell reads it: it does not end in .sh.
    let new = path.with_file_name(name);
    let made = make(&new).and_then(|()| fs::rename(&new, path));
    if made.is_err() {
        let _ = fs::remove_file(&new);
    }
    made
}

/// One that is not there is as it shall be.
fn remove(path: &Path) -> Result<(), TakeOverError> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(TakeOverError::File {
            path: path.into(),
            why,
        }),
        _ => Ok(()),
    }
}
