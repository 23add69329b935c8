//! A user who attacks nodereboot-priv, the world that it is installed in, and the program that it runs.
//!
//! `intruder world DIR OPTION... -- STATE... -- ARGUMENT...` makes, in mount namespaces of its own, a
//! /usr/sbin with the setuid program and with this one in nodereboot's place, becomes an ordinary user,
//! puts itself into each state, and executes the program. In nodereboot's place it writes what it was
//! given to DIR/report.

use std::ffi::{CString, OsString};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, close, dup2_stdout, execve, setgroups, setresgid, setresuid};

const USER: u32 = 12345;
const PLACE: &str = "/usr/sbin";
const LIMITS: [(&str, Resource); 8] = [
    ("core", Resource::RLIMIT_CORE),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("stack", Resource::RLIMIT_STACK),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("as", Resource::RLIMIT_AS),
];

fn main() {
    let own = std::env::current_exe().expect("own path");
    if own == Path::new(PLACE).join("nodereboot") {
        return report();
    }
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let parts: Vec<&[OsString]> = words.splitn(3, |word| word == "--").collect();
    let [world, states, arguments] = parts[..] else {
        panic!("usage: intruder world DIR OPTION... -- STATE... -- ARGUMENT...");
    };
    make_world(&own, Path::new(&world[1]), &world[2..]);
    become_user();
    attack(states, arguments);
}

