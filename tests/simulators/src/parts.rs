//! Parts of the machine that a test needs. Under CI a missing one is a failure.

use std::process::{Command, Stdio};

/// True if `program` can be started; else says so loudly, and fails under CI.
pub fn have(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v -- \"$0\" >/dev/null", program])
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    found || missing(program)
}

/// True if we are root; else says so loudly, and fails under CI.
pub fn root() -> bool {
    nix::unistd::geteuid().is_root() || missing("root")
}

#[allow(clippy::print_stderr)] // Nobody else is there to say it.
fn missing(part: &str) -> bool {
    assert!(
        std::env::var_os("CI").is_none(),
        "{part}: is missing, and this is CI"
    );
    eprintln!("skipped: {part} missing");
    false
}
