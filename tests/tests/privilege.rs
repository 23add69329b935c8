//! The attacks on nodereboot-priv, each by an ordinary user on the program with its setuid bit, in mount
//! namespaces of its own: see the helper `intruder`, which also stands in nodereboot's place and reports
//! what it was given.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{RLIM_INFINITY as NONE, Resource, getrlimit};
use nix::sys::stat::Mode;
use scenarios::{Finished, parts, program};

const USER: &str = "12345";

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        let passwd = std::fs::read_to_string("/etc/passwd").expect("passwd");
        std::fs::write(
            dir.path().join("passwd"),
            format!("{passwd}intruder:x:{USER}:{USER}::/nonexistent:/bin/sh\n"),
        )
        .expect("passwd");
        World { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, options: &[&str], states: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program("intruder"));
        command
            .arg("world")
            .arg(self.dir.path())
            .args(options)
            .arg("--");
        command
            .args(states)
            .arg("--")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn attack_in(&self, options: &[&str], states: &[&str], arguments: &[&str]) -> Finished {
        let ended = self
            .command(options, states, arguments)
            .output()
            .expect("starts");
        ended.into()
    }

    fn attack(&self, states: &[&str], arguments: &[&str]) -> Finished {
        self.attack_in(&[], states, arguments)
    }

    /// What the program in nodereboot's place was given; none if it never ran.
    fn report(&self) -> Option<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(self.path("report")).ok()?;
        let cut = |line: &str| {
            let at = line.find(['=', ':']).expect("a line of a report");
            (line[..at].to_string(), line[at + 1..].trim().to_string())
        };
        Some(text.lines().map(cut).collect())
    }

    /// Holds the program until the end that this returns is dropped.
    fn hold(&self) -> std::path::PathBuf {
        let hold = self.path("hold");
        nix::unistd::mkfifo(&hold, Mode::S_IRUSR | Mode::S_IWUSR).expect("fifo");
        hold
    }

    /// Waits until the program is held, and returns what holds it.
    fn held(&self) -> File {
        // Opens when the other side does.
        File::options()
            .write(true)
            .open(self.path("hold"))
            .expect("held")
    }

    fn pid(&self) -> String {
        std::fs::read_to_string(self.path("pid")).expect("pid")
    }
}

/// True if root may raise hard limits here (CAP_SYS_RESOURCE).
fn limits_can_be_raised() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.expect("CapEff").trim(), 16).expect("a mask") & (1 << 24) != 0
}

/// What a limit is to be: else the nearest to it that this machine allows.
fn limit(which: Resource, soft: u64, hard: u64) -> String {
    let (_, inherited) = getrlimit(which).expect("getrlimit");
    let most = if limits_can_be_raised() {
        NONE
    } else {
        inherited
    };
    let shown = |value: u64| match value {
        NONE => "none".to_string(),
        value => value.to_string(),
    };
    format!("{} {}", shown(soft.min(most)), shown(hard.min(most)))
}

