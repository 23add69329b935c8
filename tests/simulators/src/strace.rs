//! Killing or failing a program at a chosen system call, with strace: the built program is tested as
//! it is, without hooks in its code.
#![allow(clippy::expect_used)] // What fails here is the test.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The calls that change the world; a kill before each visits every state between two of them.
pub const CHANGES: &str = "openat,write,pwrite64,copy_file_range,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,mknodat,ftruncate,flock,clone,clone3,fork,vfork";

/// A call of a program, by its name and how many of that name its process had made with it: strace
/// counts the calls of each name by themselves, whatever set they are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    call: String,
    nth: usize,
}

impl Step {
    /// The value of strace's `-e` that kills before this call. With `-f`, whichever process comes to
    /// it first, and then all others that do.
    pub fn kill(&self) -> String {
        format!("inject={}:signal=SIGKILL:when={}", self.call, self.nth)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.call, self.nth)
    }
}

/// The steps of a trace, of all its processes, that changed something: no call that failed, no file that
/// was opened but not made.
///
/// # Panics
/// There are none: the trace does not see the work.
pub fn steps(trace: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(trace).expect("a trace");
    let mut counts = BTreeMap::new();
    let (mut seen, mut steps) = (BTreeSet::new(), Vec::new());
    for line in text.lines() {
        // With more than one process, its pid comes first.
        let (pid, rest) = match line.split_once(' ') {
            Some((pid, rest)) if pid.parse::<i32>().is_ok() => (pid, rest.trim_start()),
            _ => ("", line),
        };
        let Some((call, rest)) = rest.split_once('(') else {
            continue;
        };
        if !call
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        {
            continue;
        }
        let nth = counts.entry((pid, call)).or_insert(0);
        *nth += 1;
        if rest.contains(" = -1 ") || (call == "openat" && !rest.contains("O_CREAT")) {
            continue;
        }
        let step = Step {
            call: call.into(),
            nth: *nth,
        };
        if seen.insert(step.clone()) {
            steps.push(step);
        }
    }
    assert!(!steps.is_empty(), "no step in:\n{text}");
    steps
}

/// Which of them a test visits: every one with `KILL_STRIDE=1` (`make campaign`), else the first, before
/// which nothing can have happened, and every few after it, each time others.
#[allow(clippy::print_stdout)] // Which ones they were is worth knowing when one fails.
pub fn visited(steps: Vec<Step>, default_stride: usize) -> impl Iterator<Item = Step> {
    let stride = std::env::var("KILL_STRIDE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default_stride)
        .min(steps.len());
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    let offset = now.subsec_nanos() as usize % stride;
    println!(
        "{} steps: the first, and every {stride}. from {}",
        steps.len(),
        offset + 1
    );
    let visited = move |at: usize| at == 0 || at % stride == offset;
    let numbered = steps.into_iter().enumerate();
    numbered.filter_map(move |(at, step)| visited(at).then_some(step))
}

/// A command that runs `command` under strace with these options; environment, directory and arguments
/// carry over.
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
    if let Some(directory) = command.get_current_dir() {
        traced.current_dir(directory);
    }
    traced.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    traced.stdin(Stdio::null());
    traced
}

/// The command, its calls of these names written to a file.
pub fn traced(calls: &str, trace: &Path, command: &Command) -> Command {
    let trace = trace.to_str().expect("path");
    under(
        &["-qq", "-o", trace, "-e", &format!("trace={calls}")],
        command,
    )
}

/// The steps of a clean run (its own process only).
pub fn steps_of(calls: &str, command: &Command, scratch: &Path) -> Vec<Step> {
    let trace = scratch.join("strace.steps");
    let output = traced(calls, &trace, command).output().expect("strace");
    assert!(output.status.code().is_some(), "a clean run ends by itself");
    steps(&trace)
}

/// The command, killed before that call.
pub fn killed(step: &Step, command: &Command) -> Command {
    under(&["-qq", "-o", "/dev/null", "-e", &step.kill()], command)
}

/// The command, whose `at`th call of `calls` on `path` fails with `error`; with several names, of each.
pub fn failing(
    calls: &str,
    error: &str,
    at: usize,
    path: impl AsRef<OsStr>,
    command: &Command,
) -> Command {
    let path = path.as_ref().to_string_lossy().into_owned();
    let inject = format!("inject={calls}:error={error}:when={at}");
    under(
        &["-qq", "-o", "/dev/null", "-P", &path, "-e", &inject],
        command,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_name_counts_by_itself() {
        let text = "7  openat(AT_FDCWD, \"a\", O_RDONLY) = 3\n\
            7  write(1, \"x = -1\", 6) = 6\n\
            8  write(1, \"y\", 1 <unfinished ...>\n\
            8  write(1, \"z\", 1) = 1\n\
            7  --- SIGCHLD {si_pid=8} ---\n\
            8  <... write resumed>) = 1\n\
            7  mkdir(\"d\", 0700) = -1 EEXIST (File exists)\n\
            7  openat(AT_FDCWD, \"a\", O_WRONLY|O_CREAT, 0600) = 3\n\
            7  mkdir(\"e\", 0700) = 0\n";
        let dir = tempfile::tempdir().unwrap();
        let trace = dir.path().join("trace");
        std::fs::write(&trace, text).unwrap();
        let steps: Vec<String> = steps(&trace).iter().map(ToString::to_string).collect();
        assert_eq!(steps, ["write 1", "write 2", "openat 2", "mkdir 2"]);
    }
}
