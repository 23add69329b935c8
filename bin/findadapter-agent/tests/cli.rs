//! The program, on nodes that are trees of files, against masters on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpListener;
use std::path::Path;

use support::{Master, Node, Ran, program, short};
use tls::{Identity, identity};
use xcat_request::response::{destiny, done, error};
use xcat_request::{Limits, parse};

fn keys(dir: &Path, name: &str) -> Identity {
    identity(&dir.join("keys"), name).unwrap()
}

/// Nobody listens there: bound, then closed again.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

#[test]
fn print_shows_the_request_and_asks_nobody() {
    let node = Node::new();
    node.file(
        "proc/cmdline",
        "nodetools.report=broken: nodetools.nonce=0f",
    );
    let ran = node.run(&["--print"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let request = parse(ran.stdout.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(request.name, "xcatrequest");
    assert_eq!(request.text_of("command"), Some("getadapter"));
    assert_eq!(request.text_of("action"), Some("update"));
    assert_eq!(request.text_of("nonce"), None);
    assert_eq!(
        request.child("nic").unwrap().text_of("interface"),
        Some("eno1")
    );
    let ran = node.run(&["--print", "--nonce", "0f"]);
    assert!(ran.stdout.contains("<nonce>0f</nonce>"), "{}", ran.stdout);
}

#[test]
fn a_report_is_done_when_it_was_acknowledged() {
    let node = Node::new();
    let identity = keys(node.0.path(), "master");
    let master = Master::start(&identity, None, &[done()]);
    let line = format!(
        "quiet xcatd={} nodetools.report={} nodetools.pin={} nodetools.nonce=0123abcd\n",
        nobody(),
        master.address,
        master.pin
    );
    node.file("proc/cmdline", &line);
    let ran = node.run(&[]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "")
    );
    let request = master.saw().request;
    assert_eq!(request.text_of("nonce"), Some("0123abcd"));
    assert_eq!(
        request.child("nic").unwrap().text_of("mac"),
        Some("34:40:b5:be:6a:80")
    );
}

#[test]
fn it_asks_what_the_node_shall_do() {
    let node = Node::new();
    let identity = keys(node.0.path(), "master");
    let answer = |text| destiny("n1", text, &[]);
    for (which, command) in [("now", "getdestiny"), ("next", "nextdestiny")] {
        let master = Master::start(&identity, None, &[answer("runcmd=x\u{1b}")]);
        let line = format!("xcatd={} nodetools.pin={}\n", master.address, master.pin);
        node.file("proc/cmdline", &line);
        let ran = node.run(&["--destiny", which]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "runcmd=x?\n"));
        let request = master.saw().request;
        assert_eq!(request.text_of("command"), Some(command));
        assert!(request.child("nic").is_none());
    }
    let master = Master::start(&identity, None, &[done()]);
    let ran = node.run(&[
        "--destiny",
        "now",
        "--master",
        &master.address,
        "--pin",
        &master.pin,
    ]);
    let why = "findadapter-agent: the master's answer names no destiny\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), why));
}

#[test]
fn a_stock_chain_calls_it_getadapter() {
    let node = Node::new();
    let other = node.0.path().join("getadapter");
    std::fs::copy(program(), &other).unwrap();
    let refuses = keys(node.0.path(), "master");
    let master = Master::start(&refuses, None, &[error("Permission denied for request", 1)]);
    let (host, port) = master.address.split_once(':').unwrap();
    let mut command = std::process::Command::new(&other);
    command
        .env_clear()
        .env("XCATMASTER", host)
        .env("XCATPORT", port);
    let ran = Ran::from(
        command
            .arg("--sysroot")
            .arg(node.0.path())
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(1));
    let why = format!(
        "getadapter: {}: refused: Permission denied for request (named by XCATMASTER)\n",
        master.address
    );
    assert_eq!(ran.stderr, why);
}

#[test]
fn busy_is_tried_again_until_it_is_done() {
    let node = Node::new();
    let identity = keys(node.0.path(), "master");
    let master = Master::start(
        &identity,
        None,
        &[error("busy, try later: full", 1), done()],
    );
    let ran = node.run(&["--master", &master.address]);
    assert_eq!(ran.code, Some(0));
    let told = format!(
        "findadapter-agent: {}: busy, try later: full\n",
        master.address
    );
    assert_eq!(ran.stderr, told);
    assert_eq!(master.seen().len(), 2);
}

#[test]
fn nobody_there_ends_with_the_timeout() {
    let node = Node::new();
    let target = nobody();
    let ran = node.run(&["--master", &target, "--timeout", short()]);
    assert_eq!(ran.code, Some(1));
    let last = ran.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("findadapter-agent: not acknowledged in time (attempts: "),
        "{}",
        ran.stderr
    );
    assert!(
        last.contains(&format!("{target}: Connection refused")),
        "{last}"
    );
}

