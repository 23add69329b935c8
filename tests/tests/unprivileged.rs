//! An ordinary user reboots nodes: through the library, the privileged entry and the real nodereboot, by
//! the setuid bit and by sudo, in mount namespaces of its own (see the helper `intruder`).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use scenarios::{Finished, parts, program};
use xcat_tables::{Location, Tables};

const SECRET: &str = "s3cret-of-the-BMCs";

/// Answers as xCAT's, remembers its calls and who made them.
const RPOWER: &str = r#"#!/bin/sh
dir=$(cat /usr/sbin/where)
echo "$(id -u) $*" >>"$dir/calls"
[ ! -p "$dir/hold" ] || cat "$dir/hold"
for node in $(echo "$1" | tr , ' '); do
	case $2 in
	on | off) echo "$2" >"$dir/power.$node" ;;
	esac
	echo "$node: $(cat "$dir/power.$node" 2>/dev/null || echo on)"
done
"#;

struct Cluster {
    dir: tempfile::TempDir,
}

impl Cluster {
    /// Four nodes in two racks; alice (12345) may reboot the first.
    fn new() -> Cluster {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str, mode| {
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).expect("mode");
        };
        mode("", 0o755);
        for (file, line) in [
            ("passwd", "alice:x:12345:12345::/nonexistent:/bin/sh\n"),
            ("group", "nodereboot:x:12345:alice\n"),
            ("shadow", "alice:*:19000:0:99999:7:::\n"),
        ] {
            let text = std::fs::read_to_string(Path::new("/etc").join(file)).expect("a file");
            std::fs::write(at(file), text + line).expect("a file");
        }
        std::fs::write(at("rpower"), RPOWER).expect("rpower");
        mode("rpower", 0o755);
        let dumps = tempfile::tempdir().expect("a directory");
        for (table, text) in [
            (
                "nodelist",
                "#node,groups\nn1,\"all,rack1\"\nn2,\"all,rack1\"\nn3,\"all,rack2\"\n",
            ),
            ("nodehm", "#node,power,mgt\nall,blade,blade\n"),
            (
                "passwd",
                &format!("#key,username,password\nblade,USERID,{SECRET}\nipmi,ADMIN,{SECRET}\n"),
            ),
            (
                "policy",
                "#priority,name,commands,noderange,rule\n6.1,alice,nodereboot,rack1,allow\n",
            ),
            ("site", "#key,value\nmaster,10.0.0.1\n"),
        ] {
            std::fs::write(dumps.path().join(format!("{table}.csv")), text).expect("a table");
        }
        std::fs::create_dir(at("run")).expect("run");
        std::fs::create_dir(at("tables")).expect("tables");
        mode("tables", 0o700);
        let tables = Tables::open(&Location::sqlite(at("tables"))).expect("tables");
        tables.load(dumps.path()).expect("tables");
        Cluster { dir }
    }

    fn command(&self, options: &[&str], states: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program("intruder"));
        command
            .arg("world")
            .arg(self.dir.path())
            .arg("real")
            .args(options)
            .arg("--");
        command
            .args(states)
            .arg("--")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, options: &[&str], states: &[&str], arguments: &[&str]) -> Finished {
        self.command(options, states, arguments)
            .output()
            .expect("starts")
            .into()
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default()
    }

    #[track_caller]
    fn assert_cycled(&self, nodes: &[&str]) {
        let calls = self.calls();
        for node in nodes {
            let power = std::fs::read_to_string(self.dir.path().join(format!("power.{node}")));
            assert_eq!(power.expect("cycled"), "on\n", "{calls}");
        }
        for verb in ["off", "on"] {
            assert!(
                calls
                    .lines()
                    .any(|line| line.starts_with("0 ") && line.ends_with(verb)),
                "{calls}"
            );
        }
    }
}

/// Everything needed, or nothing is tested.
fn parts() -> bool {
    parts::root()
}