fn make_world(own: &Path, dir: &Path, options: &[OsString]) {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
    mount(
        Some("tmpfs"),
        PLACE,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .expect("tmpfs");
    let has = |word: &str| options.iter().any(|option| option == word);
    let install = |from: &Path, name: &str, mode: u32| {
        let to = Path::new(PLACE).join(name);
        std::fs::copy(from, &to).expect("copy");
        std::fs::set_permissions(&to, Permissions::from_mode(mode)).expect("mode");
    };
    let bit = if has("plain") { 0o755 } else { 0o4755 };
    install(
        &own.with_file_name("nodereboot-priv"),
        "nodereboot-priv",
        bit,
    );
    if has("real") {
        install(&own.with_file_name("nodereboot"), "nodereboot", 0o755);
        if has("osload") {
            install(&own.with_file_name("osload"), "osload", 0o755);
        }
        cluster(dir);
    } else if !has("missing") {
        let mode = if has("writable") { 0o775 } else { 0o755 };
        install(own, "nodereboot", mode);
    }
    std::fs::write(Path::new(PLACE).join("where"), dir.to_str().expect("text")).expect("where");
    let passwd = dir.join("passwd");
    mount(Some(&passwd), "/etc/passwd", none, MsFlags::MS_BIND, none).expect("passwd");
    if has("oom") {
        std::fs::write("/proc/self/oom_score_adj", "900").expect("oom");
    }
    if has("nosuid") {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
        mount(none, PLACE, none, flags, none).expect("remount");
    }
}

/// Tables where xCAT has them, its power command, and sudo's rule; no runtime directory of this host's.
fn cluster(dir: &Path) {
    let none: Option<&str> = None;
    let mode = Some("mode=755");
    mount(Some("tmpfs"), "/opt", Some("tmpfs"), MsFlags::empty(), mode).expect("tmpfs");
    // One for all worlds of this directory, as a host has it.
    mount(Some(&dir.join("run")), "/run", none, MsFlags::MS_BIND, none).expect("bind");
    for directory in ["/opt/xcat/cfg", "/opt/xcat/bin"] {
        std::fs::create_dir_all(directory).expect("mkdir");
    }
    std::fs::copy(dir.join("rpower"), "/opt/xcat/bin/rpower").expect("rpower");
    let bind = |from: &str, to: &str| {
        mount(Some(&dir.join(from)), to, none, MsFlags::MS_BIND, none).expect("bind");
    };
    bind("tables", "/opt/xcat/cfg");
    bind("group", "/etc/group");
    bind("shadow", "/etc/shadow");
    if dir.join("sudoers").exists() {
        bind("sudoers", "/etc/sudoers");
    }
    // Images, if there are any; else this host's, which are none.
    if dir.join("lib").exists() {
        mount(
            Some("tmpfs"),
            "/var/lib",
            Some("tmpfs"),
            MsFlags::empty(),
            mode,
        )
        .expect("tmpfs");
        std::fs::create_dir("/var/lib/xcat-nodetools").expect("mkdir");
        bind("lib", "/var/lib/xcat-nodetools");
    }
}

fn become_user() {
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    setgroups(&[]).expect("setgroups");
    setresgid(group, group, group).expect("setresgid");
    setresuid(user, user, user).expect("setresuid");
}

/// Puts this process into each of the states, then executes the program. What must stay open is leaked.
fn attack(states: &[OsString], arguments: &[OsString]) -> ! {
    let mut environment: Vec<Vec<u8>> = Vec::new();
    let mut wrapper: Vec<&str> = Vec::new();
    let mut no_arguments = false;
    let mut front = None;
    for state in states {
        let state = state.to_str().expect("text");
        let (name, value) = state.split_once('=').unwrap_or((state, ""));
        let (limit, both) = match name.strip_prefix("hard-") {
            Some(limit) => (limit, true),
            None => (name, false),
        };
        if let Some((_, which)) = LIMITS.iter().find(|(name, _)| *name == limit) {
            let (_, hard) = getrlimit(*which).expect("getrlimit");
            let value = value.parse().unwrap_or(RLIM_INFINITY).min(hard);
            setrlimit(*which, value, if both { value } else { hard }).expect("setrlimit");
            continue;
        }
        match name {
            "env" => environment.push(value.into()),
            "closed" => value
                .bytes()
                .for_each(|fd| close(i32::from(fd - b'0')).expect("close")),
            "descriptors" => {
                let open = value.parse().expect("number");
                (0..open).for_each(|_| inherit(File::open("/dev/null").expect("open")));
            }
            "blocked" => {
                sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).expect("mask")
            }
            "pending" => raise(value.parse::<Signal>().expect("signal")).expect("raise"),
            "ignored" => wrapper = vec!["/usr/bin/env", "--ignore-signal"],
            "nice" => wrapper = vec!["/usr/bin/nice", "-n", "15"],
            "alarm" => drop(nix::unistd::alarm::set(value.parse().expect("seconds"))),
            "umask" => drop(umask(Mode::empty())),
            "no-arguments" => no_arguments = true,
            "front" => front = Some("nodereboot"),
            "osload" => front = Some("osload"),
            "no-new-privileges" => nix::sys::prctl::set_no_new_privs().expect("prctl"),
            "traced" => wrapper = vec!["/usr/bin/strace", "-f", "-o", "/dev/null"],
            "deleted" => {
                let dir = std::env::temp_dir().join(format!("intruder.{}", std::process::id()));
                std::fs::create_dir(&dir).expect("mkdir");
                std::env::set_current_dir(&dir).expect("chdir");
                std::fs::remove_dir(&dir).expect("rmdir");
            }
            "full" => dup2_stdout(File::options().write(true).open("/dev/full").expect("open"))
                .expect("dup2"),
            "broken" => dup2_stdout(std::io::pipe().expect("pipe").1).expect("dup2"),
            // What stands in REBOOTPIPENO, and what is at 9.
            "pipe" => {
                let fd: OwnedFd = match value {
                    "file" => tempfile::tempfile().expect("file").into(),
                    "socket" => std::os::unix::net::UnixStream::pair()
                        .expect("pair")
                        .0
                        .into(),
                    "read-end" => {
                        let (reader, writer) = std::io::pipe().expect("pipe");
                        std::mem::forget(writer);
                        reader.into()
                    }
                    "null" => File::options()
                        .write(true)
                        .open("/dev/null")
                        .expect("open")
                        .into(),
                    // The world's own, made by root.
                    "somebody-else's" | "both-ways" => {
                        let path =
                            std::fs::read_to_string(Path::new(PLACE).join("where")).expect("where");
                        let read = value == "both-ways";
                        let mut options = File::options();
                        let options = options.write(true).read(true);
                        let both = options.open(Path::new(&path).join(value)).expect("fifo");
                        if read {
                            both.into()
                        } else {
                            let number = both.as_raw_fd();
                            std::mem::forget(both);
                            File::options()
                                .write(true)
                                .open(format!("/proc/self/fd/{number}"))
                                .expect("reopen")
                                .into()
                        }
                    }
                    other => panic!("{other}: no such pipe"),
                };
                put(&fd);
                environment.push(b"REBOOTPIPENO=9".to_vec());
            }
            // Standard output, a pipe of this user's, is also at 9.
            "good-pipe" => {
                let (reader, writer) = std::io::pipe().expect("pipe");
                relay(reader);
                environment.push(b"REBOOTPIPENO=9".to_vec());
                put(&writer);
            }
            other => panic!("{other}: no such state"),
        }
    }
    let program = Path::new(PLACE).join(front.unwrap_or("nodereboot-priv"));
    let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
    words.push(program.into());
    let path = text(words[0].clone());
    words.extend(arguments.iter().map(|argument| {
        match argument
            .to_str()
            .and_then(|text| text.strip_prefix("repeat:"))
        {
            Some(count) => "n".repeat(count.parse().expect("number")).into(),
            None => argument.clone(),
        }
    }));
    let words: Vec<CString> = match no_arguments {
        true => Vec::new(),
        false => words.into_iter().map(text).collect(),
    };
    let environment: Vec<CString> = environment
        .into_iter()
        .map(|line| CString::new(line).expect("no zero"))
        .collect();
    let why = execve(&path, &words, &environment).expect_err("runs");
    panic!("execve: {why}");
}

