//! Disks loaded on many nodes: the real osload, callbackd, image server and agents, each node in a network
//! namespace of its own, its disk a file. Needs root, network namespaces and strace.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use scenarios::{Finished, Rack, disk, parts};

const GENESIS: &str = "runcmd=osload-agent";

fn is_root() -> bool {
    parts::root() && parts::have("strace") && parts::have("nsenter")
}

/// The report of a stock script or of somebody who plays one, from a node's own namespace.
fn says(rack: &Rack, i: usize, request: &str) -> Finished {
    let file = rack.path(i, "request");
    fs::write(&file, request).unwrap();
    let address = format!("10.99.0.254:{}", rack.cluster.port);
    let script = format!(
        "openssl s_client -quiet -connect {address} <{} 2>/dev/null",
        file.display()
    );
    let mut command = rack.on_node(i);
    command.args(["sh", "-c", &script]).output().unwrap().into()
}

fn verdict(nonce: &str) -> String {
    let nonce = match nonce {
        "" => String::new(),
        nonce => format!("<nonce>{nonce}</nonce>"),
    };
    format!(
        "<xcatrequest><command>osload</command><action>verdict</action>{nonce}<status>0</status></xcatrequest>\n"
    )
}

#[test]
fn every_node_is_loaded_and_boots_its_own_disk() {
    if !is_root() {
        return;
    }
    let image = disk(16, 1);
    let rack = Rack::with_image(4, &image);
    let done = rack.run("osload", &["-i", "img", "all", "-V", "--json"]);
    done.code(0);
    for i in 1..=4 {
        assert!(fs::read(rack.disk(i)).unwrap() == image, "n{i}");
        assert_eq!(rack.booted(i), [GENESIS, "reboot"]);
        assert!(rack.chain(&format!("n{i}")).contains("boot"), "n{i}");
        let line = done
            .stdout
            .lines()
            .find(|line| line.contains(&format!("\"n{i}\"")));
        let value: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        assert_eq!(value["status"], 0);
        assert!(
            value["why"].as_str().unwrap().starts_with("loaded: "),
            "{value}"
        );
    }
    assert!(
        done.stderr.contains("4 loaded: n[1-4]; 0 failed"),
        "{}",
        done.stderr
    );
    rack.assert_load_over();
}

#[test]
fn what_cannot_work_is_refused_before_a_node_is_touched() {
    if !is_root() {
        return;
    }
    let rack = Rack::with_image(2, &disk(4, 1));
    let refused = |args: &[&str], code: i32, why: &str| {
        let done = rack.run("osload", args);
        done.code(code);
        assert!(
            done.stderr.contains(why) || done.stdout.contains(why),
            "{args:?}: {}",
            done.stderr
        );
        assert_eq!(rack.booted(1), [""; 0]);
    };
    refused(&["n1"], 2, "-i, -m or -c");
    refused(&["-i", "img"], 2, "NODERANGE");
    refused(
        &["-i", "img", "n1", "-o", "swapinfo=1"],
        2,
        "swapinfo: no such option",
    );
    refused(&["-i", "other", "n1"], 3, "other");
    refused(&["-i", "../img", "n1"], 3, "../img");
    refused(&["-i", "img,img", "n1"], 3, "two images");
    refused(&["-i", "img", "nobody"], 3, "nobody");
    refused(&["-c", "n1"], 3, "provmethod");
    refused(
        &["-i", "img", "all", "--max-nodes", "1"],
        2,
        "--max-nodes 1",
    );
    fs::create_dir_all(rack.cluster.path("etc")).unwrap();
    fs::write(
        rack.cluster.path("etc/xcat-nodetools.conf"),
        "max-loads = 1\n",
    )
    .unwrap();
    refused(&["-i", "img", "all"], 3, "max-loads");
    fs::remove_file(rack.cluster.path("etc/xcat-nodetools.conf")).unwrap();
    // Of one node the tables know that its disk is too small; the other would go on.
    rack.cluster.restore(
        "hwinv",
        "#node,disksize",
        [vec!["n1".into(), "sda:1MB".into()]],
    );
    refused(
        &["-i", "img", "all", "--dry-run"],
        1,
        "n1: could not be started: its largest disk",
    );
    // An object that was cut, and a manifest that was touched.
    let objects = rack.cluster.path("var/lib/xcat-nodetools/images/objects");
    let file = |end: &str| {
        let mut files = fs::read_dir(&objects).unwrap().flatten();
        files
            .find(|file| file.path().to_string_lossy().ends_with(end))
            .unwrap()
            .path()
    };
    let frames = fs::read(file(".frames")).unwrap();
    fs::write(file(".frames"), &frames[1..]).unwrap();
    refused(&["-i", "img", "n2"], 3, "its manifest says");
    fs::write(file(".frames"), &frames).unwrap();
    let manifest = fs::read(file(".json")).unwrap();
    fs::write(file(".json"), [&manifest[..], b" "].concat()).unwrap();
    refused(&["-i", "img", "n2"], 3, "digest");
    fs::remove_file(file(".json")).unwrap();
    refused(&["-i", "img", "n2"], 3, "no such image");
}