#[test]
fn a_user_reboots_what_policy_gives() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    let ended = cluster.run(&[], &["front"], &["rack1", "-f"]);
    ended.code(0);
    assert!(
        ended.stdout.contains("n1: ") && ended.stdout.contains("n2: "),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("2 rebooted: n[1-2]; 0 failed"),
        "{ended:?}"
    );
    cluster.assert_cycled(&["n1", "n2"]);
}

#[test]
fn one_node_that_is_not_given_refuses_all() {
    if !parts() {
        return;
    }
    for (states, code) in [(&["front"][..], 1), (&[], 3)] {
        let cluster = Cluster::new();
        let ended = cluster.run(&[], states, &["n1,n3", "-f"]);
        ended.code(code);
        let why = "nodereboot: not permitted: no policy row allows rpower on n3";
        assert!(ended.stderr.contains(why), "{ended:?}");
        assert_eq!(cluster.calls(), "");
    }
    // Nor is a row for other arguments enough, nor the environment.
    let cluster = Cluster::new();
    let ended = cluster.run(&[], &["env=SUDO_UID=0"], &["n3", "-f"]);
    ended.code(3);
    assert_eq!(cluster.calls(), "");
}

#[test]
fn a_name_that_is_a_range_by_accident_is_refused_if_the_user_says_so() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    let why = "n2-n1: names no node: it goes down";
    let ended = cluster.run(&[], &["front"], &["n1,n2-n1", "-f", "--strict"]);
    ended.code(1);
    assert!(
        ended.stderr.contains(&format!("{why} (strict)")),
        "{ended:?}"
    );
    assert_eq!(cluster.calls(), "");
    let ended = cluster.run(&[], &["front"], &["n1,n2-n1", "-f"]);
    ended.code(0);
    assert!(ended.stderr.contains(why), "{ended:?}");
    cluster.assert_cycled(&["n1"]);
}

#[test]
fn whom_to_believe_is_roots_to_say() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    for option in ["--insecure", "--ca=/x", "--old-tls=n1", "--accept-new-cert"] {
        let ended = cluster.run(&[], &["front"], &["n1", "-f", option]);
        ended.code(2);
        assert!(ended.stderr.contains("are for root alone"), "{ended:?}");
    }
    assert_eq!(cluster.calls(), "");
}

#[test]
fn a_pipe_of_the_users_gets_two_fields() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    let ended = cluster.run(&[], &["good-pipe"], &["n1", "-f"]);
    ended.code(0);
    assert!(ended.stdout.contains("pipe: n1,0\n"), "{ended:?}");
    cluster.assert_cycled(&["n1"]);
}

#[test]
fn without_privilege_it_is_refused_once() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    // Run for its privilege, and there is none: no loop.
    let ended = cluster.run(&[], &["front", "env=REBOOTPIPENO=9"], &["n1", "-f"]);
    ended.code(3);
    assert!(ended.stderr.contains("REBOOTPIPENO is set"), "{ended:?}");
    let ended = cluster.run(&[], &["front", "no-new-privileges"], &["n1", "-f"]);
    ended.code(1);
    assert!(
        ended.stderr.contains("no-new-privileges is on"),
        "{ended:?}"
    );
    assert_eq!(cluster.calls(), "");
}

#[test]
fn of_two_at_once_the_second_is_told() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    let hold = cluster.dir.path().join("hold");
    nix::unistd::mkfifo(&hold, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
    let mut first = cluster.command(&[], &[], &["n1", "-f"]);
    let mut first = first
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    // Opens when the first one's rpower is held.
    let held = std::fs::File::options()
        .write(true)
        .open(&hold)
        .expect("held");
    std::fs::remove_file(&hold).expect("remove");
    let second = cluster.run(&[], &["front"], &["n1", "-f"]);
    second.code(1);
    assert!(
        second
            .stderr
            .contains("n1: could not be started: is being rebooted by "),
        "{second:?}"
    );
    drop(held);
    assert_eq!(first.wait().expect("wait").code(), Some(0));
    cluster.assert_cycled(&["n1"]);
}

