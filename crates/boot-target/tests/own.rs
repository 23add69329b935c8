//! Arming and releasing where xCAT's commands are not installed.
#![allow(clippy::unwrap_used)]

mod support;

use boot_target::{Target, arm, release, release_to_disk};
use support::{failures, isolated, names, some, target};

#[test]
fn a_node_is_armed_and_comes_back_to_its_disk() {
    isolated("a_node_is_armed_and_comes_back_to_its_disk", |world| {
        world.tftp();
        world.nodes(&["n1", "n2"]);
        world.put("site", "httpport", &[("value", "8080")]);
        world.put("site", "xcatdport", &[("value", "3901")]);
        let nodes = names(&["n1", "n2"]);
        let results = arm(&world.tables, &nodes, &target(), false).unwrap();
        assert_eq!(results.len(), 2);
        assert!(failures(results).is_empty());
        assert_eq!(world.chain("n1"), some("runcmd=getadapter", "boot"));
        let bios = world.script("n1");
        assert!(bios.starts_with("#!gpxe\n#runcmd=getadapter\n"), "{bios}");
        let line = format!(
            "imgargs kernel quiet xcatd=${{next-server}}:3901 destiny=runcmd=getadapter {} BOOTIF=01-${{netX/mac:hexhyp}}\n",
            target().words()
        );
        assert!(bios.contains(&line), "{bios}");
        assert!(bios.contains("http://${next-server}:8080/tftpboot/xcat/genesis.fs.x86_64.gz\n"));
        assert!(world.script("n1.uefi").contains(" initrd=initrd\n"));
        assert_eq!(world.records(), 2);

        for _ in 0..2 {
            assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
            assert_eq!(world.chain("n1"), some("boot", "boot"));
            assert_eq!(world.script("n1"), "#!gpxe\n#boot\nexit\n");
            assert_eq!(world.script("n1.uefi"), "#!gpxe\n#boot\nexit\n");
            assert_eq!(world.records(), 0);
        }
    });
}

#[test]
fn what_was_there_comes_back() {
    isolated("what_was_there_comes_back", |world| {
        world.tftp();
        world.nodes(&["n1"]);
        world.put(
            "chain",
            "n1",
            &[("currstate", "netboot x-y-z"), ("chain", "discover")],
        );
        world.put_script("n1", "#!gpxe\n#netboot x-y-z\nanything\n");
        let nodes = names(&["n1"]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        // As the node does when it has reported.
        world.put("chain", "n1", &[("currstate", "boot")]);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        // Not an empty chain: the node may still ask, and an empty one starts the default chain again.
        assert_eq!(world.chain("n1"), some("netboot x-y-z", "netboot x-y-z"));
        assert_eq!(world.get("chain", "n1", "chain").unwrap(), "discover");
        assert_eq!(world.script("n1"), "#!gpxe\n#netboot x-y-z\nanything\n");
    });
}

#[test]
fn arming_again_keeps_the_way_back() {
    isolated("arming_again_keeps_the_way_back", |world| {
        world.tftp();
        world.nodes(&["n1"]);
        world.put("chain", "n1", &[("currstate", "standby")]);
        world.put_script("n1", "#!gpxe\n#standby\n");
        let nodes = names(&["n1"]);
        let mut other = target();
        other.action = "runcmd=osload".into();
        other.nonce = "ff".repeat(16);
        for target in [target(), target(), other.clone()] {
            assert!(failures(arm(&world.tables, &nodes, &target, false).unwrap()).is_empty());
        }
        assert_eq!(world.chain("n1"), some("runcmd=osload", "boot"));
        assert!(world.script("n1").contains(&other.nonce));
        assert!(!world.script("n1").contains(&target().nonce));
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.chain("n1"), some("standby", "standby"));
        assert_eq!(world.script("n1"), "#!gpxe\n#standby\n");
    });
}

#[test]
fn what_somebody_else_decided_since_stays() {
    isolated("what_somebody_else_decided_since_stays", |world| {
        world.tftp();
        world.nodes(&["n1"]);
        let nodes = names(&["n1"]);
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        world.put(
            "chain",
            "n1",
            &[("currstate", "install x-y-z"), ("currchain", "boot")],
        );
        world.put_script("n1", "#!gpxe\n#install x-y-z\n");
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.chain("n1"), some("install x-y-z", "boot"));
        assert_eq!(world.script("n1"), "#!gpxe\n#install x-y-z\n");
        assert_eq!(world.script("n1.uefi"), "#!gpxe\n#boot\nexit\n");
        assert_eq!(world.records(), 0);
    });
}