#[test]
fn a_forged_verdict_changes_nothing() {
    if !is_root() {
        return;
    }
    let image = disk(4, 1);
    let rack = Rack::with_image(2, &image);
    // n1 has a system that lies before it is switched off and whenever it runs; n2 never comes up.
    rack.boots(2, "sleep 1000");
    let before = "0123456789abcdef0123456789abcdef";
    let mut run = rack.start("osload", &["-i", "img", "n2", "-V"]);
    run.stderr_line("n2: booting into genesis");
    for nonce in [
        "",
        before,
        "../../etc",
        &rack.handed(2, "NODETOOLS_NONCE")[1..],
    ] {
        let answer = says(&rack, 2, &verdict(nonce)).stdout;
        assert!(answer.contains("<error>"), "{nonce}: {answer}");
        assert!(!answer.contains("busy"), "{nonce}: {answer}");
    }
    // The right number from the wrong node is no better.
    let nonce = rack.handed(2, "NODETOOLS_NONCE");
    let answer = says(&rack, 1, &verdict(&nonce)).stdout;
    assert!(answer.contains("<error>"), "{answer}");
    // A stock script's word on adapters is stored, and is no answer.
    let stock = says(&rack, 2, &scenarios::report_xml("", &["eno1"])).stdout;
    assert!(stock.contains("<serverdone>"), "{stock}");
    rack.wait_until("n2's adapters are stored", || {
        rack.cluster.stored("n2").is_some()
    });
    assert_eq!(rack.cluster.claims().len(), 1, "its claim is still there");
    assert_eq!(rack.booted(2), [GENESIS]);
    run.signal(Signal::SIGTERM);
    let done = run.finish();
    done.code(1);
    assert!(done.stderr.contains("n2: cancelled"), "{}", done.stderr);
    assert_eq!(rack.booted(2), [GENESIS], "never rebooted into a disk");
    rack.assert_load_over();
}

#[test]
fn a_node_that_dies_is_started_once_more_and_the_others_go_on() {
    if !is_root() {
        return;
    }
    let image = disk(24, 1);
    let rack = Rack::with_image(4, &image);
    // Slowly, so that the frames that a node had are known before it dies.
    let _server = rack.start("osload", &["serve", "img", "--rate", "2", "--idle", "600"]);
    // n2 dies half-way each time, n3 the first time only, n4 never gets as far as its agent.
    let dies = |i: usize| {
        format!(
            "strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=6 -- {} --no-peers",
            rack.agent(i)
        )
    };
    rack.boots(2, &dies(2));
    let second = rack.path(3, "second");
    fs::write(&second, format!("exec {}\n", rack.agent(3))).unwrap();
    let first = format!(
        "sh -c 'if mkdir \"$0.once\"; then exec {}; fi; exec sh \"$0\"' {}",
        dies(3),
        second.display()
    );
    rack.boots(3, &first);
    rack.boots(4, "sleep 1000");
    let done = rack.run(
        "osload",
        &[
            "-i",
            "img",
            "all",
            "-V",
            "-o",
            "stall=8,setup=20",
            "--failed-to",
            "/dev/stderr",
        ],
    );
    done.code(1);
    assert_eq!(rack.booted(1), [GENESIS, "reboot"], "{}", done.stderr);
    assert_eq!(rack.booted(2), [GENESIS, GENESIS], "{}", done.stderr);
    assert_eq!(
        rack.booted(3),
        [GENESIS, GENESIS, "reboot"],
        "{}",
        done.stderr
    );
    assert_eq!(rack.booted(4), [GENESIS, GENESIS]);
    assert!(fs::read(rack.disk(3)).unwrap() == image);
    assert!(fs::read(rack.disk(2)).unwrap() != image, "half of a disk");
    assert!(rack.chain("n2").contains("shell"), "{}", rack.chain("n2"));
    assert!(
        done.stderr.contains("n2: writing failed: "),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("n4: did not come up in time: "),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("2 loaded: n[1,3]; 2 failed: n[2,4]"),
        "{}",
        done.stderr
    );
    rack.assert_load_over();
}