#[test]
fn sudo_works_the_same() {
    if !parts() || !parts::have("sudo") {
        return;
    }
    let cluster = Cluster::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/sudoers/nodereboot");
    let sudoers = cluster.dir.path().join("sudoers");
    std::fs::copy(example, &sudoers).expect("sudoers");
    std::fs::set_permissions(&sudoers, PermissionsExt::from_mode(0o440)).expect("mode");
    let ended = cluster.run(&["plain"], &["front"], &["n2", "-f"]);
    ended.code(0);
    assert!(ended.stdout.contains("n2: "), "{ended:?}");
    cluster.assert_cycled(&["n2"]);
    let ended = cluster.run(&["plain"], &["front"], &["n3", "-f"]);
    ended.code(1);
    assert!(
        ended.stderr.contains("no policy row allows rpower on n3"),
        "{ended:?}"
    );
}

#[test]
fn no_secret_is_in_an_argument_or_a_variable() {
    if !parts() || !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new();
    let log = cluster.dir.path().join("trace");
    let traced = cluster.command(&[], &["front"], &["n1", "-f", "-V"]);
    let options = [
        "-f",
        "-qq",
        "-v",
        "-s",
        "100000",
        "-e",
        "trace=execve",
        "-o",
        log.to_str().expect("text"),
    ];
    let mut command = scenarios::strace::under(&options, &traced);
    let ended = Finished::from(command.stdin(Stdio::null()).output().expect("strace"));
    ended.code(0);
    cluster.assert_cycled(&["n1"]);
    let log = std::fs::read_to_string(log).expect("the log");
    for program in [
        "/usr/sbin/nodereboot-priv",
        "/usr/sbin/nodereboot\"",
        "/opt/xcat/bin/rpower",
    ] {
        assert!(log.contains(program), "{program}: {log}");
    }
    assert!(!log.contains(SECRET), "{log}");
    assert!(!format!("{ended:?}").contains(SECRET));
}

#[test]
fn a_user_loads_disks_of_what_policy_gives_for_osload() {
    if !parts() {
        return;
    }
    let cluster = Cluster::new();
    let lib = cluster.dir.path().join("lib");
    std::fs::create_dir(&lib).expect("lib");
    let store = disk_image::Store::open(&lib.join("images"), &lib.join("osload/orders"));
    let disk = vec![1; 1 << 20];
    disk_image::testing::put(&store.expect("store"), "img", &disk, 1 << 20).expect("an image");
    let load = |nodes: &str| {
        let words = ["-i", "img", nodes, "--dry-run", "-z", "1", "-o", "stall=9"];
        cluster.run(&["osload"], &["osload"], &words)
    };
    // To reboot nodes is another matter than to overwrite their disks: no row names osload, and none
    // allows what it comes to.
    let ended = load("n1");
    ended.code(3);
    assert!(ended.stderr.contains("not permitted"), "{ended:?}");
    let row = "#priority,name,commands,noderange,rule\n6.1,alice,osload,rack1,allow\n";
    let dumps = tempfile::tempdir().expect("a directory");
    std::fs::write(dumps.path().join("policy.csv"), row).expect("a table");
    let tables = Tables::open(&Location::sqlite(cluster.dir.path().join("tables")));
    tables.expect("tables").load(dumps.path()).expect("policy");
    let ended = load("rack1");
    ended.code(0);
    assert!(ended.stdout.contains("n1: would load img ("), "{ended:?}");
    assert!(ended.stdout.contains("n2: would load img ("), "{ended:?}");
    let ended = load("n1,n3");
    ended.code(3);
    assert!(ended.stderr.contains("not permitted"), "{ended:?}");
    assert!(!cluster.calls().contains("off"), "{}", cluster.calls());
}
