#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use std::os::unix::ffi::OsStringExt;

use super::*;

fn parsed(words: &[&str]) -> Result<Asked, String> {
    parse(words.iter().map(OsString::from))
}

#[track_caller]
fn run(words: &[&str]) -> Request {
    match parsed(words) {
        Ok(Asked::Run(request)) => request,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn nodes_and_options_in_any_order() {
    let request = run(&[
        "n1,n2",
        "-w",
        "-W",
        "300",
        "--boot",
        "net",
        "--direct-bootp",
        "compute",
        "--fanout=9",
    ]);
    assert_eq!(request.program, Program::Nodereboot);
    assert_eq!(
        request.options,
        ["-w", "-W300", "--boot=net", "--direct-bootp", "--fanout=9"]
    );
    assert_eq!(request.nodes.as_deref(), Some("n1,n2,compute"));
    assert_eq!(
        run(&["-f", "--", "n1.cluster"]).nodes.as_deref(),
        Some("n1.cluster")
    );
    assert_eq!(run(&["-a", "-w"]).nodes, None);
    assert_eq!(
        run(&["n1", "--max-fail=10%", "--limit=off=9", "--strict"]).options,
        ["--max-fail=10%", "--limit=off=9", "--strict"]
    );
}

#[test]
fn the_second_entry_has_options_of_its_own() {
    let request = run(&["--osload", "n1", "-i", "rhel9-x86_64"]);
    assert_eq!(
        (request.program, &request.options[..]),
        (Program::Osload, &["-irhel9-x86_64".to_string()][..])
    );
    assert_eq!(
        run(&[
            "--osload",
            "n1",
            "--disk",
            "a=serial:S 1",
            "-o",
            "stall=9",
            "-z",
            "2"
        ])
        .options,
        ["--disk=a=serial:S 1", "-ostall=9", "-z2"]
    );
    for words in [
        ["--osload", "n1", "-s"],
        ["--osload", "n1", "-ofoo"],
        ["--osload", "n1", "--disk=sda"],
        ["--osload", "n1", "--disk=name:sda"],
        ["--osload", "n1", "--disk=../a=serial:1"],
        ["--osload", "n1", "--disk=serial:\n"],
        ["--osload", "n1", "-k"],
        ["n1", "--osload", "-w"],
        ["--osload", "n1", "-i/etc/shadow"],
    ] {
        assert!(parsed(&words).is_err(), "{words:?}");
    }
}

#[test]
fn names_of_nodes_and_nothing_else() {
    let long = "n".repeat(256);
    for name in [
        "-oProxyCommand=x",
        "..",
        ".",
        "a/b",
        "/etc/passwd",
        "^/etc/shadow",
        "n1\n",
        "n1\nn2",
        "\u{1b}[2J",
        "n[1-4]",
        "@all",
        "-",
        "n1,",
        ",n1",
        "n1,,n2",
        "",
        "n 1",
        "n1;reboot",
        "$(x)",
        "nodehm.mgt==ipmi",
        "\u{e9}",
        &long,
    ] {
        assert!(parsed(&["n1", "--", name]).is_err(), "{name:?}");
        assert!(
            name.starts_with('-') || parsed(&[name]).is_err(),
            "{name:?}"
        );
    }
    run(&["0"]);
    run(&["n1-n4", "a_b.c-d"]);
}

#[test]
fn options_that_are_not_handed_on() {
    for option in [
        "--status-fd=2",
        "--failed-to=/etc/passwd",
        "-e",
        "-",
        "-wf",
        "-W",
        "-W=x",
        "-W-1",
        "-W1234567",
        "--boot",
        "--boot=cd",
        "--fanout",
        "--fanout=0x1",
        "--fanout=",
        "--max-fail=%",
        "--limit=off",
        "--limit=OFF=1",
        "--limit==1",
        "--json=1",
        "-w=1",
        "--print-config",
        "--insecure",
        "--accept-new-cert",
        "--ca=/tmp/ca",
        "--old-tls=n1",
        "--",
        "---w",
        "-\u{e9}",
        "--no-such-option",
    ] {
        // Last, so that a missing value is missing.
        let wrong = parsed(&["n1", option]).is_err();
        assert!(wrong || option == "--", "{option}");
    }
    assert!(parsed(&[]).is_err() && parsed(&["-w"]).is_err());
}

#[test]
fn errors_name_their_subject_and_stay_short() {
    let error = parsed(&["--no-such-option"]).unwrap_err();
    assert!(error.starts_with("--no-such-option: "), "{error}");
    let error = parsed(&[&format!("--{}", "x".repeat(1 << 20))]).unwrap_err();
    assert!(error.len() < 200, "{error}");
    let error = parse([OsString::from_vec(vec![b'n', 0xff])].into_iter()).unwrap_err();
    assert!(error.contains("is not text"), "{error}");
}

#[test]
fn sizes_are_bounded() {
    assert!(parsed(&["n1"; 4096]).is_ok());
    assert!(parsed(&["n1"; 4097]).is_err());
    let long = vec!["n".repeat(200); 700];
    let words: Vec<&str> = long.iter().map(String::as_str).collect();
    assert!(parsed(&words).unwrap_err().contains("name a group"));
    assert!(parsed(&[&"n1,".repeat(40_000)]).is_err());
}

#[test]
fn help_and_version_need_nothing_else() {
    for word in ["-h", "--help"] {
        assert_eq!(parsed(&[word]), Ok(Asked::Help));
    }
    for word in ["-v", "--version"] {
        assert_eq!(parsed(&["n1", word]), Ok(Asked::Version));
    }
}