/// It has said which disk, and then nothing more comes: not even the first frame.
#[test]
fn a_node_that_dies_before_its_first_frame_is_missed_soon() {
    if !is_root() {
        return;
    }
    let image = disk(4, 1);
    let rack = Rack::with_image(1, &image);
    let first = format!(
        "strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=1 -- {}",
        rack.agent(1)
    );
    let once = format!(
        "sh -c 'if mkdir \"$0.once\"; then exec {first}; fi; exec {}' {}",
        rack.agent(1),
        rack.path(1, "boot").display()
    );
    rack.boots(1, &once);
    let done = rack.run("osload", &["-i", "img", "n1", "-o", "stall=10"]);
    done.code(0);
    // Whether its first word to the server came before its death is open.
    let missed = "n1: nothing was heard of its agent for 10 s (0 of ";
    assert!(done.stderr.contains(missed), "{}", done.stderr);
    assert_eq!(rack.booted(1), [GENESIS, GENESIS, "reboot"]);
    assert!(fs::read(rack.disk(1)).unwrap() == image);
    rack.assert_load_over();
}

/// Its disk takes longer to become zeros than it may be silent.
#[test]
fn a_node_that_makes_its_disk_ready_is_waited_for() {
    if !is_root() {
        return;
    }
    let image = disk(4, 1);
    let rack = Rack::with_image(1, &image);
    let slow = format!(
        "strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:delay_enter=4000000:when=1..4 -- {}",
        rack.agent(1)
    );
    rack.boots(1, &slow);
    let done = rack.run("osload", &["-i", "img", "n1", "-z", "2", "-o", "stall=10"]);
    done.code(0);
    assert_eq!(rack.booted(1), [GENESIS, "reboot"], "{}", done.stderr);
    assert!(fs::read(rack.disk(1)).unwrap() == image);
}

#[test]
fn one_node_is_loaded_by_one_osload() {
    if !is_root() {
        return;
    }
    let image = disk(4, 1);
    let rack = Rack::with_image(2, &image);
    let go = rack.path(1, "go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    rack.boots(
        1,
        &format!(
            "sh -c 'read -r go <{}; exec {}'",
            go.display(),
            rack.agent(1)
        ),
    );
    let mut first = rack.start("osload", &["-i", "img", "n1", "-V"]);
    first.stderr_line("n1: booting into genesis");
    let second = rack.run("osload", &["-i", "img", "n1,n2"]);
    second.code(1);
    assert!(
        second
            .stderr
            .contains("n1: could not be started: is waited for by osload"),
        "{}",
        second.stderr
    );
    assert_eq!(rack.booted(2), [GENESIS, "reboot"]);
    let reboot = rack.run("nodereboot", &["-f", "n1"]);
    reboot.code(1);
    fs::write(&go, "go\n").unwrap();
    first.finish().code(0);
    assert!(fs::read(rack.disk(1)).unwrap() == image);
    rack.assert_load_over();
}

#[test]
fn two_loads_and_a_reboot_at_once_and_nobody_waits_for_failed_nodes() {
    if !is_root() {
        return;
    }
    let (one, two) = (disk(4, 1), disk(6, 2));
    let rack = Rack::with_image(6, &one);
    rack.add_image("two", &two);
    for i in [3, 4] {
        rack.give_disk(i, two.len());
    }
    rack.boots(2, "sleep 1000");
    rack.boots(4, "true");
    let done = rack.run("load_sets", &["img=n1,n2", "two=n3,n4", "n5,n6"]);
    done.code(0);
    let mut lines: Vec<&str> = done.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "1: n1,0", "1: n2,5", "2: n3,0", "2: n4,5", "3: n5,0", "3: n6,0"
        ],
        "{}",
        done.stderr
    );
    assert!(fs::read(rack.disk(1)).unwrap() == one);
    assert!(fs::read(rack.disk(3)).unwrap() == two);
    for (i, boots) in [
        (1, &[GENESIS, "reboot"][..]),
        (2, &[GENESIS, GENESIS]),
        (3, &[GENESIS, "reboot"]),
        (4, &[GENESIS, GENESIS]),
        (5, &["reboot"]),
        (6, &["reboot"]),
    ] {
        assert_eq!(rack.booted(i), boots, "n{i}");
    }
    rack.assert_load_over();
}

#[test]
fn in_the_background_it_goes_on_and_whoever_started_it_is_told_what_cannot_work() {
    if !is_root() {
        return;
    }
    let image = disk(4, 1);
    let rack = Rack::with_image(1, &image);
    let refused = rack.run("osload", &["-s", "-i", "other", "n1"]);
    refused.code(3);
    assert!(refused.stderr.contains("other"), "{}", refused.stderr);
    let started = rack.run("osload", &["-s", "-i", "img", "n1", "-w", "-R"]);
    started.code(2);
    let started = rack.run("osload", &["-s", "-i", "img", "n1"]);
    started.code(0);
    assert!(
        started.stderr.contains("started, process "),
        "{}",
        started.stderr
    );
    rack.wait_until("n1 boots from its disk", || rack.booted(1).len() == 2);
    rack.wait_until("its claim is gone", || rack.cluster.claims().is_empty());
    assert!(fs::read(rack.disk(1)).unwrap() == image);
}

