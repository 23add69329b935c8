//! Who calls.

use std::io;

use nix::sys::prctl;
use nix::unistd::{Uid, User};

/// The ids that matter of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The user who started it, for a program with the setuid bit.
    pub real: u32,
    /// The user whose rights it has.
    pub effective: u32,
}

impl Ids {
    /// As they are now.
    pub fn here() -> Ids {
        Ids {
            real: nix::unistd::getuid().as_raw(),
            effective: nix::unistd::geteuid().as_raw(),
        }
    }
}

/// True if the kernel gives this process no rights by execution, whatever bits a file has.
pub fn new_privileges_are_off() -> bool {
    prctl::get_no_new_privs().unwrap_or(false)
}

/// The name of a user by the system's own databases; none if there is no such user.
///
/// # Errors
/// If a database cannot be asked.
pub fn user_name(uid: u32) -> io::Result<Option<String>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
}