#[test]
fn another_key_or_authority_gets_no_report() {
    let node = Node::new();
    let identity = keys(node.0.path(), "master");
    let wrong = "00".repeat(32);
    let master = Master::start(&identity, None, &[done()]);
    let target = master.address.clone();
    let ran = node.run(&["--master", &target, "--pin", &wrong, "--timeout", short()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("its key has pin"), "{}", ran.stderr);
    assert!(master.seen().iter().all(Result::is_err));

    let other = keys(node.0.path(), "other");
    std::fs::create_dir_all(node.0.path().join("etc/xcat")).unwrap();
    std::fs::copy(other.certificate, node.0.path().join("etc/xcat/ca.pem")).unwrap();
    let master = Master::start(&identity, None, &[done()]);
    let ran = node.run(&["--master", &master.address, "--timeout", short()]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("certificate not accepted"),
        "{}",
        ran.stderr
    );
    assert!(master.seen().iter().all(Result::is_err));
}

#[test]
fn the_nodes_own_certificate_and_authority_are_used() {
    let node = Node::new();
    let (master, mine) = (keys(node.0.path(), "master"), keys(node.0.path(), "n1"));
    let etc = node.0.path().join("etc/xcat");
    std::fs::create_dir_all(&etc).unwrap();
    for (file, name) in [
        (&master.key, "ca.pem"),
        (&mine.key, "cert.pem"),
        (&mine.key, "certkey.pem"),
    ] {
        std::fs::copy(file, etc.join(name)).unwrap();
    }
    let started = Master::start(&master, Some(&mine.certificate), &[done()]);
    let ran = node.run(&["--master", &started.address]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(started.saw().peer.as_deref(), Some("n1"));

    // Genesis writes the key while other things go on.
    node.file("etc/xcat/certkey.pem", "-----BEGIN PRIVATE KEY-----\nMII");
    let started = Master::start(&master, Some(&mine.certificate), &[done()]);
    let ran = node.run(&["--master", &started.address]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.ends_with("in it: reporting without it\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(started.saw().peer, None);
}

#[test]
fn nothing_can_be_done_without_a_master_or_an_adapter() {
    let node = Node::new();
    let ran = node.run(&[]);
    assert_eq!(ran.code, Some(3));
    let why =
        "findadapter-agent: no master: no option, variable, kernel word or DHCP lease names one\n";
    assert_eq!(ran.stderr, why);

    node.file(
        "proc/cmdline",
        "nodetools.report=10.0.0.1:x xcatd=10.0.0.1:3001",
    );
    let ran = node.run(&[]);
    assert_eq!(ran.code, Some(3));
    let why = "findadapter-agent: nodetools.report: 10.0.0.1:x: not a port number\n";
    assert_eq!(ran.stderr, why);

    let broken = node.file("ca.pem", "no certificate");
    let ran = node.run(&["--master", &nobody(), "--ca", broken.to_str().unwrap()]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.ends_with("ca.pem: no certificate in it\n"),
        "{}",
        ran.stderr
    );

    std::fs::remove_dir_all(node.0.path().join("sys")).unwrap();
    std::fs::create_dir_all(node.0.path().join("sys/class/net")).unwrap();
    let ran = node.run(&["--print"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    assert!(
        ran.stderr.starts_with("findadapter-agent: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn wrong_usage_is_said_in_one_line() {
    let node = Node::new();
    for arguments in [
        &["--timeout", "300"][..],
        &["--timeout", "0"],
        &["--pin", "abc"],
        &["--nonce", "xyz"],
        &["--master", "a b"],
        &["--pin", &"00".repeat(32), "--ca", "ca.pem"],
        &["--print", "--master", "mn"],
        &["--live"],
        &["n1"],
    ] {
        let ran = node.run(arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(
            ran.stderr.starts_with("findadapter-agent: "),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn help_and_version_are_shown() {
    let node = Node::new();
    let help = node.run(&["-h"]);
    assert_eq!(help.code, Some(0));
    for option in [
        "--print",
        "--sysroot",
        "--master",
        "--timeout",
        "--pin",
        "--ca",
        "--nonce",
    ] {
        assert!(help.stdout.contains(option), "{}", help.stdout);
    }
    let version = node.run(&["-v"]);
    assert_eq!(version.code, Some(0));
    assert!(
        version
            .stdout
            .starts_with("findadapter-agent (xcat-nodetools) "),
        "{}",
        version.stdout
    );
}
