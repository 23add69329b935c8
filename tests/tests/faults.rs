//! What breaks around the programs: locked tables, full disks, killed children, odd callers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scenarios::{Cluster, Finished, Node, parts, report_xml, strace};

#[test]
fn a_report_is_acknowledged_while_another_writer_holds_the_table() {
    if !parts::have("sqlite3") {
        return;
    }
    let cluster = Cluster::new(1);
    cluster.restore(
        "nics",
        "#node,nicsadapter",
        [vec!["other".into(), "x0!mac=52:54:00:00:00:99".into()]],
    );
    let mut scan = cluster.start("getadapter", &["n1", "--timeout", "120"]);
    cluster.booted();
    let mut writer = Command::new("sqlite3")
        .arg(cluster.path("tables/nics.sqlite"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = writer.stdin.take().unwrap();
    orders
        .write_all(b"BEGIN IMMEDIATE;\nSELECT 'locked';\n")
        .unwrap();
    let mut said = String::new();
    BufReader::new(writer.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "locked\n");
    let answer = Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    assert!(
        answer.contains("serverdone") && !answer.contains("<error>"),
        "{answer}"
    );
    assert_eq!(cluster.waiting().len(), 1, "it waits, safe, in the spool");
    orders.write_all(b"COMMIT;\n").unwrap();
    drop(orders);
    writer.wait().unwrap();
    scan.stdout_line("n1:[0]->eno1!");
    scan.finish().code(0);
    assert!(cluster.claims().is_empty());
}

#[test]
fn a_full_disk_is_busy_for_the_node_and_the_next_try_is_taken() {
    if !parts::have("strace") {
        return;
    }
    let cluster = Cluster::new(1);
    let mut first = cluster.start("callbackd", &[]);
    first.stdout_line("ready");
    drop(first);
    let full = strace::failing(
        "renameat,renameat2",
        "ENOSPC",
        1,
        cluster.spool(),
        &cluster.command("callbackd"),
    );
    let mut full = full;
    let mut callbackd = scenarios::Running::start(&mut full);
    callbackd.stdout_line("ready");
    let node = Node::of(&cluster, 1);
    let refused = node.say(report_xml("", &["eno1"]).as_bytes()).unwrap();
    assert!(
        refused.contains("<error>busy, try later") && refused.contains("No space left"),
        "{refused}"
    );
    assert!(cluster.waiting().is_empty());
    let left = fs::read_dir(cluster.spool())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".new"));
    assert_eq!(left.count(), 0, "no half-written file is left");
    let taken = node.say(report_xml("", &["eno1"]).as_bytes()).unwrap();
    assert!(!taken.contains("<error>"), "{taken}");
    cluster.settle();
    assert!(cluster.stored("n1").is_some());
    callbackd.end_traced();
}