/// All that the caller could have chosen is as it must be.
#[track_caller]
fn assert_clean(world: &World, pipe: bool) {
    let mut report = world.report().expect("the program ran");
    let third = if pipe { ", (3, \"pipe\")" } else { "" };
    let number = if pipe {
        "(\"REBOOTPIPENO\", \"3\"), "
    } else {
        ""
    };
    let descriptors = report.remove("descriptors").expect("descriptors");
    assert!(
        descriptors.starts_with("[(0, \"/dev/null\"), (1, "),
        "{descriptors}"
    );
    assert!(
        descriptors.ends_with(&format!("){third}]")),
        "{descriptors}"
    );
    assert_eq!(
        descriptors.matches("), (").count(),
        if pipe { 3 } else { 2 },
        "{descriptors}"
    );
    let expected = [
        ("arguments", "[\"-w\", \"--\", \"n1\"]".to_string()),
        ("directory", "/".into()),
        ("alarm", "None".into()),
        ("oom", "0".into()),
        (
            "environment",
            format!(
                "[(\"HOME\", \"/root\"), (\"LANG\", \"C\"), (\"PATH\", \"/usr/sbin:/usr/bin:/sbin:/bin\"), \
                 {number}(\"SUDO_UID\", \"{USER}\")]"
            ),
        ),
        ("Uid", "0 0 0 0".into()),
        ("Gid", "0 0 0 0".into()),
        ("Groups", String::new()),
        ("Umask", "0077".into()),
        ("SigBlk", "0000000000000000".into()),
        // Rust's own, of SIGPIPE.
        ("SigIgn", "0000000000001000".into()),
        ("SigPnd", "0000000000000000".into()),
        ("ShdPnd", "0000000000000000".into()),
        ("core", "0 0".into()),
        ("fsize", limit(Resource::RLIMIT_FSIZE, NONE, NONE)),
        ("nofile", limit(Resource::RLIMIT_NOFILE, 1024, 524_288)),
        ("nproc", limit(Resource::RLIMIT_NPROC, NONE, NONE)),
        ("stack", limit(Resource::RLIMIT_STACK, 8 << 20, NONE)),
        ("cpu", limit(Resource::RLIMIT_CPU, NONE, NONE)),
        ("data", limit(Resource::RLIMIT_DATA, NONE, NONE)),
        ("as", limit(Resource::RLIMIT_AS, NONE, NONE)),
        ("own session", "true terminal=0 nice=0 policy=0".into()),
    ];
    let expected = expected.map(|(name, value)| (name.to_string(), value));
    assert_eq!(report, BTreeMap::from(expected));
}

/// Attacks with each state alone; the program runs, and notices nothing of it.
#[track_caller]
fn changes_nothing(states: &[&[&str]]) {
    if !parts::root() {
        return;
    }
    for state in states {
        let world = World::new();
        let ended = world.attack(state, &["-w", "n1"]);
        assert_eq!(ended.status.code(), Some(0), "{state:?}: {ended:?}");
        assert_clean(&world, false);
    }
}

/// Attacks; nothing runs, the exit code is `code`, and one line says why.
#[track_caller]
fn refused(options: &[&str], states: &[&str], arguments: &[&str], code: i32, why: &str) {
    if !parts::root() {
        return;
    }
    let world = World::new();
    let ended = world.attack_in(options, states, arguments);
    assert_eq!(world.report(), None, "{states:?}");
    assert_eq!(ended.status.code(), Some(code), "{states:?}: {ended:?}");
    assert!(
        ended.stderr.starts_with("nodereboot-priv: "),
        "{states:?}: {ended:?}"
    );
    assert!(ended.stderr.contains(why), "{states:?}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{states:?}: {ended:?}");
    let plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    assert!(ended.stderr.bytes().all(plain), "{states:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{states:?}");
}

#[test]
fn a_user_gets_the_program_run_as_root() {
    if !parts::root() {
        return;
    }
    let world = World::new();
    let ended = world.attack(&[], &["-w", "n1"]);
    ended.code(0);
    assert_eq!(
        (&*ended.stdout, &*ended.stderr),
        ("on standard output\n", "on standard error\n")
    );
    assert_clean(&world, false);
}

#[test]
fn standard_streams_closed() {
    changes_nothing(&[
        &["closed=0"],
        &["closed=2"],
        &["closed=12"],
        &["closed=012"],
    ]);
    if !parts::root() {
        return;
    }
    // What it opened itself is none of them.
    let world = World::new();
    world.attack(&["closed=012"], &["-w", "n1"]).code(0);
    let descriptors = &world.report().expect("ran")["descriptors"];
    for number in [1, 2] {
        let null = ["/dev/null", "/dev/full"].map(|null| format!("({number}, {null:?})"));
        assert!(
            null.iter().any(|null| descriptors.contains(null)),
            "{descriptors}"
        );
    }
}

#[test]
fn a_thousand_descriptors() {
    changes_nothing(&[&["descriptors=1000"]]);
}