#[test]
fn who_switches_power_himself_gets_nodes_that_are_only_armed() {
    if !is_root() {
        return;
    }
    let rack = Rack::with_image(1, &disk(4, 1));
    let mut run = rack.start("osload", &["-r", "-i", "img", "n1", "-V"]);
    run.stderr_line("n1: armed");
    assert!(rack.chain("n1").contains(GENESIS), "{}", rack.chain("n1"));
    run.signal(Signal::SIGTERM);
    run.finish().code(1);
    assert_eq!(rack.booted(1), [""; 0]);
    // Nothing was written: it goes where it went before.
    assert!(!rack.chain("n1").contains(GENESIS), "{}", rack.chain("n1"));
    rack.assert_load_over();
}

#[test]
fn a_verdict_that_comes_when_its_osload_is_dead_is_kept_and_moves_nothing() {
    if !is_root() {
        return;
    }
    let rack = Rack::with_image(1, &disk(4, 1));
    rack.boots(1, "sleep 1000");
    let mut run = rack.start("osload", &["-i", "img", "n1", "-V"]);
    run.stderr_line("n1: booting into genesis");
    let nonce = rack.handed(1, "NODETOOLS_NONCE");
    run.signal(Signal::SIGKILL);
    run.finish();
    // Leave to write is not given any more; how it ended is news.
    let asks = format!(
        "<xcatrequest><command>osload</command><action>setup</action><nonce>{nonce}</nonce>\
         <disk image='img' name='sda' size='1'/></xcatrequest>\n"
    );
    let answer = says(&rack, 1, &asks).stdout;
    assert!(answer.contains("its osload has ended"), "{answer}");
    let answer = says(&rack, 1, &verdict(&nonce)).stdout;
    assert!(
        answer.contains("<serverdone>") && !answer.contains("<error>"),
        "{answer}"
    );
    let kept = rack.cluster.spool().join("loads/n1");
    rack.wait_until("it is kept", || kept.exists());
    assert_eq!(rack.cluster.waiting(), [""; 0], "nobody is held up by it");
    assert!(rack.chain("n1").contains(GENESIS));
    assert_eq!(rack.booted(1), [GENESIS]);
    // The next run begins anew, with another number.
    rack.boots(1, &rack.agent(1));
    rack.run("osload", &["-i", "img", "n1"]).code(0);
    assert_ne!(rack.handed(1, "NODETOOLS_NONCE"), nonce);
    rack.assert_load_over();
}

/// Where osload is killed: when a file is there, or a node has said something.
#[test]
fn killed_at_any_step_it_leaves_nothing_running_and_no_half_of_a_disk_to_boot() {
    if !is_root() {
        return;
    }
    let image = disk(16, 1);
    type When = fn(&Rack) -> bool;
    fn claimed(rack: &Rack) -> bool {
        !rack.cluster.claims().is_empty()
    }
    fn ordered(rack: &Rack) -> bool {
        let orders = rack.cluster.path("var/lib/xcat-nodetools/osload/orders");
        fs::read_dir(orders).is_ok_and(|mut entries| entries.next().is_some())
    }
    fn booted(rack: &Rack) -> bool {
        !rack.booted(1).is_empty()
    }
    fn set_up(rack: &Rack) -> bool {
        Path::new(&rack.cluster.spool().join("loads/n1")).exists()
    }
    let steps: [(&str, When); 4] = [
        ("claimed", claimed),
        ("ordered", ordered),
        ("booted", booted),
        ("set up", set_up),
    ];
    for (step, reached) in steps {
        let rack = Rack::with_image(1, &image);
        // Slow enough to be killed in the middle.
        let slow = format!(
            "strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:delay_enter=200000 -- {}",
            rack.agent(1)
        );
        rack.boots(1, &slow);
        let run = rack.start("osload", &["-i", "img", "n1"]);
        rack.wait_until(step, || reached(&rack));
        run.signal(Signal::SIGKILL);
        run.finish();
        // Without its claim the agent has no leave to write, and ends; nothing reboots it.
        rack.wait_until("the agent has ended", || !rack.is_on(1));
        assert!(rack.booted(1).len() <= 1, "{step}: {:?}", rack.booted(1));
        let state = rack.chain("n1");
        assert!(
            rack.booted(1).is_empty() || !state.contains("boot"),
            "{step}: {state}"
        );
        // The next run takes over what the dead one held.
        rack.boots(1, &rack.agent(1));
        rack.run("osload", &["-i", "img", "n1"]).code(0);
        assert!(fs::read(rack.disk(1)).unwrap() == image, "{step}");
        rack.assert_load_over();
    }
}
