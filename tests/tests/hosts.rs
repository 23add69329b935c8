//! Several hosts with one database: who waits for which node, and who tells whom.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Cluster, Host, Node, parts, report_xml};

fn cluster(count: usize) -> Option<Cluster> {
    if !parts::root() || !parts::have("unshare") || !parts::have("nsenter") || !parts::have("ip") {
        return None;
    }
    Cluster::on_postgres(count)
}

#[test]
fn a_node_that_another_host_waits_for_is_named_with_its_holder() {
    let Some(cluster) = cluster(2) else { return };
    let (one, two) = (Host::new(&cluster, "one"), Host::new(&cluster, "two"));
    let first = one.start("getadapter", &["n1", "--timeout", "60"]);
    assert_eq!(cluster.booted().nodes, ["n1"]);
    let mut second = two.start("getadapter", &["n1,n2", "--timeout", "60"]);
    assert_eq!(cluster.booted().nodes, ["n2"], "only its own are booted");
    second.stderr_line(&format!(
        "n1: is waited for by getadapter (process {} on one)",
        first.pid()
    ));
    // Each answer comes to the other host: it is stored there, and the row says so to the waiter.
    let says = |host: &Host<'_>, i: usize| {
        let node = Node::of(&cluster, i);
        let answer = host.on_network(|| node.say(report_xml("", &["eno1"]).as_bytes()));
        assert!(answer.unwrap().contains("serverdone"));
    };
    says(&two, 1);
    let first = first.finish();
    first.code(0);
    assert!(
        first.stdout.starts_with("n1:[0]->eno1!"),
        "{}",
        first.stdout
    );
    // The listener that it started lives on for a while.
    says(&one, 2);
    let second = second.finish();
    second.code(1);
    assert!(
        second.stdout.starts_with("n2:[0]->eno1!"),
        "{}",
        second.stdout
    );
    assert!(cluster.claims().is_empty());
}

#[test]
fn one_host_takes_over_when_the_others_claim_is_over() {
    let Some(cluster) = cluster(1) else { return };
    let (one, two) = (Host::new(&cluster, "one"), Host::new(&cluster, "two"));
    let dead = one.start("getadapter", &["n1", "--timeout", "600"]);
    cluster.booted();
    dead.signal(nix::sys::signal::Signal::SIGKILL);
    dead.finish();
    // Nobody here can tell that it is dead: its deadline decides, by the database's clock.
    let refused = two.run("getadapter", &["n1", "--timeout", "5"]);
    refused.code(1);
    assert!(refused.stderr.contains("on one)"), "{}", refused.stderr);
    let rows = cluster.claims();
    let over = rows[0].replace('"', "");
    let fields: Vec<&str> = over.split(',').collect();
    let words: Vec<&str> = fields[4].split(' ').collect();
    let ended = format!("{} {} 1 {}", words[0], words[1], words[3]);
    cluster.restore(
        "taskstate",
        "#node,command,state,pid,reserve",
        [vec![
            fields[0].into(),
            fields[1].into(),
            fields[2].into(),
            fields[3].into(),
            ended,
        ]],
    );
    let scan = two.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    let node = Node::of(&cluster, 1);
    let answer = two.on_network(|| node.say(report_xml("", &["eno1"]).as_bytes()));
    assert!(answer.unwrap().contains("serverdone"));
    scan.finish().code(0);
    assert!(cluster.claims().is_empty());
}

#[test]
fn an_older_report_on_another_host_does_not_undo_a_newer_one() {
    let Some(cluster) = cluster(1) else { return };
    let (one, two) = (Host::new(&cluster, "one"), Host::new(&cluster, "two"));
    let three = Host::new(&cluster, "three");
    let waiter = three.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    // Its row stays until it looks, so that both reports meet the same claim.
    waiter.signal(nix::sys::signal::Signal::SIGSTOP);
    let node = Node::of(&cluster, 1);
    let report = |host: &Host<'_>, name: &str| {
        let text = report_xml("", &[name]);
        let answer = host.on_network(|| node.say(text.as_bytes()));
        assert!(answer.unwrap().contains("serverdone"));
    };
    // Host one is slow: what it took first lies in its spool while host two stores a newer one.
    let mut slow = one.start("callbackd", &[]);
    slow.stdout_line("ready");
    let mut fast = two.start("callbackd", &[]);
    fast.stdout_line("ready");
    let spool = |host: &str| cluster.path(host).join("var/lib/xcat-nodetools/reports");
    let lock = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(spool("one").join(".lock"))
        .unwrap();
    let held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    report(&one, "old");
    report(&two, "new");
    let stored = || cluster.stored("n1").unwrap_or_default();
    until(|| stored().starts_with("new!"));
    drop(held);
    until(|| !waits(&spool("one")));
    assert!(stored().starts_with("new!"), "{}", stored());
    waiter.signal(nix::sys::signal::Signal::SIGCONT);
    let finished = waiter.finish();
    finished.code(0);
    assert!(
        finished.stdout.starts_with("n1:[0]->new!"),
        "{}",
        finished.stdout
    );
}

/// True while a report lies there.
fn waits(spool: &std::path::Path) -> bool {
    let names = std::fs::read_dir(spool).unwrap().flatten();
    let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.any(|name| name.starts_with(|c: char| c.is_ascii_digit()))
}

#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
}
