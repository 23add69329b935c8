//! getadapter end to end: claim, boot hook, TLS, spool, bell, table.

use scenarios::{Cluster, Node, adapters_xml, report_xml};
use std::process::{Command, Stdio};

/// The stock answer to a report: nothing but serverdone.
const DONE: &str = "<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";

#[test]
fn a_node_that_reports_is_shown_and_stored() {
    let cluster = Cluster::new(2);
    let scan = cluster.start("getadapter", &["n1,n2", "--timeout", "60"]);
    let boot = cluster.booted();
    assert_eq!(boot.action, "runcmd=getadapter");
    assert_eq!(boot.report, format!("127.0.0.1:{}", cluster.port));
    assert_eq!(boot.nodes, ["n1", "n2"]);
    assert_eq!((boot.nonce.len(), boot.pin.len()), (32, 64));
    for i in [2, 1] {
        assert_eq!(
            Node::of(&cluster, i)
                .say(report_xml("", &["eno1", "eno2"]).as_bytes())
                .unwrap(),
            DONE
        );
    }
    let finished = scan.finish();
    finished.code(0);
    let line = "n1:[0]->eno1!mac=52:54:00:00:00:00|pci=/pci0000:00/0000:00:00.0|vendor=Example Corporation|model=Example 10Gb NIC|linkstate=UP";
    assert!(
        finished.stdout.lines().any(|record| record == line),
        "{}",
        finished.stdout
    );
    assert_eq!(finished.stdout.lines().count(), 4, "nothing but records");
    assert!(
        !finished.stderr.contains("scan successfully"),
        "the header is for -V"
    );
    assert_eq!(
        cluster.stored("n2").as_deref(),
        Some(
            "eno1!mac=52:54:00:00:00:00 linkstate=UP pci=/pci0000:00/0000:00:00.0,eno2!mac=52:54:00:00:00:01 linkstate=UP pci=/pci0000:00/0000:00:01.0"
        )
    );
    assert!(cluster.claims().is_empty());
    assert!(cluster.waiting().is_empty());
    // The boot target was for once: nobody boots into genesis again.
    let chain = cluster.run("xtab", &["dump", "chain"]).stdout;
    assert!(!chain.contains("\"runcmd="), "{chain}");
    let saved = std::fs::read_dir(cluster.path("var/lib/xcat-nodetools/boot")).unwrap();
    assert_eq!(saved.count(), 0, "no way back is left untaken");
}

#[test]
fn one_that_never_reports_is_named_and_the_others_stay() {
    let cluster = Cluster::new(2);
    let scan = cluster.start("getadapter", &["all", "--timeout", "3"]);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    let finished = scan.finish();
    finished.code(1);
    assert!(
        finished.stderr.contains(
            "getadapter: n2: Timeout to get the adapter information (last known: booting since"
        ),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("1 answered: n1; 1 failed: n2"),
        "{}",
        finished.stderr
    );
    assert!(cluster.stored("n1").is_some());
    assert!(cluster.claims().is_empty());
    // What comes after the deadline is not lost: the listener, which lingers, stores it by itself.
    Node::of(&cluster, 2)
        .say(report_xml("", &["eno9"]).as_bytes())
        .unwrap();
    cluster.settle();
    assert!(
        cluster
            .stored("n2")
            .is_some_and(|stored| stored.starts_with("eno9!"))
    );
}

#[test]
fn the_stock_script_reports_through_s_client() {
    let cluster = Cluster::new(1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60", "--json"]);
    cluster.booted();
    // As genesis does it: the request in a file, fed to s_client, which ends at the end of the file.
    let file = cluster.path("adapterinfo");
    let request = format!(
        "<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n{}</xcatrequest>\n",
        adapters_xml(&["eno1"])
    );
    std::fs::write(&file, request).unwrap();
    let sent = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &format!("127.0.0.1:{}", cluster.port),
            "-bind",
            "127.1.0.1:0",
            "-no_ssl3",
        ])
        .stdin(std::fs::File::open(&file).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(sent.is_ok());
    let finished = scan.finish();
    finished.code(0);
    let record: serde_json::Value =
        serde_json::from_str(finished.stdout.trim()).expect("one JSON object");
    assert_eq!(
        (record["node"].as_str(), record["interface"].as_str()),
        (Some("n1"), Some("eno1"))
    );
}

#[test]
fn a_stock_genesis_gets_an_answer_to_everything_it_sends() {
    let cluster = Cluster::new(1);
    let scan = cluster.start("getadapter", &["n1", "--timeout", "60"]);
    cluster.booted();
    let node = Node::of(&cluster, 1);
    let request = |command: &str| {
        format!(
            "<xcatrequest>\n<command>{command}</command>\n<arg>x</arg>\n<callback_port>300</callback_port>\n</xcatrequest>\n"
        )
    };
    let refused = node.say(request("getcredentials").as_bytes()).unwrap();
    assert!(
        refused.contains("<error>")
            && refused.ends_with("<serverdone></serverdone>\n</xcatresponse>\n"),
        "{refused}"
    );
    let destiny = node.say(request("getdestiny").as_bytes()).unwrap();
    assert!(
        destiny.contains("<destiny>runcmd=getadapter</destiny>"),
        "{destiny}"
    );
    assert_eq!(
        node.say(report_xml("", &["eno1"]).as_bytes()).unwrap(),
        DONE
    );
    let next = node.say(request("nextdestiny").as_bytes()).unwrap();
    assert!(
        next.contains("<destiny>") && !next.contains("runcmd="),
        "{next}"
    );
    scan.finish().code(0);
}