#[test]
fn limits() {
    changes_nothing(&[
        &["fsize=0"],
        &["nproc=0"],
        &["nofile=8"],
        &["core"],
        &["cpu=5"],
        &["data=0"],
        &["stack=200000"],
    ]);
    for (state, name) in [
        ("hard-fsize=0", "RLIMIT_FSIZE"),
        ("hard-nofile=8", "RLIMIT_NOFILE"),
        ("hard-cpu=9", "RLIMIT_CPU"),
    ] {
        if limits_can_be_raised() {
            changes_nothing(&[&[state]]);
        } else {
            refused(&[], &[state], &["n1"], 3, &format!("limits: {name}: is "));
        }
    }
}

#[test]
fn limits_under_which_no_program_starts() {
    if !parts::root() {
        return;
    }
    for state in ["nofile=0", "stack=4096", "as=1"] {
        let world = World::new();
        let ended = world.attack(&[state], &["-w", "n1"]);
        assert!(!ended.status.success(), "{state}: {ended:?}");
        assert_eq!(world.report(), None, "{state}");
    }
}

#[test]
fn signals_and_timers() {
    changes_nothing(&[
        &["blocked"],
        &[
            "blocked",
            "pending=SIGTERM",
            "pending=SIGALRM",
            "pending=SIGCHLD",
        ],
        &["ignored"],
        &["alarm=1000"],
    ]);
}

#[test]
fn a_status_comes_through_although_sigchld_is_ignored() {
    if !parts::root() {
        return;
    }
    let world = World::new();
    std::fs::write(world.path("code"), "1").expect("code");
    world.attack(&["ignored"], &["-w", "n1"]).code(1);
}

#[test]
fn umask_priorities_and_directory() {
    changes_nothing(&[&["umask"], &["nice"], &["deleted"]]);
    if parts::root() {
        let world = World::new();
        world.attack_in(&["oom"], &[], &["-w", "n1"]).code(0);
        assert_clean(&world, false);
    }
}

#[test]
fn hostile_environment() {
    changes_nothing(&[
        &[
            "env=PATH=/tmp",
            "env=IFS=/",
            "env=TZ=../../etc/shadow",
            "env=LANG=../../tmp/x",
            "env=RUST_BACKTRACE=full",
        ],
        &[
            "env=XCATROOT=/tmp",
            "env=XCATCFG=SQLite:/tmp",
            "env=XCATHOST=evil:3001",
            "env=PERL5LIB=/tmp",
            "env=PERL5OPT=-Mx",
        ],
        &[
            "env=NODETOOLS_ROOT=/tmp",
            "env=NODETOOLS_SBINDIR=/tmp",
            "env=HOME=/tmp",
            "env=BASH_ENV=/tmp/x",
            "env=ENV=/tmp/x",
        ],
        &[
            "env=LD_PRELOAD=/tmp/x.so",
            "env=LD_LIBRARY_PATH=/tmp",
            "env=GLIBC_TUNABLES=glibc.malloc.check=3",
            "env=OPENSSL_CONF=/tmp/x",
        ],
        // Only root's own environment says for whom root acts.
        &[
            "env=SUDO_UID=0",
            "env=SUDO_USER=root",
            "env=USER=root",
            "env=LOGNAME=root",
        ],
        &[
            "env=TWICE=1",
            "env=TWICE=2",
            "env=NO_EQUALS_SIGN",
            "env==",
            "env=",
            "env=\u{1b}[2J=x",
        ],
    ]);
}

#[test]
fn arguments_without_a_name_and_without_end() {
    refused(&[], &["no-arguments"], &[], 2, "NODES: is required");
    refused(&[], &[], &["repeat:131000"], 2, "NODES: are more than");
    refused(&[], &[], &["repeat:100000"; 19], 2, "NODES: are more than");
    refused(&[], &[], &["n1"; 5000], 2, "arguments: are more than");
}

