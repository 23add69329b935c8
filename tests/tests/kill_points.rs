//! SIGKILL before every system call that changes the world, of poster, waiter and listener: whatever
//! was acknowledged is stored after the next run, and nothing is left over.
//!
//! `KILL_STRIDE=1` visits every call (`make campaign`); the default run visits every few, each time
//! others.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use scenarios::{Cluster, Finished, Node, parts, report_xml, strace};

fn with_input(mut command: Command, input: &[u8]) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that was killed before it read is no error here.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

fn poster(cluster: &Cluster) -> Command {
    let mut command = cluster.command("callbackd");
    command.args(["--stdin", "--peer", "127.1.0.1"]);
    command
}

/// Any program of ours that runs next: here one that only asks for a destiny.
fn next_run(cluster: &Cluster) {
    let request = b"<xcatrequest>\n<command>getdestiny</command>\n</xcatrequest>\n";
    with_input(poster(cluster), request).code(0);
    assert!(
        cluster.waiting().is_empty(),
        "the next run applies what waits"
    );
}

fn acknowledged(answer: &str) -> bool {
    answer.contains("serverdone") && !answer.contains("<error>")
}

#[track_caller]
fn assert_one_row(cluster: &Cluster) {
    let dump = cluster.run("xtab", &["dump", "nics"]).stdout;
    assert!(
        dump.lines()
            .filter(|line| line.starts_with("\"n1\""))
            .count()
            <= 1,
        "{dump}"
    );
}

#[test]
fn poster_and_apply_killed_at_every_step() {
    if !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new(1);
    let scratch = cluster.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let request = cluster.path("request");
    fs::write(&request, report_xml("", &["eno1"])).unwrap();
    let trace = scratch.join("trace");
    let counting = strace::traced(strace::CHANGES, &trace, &poster(&cluster));
    with_input(counting, &fs::read(&request).unwrap()).code(0);
    let steps = strace::steps(&trace);
    assert!(
        steps.len() > 20,
        "{} steps: the trace does not see the work",
        steps.len()
    );
    let mut kept = 0;
    for (turn, at) in strace::visited(steps, 3).enumerate() {
        let name = format!("k{turn}");
        let killed = strace::killed(&at, &poster(&cluster));
        let finished = with_input(killed, report_xml("", &[&name]).as_bytes());
        next_run(&cluster);
        if acknowledged(&finished.stdout) {
            kept += 1;
            assert!(
                cluster
                    .stored("n1")
                    .is_some_and(|stored| stored.starts_with(&format!("{name}!"))),
                "call {at}: acknowledged and lost"
            );
        }
        assert_one_row(&cluster);
        assert!(cluster.claims().is_empty());
    }
    assert!(kept > 0, "no run got as far as its acknowledgement");
}