#[test]
fn known_adapters_are_left_alone_without_force() {
    let cluster = Cluster::new(1);
    cluster.restore(
        "nics",
        "#node,nicsadapter",
        [vec![
            "n1".into(),
            "eno1!mac=52:54:00:00:00:01 linkstate=UP".into(),
        ]],
    );
    let finished = cluster.run("getadapter", &["n1"]);
    finished.code(0);
    assert!(finished.stdout.is_empty());
    assert!(
        finished
            .stderr
            .contains("n1: Adapter information exists, no need to inspect."),
        "{}",
        finished.stderr
    );
    let scan = cluster.start("getadapter", &["n1", "-f", "--diff", "--timeout", "60"]);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    let finished = scan.finish();
    finished.code(0);
    assert!(
        finished.stdout.contains("52:54:00:00:00:01")
            && finished.stdout.contains("52:54:00:00:00:00"),
        "the MAC changed: {}",
        finished.stdout
    );
}

#[test]
fn a_running_node_is_not_rebooted() {
    let cluster = Cluster::new(1);
    cluster.restore(
        "nodelist",
        "#node,groups,status",
        [vec!["n1".into(), "all".into(), "booted".into()]],
    );
    let finished = cluster.run("getadapter", &["n1"]);
    finished.code(1);
    assert!(
        finished.stderr.contains("n1: runs an operating system"),
        "{}",
        finished.stderr
    );
    let shown = cluster.run("getadapter", &["n1", "--reboot-running", "--dry-run"]);
    shown.code(0);
    assert_eq!(shown.stdout, "n1: would be booted into genesis\n");
}

#[test]
fn a_running_node_is_asked_over_ssh_with_live() {
    let cluster = Cluster::new(1);
    cluster.restore(
        "nodelist",
        "#node,groups,status",
        [vec!["n1".into(), "all".into(), "booted".into()]],
    );
    // An ssh that runs its last argument here, as the node would.
    let bin = cluster.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let agent = scenarios::program("findadapter-agent");
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\nset -- $last\nshift\nexec '{}' \"$@\"\n",
        agent.display()
    );
    std::fs::write(bin.join("ssh"), script).unwrap();
    std::fs::set_permissions(
        bin.join("ssh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let finished: scenarios::Finished = cluster
        .command("getadapter")
        .args(["n1", "--live", "--timeout", "60"])
        .env("PATH", path)
        .output()
        .unwrap()
        .into();
    finished.code(0);
    assert!(cluster.claims().is_empty());
    // This machine's own adapters, whatever they are; none is an answer too.
    assert!(
        finished.stderr.contains("1 answered: n1"),
        "{}",
        finished.stderr
    );
}

#[test]
fn an_unknown_node_is_an_error_and_nothing_is_touched() {
    let cluster = Cluster::new(1);
    let finished = cluster.run("getadapter", &["n1,nope"]);
    finished.code(3);
    assert!(
        finished
            .stderr
            .contains("Invalid nodes and/or groups in noderange: nope"),
        "{}",
        finished.stderr
    );
    cluster
        .run("getadapter", &["n1", "--no-such-option"])
        .code(2);
    let many = cluster.run("getadapter", &["all", "--max-nodes", "0"]);
    many.code(2);
    assert!(many.stderr.contains("--max-nodes"), "{}", many.stderr);
}

#[test]
fn nodes_that_are_settled_and_nodes_that_failed_are_told_to_scripts() {
    let cluster = Cluster::new(3);
    cluster.restore(
        "nics",
        "#node,nicsadapter",
        [vec!["n3".into(), "eno1!mac=52:54:00:00:00:01".into()]],
    );
    let (status, failed) = (cluster.path("status"), cluster.path("failed"));
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "exec \"$0\" n1,n2,n3 --timeout 3 --status-fd 9 --failed-to \"$2\" 9>\"$1\"",
        ])
        .arg(scenarios::program("getadapter"))
        .args([&status, &failed]);
    cluster.environment(&mut shell);
    let scan = scenarios::Running::start(&mut shell);
    cluster.booted();
    Node::of(&cluster, 1)
        .say(report_xml("", &["eno1"]).as_bytes())
        .unwrap();
    scan.finish().code(1);
    let told = std::fs::read_to_string(status).unwrap();
    assert_eq!(told, "n3,0\nn1,0\nn2,1\n");
    assert_eq!(std::fs::read_to_string(&failed).unwrap(), "n2\n");
}
