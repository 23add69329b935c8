//! snmove's own face: usage, refusals, plans, exit codes. What it does to real service nodes is in tests/.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::Site;

#[test]
fn help_and_version_are_answers_not_errors() {
    let site = Site::new();
    assert!(site.run(&["-h"]).ok().stdout.contains("--strict-pool"));
    assert!(site.run(&["-v"]).ok().stdout.contains("xcat-nodetools"));
}

#[test]
fn wrong_usage_is_two_in_the_originals_words() {
    let site = Site::new();
    for (args, text) in [
        (
            &[][..],
            "A node range or the source service node must be specified.",
        ),
        (
            &["-d", "sn2"],
            "A node range or the source service node must be specified.",
        ),
        (&["n1", "n2", "-d", "sn2"], "Too many paramters."),
        (
            &["n1", "-i", "-P", "test1"],
            "-P and -i flags cannot be specified at the same time.",
        ),
        (&["n1", "-x"], "-x: no such option or argument"),
        (&["n1", "--json"], "--json: belongs to --plan or --verify"),
        (&["n1", "--apply", "plan"], "[NODERANGE]...: "),
        (&["--undo", "--plan"], "--undo [<ID>]: "),
    ] {
        let ended = site.run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(
            ended.stderr.starts_with(&format!("snmove: {text}")),
            "{ended:?}"
        );
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.lines().count()),
            ("", 1)
        );
    }
}

#[test]
fn what_cannot_be_moved_is_said_and_nothing_is_changed() {
    let site = Site::new();
    let before = site.rows();
    for (args, code, text) in [
        (&["n1,bogus"][..], 3, "bogus"),
        (&["-s", "sn9"], 1, "Could not get xCAT object definitions."),
        (
            &["n1", "-l"],
            1,
            "The '-l' option is not supported for Linux nodes.",
        ),
        (
            &["alone", "--no-dest-check"],
            1,
            "Could not determine a backup service node for node alone.",
        ),
        (
            &["compute,aix", "-d", "sn2", "-D", "127.3.0.12"],
            1,
            "This command does not support a mix of AIX and Linux nodes.",
        ),
        (
            &["aix", "-d", "sn2", "-D", "127.3.0.12"],
            1,
            "AIX: only the tables are changed here: use -i",
        ),
        (
            &["n1", "-D", "192.0.2.9"],
            1,
            "192.0.2.9: has no address in the network of n1",
        ),
    ] {
        let ended = site.run(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(text), "{args:?}: {ended:?}");
    }
    assert_eq!(site.rows(), before);
    assert_eq!(site.calls(), "");
}