#[test]
fn a_node_that_cannot_be_armed_says_why_and_is_not_touched() {
    isolated(
        "a_node_that_cannot_be_armed_says_why_and_is_not_touched",
        |world| {
            world.tftp();
            world.nodes(&["good", "grub", "arch", "master", "dir", "held"]);
            world.put("noderes", "grub", &[("netboot", "grub2")]);
            world.put("nodetype", "arch", &[("arch", "../x86_64")]);
            world.put("noderes", "master", &[("xcatmaster", "a b")]);
            world.put("noderes", "dir", &[("tftpdir", "/no/such")]);
            std::fs::create_dir_all(world.path("tftpboot/xcat/xnba/nodes/held.uefi")).unwrap();
            let mut nodes = names(&["good", "grub", "arch", "master", "dir", "held", "none"]);
            nodes.extend(names(&["../../etc/passwd", ".n", "a,b", "@all"]));
            let failed = failures(arm(&world.tables, &nodes, &target(), false).unwrap());
            for (node, why) in [
                ("grub", "grub2"),
                ("arch", "nodetype.arch"),
                ("master", "noderes.xcatmaster"),
                ("dir", "/no/such"),
                ("held", "held.uefi"),
                ("none", "nodetype.arch is not set"),
                ("../../etc/passwd", "no name"),
                (".n", "no name"),
                ("a,b", "no name"),
                ("@all", "no name"),
            ] {
                assert!(failed[node].contains(why), "{node}: {}", failed[node]);
                assert_eq!(world.chain(node), (None, None), "{node}");
            }
            assert_eq!(failed.len(), 10);
            assert_eq!(world.chain("good"), some("runcmd=getadapter", "boot"));
            assert_eq!(world.records(), 1);
        },
    );
}

#[test]
fn without_a_tftp_directory_a_hook_needs_none() {
    isolated("without_a_tftp_directory_a_hook_needs_none", |world| {
        world.put("nodelist", "n1", &[("groups", "all")]);
        let nodes = names(&["n1"]);
        let failed = failures(arm(&world.tables, &nodes, &target(), false).unwrap());
        assert!(failed["n1"].contains("no such directory to boot from"));
        assert_eq!(world.chain("n1"), (None, None));
        assert!(failures(arm(&world.tables, &nodes, &target(), true).unwrap()).is_empty());
        assert_eq!(world.chain("n1"), some("runcmd=getadapter", "boot"));
        assert!(!world.path("tftpboot").exists());
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.chain("n1"), some("boot", "boot"));
    });
}

#[test]
fn many_nodes_are_one_change() {
    isolated("many_nodes_are_one_change", |world| {
        world.tftp();
        world.put("nodetype", "all", &[("arch", "x86_64")]);
        let nodes: Vec<String> = (0..300).map(|n| format!("n{n:03}")).collect();
        for node in &nodes {
            world.put("nodelist", node, &[("groups", "all")]);
        }
        assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
        assert_eq!(world.chain("n299"), some("runcmd=getadapter", "boot"));
        assert_eq!(world.records(), 300);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.script("n150"), "#!gpxe\n#boot\nexit\n");
        assert_eq!(world.records(), 0);
    });
}

/// What `osload` arms, and where a node goes that may have half of a disk.
fn load() -> Target {
    Target {
        action: "runcmd=osload-agent".into(),
        order: "cd".repeat(32),
        images: "10.0.0.1:4100".into(),
        then: Some("shell".into()),
        ..target()
    }
}

fn shell() -> Target {
    Target {
        action: "shell".into(),
        then: Some("shell".into()),
        ..Target::default()
    }
}

#[test]
fn a_node_that_is_loaded_boots_its_disk_only_when_that_is_whole() {
    isolated(
        "a_node_that_is_loaded_boots_its_disk_only_when_that_is_whole",
        |world| {
            world.tftp();
            world.nodes(&["n1", "n2"]);
            world.put("chain", "n1", &[("currstate", "netboot x-y-z")]);
            world.put_script("n1", "#!gpxe\n#netboot x-y-z\nanything\n");
            let nodes = names(&["n1", "n2"]);
            assert!(failures(arm(&world.tables, &nodes, &load(), false).unwrap()).is_empty());
            assert_eq!(world.chain("n1"), some("runcmd=osload-agent", "shell"));
            assert!(world.script("n1").contains(&load().words()));
            // An agent that returned: genesis has asked for its next state.
            world.put("chain", "n2", &[("currstate", "shell")]);
            let failed = names(&["n2"]);
            assert!(failures(arm(&world.tables, &failed, &shell(), false).unwrap()).is_empty());
            assert_eq!(world.chain("n2"), some("shell", "shell"));
            let script = world.script("n2");
            assert!(
                script.contains("destiny=shell ") && !script.contains("nodetools."),
                "{script}"
            );

            let results = release_to_disk(&world.tables, &names(&["n1"])).unwrap();
            assert!(failures(results).is_empty());
            assert_eq!(world.chain("n1"), some("boot", "boot"));
            assert_eq!(world.script("n1"), "#!gpxe\n#boot\nexit\n");
            assert_eq!(world.records(), 1, "n2's way back is still there");
        },
    );
}
