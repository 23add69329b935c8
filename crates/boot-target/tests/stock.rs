//! Arming and releasing by xCAT's own commands, as they are and as they may misbehave.
#![allow(clippy::unwrap_used)]

mod support;

use boot_target::{Target, arm, release, release_to_disk};
use support::{CONTENT, failures, isolated, names, some, target};

#[test]
fn one_call_for_the_set_and_our_words_on_its_kernel_lines() {
    isolated(
        "one_call_for_the_set_and_our_words_on_its_kernel_lines",
        |world| {
            world.nodes(&["n1", "n2", "n3"]);
            world.xcat("nodeset", CONTENT);
            world.xcat("rsetboot", CONTENT);
            world.put("nodehm", "n1", &[("mgt", "ipmi")]);
            world.put("nodehm", "n2", &[("mgt", "kvm")]);
            world.put("nodehm", "n3", &[("mgt", "openbmc")]);
            world.put("bootparams", "all", &[("addkcmdline", "console=tty0")]);
            world.put("bootparams", "n2", &[("addkcmdline", "own=1 R::x")]);
            let nodes = names(&["n3", "n1", "n2"]);
            assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
            assert_eq!(world.calls("nodeset"), ["n1,n2,n3 runcmd=getadapter,boot"]);
            assert_eq!(world.calls("rsetboot"), ["n1,n3 net"]);
            let line = |node| world.get("bootparams", node, "addkcmdline");
            assert_eq!(
                line("n1").unwrap(),
                format!("console=tty0 {}", target().words())
            );
            assert_eq!(
                line("n2").unwrap(),
                format!("own=1 R::x {}", target().words())
            );

            for _ in 0..2 {
                assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
                assert_eq!(line("n1"), None);
                assert_eq!(line("n2").unwrap(), "own=1 R::x");
                assert_eq!(world.chain("n1"), some("boot", "boot"));
            }
            // The second time there was nothing left to do.
            assert_eq!(world.calls("nodeset")[1..], ["n1,n2,n3 boot"]);
        },
    );
}

#[test]
fn a_hook_boots_without_rsetboot() {
    isolated("a_hook_boots_without_rsetboot", |world| {
        world.nodes(&["n1"]);
        world.xcat("nodeset", CONTENT);
        world.xcat("rsetboot", CONTENT);
        world.put("nodehm", "n1", &[("mgt", "ipmi")]);
        assert!(failures(arm(&world.tables, &names(&["n1"]), &target(), true).unwrap()).is_empty());
        assert!(world.calls("rsetboot").is_empty());
    });
}

#[test]
fn diskless_nodes_go_back_to_their_image() {
    isolated("diskless_nodes_go_back_to_their_image", |world| {
        world.nodes(&["n1", "n2"]);
        world.xcat("nodeset", CONTENT);
        world.put(
            "chain",
            "n1",
            &[("currstate", "netboot x-y-z"), ("currchain", "shell")],
        );
        world.put("nodetype", "n1", &[("provmethod", "img")]);
        world.put("nodetype", "n2", &[("provmethod", "other")]);
        let nodes = names(&["n1", "n2"]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        assert_eq!(
            world.calls("nodeset"),
            [
                "n2 runcmd=getadapter,boot",
                "n1 runcmd=getadapter,osimage=img"
            ]
        );
        // What nodeset and nextdestiny do to the rows; `boot` blanks the image of a diskless node.
        world.put(
            "chain",
            "n1",
            &[
                ("currstate", "runcmd=getadapter"),
                ("currchain", "osimage=img"),
            ],
        );
        world.put(
            "chain",
            "n2",
            &[("currstate", "boot"), ("currchain", "boot")],
        );
        world.put("nodetype", "n2", &[("provmethod", "")]);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.calls("nodeset")[2..], ["n2 boot", "n1 osimage=img"]);
        assert_eq!(world.chain("n1"), some("netboot x-y-z", "shell"));
        assert_eq!(world.get("nodetype", "n2", "provmethod").unwrap(), "other");
        assert_eq!(world.records(), 0);
    });
}

#[test]
fn what_fails_fails_for_its_node_only() {
    isolated("what_fails_fails_for_its_node_only", |world| {
        world.nodes(&["n1", "n2", "n3", "n4"]);
        world.xcat(
            "nodeset",
            "echo 'n1: runcmd=getadapter'; echo 'n9: runcmd=getadapter'
             echo 'Error: n2: \x1b[31mno arch' >&2
             echo 'Error: [mn]: The n3 can not be resolved.' >&2
             exit 1",
        );
        let nodes = names(&["n1", "n2", "n3", "n4"]);
        let failed = failures(arm(&world.tables, &nodes, &target(), false).unwrap());
        assert_eq!(failed.len(), 3);
        assert_eq!(failed["n2"], "\\u{1b}[31mno arch");
        assert_eq!(failed["n3"], "The n3 can not be resolved.");
        assert_eq!(failed["n4"], "nodeset failed and said nothing of it");
    });
}

#[test]
fn silence_is_believed_only_if_the_row_agrees() {
    isolated("silence_is_believed_only_if_the_row_agrees", |world| {
        world.nodes(&["n1", "n2"]);
        world.xcat("nodeset", "exit 0");
        world.put("chain", "n1", &[("currstate", "runcmd=getadapter")]);
        let failed = failures(arm(&world.tables, &names(&["n1", "n2"]), &target(), false).unwrap());
        assert_eq!(failed.len(), 1);
        assert_eq!(failed["n2"], "nodeset said nothing of it");
    });
}

