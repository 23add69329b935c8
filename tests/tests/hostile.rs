//! What nodes, and others, may throw at callbackd.

use std::io::{Read, Write};

use scenarios::{Cluster, Node, Running, report_xml};

/// A cluster with a callbackd of its own, and nobody who waits.
fn listening(count: usize) -> (Cluster, Running) {
    let cluster = Cluster::new(count);
    let mut callbackd = cluster.start("callbackd", &["-V"]);
    callbackd.stdout_line("ready");
    (cluster, callbackd)
}

/// The node's row, once its report is applied: callbackd does so by itself when nobody waits.
fn stored(cluster: &Cluster, callbackd: &mut Running, node: &str) -> Option<String> {
    callbackd.stderr_line(&format!("{node}: report of"));
    cluster.settle();
    cluster.stored(node)
}

fn is_refusal(answer: &str) -> bool {
    !answer.contains("serverdone") || answer.contains("<error>")
}

#[test]
fn a_report_of_many_kilobytes_is_one_report() {
    let (cluster, mut callbackd) = listening(1);
    let names: Vec<String> = (0..64).map(|i| format!("eth{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = report_xml("", &names);
    assert!(report.len() > 14_000);
    assert!(
        Node::of(&cluster, 1)
            .say(report.as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    assert_eq!(
        stored(&cluster, &mut callbackd, "n1")
            .unwrap()
            .split(',')
            .count(),
        64
    );
}

#[test]
fn an_unknown_address_is_closed_before_the_handshake() {
    let (cluster, mut callbackd) = listening(1);
    let stranger = Node {
        address: "127.9.9.9".parse().unwrap(),
        port: cluster.port,
    };
    let mut stream = stranger.connect().unwrap();
    let mut byte = [0];
    assert!(
        matches!(stream.read(&mut byte), Ok(0) | Err(_)),
        "closed, nothing said"
    );
    assert!(callbackd.stderr_line("127.9.9.9").contains("is of no node"));
}

#[test]
fn the_node_is_named_by_its_address_whatever_it_says() {
    let (cluster, mut callbackd) = listening(2);
    let answer = Node::of(&cluster, 2)
        .say(report_xml("<noderange>n1</noderange>\n<node>n1</node>\n", &["eno2"]).as_bytes())
        .unwrap();
    assert!(answer.contains("serverdone"));
    assert!(stored(&cluster, &mut callbackd, "n2").is_some());
    assert_eq!(cluster.stored("n1"), None);
}

#[test]
fn xml_that_is_none_or_an_attack_is_refused_and_the_next_report_is_taken() {
    let (cluster, mut callbackd) = listening(1);
    let node = Node::of(&cluster, 1);
    let deep = format!(
        "<xcatrequest>{}{}</xcatrequest>",
        "<a>".repeat(10_000),
        "</a>".repeat(10_000)
    );
    let attacks: [&[u8]; 6] = [
        b"<!DOCTYPE x [<!ENTITY a \"b\">]><xcatrequest><command>getadapter</command></xcatrequest>",
        b"<xcatrequest><command>getadapter</command><action>update</action><nic><interface>&boom;</interface></nic></xcatrequest>",
        deep.as_bytes(),
        b"GET / HTTP/1.1\r\nHost: callbackd\r\n\r\n",
        b"<xcatrequest><command>getadapter</command><action>update</action><nic></mac></xcatrequest>",
        b"<opt node=\"n1\"><nic></nic></opt>",
    ];
    for attack in attacks {
        let answer = node.say(attack).unwrap_or_default();
        assert!(is_refusal(&answer), "{answer}");
    }
    assert!(
        node.say(report_xml("", &["eno1"]).as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    assert!(stored(&cluster, &mut callbackd, "n1").is_some());
}

#[test]
fn a_request_without_an_end_is_cut_off() {
    let (cluster, mut callbackd) = listening(1);
    let mut stream = Node::of(&cluster, 1).dial().unwrap();
    let piece = vec![b'x'; 65_536];
    stream.write_all(b"<xcatrequest><command>").unwrap();
    // 2 GB are announced by going on; one MiB is the limit.
    let sent = (0..32_768)
        .take_while(|_| stream.write_all(&piece).is_ok())
        .count();
    // What the kernel buffers on both sides comes on top.
    assert!(sent < 512, "{sent} pieces were taken");
    assert!(
        callbackd.stderr_line("127.1.0.1").contains("1048576"),
        "the limit is named"
    );
}

#[test]
fn half_a_report_is_no_report() {
    let (cluster, mut callbackd) = listening(1);
    let node = Node::of(&cluster, 1);
    let whole = report_xml("", &["eno1"]);
    let mut stream = node.dial().unwrap();
    stream
        .write_all(&whole.as_bytes()[..whole.len() / 2])
        .unwrap();
    stream.finish();
    drop(stream);
    assert!(
        callbackd
            .stderr_line("127.1.0.1")
            .contains("middle of a request")
    );
    assert_eq!(cluster.stored("n1"), None);
}

#[test]
fn values_that_xcat_would_run_never_reach_the_table() {
    let (cluster, mut callbackd) = listening(1);
    let nic = |interface: &str, mac: &str, vendor: &str| {
        format!(
            "<nic>\n<interface>{interface}</interface>\n<mac>{mac}</mac>\n<vendor>{vendor}</vendor>\n</nic>\n"
        )
    };
    let body = [
        nic("|.*|(1 x 1e9)|", "52:54:00:00:00:01", "x"),
        nic("eth0,evil!mac", "52:54:00:00:00:02", "x"),
        nic("a b", "52:54:00:00:00:03", "x"),
        nic("e\x1b[2Jth", "52:54:00:00:00:04", "x"),
        nic("eth9", "+=NEXTRECORD", "x"),
        nic("eno1", "52:54:00:00:00:05", "A & B, |.*|(system)|\u{202e}"),
        nic("-rf", "/x/y/", "x"),
    ]
    .concat();
    let request = format!(
        "<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n{body}</xcatrequest>\n"
    );
    assert!(
        Node::of(&cluster, 1)
            .say(request.as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    let stored = stored(&cluster, &mut callbackd, "n1").unwrap();
    assert!(stored.contains("eno1!mac=52:54:00:00:00:05"), "{stored}");
    for bad in ["|", "1e9", "evil", "\x1b", "+=", "a b!", "system"] {
        assert!(!stored.contains(bad), "{bad}: {stored}");
    }
}

#[test]
fn invalid_utf8_loses_the_value_not_the_report() {
    let (cluster, mut callbackd) = listening(1);
    let mut request = b"<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n<nic>\n<interface>eno1</interface>\n<mac>52:54:00:00:00:05</mac>\n<vendor>\xff\xfe</vendor>\n</nic>\n<nic>\n<interface>\xc3\x28</interface>\n<mac>52:54:00:00:00:06</mac>\n</nic>\n".to_vec();
    request.extend_from_slice(b"</xcatrequest>\n");
    assert!(
        Node::of(&cluster, 1)
            .say(&request)
            .unwrap()
            .contains("serverdone")
    );
    assert_eq!(
        stored(&cluster, &mut callbackd, "n1").as_deref(),
        Some("eno1!mac=52:54:00:00:00:05")
    );
}

#[test]
fn a_wrong_or_replayed_nonce_does_not_count() {
    let cluster = Cluster::new(1);
    let mut scan = cluster.start("getadapter", &["n1", "--timeout", "60", "-V"]);
    let boot = cluster.booted();
    let node = Node::of(&cluster, 1);
    let with = |nonce: &str| format!("<nonce>{nonce}</nonce>\n");
    assert!(
        node.say(report_xml(&with(&"0".repeat(32)), &["evil0"]).as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    assert!(scan.stderr_line("rejected").contains("nonce"));
    assert!(
        node.say(report_xml(&with(&boot.nonce), &["eno1"]).as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    scan.finish().code(0);
    // A replay, to the listener that lingers.
    node.say(report_xml(&with(&boot.nonce), &["evil0"]).as_bytes())
        .unwrap();
    cluster.settle();
    assert!(cluster.stored("n1").unwrap().starts_with("eno1!"));
}

#[test]
fn sixty_four_silent_connections_of_one_address_keep_nobody_out() {
    let (cluster, mut callbackd) = listening(2);
    let silent = Node::of(&cluster, 1);
    let held: Vec<_> = (0..64).map(|_| silent.connect().unwrap()).collect();
    callbackd.stderr_line("connections of it are open already");
    let started = std::time::Instant::now();
    assert!(
        Node::of(&cluster, 2)
            .say(report_xml("", &["eno1"]).as_bytes())
            .unwrap()
            .contains("serverdone")
    );
    assert!(
        started.elapsed().as_secs() < 10,
        "it did not wait for the silent ones"
    );
    drop(held);
}

#[test]
fn of_two_reports_the_newer_stays() {
    let (cluster, mut callbackd) = listening(1);
    let node = Node::of(&cluster, 1);
    node.say(report_xml("", &["old0"]).as_bytes()).unwrap();
    node.say(report_xml("", &["new0"]).as_bytes()).unwrap();
    assert!(
        stored(&cluster, &mut callbackd, "n1")
            .unwrap()
            .starts_with("new0!")
    );
    // An older one that turns up again (a disk that came back) changes nothing.
    let applied = std::fs::read_to_string(cluster.spool().join("applied/n1")).unwrap();
    let mut older: serde_json::Value = serde_json::from_str(&applied).unwrap();
    older["received"] = 1_000.into();
    older["facts"]["adapters"][0]["interface"] = "old0".into();
    std::fs::write(
        cluster.spool().join("00000000000000001000.1.n1"),
        older.to_string(),
    )
    .unwrap();
    cluster.settle();
    assert!(cluster.stored("n1").unwrap().starts_with("new0!"));
}