#[test]
fn waiter_killed_at_every_step() {
    if !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new(1);
    // The hook is the node: it posts by itself, and says so only after the acknowledgement.
    let (hook, acked, name) = (
        cluster.path("hook"),
        cluster.path("acked"),
        cluster.path("name"),
    );
    let script = format!(
        "#!/bin/sh\nset -eu\ncat > /dev/null\nprintf '<xcatrequest>\\n<command>getadapter</command>\\n<action>update</action>\\n<nonce>%s</nonce>\\n<nic>\\n<interface>%s</interface>\\n<mac>52:54:00:00:00:01</mac>\\n</nic>\\n</xcatrequest>\\n' \"$NODETOOLS_NONCE\" \"$(cat {})\" | '{}' --stdin --peer 127.1.0.1 | grep -q serverdone\ncp {} {}\n",
        name.display(),
        scenarios::program("callbackd").display(),
        name.display(),
        acked.display()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let mut callbackd = cluster.start("callbackd", &[]);
    callbackd.stdout_line("ready");
    let waiter = || {
        let mut command = cluster.command("getadapter");
        command.args(["n1", "-f", "--timeout", "60"]);
        command
    };
    fs::write(&name, "k0").unwrap();
    let steps = strace::steps_of(strace::CHANGES, &waiter(), cluster.root());
    assert_eq!(fs::read_to_string(&acked).unwrap(), "k0");
    let mut kept = 0;
    for (turn, at) in strace::visited(steps, 7).enumerate() {
        let this = format!("k{}", turn + 1);
        fs::write(&name, &this).unwrap();
        let _ = fs::remove_file(&acked);
        let _ = strace::killed(&at, &waiter())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        next_run(&cluster);
        if acked.exists() {
            kept += 1;
            assert!(
                cluster
                    .stored("n1")
                    .is_some_and(|stored| stored.starts_with(&format!("{this}!"))),
                "call {at}: acknowledged and lost: {:?}",
                cluster.stored("n1")
            );
        }
        assert_one_row(&cluster);
        let again: Finished = waiter().output().unwrap().into();
        again.code(0);
        assert!(cluster.claims().is_empty(), "call {at}");
    }
    assert!(kept > 0, "no run got as far as its acknowledgement");
}

#[test]
fn listener_killed_at_every_step() {
    if !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new(1);
    let node = Node::of(&cluster, 1);
    // A first run makes key and directories, so that all runs are alike.
    let trace = cluster.path("trace");
    let listener = cluster.command("callbackd");
    let mut steps = Vec::new();
    for _ in 0..2 {
        let traced = &mut strace::traced(strace::CHANGES, &trace, &listener);
        let mut first = scenarios::Running::start(traced);
        first.stdout_line("ready");
        node.say(report_xml("", &["k"]).as_bytes()).unwrap();
        cluster.settle();
        first.end_traced();
        steps = strace::steps(&trace);
    }
    let mut kept = 0;
    // And once at the moment when it has acknowledged, whatever it was about to do.
    let points = strace::visited(steps, 1).map(Some).chain([None]);
    for (turn, at) in points.enumerate() {
        let name = format!("k{turn}");
        let mut killed = match &at {
            Some(at) => strace::killed(at, &listener),
            None => strace::under(&["-qq", "-o", "/dev/null", "-e", "trace=none"], &listener),
        };
        let mut callbackd = scenarios::Running::start(&mut killed);
        let answer = if callbackd.stdout_has("ready") {
            node.say(report_xml("", &[&name]).as_bytes())
                .unwrap_or_default()
        } else {
            String::new()
        };
        callbackd.end_traced();
        next_run(&cluster);
        if acknowledged(&answer) {
            kept += 1;
            assert!(
                cluster
                    .stored("n1")
                    .is_some_and(|stored| stored.starts_with(&format!("{name}!"))),
                "{at:?}: acknowledged and lost"
            );
        }
        assert_one_row(&cluster);
    }
    assert!(kept > 0, "no run got as far as its acknowledgement");
}

#[test]
fn what_is_acknowledged_has_been_synced() {
    if !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new(1);
    let log = cluster.path("order");
    let options = [
        "-qq",
        "-y",
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2,write",
    ];
    let finished = with_input(
        strace::under(&options, &poster(&cluster)),
        report_xml("", &["eno1"]).as_bytes(),
    );
    assert!(acknowledged(&finished.stdout), "{}", finished.stderr);
    let text = fs::read_to_string(&log).unwrap();
    let at = |what: &dyn Fn(&str) -> bool| {
        text.lines()
            .position(what)
            .unwrap_or_else(|| panic!("missing in:\n{text}"))
    };
    let file = at(&|line| line.starts_with("fsync(") && line.contains(".new>"));
    let rename =
        at(&|line| line.starts_with("rename") && line.contains(".new\"") && line.contains(".n1\""));
    let directory = at(&|line| line.starts_with("fsync(") && line.contains("/reports>"));
    let answer = at(&|line| line.starts_with("write(1") && line.contains("xcatresponse"));
    assert!(
        file < rename && rename < directory && directory < answer,
        "file {file}, rename {rename}, directory {directory}, answer {answer}\n{text}"
    );
}
