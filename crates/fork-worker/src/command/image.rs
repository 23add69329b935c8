//! What execve needs, prepared before the fork: afterwards nothing may allocate.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr;

/// Where programs are looked for if PATH is not set.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program, its arguments and its environment as C wants them.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Pointers into an image, ended by a null.
pub(crate) struct Pointers<'image> {
    pub(crate) args: Vec<*const libc::c_char>,
    pub(crate) env: Vec<*const libc::c_char>,
    _image: &'image Image,
}

impl Image {
    /// Finds the program and puts its environment together.
    pub(crate) fn new(
        program: &Path,
        args: &[OsString],
        changes: &[(OsString, Option<OsString>)],
        clear: bool,
    ) -> io::Result<Image> {
        let path = find(program)?;
        let mut all = vec![text(program.as_os_str())?];
        for arg in args {
            all.push(text(arg)?);
        }
        let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
        if !clear {
            env.extend(std::env::vars_os());
        }
        for (name, value) in changes {
            match value {
                Some(value) => env.insert(name.clone(), value.clone()),
                None => env.remove(name),
            };
        }
        let mut lines = Vec::with_capacity(env.len());
        for (name, value) in env {
            let mut line = name.into_vec();
            line.push(b'=');
            line.extend_from_slice(value.as_bytes());
            lines.push(text(OsStr::from_bytes(&line))?);
        }
        Ok(Image {
            path: text(path.as_os_str())?,
            args: all,
            env: lines,
        })
    }

    pub(crate) fn pointers(&self) -> Pointers<'_> {
        let ended = |texts: &[CString]| {
            let pointers = texts.iter().map(|text| text.as_ptr());
            pointers.chain([ptr::null()]).collect()
        };
        Pointers {
            args: ended(&self.args),
            env: ended(&self.env),
            _image: self,
        }
    }
}

/// A name with a slash is a path; else the first executable file of that name in PATH.
fn find(program: &Path) -> io::Result<PathBuf> {
    if program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        // An empty part would be the working directory: nobody means that here.
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| {
            std::fs::metadata(file)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| {
            let what = format!("{}: not found in PATH", program.display());
            io::Error::new(io::ErrorKind::NotFound, what)
        })
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        let what = format!("{}: contains a zero byte", text.display());
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}