#[test]
fn everything_that_is_wrong_with_the_destination_is_said() {
    let site = Site::new();
    // alone is a host, and no service node. No ssh server is at its address.
    let ended = site.run(&["n1-n3", "-d", "alone", "-D", "127.3.0.12"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    // Unless this machine has one on all its addresses.
    if std::net::TcpStream::connect(("127.3.1.4", 22)).is_err() {
        let text = "alone: does not answer on its ssh port";
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
    for text in ["alone: has no row in servicenode", "nothing was changed"] {
        assert!(ended.stderr.contains(text), "{text}: {ended:?}");
    }
    site.set("servicenode", "sn2", "tftpserver", None);
    let ended = site.run(&["n1-n3"]);
    let text = "sn2: servicenode.tftpserver is not set, and its new nodes use it";
    assert!(ended.stderr.contains(text), "{ended:?}");
}

#[test]
fn breaches_of_the_pool_are_warnings_or_refusals() {
    let site = Site::new();
    let args = [
        "n[1-3]",
        "-d",
        "sn3",
        "-D",
        "127.3.0.13",
        "--no-dest-check",
        "--plan",
    ];
    let ended = site.run(&args);
    let text = "snmove: n[1-3]: sn3 is not in its noderes.servicenode\n";
    assert!(ended.ok().stderr.contains(text), "{ended:?}");
    let ended = site.run(&[&args[..], &["--strict-pool"]].concat());
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(text) && ended.stdout.is_empty(),
        "{ended:?}"
    );
}

#[test]
fn a_plan_reads_well_and_changes_nothing() {
    let site = Site::new();
    let before = site.rows();
    let ended = site.run(&["-s", "sn1", "--no-dest-check", "--plan"]);
    let wanted = "\
n[1-3]: moves from sn1 to sn2; its master: 127.3.0.11 -> 127.3.0.12
n[1-3]: row: noderes.servicenode: sn1,sn2 (its group's) -> sn2,sn1
n[1-3]: row: noderes.xcatmaster: 127.3.0.11 (its group's) -> 127.3.0.12
n1: row: noderes.tftpserver: 127.3.0.11 -> 127.3.0.12
n1: row: nodehm.conserver: sn1 -> sn2
n1: step 1: console server: makeconservercf
n[1-3]: step 2: boot files on the new service node: nodeset osimage=img
n[1-3]: step 3: on the node: its DHCP client asks for its lease again
n[1-3]: step 4: on the node: updatenode -s, then updatenode -P syslog
n2: ppc.hcp=sn1: its hardware control point is the old service node: not moved
n[1-3]: monitoring software, configuration of applications: not moved
";
    assert_eq!(ended.ok().stdout, wanted);
    for text in [
        "snmove: n[1-3]: setupntp is not among the scripts",
        "snmove: nodes to move: 3; values to write, in one transaction: 8; steps after that: 4; nothing was changed\n",
    ] {
        assert!(ended.stderr.contains(text), "{text}: {ended:?}");
    }
    assert_eq!(site.rows(), before);
    assert!(!site.path("var").exists(), "a plan leaves no journal");
    // The only thing that was run looked for addresses.
    assert_eq!(site.calls(), "xdsh sn2 -s /sbin/ip addr \n");
    assert_eq!(
        site.run(&["-s", "sn1", "--no-dest-check", "--dry-run"])
            .stdout,
        wanted
    );
}

#[test]
fn there_and_back() {
    let site = Site::new();
    let before = site.rows();
    let go = ["-s", "sn1", "--no-dest-check"];
    let ended = site.run(&go);
    assert!(ended.ok().stdout.starts_with(
        "Moving nodes to their backup service nodes.\nSetting new values in the xCAT database.\n"
    ));
    let calls = "xdsh sn2 -s /sbin/ip addr \nmakeconservercf n1\nnodeset n1,n2,n3 osimage=img\n\
        updatenode n1,n2,n3 -s\nupdatenode n1,n2,n3 -P syslog\n";
    assert_eq!(site.calls(), calls);
    let after = site.rows();
    assert!(
        after
            .contains("noderes n1 servicenode=sn2,sn1 tftpserver=127.3.0.12 xcatmaster=127.3.0.12")
    );
    assert!(after.contains("noderes compute servicenode=sn1,sn2 xcatmaster=127.3.0.11"));
    // Again, in every way in which it can be asked.
    for args in [
        &go[..],
        &["n1-n3", "--no-dest-check"],
        &["n1-n3", "-s", "sn1", "--no-dest-check"],
        &["n1-n3", "-d", "sn2", "-D", "127.3.0.12"],
    ] {
        let again = site.run(args);
        assert!(
            again
                .ok()
                .stderr
                .contains("n[1-3]: already there: nothing to do"),
            "{again:?}"
        );
        assert_eq!(site.rows(), after, "{args:?}");
    }
    // Back, but for what somebody has changed.
    site.set("noderes", "n3", "xcatmaster", Some("127.3.0.99"));
    let back = site.run(&["--undo"]);
    assert_eq!(back.code, Some(1), "{back:?}");
    let text = "noderes.xcatmaster of n3: was changed since: it stays as it is";
    assert!(back.stderr.contains(text), "{back:?}");
    assert!(back.stdout.contains(": rows put back: n[1-3]"), "{back:?}");
    assert_eq!(
        site.rows(),
        format!("{before}noderes n3 xcatmaster=127.3.0.99\n")
    );
    let again = site.run(&["--undo"]);
    assert_eq!(again.code, Some(3), "{again:?}");
    // After the way back the same request means something again.
    site.set("noderes", "n3", "xcatmaster", None);
    site.run(&go).ok();
    assert_eq!(site.rows(), after);
}

#[test]
fn a_stored_plan_is_carried_out_as_it_is_or_not_at_all() {
    let site = Site::new();
    let before = site.rows();
    let json = site
        .run(&["-s", "sn1", "--no-dest-check", "--plan", "--json"])
        .ok()
        .stdout
        .clone();
    let file = site.path("plan.json");
    std::fs::write(&file, &json).unwrap();
    let file = file.to_str().unwrap();
    let apply = ["--apply", file];
    for (mode, text) in [(0o666, "others may write it"), (0o600, "")] {
        site.mode(file, mode);
        site.set("noderes", "n2", "servicenode", Some("sn3,sn1"));
        let ended = site.run(&apply);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
    let ended = site.run(&apply);
    let text = "noderes.servicenode of n2: changed since the plan was made: nothing was written";
    assert!(ended.stderr.contains(text), "{ended:?}");
    assert_eq!(
        site.rows(),
        format!("{before}noderes n2 servicenode=sn3,sn1\n")
    );
    site.set("noderes", "n2", "servicenode", None);
    site.run(&apply).ok();
    assert!(
        site.rows()
            .contains("noderes n2 servicenode=sn2,sn1 xcatmaster=127.3.0.12")
    );
    assert_ne!(site.rows(), before);
    // What no plan of ours says.
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("\"noderes\"", "\"passwd\""),
        ("\"node\":\"n1\"", "\"node\":\"n1;reboot\""),
        ("{", ""),
    ] {
        std::fs::write(file, json.replacen(from, to, 1)).unwrap();
        let ended = site.run(&apply);
        assert_eq!(ended.code, Some(3), "{to}: {ended:?}");
        assert!(
            ended.stderr.starts_with(&format!("snmove: {file}: ")),
            "{ended:?}"
        );
    }
}

#[test]
fn only_the_management_node_moves_nodes() {
    let site = Site::new();
    site.put("site", "key", "master", &[("value", "192.0.2.1")]);
    let before = site.rows();
    for args in [
        &["-s", "sn1"][..],
        &["--undo"],
        &["n1", "-d", "sn2", "-D", "127.3.0.12"],
    ] {
        let ended = site.run(args);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(
            ended.stderr.contains("192.0.2.1: is the management node"),
            "{ended:?}"
        );
    }
    assert_eq!(site.rows(), before);
    site.run(&["-s", "sn1", "--plan", "--no-dest-check"]).ok();
}

#[test]
fn a_step_that_fails_is_an_exit_status_and_the_others_are_taken() {
    let site = Site::new();
    site.stub("nodeset", "echo 'n2: Error: no such image' >&2\nexit 1\n");
    let failed = site.path("failed");
    let args = [
        "-s",
        "sn1",
        "--no-dest-check",
        "--failed-to",
        failed.to_str().unwrap(),
    ];
    let ended = site.run(&args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("snmove: n2: nodeset: no such image\n"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("3 moved: n[1-3]; a step failed for n2 (snmove --undo ")
    );
    assert_eq!(std::fs::read_to_string(&failed).unwrap().trim(), "n2");
    assert!(
        site.calls().ends_with("updatenode n1,n2,n3 -P syslog\n"),
        "{}",
        site.calls()
    );
    assert!(site.rows().contains("noderes n2 servicenode=sn2,sn1"));
}

#[test]
fn without_xcat_what_is_missing_is_named() {
    let site = Site::new();
    std::fs::remove_dir_all(site.path("opt")).unwrap();
    let args = ["n1", "-D", "127.3.0.12", "--no-dest-check"];
    let plan = site.run(&[&args[..], &["--plan"]].concat());
    for command in ["makeconservercf", "nodeset", "updatenode"] {
        let text = format!("{command}: is not installed: its step will fail for all its nodes");
        assert!(plan.ok().stderr.contains(&text), "{plan:?}");
    }
    let ended = site.run(&args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("n1: nodeset: is not installed"),
        "{ended:?}"
    );
    // The stub of ssh is the node.
    assert!(ended.stdout.contains("n1: udhcpc asked again"), "{ended:?}");
    assert!(site.rows().contains("noderes n1 servicenode=sn2,sn1"));
}

#[test]
fn verify_names_what_does_not_hold() {
    let site = Site::new();
    let ended = site.run(&["--verify", "n[1-2]"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line = "sn1: dhcp=- bootfile=- nfs=- dns=- xcatd=no";
    assert_eq!(ended.stdout, format!("n1: {line}\nn2: {line}\n"));
    assert!(
        ended
            .stderr
            .starts_with("snmove: n[1-2]: sn1: xcatd: port 3001: "),
        "{ended:?}"
    );
    let json = site.run(&["--verify", "n1", "--json"]);
    let value: serde_json::Value = serde_json::from_str(json.stdout.trim()).unwrap();
    assert_eq!(value["service_node"], "sn1");
}