#[test]
fn a_failed_release_can_be_repeated() {
    isolated("a_failed_release_can_be_repeated", |world| {
        world.nodes(&["n1"]);
        world.xcat("nodeset", CONTENT);
        let nodes = names(&["n1"]);
        world.put("chain", "n1", &[("currstate", "standby")]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        world.put("chain", "n1", &[("currstate", "runcmd=getadapter")]);
        world.xcat(
            "nodeset",
            "echo 'Error: n1: tftp directory is full' >&2; exit 1",
        );
        let failed = failures(release(&world.tables, &nodes).unwrap());
        assert_eq!(failed["n1"], "tftp directory is full");
        assert_eq!(world.get("bootparams", "n1", "addkcmdline"), None);
        world.xcat("nodeset", CONTENT);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.calls("nodeset").last().unwrap(), "n1 standby");
        assert_eq!(world.chain("n1"), some("standby", "standby"));
    });
}

#[test]
fn somebody_elses_state_stays_and_loses_our_words() {
    isolated("somebody_elses_state_stays_and_loses_our_words", |world| {
        world.nodes(&["n1"]);
        world.xcat("nodeset", CONTENT);
        let nodes = names(&["n1"]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        world.put("chain", "n1", &[("currstate", "install x-y-z")]);
        let theirs = format!("{} theirs=1", target().words());
        world.put("bootparams", "n1", &[("addkcmdline", &theirs)]);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.calls("nodeset").len(), 1);
        assert_eq!(
            world.get("chain", "n1", "currstate").unwrap(),
            "install x-y-z"
        );
        assert_eq!(
            world.get("bootparams", "n1", "addkcmdline").unwrap(),
            "theirs=1"
        );
    });
}

#[test]
fn a_lost_record_ends_in_local_boot_and_without_our_words() {
    isolated(
        "a_lost_record_ends_in_local_boot_and_without_our_words",
        |world| {
            world.nodes(&["n1"]);
            world.xcat("nodeset", CONTENT);
            let nodes = names(&["n1"]);
            for _ in 0..2 {
                assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
                world.put(
                    "chain",
                    "n1",
                    &[("currstate", "runcmd=getadapter"), ("currchain", "boot")],
                );
                std::fs::remove_file(world.path("var/lib/xcat-nodetools/boot/n1")).unwrap();
            }
            assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
            assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
            assert_eq!(world.calls("nodeset").last().unwrap(), "n1 boot");
            assert_eq!(world.chain("n1"), some("boot", "boot"));
            assert_eq!(world.get("bootparams", "n1", "addkcmdline"), None);
        },
    );
}

#[test]
fn an_image_that_nobody_named_is_said() {
    isolated("an_image_that_nobody_named_is_said", |world| {
        world.nodes(&["n1"]);
        world.xcat("nodeset", CONTENT);
        let nodes = names(&["n1"]);
        world.put("chain", "n1", &[("currstate", "netboot x-y-z")]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        world.put(
            "chain",
            "n1",
            &[("currstate", "boot"), ("currchain", "boot")],
        );
        let failed = failures(release(&world.tables, &nodes).unwrap());
        assert!(failed["n1"].contains("provmethod"), "{}", failed["n1"]);
        assert_eq!(world.calls("nodeset").last().unwrap(), "n1 boot");
        assert_eq!(world.chain("n1"), some("boot", "boot"));
    });
}

#[test]
fn a_loaded_node_loses_our_words_and_its_image() {
    isolated("a_loaded_node_loses_our_words_and_its_image", |world| {
        world.nodes(&["n1", "n2"]);
        world.xcat("nodeset", CONTENT);
        world.put("chain", "n1", &[("currstate", "netboot x-y-z")]);
        world.put("nodetype", "n1", &[("provmethod", "img")]);
        world.put("bootparams", "n2", &[("addkcmdline", "own=1")]);
        let load = Target {
            action: "runcmd=osload-agent".into(),
            order: "cd".repeat(32),
            images: "10.0.0.1:4100".into(),
            then: Some("shell".into()),
            ..target()
        };
        let nodes = names(&["n1", "n2"]);
        assert!(failures(arm(&world.tables, &nodes, &load, true).unwrap()).is_empty());
        assert_eq!(
            world.calls("nodeset"),
            ["n1,n2 runcmd=osload-agent,shell"],
            "not even a diskless node goes on to anything"
        );
        world.put("chain", "n1", &[("currstate", "runcmd=osload-agent")]);
        world.put("chain", "n2", &[("currstate", "shell")]);
        let line = |node| world.get("bootparams", node, "addkcmdline");
        assert!(line("n2").unwrap().contains("nodetools.order="));
        let shell = Target {
            action: "shell".into(),
            then: Some("shell".into()),
            ..Target::default()
        };
        let failed = names(&["n2"]);
        assert!(failures(arm(&world.tables, &failed, &shell, true).unwrap()).is_empty());
        assert_eq!(line("n2").unwrap(), "own=1", "a dead run's words are gone");
        let whole = names(&["n1"]);
        assert!(failures(release_to_disk(&world.tables, &whole).unwrap()).is_empty());
        assert_eq!(world.calls("nodeset")[1..], ["n2 shell,shell", "n1 boot"]);
        assert_eq!(world.chain("n1"), some("boot", "boot"));
        assert_eq!(line("n1"), None);
    });
}
