//! Into the background: the newer genesis ends an action after 300 seconds, and a disk takes longer.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fork_worker::command::{Spec, run, start_detached};

/// Where the newer genesis has its actions, and runs nothing else from.
const ACTIONS: &str = "/usr/libexec/xcat/genesis/actions";
/// systemd makes it where it runs.
const SYSTEMD: &str = "/run/systemd/system";
/// The one tree of control groups, and a group of our own in it, where systemd does not make one.
const TREE: &str = "/sys/fs/cgroup/cgroup.procs";
const GROUP: &str = "/sys/fs/cgroup/osload-agent";
/// What it says that has gone its own way.
const GONE: &str = "detached";

/// What the boot may have handed over in the environment.
const VARIABLES: [&str; 8] = [
    "NODETOOLS_REPORT",
    "NODETOOLS_PIN",
    "NODETOOLS_NONCE",
    "NODETOOLS_ORDER",
    "NODETOOLS_IMAGES",
    "XCATMASTER",
    "XCATPORT",
    "PATH",
];

/// True if this program is run as an action.
pub(crate) fn is_action() -> bool {
    std::env::current_exe().is_ok_and(|path| path.parent() == Some(Path::new(ACTIONS)))
}

/// Starts this program again as a unit of its own, which systemd does not end with the action's; where
/// that cannot be had, as a session of its own that leaves the action's control group. Returns when
/// that is so: from then on whoever ends the action ends nothing of it.
///
/// # Errors
/// It could not be started. `said` hears which way it went.
pub(crate) fn detach(said: &mut dyn FnMut(&str)) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let mut args: Vec<OsString> = std::env::args_os()
        .skip(1)
        .filter(|arg| arg != "--detach")
        .collect();
    args.push("--foreground".into());
    if !args.iter().any(|arg| arg == "--return") {
        args.push("--return".into());
    }
    if Path::new(SYSTEMD).is_dir() {
        match unit(&program, &args) {
            Ok(()) => return Ok(()),
            Err(why) => said(&format!("{why}: going on without a unit of its own")),
        }
    }
    let ready = start_detached(
        &program,
        &args,
        &[("NODETOOLS_DETACHED".into(), "1".into())],
    )?;
    let mut line = String::new();
    BufReader::new(ready).read_line(&mut line)?;
    match line.trim_end() {
        GONE => Ok(()),
        _ => Err(io::Error::other("it ended at once")),
    }
}

/// Leaves the control group of whoever started us, who waits for that: what is in a unit's group ends with
/// the unit.
///
/// # Errors
/// Standard output cannot be closed.
pub(crate) fn leave_group() -> io::Result<()> {
    if std::env::var_os("NODETOOLS_DETACHED").is_none() {
        return Ok(());
    }
    // Where there is no such tree, there is nothing that ends us by it.
    if Path::new(TREE).exists() {
        let _ = std::fs::create_dir(GROUP);
        let _ = std::fs::write(PathBuf::from(GROUP).join("cgroup.procs"), "0");
    }
    let _ = writeln!(io::stdout(), "{GONE}");
    program::close_stdout()
}

fn unit(program: &Path, args: &[OsString]) -> io::Result<()> {
    let set = VARIABLES
        .iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let set = set.map(|(name, value)| format!("--setenv={name}={value}"));
    let spec = Spec::new("systemd-run")
        .args([
            "--quiet",
            "--collect",
            "--unit=osload-agent",
            "--property=StandardOutput=journal+console",
            "--property=StandardError=journal+console",
        ])
        .args(set)
        .arg("--")
        .arg(program)
        .args(args)
        .deadline(Duration::from_secs(30));
    let finished = run(&spec)?;
    if finished.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&finished.stderr);
    let why = why.lines().next().unwrap_or("failed").to_string();
    Err(io::Error::other(format!("systemd-run: {why}")))
}