/// A child of this user's reads the pipe to its end, and says on standard output what came.
fn relay(reader: std::io::PipeReader) {
    let mut command = std::process::Command::new("/bin/sed");
    command.args(["s/^/pipe: /"]).stdin(reader);
    std::mem::forget(command.spawn().expect("sed"));
}

/// Not closed by exec, and never by us.
fn inherit(fd: impl Into<OwnedFd>) {
    let fd = fd.into();
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).expect("fcntl");
    std::mem::forget(fd);
}

/// At 9, and inherited.
fn put(fd: &impl AsFd) {
    assert_eq!(fcntl(fd, FcntlArg::F_DUPFD(9)), Ok(9));
}

fn text(word: OsString) -> CString {
    CString::new(word.into_vec()).expect("no zero")
}

/// In nodereboot's place.
fn report() {
    let own = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).expect("proc");
    let mut fds: Vec<(i32, String)> = std::fs::read_dir("/proc/self/fd")
        .expect("fds")
        .filter_map(|entry| {
            let path = entry.expect("entry").path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            let target = std::fs::read_link(&path).ok()?;
            Some((number, target.to_str()?.split(':').next()?.to_string()))
        })
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect();
    fds.sort();
    let dir = std::fs::read_to_string(Path::new(PLACE).join("where")).expect("where");
    let dir = Path::new(&dir);
    let mut lines = vec![
        format!(
            "arguments={:?}",
            std::env::args().skip(1).collect::<Vec<_>>()
        ),
        format!("descriptors={fds:?}"),
        format!(
            "directory={}",
            std::env::current_dir().expect("cwd").display()
        ),
        format!("alarm={:?}", nix::unistd::alarm::cancel()),
        format!("oom={}", own("oom_score_adj").trim()),
    ];
    let mut environment: Vec<_> = std::env::vars().collect();
    environment.sort();
    lines.push(format!("environment={environment:?}"));
    let wanted = [
        "Uid:", "Gid:", "Groups:", "Umask:", "SigBlk:", "SigIgn:", "SigPnd:", "ShdPnd:",
    ];
    let status = own("status");
    let status = status
        .lines()
        .filter(|line| wanted.iter().any(|wanted| line.starts_with(wanted)));
    lines.extend(status.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    for (name, which) in LIMITS {
        let (soft, hard) = getrlimit(which).expect("getrlimit");
        let shown = |value: u64| {
            if value == RLIM_INFINITY {
                "none".into()
            } else {
                value.to_string()
            }
        };
        lines.push(format!("{name}={} {}", shown(soft), shown(hard)));
    }
    let stat = own("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("stat")
        .split_whitespace()
        .collect();
    // Session, terminal, nice, scheduling policy: 6, 7, 19 and 41 of proc(5), which begins before the name.
    let pid = std::process::id().to_string();
    lines.push(format!(
        "own session={} terminal={} nice={} policy={}",
        fields[3] == pid,
        fields[4],
        fields[16],
        fields[38]
    ));
    let beside = dir.join("report.new");
    std::fs::write(&beside, lines.join("\n") + "\n").expect("report");
    std::fs::write(dir.join("pid"), pid).expect("pid");
    std::fs::rename(beside, dir.join("report")).expect("report");
    let _ = std::io::stdout().write_all(b"on standard output\n");
    let _ = std::io::stderr().write_all(b"on standard error\n");
    if std::env::var_os("REBOOTPIPENO").is_some() {
        let mut pipe = File::options()
            .write(true)
            .open("/proc/self/fd/3")
            .expect("the pipe");
        pipe.write_all(b"n1,0\n").expect("a line");
    }
    // Held until somebody has opened and closed the other end.
    if let Ok(mut hold) = File::open(dir.join("hold")) {
        let _ = hold.read_to_end(&mut Vec::new());
        std::fs::write(dir.join("finished"), "").expect("finished");
    }
    let code =
        std::fs::read_to_string(dir.join("code")).map_or(0, |code| code.parse().expect("a code"));
    std::process::exit(code);
}
