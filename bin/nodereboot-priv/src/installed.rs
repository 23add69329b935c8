//! The programs that are run: fixed when this one was built, never found by a name.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::args::Program;

/// Where they are installed; `make SBINDIR=...` builds another one in.
const DIRECTORY: &str = match option_env!("NODETOOLS_SBINDIR") {
    Some(directory) => directory,
    None => "/usr/sbin",
};

/// Where a program is installed.
pub(crate) fn path(program: Program) -> PathBuf {
    Path::new(DIRECTORY).join(match program {
        Program::Nodereboot => "nodereboot",
        Program::Osload => "osload",
    })
}

/// Passes if nobody but root can have put it there or changed it.
pub(crate) fn check(program: &Path) -> Result<(), String> {
    let parent = program.parent().unwrap_or(Path::new("/"));
    for path in [parent, program] {
        let found = path
            .metadata()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            return Err(format!(
                "{}: others than root can change it",
                path.display()
            ));
        }
    }
    Ok(())
}
