//! SIGKILL between saving what was there and changing it, and at every other step.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::process::ExitStatusExt;

use boot_target::{arm, release};
use support::{World, failures, isolated, names, role, some, target};

/// Calls that change what is on a disk. SIGKILL comes before the call is carried out, so together they
/// are all the states that a crash can leave.
const CALLS: [&str; 9] = [
    "rename",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "syncfs",
    "unlink",
    "unlinkat",
    "pwrite64",
];

#[test]
fn killed_while_nodeset_runs() {
    const TEST: &str = "killed_while_nodeset_runs";
    isolated(TEST, |world| {
        let nodes = names(&["n1"]);
        if role() == "arm" {
            let _ = arm(&world.tables, &nodes, &target(), false);
            return;
        }
        world.nodes(&["n1"]);
        world.put(
            "chain",
            "n1",
            &[("currstate", "standby"), ("currchain", "shell")],
        );
        world.xcat("nodeset", "kill -9 $PPID");
        assert_eq!(world.again(TEST, "arm", &[]).signal(), Some(9));
        assert_eq!(world.calls("nodeset"), ["n1 runcmd=getadapter,boot"]);
        // As if nodeset had got as far as the row.
        world.put(
            "chain",
            "n1",
            &[("currstate", "runcmd=getadapter"), ("currchain", "boot")],
        );
        world.xcat("nodeset", support::CONTENT);
        assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
        assert_eq!(world.calls("nodeset")[1..], ["n1 standby"]);
        assert_eq!(world.chain("n1"), some("standby", "shell"));
        assert_eq!(world.get("bootparams", "n1", "addkcmdline"), None);
        assert_eq!(world.records(), 0);
    });
}

#[test]
fn killed_at_every_step_of_arming() {
    const TEST: &str = "killed_at_every_step_of_arming";
    isolated(TEST, |world| {
        let nodes = names(&["n1"]);
        if role() == "arm" {
            assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
            return;
        }
        world.tftp();
        world.nodes(&["n1"]);
        let steps = each_step(|call, step| {
            before(world);
            let killed = killed_at(world, TEST, "arm", call, step);
            assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
            is_back(world, call, step);
            killed
        });
        assert!(steps > 5, "hardly a step was seen: {steps}");
    });
}

#[test]
fn killed_at_every_step_of_releasing() {
    const TEST: &str = "killed_at_every_step_of_releasing";
    isolated(TEST, |world| {
        let nodes = names(&["n1"]);
        if role() == "release" {
            assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
            return;
        }
        world.tftp();
        world.nodes(&["n1"]);
        let steps = each_step(|call, step| {
            before(world);
            assert!(failures(arm(&world.tables, &nodes, &target(), false).unwrap()).is_empty());
            let killed = killed_at(world, TEST, "release", call, step);
            if killed {
                assert!(failures(release(&world.tables, &nodes).unwrap()).is_empty());
            }
            is_back(world, call, step);
            killed
        });
        assert!(steps > 5, "hardly a step was seen: {steps}");
    });
}

/// Tries the first, second, ... of each call, until there is no such any more; how many there were.
fn each_step(mut killed_at: impl FnMut(&str, usize) -> bool) -> usize {
    let count = |call| {
        let last = (1..200).find(|step| !killed_at(call, *step));
        last.unwrap() - 1
    };
    CALLS.into_iter().map(count).sum()
}

/// The node as it was.
fn before(world: &World) {
    world.put(
        "chain",
        "n1",
        &[("currstate", "standby"), ("currchain", "shell")],
    );
    world.put_script("n1", "#!gpxe\n#standby\n");
    world.put_script("n1.uefi", "#!gpxe\n#standby uefi\n");
}

fn is_back(world: &World, call: &str, step: usize) {
    assert_eq!(world.chain("n1"), some("standby", "shell"), "{call} {step}");
    assert_eq!(world.script("n1"), "#!gpxe\n#standby\n", "{call} {step}");
    assert_eq!(
        world.script("n1.uefi"),
        "#!gpxe\n#standby uefi\n",
        "{call} {step}"
    );
    assert_eq!(world.records(), 0, "{call} {step}");
}

/// True if the process got as far as that call, and was killed there.
fn killed_at(world: &World, test: &str, role: &str, call: &str, step: usize) -> bool {
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:signal=KILL:when={step}");
    let status = world.again(
        test,
        role,
        &[
            "strace",
            "-f",
            "-q",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ],
    );
    // strace ends as its child did.
    let killed = status.signal() == Some(9) || status.code() == Some(137);
    assert!(killed || status.success(), "strace: {status}");
    killed
}
