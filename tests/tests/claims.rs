//! Who waits for a node, and what is left of those who died.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

use nix::sys::signal::Signal;
use scenarios::{Cluster, Node, report_xml};

#[test]
fn a_node_that_somebody_waits_for_is_not_taken_and_the_others_go_on() {
    let cluster = Cluster::new(3);
    let first = cluster.start("getadapter", &["n1,n2", "--timeout", "60"]);
    cluster.booted();
    let mut second = cluster.start("getadapter", &["n2,n3", "--timeout", "60"]);
    let boot = cluster.booted();
    assert_eq!(boot.nodes, ["n3"], "only its own are booted");
    let said = second.stderr_line("n2: is waited for by getadapter");
    assert!(said.contains(&format!("process {}", first.pid())), "{said}");
    for i in 1..=3 {
        Node::of(&cluster, i)
            .say(report_xml("", &["eno1"]).as_bytes())
            .unwrap();
    }
    let first = first.finish();
    first.code(0);
    assert!(
        first.stdout.contains("n1:")
            && first.stdout.contains("n2:")
            && !first.stdout.contains("n3:")
    );
    let second = second.finish();
    second.code(1);
    assert!(second.stdout.contains("n3:") && !second.stdout.contains("n2:"));
    assert!(cluster.claims().is_empty());
}

#[test]
fn a_killed_waiters_nodes_are_free_and_its_answers_are_not_lost() {
    let cluster = Cluster::new(2);
    let dead = cluster.start("getadapter", &["n1,n2", "--timeout", "600"]);
    cluster.booted();
    dead.signal(Signal::SIGKILL);
    dead.finish();
    assert_eq!(cluster.claims().len(), 2, "they stay until somebody looks");
    // The listener it started lives on for a while; a report in that time is stored by it.
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    let scan = cluster.start("getadapter", &["n1,n2", "-f", "--timeout", "60"]);
    let boot = cluster.booted();
    assert_eq!(boot.nodes, ["n1", "n2"]);
    assert!(cluster.stored("n1").is_some());
    for i in 1..=2 {
        Node::of(&cluster, i)
            .say(report_xml("", &["eno2"]).as_bytes())
            .unwrap();
    }
    scan.finish().code(0);
    assert!(cluster.claims().is_empty());
    let fifos = fs::read_dir(cluster.run_dir())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_type().unwrap().is_fifo());
    assert_eq!(fifos.count(), 0, "dead FIFOs are swept");
}

#[test]
fn an_interrupted_wait_leaves_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let cluster = Cluster::new(2);
        // Whoever runs the tests in the background has INT ignored, and that is respected.
        let mut command = std::process::Command::new("env");
        command
            .arg("--default-signal=INT,TERM")
            .arg(scenarios::program("getadapter"))
            .args(["all", "--timeout", "600"]);
        cluster.environment(&mut command);
        let scan = scenarios::Running::start(&mut command);
        cluster.booted();
        Node::of(&cluster, 1)
            .say(report_xml("", &["eno1"]).as_bytes())
            .unwrap();
        scan.signal(signal);
        let finished = scan.finish();
        finished.code(1);
        assert!(
            finished.stderr.contains("failed: n2"),
            "{}",
            finished.stderr
        );
        assert!(cluster.stored("n1").is_some());
        assert!(cluster.claims().is_empty());
    }
}

#[test]
fn a_removed_fifo_is_made_again() {
    let cluster = Cluster::new(1);
    let mut scan = cluster.start("getadapter", &["n1", "--timeout", "60", "-V"]);
    cluster.booted();
    let fifo = cluster.run_dir().join(scan.pid().to_string());
    fs::remove_file(&fifo).unwrap();
    scan.stderr_line("the FIFO was removed; made again");
    assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    scan.finish().code(0);
}

