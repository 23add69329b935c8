//! Killing or failing a program at a chosen system call, with strace: the built program is tested as
//! it is, without hooks in its code.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The calls that change the world; a kill before each visits every state between two of them.
pub const CHANGES: &str = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,mknodat,ftruncate";

/// A command that runs `command` under strace with these options; environment and arguments carry
/// over.
pub fn under(options: &[&str], command: &Command) -> Command {
    let mut traced = Command::new("strace");
    traced
        .args(options)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(key, value);
        }
    }
    traced.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    traced
}

/// How many of `calls` the command makes in a clean run (its own process only).
pub fn count(calls: &str, command: &Command, scratch: &Path) -> usize {
    let log = scratch.join("strace.count");
    let options = [
        "-qq",
        "-o",
        log.to_str().expect("path"),
        "-e",
        &format!("trace={calls}"),
    ];
    let status = under(&options, command)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("strace")
        .status;
    assert!(status.code().is_some(), "a clean run ends by itself");
    std::fs::read_to_string(&log)
        .expect("log")
        .lines()
        .filter(|line| line.contains('('))
        .count()
}

/// The command, killed before its `at`th call of `calls`.
pub fn killed(calls: &str, at: usize, command: &Command) -> Command {
    under(
        &[
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("inject={calls}:signal=SIGKILL:when={at}"),
        ],
        command,
    )
}

/// The command, whose `at`th call of `calls` on `path` fails with `error`.
pub fn failing(
    calls: &str,
    error: &str,
    at: usize,
    path: impl AsRef<OsStr>,
    command: &Command,
) -> Command {
    let path = path.as_ref().to_string_lossy().into_owned();
    under(
        &[
            "-qq",
            "-o",
            "/dev/null",
            "-P",
            &path,
            "-e",
            &format!("inject={calls}:error={error}:when={at}"),
        ],
        command,
    )
}