#[test]
fn a_killed_connection_child_takes_nothing_with_it() {
    let cluster = Cluster::new(2);
    let mut callbackd = cluster.start("callbackd", &["-V"]);
    callbackd.stdout_line("ready");
    let mut victim = Node::of(&cluster, 1).dial().unwrap();
    victim.write_all(b"<xcatrequest>\n<command>").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", callbackd.pid());
    let children: Vec<i32> = fs::read_to_string(children)
        .unwrap()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(children.len(), 1, "one connection, one child");
    let status = fs::read_to_string(format!("/proc/{}/status", children[0])).unwrap();
    if parts::root() {
        assert!(
            status.contains("Uid:\t65534\t65534\t65534\t65534"),
            "it is unprivileged: {status}"
        );
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    kill(Pid::from_raw(children[0]), Signal::SIGKILL).unwrap();
    let said = callbackd.stderr_line("127.1.0.1");
    assert!(said.contains("SIGKILL"), "{said}");
    for i in [1, 2] {
        let answer = Node::of(&cluster, i)
            .say(report_xml("", &["eno1"]).as_bytes())
            .unwrap();
        assert!(answer.contains("serverdone"));
    }
    cluster.settle();
    assert!(cluster.stored("n1").is_some() && cluster.stored("n2").is_some());
}

#[test]
fn perl_may_call_with_signals_ignored_and_standard_input_closed() {
    if !parts::have("perl") {
        return;
    }
    let cluster = Cluster::new(1);
    let script = r#"
        $SIG{CHLD} = 'IGNORE'; $SIG{PIPE} = 'IGNORE'; close(STDIN);
        delete $ENV{HOME};
        my $out = `'$ARGV[0]' n1 --timeout 60; echo "code \$?"`;
        print $out;
    "#;
    let mut perl = Command::new("perl");
    perl.args(["-e", script])
        .arg(scenarios::program("getadapter"));
    cluster.environment(&mut perl);
    let mut running = scenarios::Running::start(&mut perl);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    running.stdout_line("n1:[0]->eno1!");
    running.stdout_line("code 0");
    running.finish().code(0);
    assert!(cluster.claims().is_empty());
}

#[test]
fn a_reader_that_leaves_is_a_quiet_end_and_the_report_is_stored() {
    let cluster = Cluster::new(1);
    let mut command = cluster.command("getadapter");
    let mut child = command
        .args(["n1", "--timeout", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    let finished: Finished = child.wait_with_output().unwrap().into();
    finished.code(0);
    assert!(!finished.stderr.contains("panic"), "{}", finished.stderr);
    assert!(cluster.stored("n1").is_some());
}

#[test]
fn fronts_name_the_peer_for_one_request_on_standard_input() {
    let cluster = Cluster::new(2);
    let request = report_xml("", &["eno1"]);
    let ask = |command: &mut Command| -> Finished {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(request.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().into()
    };
    let by_front = ask(cluster
        .command("callbackd")
        .arg("--stdin")
        .env("REMOTE_HOST", "::ffff:127.1.0.1"));
    by_front.code(0);
    assert!(by_front.stdout.contains("serverdone") && !by_front.stdout.contains("<error>"));
    assert!(cluster.stored("n1").is_some());
    let by_option = ask(cluster
        .command("callbackd")
        .args(["--stdin", "--peer", "127.1.0.2"])
        .env("REMOTE_HOST", "127.1.0.1"));
    by_option.code(0);
    assert!(cluster.stored("n2").is_some());
    let stranger = ask(cluster
        .command("callbackd")
        .args(["--stdin", "--peer", "127.9.9.9"]));
    stranger.code(3);
    assert!(stranger.stdout.is_empty());
    let nobody = ask(cluster.command("callbackd").arg("--stdin"));
    assert!(
        nobody
            .stdout
            .contains("<error>the peer's address is not known")
    );
}

#[test]
fn tables_that_cannot_be_written_are_said_without_being_asked() {
    let cluster = Cluster::new(1);
    fs::remove_file(cluster.path("tables/nics.sqlite")).unwrap();
    let mut scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    let answer = Node::of(&cluster, 1).say(report_xml("", &["eno1"]).as_bytes());
    assert!(
        answer.unwrap().contains("serverdone"),
        "it is safe all the same"
    );
    assert!(scan.stderr_line("nics").contains("nics"));
    cluster.run("xtab", &["init"]).code(0);
    let finished = scan.finish();
    finished.code(0);
    assert!(cluster.stored("n1").is_some());
    assert_eq!(
        finished.stderr.matches("nics").count(),
        1,
        "said once: {}",
        finished.stderr
    );
}

#[test]
fn a_callbackd_that_is_killed_in_the_wait_is_started_again() {
    let cluster = Cluster::new(1);
    let mut callbackd = cluster.start("callbackd", &[]);
    callbackd.stdout_line("ready");
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    drop(callbackd);
    let node = Node::of(&cluster, 1);
    let started = std::time::Instant::now();
    // A node of ours tries again until it is heard.
    while !node
        .say(report_xml("", &["eno1"]).as_bytes())
        .is_ok_and(|answer| answer.contains("serverdone"))
    {
        assert!(started.elapsed().as_secs() < 50, "nobody listens");
        std::thread::yield_now();
    }
    scan.finish().code(0);
}

#[test]
fn a_report_acknowledged_just_before_the_end_counts() {
    // The waiter is stopped; its node reports with the claim's nonce; then it is asked to end at once.
    let cluster = Cluster::new(1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    let boot = cluster.booted();
    scan.signal(Signal::SIGSTOP);
    let nonce = format!("<nonce>{}</nonce>\n", boot.nonce);
    let answer = Node::of(&cluster, 1).say(report_xml(&nonce, &["eno1"]).as_bytes());
    assert!(answer.unwrap().contains("serverdone"));
    scan.signal(Signal::SIGTERM);
    scan.signal(Signal::SIGCONT);
    scan.finish().code(0);
    assert!(cluster.stored("n1").is_some());
}

#[test]
fn files_that_cannot_be_written_are_known_before_the_work() {
    let cluster = Cluster::new(1);
    let file = cluster.path("missing/file").display().to_string();
    for (program, args, option) in [
        ("getadapter", &["n1"][..], "--failed-to"),
        ("nodereboot", &["n1", "--dry-run"], "--failed-to"),
        ("osload", &["n1", "-i", "img", "--dry-run"], "--failed-to"),
        ("rflash", &["n1", "-l"], "--failed-to"),
        ("rflash", &["n1", "-l"], "--report"),
        ("snmove", &["-s", "sn1", "--plan"], "--failed-to"),
    ] {
        let ended = cluster.run(program, &[args, &[option, &file]].concat());
        let why = "No such file or directory (os error 2)";
        assert_eq!(
            ended.stderr,
            format!("{program}: {option}: {file}: {why}\n")
        );
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(3), ""));
    }
}