#[test]
fn a_claim_and_a_fifo_of_a_recycled_pid_hold_nobody_up() {
    let cluster = Cluster::new(1);
    fs::create_dir_all(cluster.run_dir()).unwrap();
    fs::set_permissions(cluster.run_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    // A living process that is no waiter, whose pid a dead waiter had; and a FIFO nobody reads.
    let pid = std::process::id();
    nix::unistd::mkfifo(
        &cluster.run_dir().join(pid.to_string()),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    cluster.restore(
        "taskstate",
        "#node,command,state,pid",
        [vec![
            "n1".into(),
            "getadapter".into(),
            "waiting".into(),
            pid.to_string(),
        ]],
    );
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    scan.finish().code(0);
}

#[test]
fn a_run_directory_that_is_not_ours_is_refused() {
    let cluster = Cluster::new(1);
    let run = cluster.run_dir();
    fs::create_dir_all(run.parent().unwrap()).unwrap();
    let elsewhere = cluster.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &run).unwrap();
    let finished = cluster.run("getadapter", &["n1", "--timeout", "5"]);
    finished.code(3);
    assert!(
        finished.stderr.contains("is not a directory of its own"),
        "{}",
        finished.stderr
    );
    assert!(cluster.claims().is_empty());
    fs::remove_file(&run).unwrap();
    if scenarios::parts::root() {
        fs::create_dir(&run).unwrap();
        std::os::unix::fs::chown(&run, Some(65_534), None).unwrap();
        let finished = cluster.run("getadapter", &["n1", "--timeout", "5"]);
        finished.code(3);
        assert!(
            finished.stderr.contains("belongs to user 65534"),
            "{}",
            finished.stderr
        );
        fs::remove_dir(&run).unwrap();
    }
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    let finished = cluster.run("getadapter", &["n1", "--timeout", "5"]);
    finished.code(3);
    assert!(
        finished.stderr.contains("others may write into it"),
        "{}",
        finished.stderr
    );
}

#[test]
fn frames_of_a_perl_poster_are_taken_for_claimed_nodes() {
    use std::io::Write;
    let cluster = Cluster::new(2);
    let mut scan = cluster.start("getadapter", &["all", "--timeout", "60", "-V"]);
    cluster.booted();
    let fifo = cluster.run_dir().join(scan.pid().to_string());
    let nic = "  <nic>\n    <interface>eno1</interface>\n    <linkstate>UP </linkstate>\n    <mac>34:40:b5:be:6a:80</mac>\n  </nic>\n";
    let opt = |node: &str| format!("<opt node=\"{node}\">\n{nic}</opt>\n");
    let whole = format!(
        "<xcatrequest>\n<command>getadapter</command>\n<noderange>n2</noderange>\n<action>update</action>\n{nic}</xcatrequest>\n"
    );
    let frame = |body: &str| format!("{:<8}{body}", body.len());
    // Two frames in one session broke the original's reader; a foreign node ended its wait.
    let session = [frame(&opt("stranger")), frame(&opt("n1")), frame(&whole)].concat();
    fs::OpenOptions::new()
        .write(true)
        .open(&fifo)
        .unwrap()
        .write_all(session.as_bytes())
        .unwrap();
    scan.stderr_line("stranger: is not waited for");
    let finished = scan.finish();
    finished.code(0);
    assert_eq!(
        cluster.stored("n1").as_deref(),
        Some("eno1!mac=34:40:b5:be:6a:80 linkstate=UP")
    );
    assert_eq!(cluster.stored("n2"), cluster.stored("n1"));
}

/// A row that a waiter on another host wrote.
fn of_another_host(cluster: &Cluster, deadline: u64) {
    cluster.restore(
        "taskstate",
        "#node,command,state,pid,reserve",
        [vec![
            "n1".into(),
            "getadapter".into(),
            "waiting".into(),
            "4711".into(),
            format!(
                "elsewhere 0f0f0f0f-0000-0000-0000-000000000000 {deadline} {}",
                "a".repeat(32)
            ),
        ]],
    );
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

#[test]
fn a_claim_of_another_host_counts_until_its_deadline() {
    let cluster = Cluster::new(1);
    of_another_host(&cluster, now() + 600);
    let refused = cluster.run("getadapter", &["n1", "--timeout", "5"]);
    refused.code(1);
    assert!(
        refused
            .stderr
            .contains("n1: is waited for by getadapter (process 4711 on elsewhere)"),
        "{}",
        refused.stderr
    );
    assert_eq!(cluster.claims().len(), 1, "it stays the other's");
    of_another_host(&cluster, now() - 1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    scan.finish().code(0);
    assert!(cluster.claims().is_empty());
}

#[test]
fn a_node_that_another_host_waits_for_is_not_rebooted() {
    let cluster = Cluster::new(1);
    let held = "is waited for by getadapter (process 4711 on elsewhere)";
    for (seconds_left, is_held) in [(600, true), (-1, false)] {
        of_another_host(&cluster, now().saturating_add_signed(seconds_left));
        let planned = cluster.run("nodereboot", &["n1", "--dry-run"]);
        assert_eq!(planned.stdout.contains(held), is_held, "{planned:?}");
        assert_eq!(planned.status.code() == Some(1), is_held, "{planned:?}");
    }
}

#[test]
fn a_report_for_a_waiter_on_another_host_is_stored_and_marked_done() {
    let cluster = Cluster::new(1);
    of_another_host(&cluster, now() + 600);
    let mut callbackd = cluster.start("callbackd", &[]);
    callbackd.stdout_line("ready");
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    cluster.settle();
    assert!(cluster.stored("n1").is_some());
    let claims = cluster.claims();
    assert!(
        claims.len() == 1 && claims[0].contains("done"),
        "its waiter learns it from the row: {claims:?}"
    );
}

#[test]
fn a_waiter_takes_a_row_that_somebody_else_wrote_for_an_answer() {
    // An unmodified xcatd stores the report itself and rings nobody.
    let cluster = Cluster::new(1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    cluster
        .run(
            "xtab",
            &[
                "set",
                "n1",
                "nics.nicsadapter=eno7!mac=52:54:00:00:00:07 linkstate=UP",
            ],
        )
        .code(0);
    let finished = scan.finish();
    finished.code(0);
    assert_eq!(
        finished.stdout,
        "n1:[0]->eno7!mac=52:54:00:00:00:07|linkstate=UP\n"
    );
    assert!(cluster.claims().is_empty());
}

#[test]
fn a_stopped_waiter_keeps_its_claim_and_finds_its_reports_when_it_goes_on() {
    let cluster = Cluster::new(1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    scan.signal(Signal::SIGSTOP);
    let answer = Node::of(&cluster, 1).say(report_xml("", &["eno1"]).as_bytes());
    assert!(answer.unwrap().contains("serverdone"));
    let other = cluster.run("getadapter", &["n1", "--timeout", "5"]);
    other.code(1);
    assert!(other.stderr.contains("is waited for"), "{}", other.stderr);
    assert_eq!(cluster.waiting().len(), 1);
    scan.signal(Signal::SIGCONT);
    let finished = scan.finish();
    finished.code(0);
    assert!(finished.stdout.starts_with("n1:[0]->eno1!"));
}

#[test]
fn a_second_callbackd_stands_by_until_it_is_its_turn() {
    let cluster = Cluster::new(1);
    let mut first = cluster.start("callbackd", &[]);
    first.stdout_line("ready");
    let mut second = cluster.start("callbackd", &[]);
    let node = Node::of(&cluster, 1);
    node.say(report_xml("", &["eno1"]).as_bytes()).unwrap();
    first.signal(Signal::SIGKILL);
    first.finish();
    second.stdout_line("ready");
    let answer = node.say(report_xml("", &["eno2"]).as_bytes()).unwrap();
    assert!(answer.contains("serverdone"));
    cluster.settle();
    assert!(cluster.stored("n1").unwrap().starts_with("eno2!"));
    second.signal(Signal::SIGTERM);
    second.finish().code(0);
}