#[test]
fn names_that_are_none() {
    for name in [
        "-oProxyCommand=x",
        "..",
        "a/b",
        "n1\nn2",
        "\u{1b}]0;x\u{7}",
        "^/etc/shadow",
        "n[1-3]",
        "@all",
        "n1 n2",
        "",
    ] {
        refused(&[], &[], &["n1", "--", name], 2, "");
    }
    for option in [
        "-oProxyCommand=x",
        "--status-fd=1",
        "--failed-to=/etc/passwd",
        "-e",
        "-",
        "\u{1b}[2J",
    ] {
        refused(&[], &[], &["n1", option], 2, "");
    }
}

#[test]
fn pipes_that_are_none() {
    for number in [
        "0",
        "1",
        "2",
        "9",
        "4294967299",
        "03",
        "+3",
        "-3",
        " 3",
        "3 ",
        "",
        "3x",
        "0x3",
        "99999999999999999999",
    ] {
        refused(
            &[],
            &[&format!("env=REBOOTPIPENO={number}")],
            &["n1"],
            2,
            "REBOOTPIPENO: ",
        );
    }
    for pipe in [
        "file",
        "socket",
        "read-end",
        "null",
        "somebody-else's",
        "both-ways",
    ] {
        if !parts::root() {
            return;
        }
        let world = World::new();
        for name in ["somebody-else's", "both-ways"] {
            let path = world.path(name);
            nix::unistd::mkfifo(&path, Mode::all()).expect("fifo");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("mode");
        }
        let ended = world.attack(&[&format!("pipe={pipe}")], &["n1"]);
        assert_eq!(world.report(), None, "{pipe}");
        ended.code(2);
        assert!(
            ended.stderr.contains("REBOOTPIPENO: descriptor 9 "),
            "{pipe}: {ended:?}"
        );
    }
    let twice = ["good-pipe", "env=REBOOTPIPENO=8"];
    refused(&[], &twice, &["n1"], 2, "REBOOTPIPENO: ");
}

#[test]
fn a_pipe_of_the_callers_is_at_three_and_nowhere_else() {
    if !parts::root() {
        return;
    }
    let world = World::new();
    // Its end comes, although nodereboot-priv has had it and its own parent lives.
    let ended = world.attack(&["good-pipe"], &["-w", "n1"]);
    ended.code(0);
    assert_clean(&world, true);
    assert!(ended.stdout.contains("pipe: n1,0\n"), "{ended:?}");
}

#[test]
fn standard_output_that_fails() {
    if !parts::root() {
        return;
    }
    for state in ["full", "broken", "closed=1"] {
        let world = World::new();
        std::fs::write(world.path("code"), "1").expect("code");
        world.attack(&[state], &["-w", "n1"]).code(1);
        assert_clean(&world, false);
    }
    for arguments in [["--help"], ["--version"]] {
        let world = World::new();
        world.attack(&["full"], &arguments).code(0);
    }
}

fn as_user(arguments: &[&str]) -> Finished {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
        .args(arguments);
    command.output().expect("setpriv").into()
}

fn start(world: &World, states: &[&str]) -> Child {
    let mut command = world.command(&[], states, &["-w", "n1"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

#[test]
fn who_is_killed_or_stopped_holds_nothing_up() {
    if !parts::root() {
        return;
    }
    for signal in ["KILL", "STOP", "SEGV"] {
        let world = World::new();
        world.hold();
        let mut caller = start(&world, &["core"]);
        let held = world.held();
        let (entry, work) = (caller.id().to_string(), world.pid());
        // The user may signal what was started with the user's real id; never the work itself.
        as_user(&["kill", "-s", signal, &entry]).code(0);
        for signal in ["KILL", "STOP", "TERM", "CONT"] {
            let refused = as_user(&["kill", "-s", signal, &work]);
            assert!(refused.stderr.contains("not permitted"), "{refused:?}");
        }
        drop(held);
        // Its end, in spite of it all.
        wait_for(&world.path("finished"));
        if signal == "STOP" {
            as_user(&["kill", "-s", "CONT", &entry]).code(0);
            assert_eq!(caller.wait().expect("wait").code(), Some(0));
        } else {
            let ended = caller.wait().expect("wait");
            assert!(
                ended.signal().is_some() && !ended.core_dumped(),
                "{ended:?}"
            );
        }
    }
}

/// Waits for a file, woken by its directory.
fn wait_for(path: &Path) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let inotify = Inotify::init(InitFlags::empty()).expect("inotify");
    let dir = path.parent().expect("a directory");
    inotify
        .add_watch(dir, AddWatchFlags::IN_CREATE)
        .expect("watch");
    while !path.exists() {
        inotify.read_events().expect("events");
    }
}

#[test]
fn who_asks_for_the_end_gets_it_in_good_order() {
    if !parts::root() {
        return;
    }
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let world = World::new();
        world.hold();
        let mut caller = start(&world, &[]);
        let _held = world.held();
        as_user(&["kill", "-s", signal, &caller.id().to_string()]).code(0);
        // The stand-in dies of TERM.
        assert_eq!(caller.wait().expect("wait").code(), Some(3), "{signal}");
        assert!(!world.path("finished").exists());
    }
}

#[test]
fn nothing_is_traced_and_nothing_is_read() {
    if !parts::root() || !parts::have("strace") {
        return;
    }
    // Started under a tracer it has no privilege.
    refused(
        &[],
        &["traced"],
        &["-w", "n1"],
        3,
        "privilege: there is none",
    );
    let world = World::new();
    world.hold();
    let mut caller = start(&world, &[]);
    let held = world.held();
    for pid in [caller.id().to_string(), world.pid()] {
        let traced = as_user(&["strace", "-o", "/dev/null", "-p", &pid]);
        assert!(traced.stderr.contains("not permitted"), "{traced:?}");
        for file in ["environ", "mem", "maps", "fd"] {
            let read = as_user(&["cat", &format!("/proc/{pid}/{file}")]);
            assert!(read.stderr.contains("denied"), "{file}: {read:?}");
        }
    }
    drop(held);
    assert_eq!(caller.wait().expect("wait").code(), Some(0));
}

#[test]
fn no_privilege_is_said_and_never_tried_twice() {
    let setuid = "not installed setuid root";
    refused(
        &[],
        &["no-new-privileges"],
        &["n1"],
        3,
        "no-new-privileges is on",
    );
    refused(&["nosuid"], &[], &["n1"], 3, setuid);
    refused(&["plain"], &[], &["n1"], 3, setuid);
    refused(
        &["plain"],
        &["env=REBOOTPIPENO=9"],
        &["n1"],
        3,
        "a caller without privilege has run this",
    );
}

#[test]
fn help_needs_no_privilege() {
    if !parts::root() {
        return;
    }
    let ended = World::new().attack_in(&["plain"], &[], &["--help"]);
    assert!(
        ended.code(0).stdout.contains("Usage: nodereboot-priv "),
        "{ended:?}"
    );
}

#[test]
fn programs_that_are_not_there_or_not_roots_alone() {
    refused(
        &["missing"],
        &[],
        &["n1"],
        3,
        "/usr/sbin/nodereboot: No such file",
    );
    refused(
        &["writable"],
        &[],
        &["n1"],
        3,
        "others than root can change it",
    );
    refused(
        &[],
        &[],
        &["--osload", "n1"],
        3,
        "/usr/sbin/osload: No such file",
    );
}

#[test]
fn a_user_without_a_name() {
    if !parts::root() {
        return;
    }
    let world = World::new();
    std::fs::copy("/etc/passwd", world.path("passwd")).expect("passwd");
    let ended = world.attack(&[], &["n1"]);
    ended.code(3);
    assert_eq!(
        ended.stderr,
        format!("nodereboot-priv: user id {USER}: has no name\n")
    );
    assert_eq!(world.report(), None);
}
