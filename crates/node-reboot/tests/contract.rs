//! Start, wait, results: what the originals got wrong (each defect has its case), and what must hold
//! besides. Each case is this program, started again with directories of its own: no threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::exit)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node_reboot::{
    Caller, Handle, Limits, Options, Plan, Refused, Request, Results, Status, carry_out, start,
    wait,
};
use support::script;
use xcat_tables::{Location, Tables, Transaction};

type Case = (&'static str, fn(&World));

const CASES: [Case; 19] = [
    ("defect_3_two_handles_live_side_by_side", defect_3),
    (
        "defect_4_failures_are_counted_not_folded_into_a_byte",
        defect_4,
    ),
    ("defect_5_a_killed_child_is_no_success", defect_5),
    ("defect_6_a_node_without_a_line_has_failed", defect_6),
    (
        "defect_7_nodes_that_never_began_are_judged_by_nobody_elses_status",
        defect_7,
    ),
    ("defect_8_nodes_that_failed_are_not_waited_for", defect_8),
    (
        "defect_9_results_stream_and_a_full_pipe_stops_nothing",
        defect_9,
    ),
    (
        "defect_10_a_failure_in_a_batch_is_its_nodes_alone",
        defect_10,
    ),
    ("defect_11_an_option_that_is_off_is_off", defect_11),
    ("defect_12_a_node_is_settled_once", defect_12),
    ("defect_13_arguments_are_words_not_shell", defect_13),
    (
        "nothing_is_done_for_an_empty_or_unknown_list",
        empty_and_unknown,
    ),
    ("nothing_is_done_for_who_may_not", denied),
    ("a_second_run_on_a_node_is_told_who", second_run),
    ("a_cancelled_run_settles_every_node", cancelled),
    ("a_dropped_handle_leaves_nobody", dropped),
    ("a_node_without_mgt_fails_by_name", without_mgt),
    ("a_guest_is_dropped_when_its_host_reboots", guests),
    ("off_means_two_equal_readings", two_readings),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &arguments[..]
        && flag == "--case"
    {
        nix::unistd::alarm::set(120);
        let root = PathBuf::from(std::env::var_os("CASE_DIR").unwrap());
        let (_, case) = CASES.iter().find(|(other, _)| other == name).unwrap();
        return case(&World { root });
    }
    let filter = arguments.iter().find(|text| !text.starts_with('-'));
    let mut failed = 0;
    for (name, _) in CASES {
        if filter.is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        World::make(dir.path());
        let good = Command::new(std::env::current_exe().unwrap())
            .args(["--case", name])
            .env("CASE_DIR", dir.path())
            .env("NODETOOLS_ROOT", dir.path().join("root"))
            .env("XCATROOT", dir.path().join("xcat"))
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .status()
            .unwrap()
            .success();
        println!("{name}: {}", if good { "ok" } else { "FAILED" });
        failed += i32::from(!good);
    }
    std::process::exit(failed.min(1));
}

/// A cluster whose `rpower` is a script: `state/NODE` holds on or off, `fault/NODE` what is wrong.
struct World {
    root: PathBuf,
}

impl World {
    fn make(root: &Path) {
        let tables = root.join("tables");
        for part in ["tables", "state", "fault", "root"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        let tables = Tables::open(&Location::sqlite(tables)).unwrap();
        tables.create_missing().unwrap();
        script(
            &root.join("xcat/bin/rpower"),
            &format!(
                r#"cd '{}' || exit 1
printf '%s\n' "$*" >>calls
IFS=,
for node in $1; do
	fault=
	[ -f "fault/$node" ] && read -r fault <"fault/$node"
	state=on
	[ -f "state/$node" ] && read -r state <"state/$node"
	case $fault in
	dead) echo "$node: Error: no answer from its BMC" >&2; continue ;;
	silent) continue ;;
	blocked) exec cat blocker ;;
	esac
	case $2 in
	off) [ "$fault" = stays ] || echo off >"state/$node"; echo "$node: off" ;;
	on) echo on >"state/$node"; echo "$node: on" ;;
	stat) [ "$fault" = flickers ] && echo off >"state/$node" && echo >"fault/$node" && echo "$node: on" && continue
		echo "$node: $state" ;;
	esac
done"#,
                root.display()
            ),
        );
    }

    fn tables(&self) -> Tables {
        Tables::open(&Location::sqlite(self.root.join("tables"))).unwrap()
    }

    fn put(&self, table: &str, node: &str, column: &str, value: &str) {
        let change = |change: &Transaction<'_>| {
            change.put(table, &[("node", node)], &[(column, Some(value))])
        };
        self.tables().transaction(&[table], change).unwrap();
    }

    /// Makes nodes with `mgt` ipmi and no address.
    fn nodes(&self, names: &[&str]) -> Vec<String> {
        let tables = self.tables();
        tables
            .transaction(&["nodelist", "nodehm"], |change| {
                for name in names {
                    change.put("nodelist", &[("node", *name)], &[("groups", Some("all"))])?;
                    change.put("nodehm", &[("node", *name)], &[("mgt", Some("blade"))])?;
                }
                Ok::<(), xcat_tables::Error>(())
            })
            .unwrap();
        names.iter().map(|name| (*name).to_string()).collect()
    }

    fn fault(&self, node: &str, fault: &str) {
        fs::write(self.root.join("fault").join(node), fault).unwrap();
    }

    fn state(&self, node: &str) -> String {
        let text = fs::read_to_string(self.root.join("state").join(node)).unwrap_or_default();
        text.trim().into()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.root.join("calls")).unwrap_or_default()
    }

    fn start(&self, nodes: &[String]) -> Handle {
        start(&self.tables(), &self.request(nodes)).unwrap()
    }

    fn request(&self, nodes: &[String]) -> Request {
        let mut limits = Limits::default();
        for limit in ["off=3", "on=3", "power=20"] {
            limits.set(limit).unwrap();
        }
        Request {
            nodes: nodes.to_vec(),
            options: Options {
                batch: 0,
                limits,
                ..Options::default()
            },
            caller: Caller::here(),
        }
    }
}

fn numbers(results: &Results) -> BTreeMap<String, i32> {
    let nodes = results.nodes.iter();
    nodes
        .map(|(node, result)| (node.clone(), result.status.0))
        .collect()
}

fn why<'a>(results: &'a Results, node: &str) -> &'a str {
    &results.nodes[node].why
}

fn children() -> String {
    let path = format!("/proc/{0}/task/{0}/children", std::process::id());
    fs::read_to_string(path).unwrap()
}

fn defect_3(world: &World) {
    let all = world.nodes(&["a1", "a2", "b1", "b2"]);
    world.fault("b2", "dead");
    let first = world.start(&all[..2]);
    let second = world.start(&all[2..]);
    // In the other order than they were started.
    let second = numbers(&wait(second));
    let first = numbers(&wait(first));
    assert_eq!(first, [("a1".into(), 0), ("a2".into(), 0)].into());
    assert_eq!(second, [("b1".into(), 0), ("b2".into(), 3)].into());
    assert_eq!(children(), "");
}

fn defect_4(world: &World) {
    let names: Vec<String> = (0..256).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = world.nodes(&names);
    names.iter().for_each(|node| world.fault(node, "dead"));
    let results = wait(world.start(&nodes));
    assert_eq!(results.failed().count(), 256);
}

fn defect_5(world: &World) {
    let nodes = world.nodes(&["n1", "n2"]);
    world.fault("n1", "blocked");
    nix::unistd::mkfifo(&world.root.join("blocker"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let handle = world.start(&nodes);
    let supervisor: i32 = children().trim().parse().unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    let results = wait(handle);
    assert_eq!(results.failed().count(), 2, "{results:?}");
    assert!(why(&results, "n2").contains("SIGKILL"), "{results:?}");
}

fn defect_6(world: &World) {
    let nodes = world.nodes(&["n1", "n2"]);
    world.fault("n1", "silent");
    let results = wait(world.start(&nodes));
    assert_eq!(
        numbers(&results),
        [("n1".into(), 3), ("n2".into(), 0)].into()
    );
    assert!(why(&results, "n1").contains("said nothing"), "{results:?}");
}

fn defect_7(world: &World) {
    let nodes = world.nodes(&["n1", "n2", "n3"]);
    world.fault("n1", "dead");
    let mut request = world.request(&nodes);
    request.options.canary = 1;
    let results = wait(start(&world.tables(), &request).unwrap());
    assert_eq!(
        numbers(&results),
        [("n1".into(), 3), ("n2".into(), 11), ("n3".into(), 11)].into()
    );
    assert!(
        why(&results, "n2").contains("n1, which went first, failed"),
        "{results:?}"
    );
    assert!(!world.calls().contains("n2"), "{}", world.calls());
}

fn defect_8(world: &World) {
    let nodes = world.nodes(&["n1"]);
    world.fault("n1", "dead");
    let mut request = world.request(&nodes);
    request.options.wait = Some(Duration::from_secs(3600));
    let started = Instant::now();
    let results = wait(start(&world.tables(), &request).unwrap());
    assert_eq!(numbers(&results)["n1"], 3);
    assert!(started.elapsed() < Duration::from_secs(60));
}

fn defect_9(world: &World) {
    // More bytes of results than a pipe holds.
    let names: Vec<String> = (0..700)
        .map(|i| format!("n{i:03}-{}", "x".repeat(110)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = world.nodes(&names);
    let late = names[699];
    world.fault(late, "blocked");
    let blocker = world.root.join("blocker");
    nix::unistd::mkfifo(&blocker, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut handle = world.start(&nodes);
    // Results come while one node is still under way.
    let mut settled = 0;
    while settled < 256 {
        handle.wait_for(&[], Some(Duration::from_secs(60))).unwrap();
        settled += handle.poll_results().len();
        assert!(!handle.is_ended());
    }
    world.fault(late, "");
    // Lets the blocked command go on: it fails, and its nodes with it.
    drop(fs::File::options().write(true).open(&blocker).unwrap());
    let results = wait(handle);
    assert_eq!(results.nodes.len(), 700);
    let failed: Vec<&str> = results
        .failed()
        .map(|result| result.node.as_str())
        .collect();
    assert!(failed.contains(&late), "{failed:?}");
    assert!(failed.len() <= 256, "{}", failed.len());

    // Nobody reads until the work is over: the supervisor is not stopped by the full pipe.
    fs::remove_file(world.root.join("calls")).unwrap();
    let handle = world.start(&nodes);
    let begun = Instant::now();
    let switched_on = || {
        let calls = world.calls();
        let lines = calls.lines().filter(|line| line.ends_with(" on"));
        lines.map(|line| line.split(',').count()).sum::<usize>()
    };
    while switched_on() < 700 {
        assert!(begun.elapsed() < Duration::from_secs(100), "stopped");
        std::thread::yield_now();
    }
    assert_eq!(wait(handle).failed().count(), 0);
}

fn defect_10(world: &World) {
    let names: Vec<String> = (1..=12).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = world.nodes(&names);
    world.fault("n7", "dead");
    let results = wait(world.start(&nodes));
    let failed: Vec<&str> = results
        .failed()
        .map(|result| result.node.as_str())
        .collect();
    assert_eq!(failed, ["n7"]);
    let together = world
        .calls()
        .lines()
        .filter(|line| line.contains("n1,") && line.contains("n7"))
        .count();
    assert!(together > 0, "one call for the set: {}", world.calls());
}

fn defect_11(world: &World) {
    let nodes = world.nodes(&["n1"]);
    world.put("nodelist", "bare", "groups", "all");
    let both = [nodes[0].clone(), "bare".to_string()];
    let mut request = world.request(&both);
    request.options.force = false;
    let plan = Plan::read(&world.tables(), &request).unwrap();
    assert_eq!(plan.settled().len(), 1);
    assert_eq!(plan.settled()[0].status, Status::NOT_STARTED);
    request.options.force = true;
    assert!(
        Plan::read(&world.tables(), &request)
            .unwrap()
            .settled()
            .is_empty()
    );
}

fn defect_12(world: &World) {
    let nodes = world.nodes(&["n1", "n2", "n3"]);
    world.fault("n2", "stays");
    let mut handle = world.start(&nodes);
    let mut seen = Vec::new();
    while !handle.is_ended() {
        handle.wait_for(&[], None).unwrap();
        seen.extend(
            handle
                .poll_results()
                .into_iter()
                .map(|result| (result.node, result.status.0)),
        );
    }
    seen.extend(
        handle
            .poll_results()
            .into_iter()
            .map(|result| (result.node, result.status.0)),
    );
    seen.sort();
    assert_eq!(seen, [("n1".into(), 0), ("n2".into(), 4), ("n3".into(), 0)]);
}

fn defect_13(world: &World) {
    world.nodes(&["n1"]);
    for name in [
        "$(touch x)",
        "n1;reboot",
        "-oProxyCommand=x",
        "n1 n2",
        "../n1",
    ] {
        world.put("nodelist", name, "groups", "all");
        let refused = start(&world.tables(), &world.request(&[name.to_string()]));
        assert!(matches!(refused, Err(Refused::Unknown(_))), "{name}");
    }
    assert_eq!(world.calls(), "");
    let results = wait(world.start(&["n1".into()]));
    assert_eq!(results.failed().count(), 0);
    assert!(
        world.calls().lines().all(|line| line.starts_with("n1 ")),
        "{}",
        world.calls()
    );
}

fn empty_and_unknown(world: &World) {
    world.nodes(&["n1"]);
    let refused = start(&world.tables(), &world.request(&[]));
    assert!(matches!(refused, Err(Refused::NoNodes)));
    let refused = start(&world.tables(), &world.request(&["n1".into(), "n9".into()]));
    assert!(matches!(refused, Err(Refused::Unknown(names)) if names == "n9"));
    assert_eq!(world.calls(), "");
}

fn denied(world: &World) {
    let nodes = world.nodes(&["n1"]);
    let mut request = world.request(&nodes);
    request.caller = Caller {
        effective: 1000,
        real: 1000,
        behind: None,
    };
    let refused = start(&world.tables(), &request);
    assert!(matches!(refused, Err(Refused::Denied(_))));
    assert_eq!(world.calls(), "");
}

fn second_run(world: &World) {
    let nodes = world.nodes(&["n1", "n2"]);
    world.fault("n1", "blocked");
    nix::unistd::mkfifo(&world.root.join("blocker"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let first = world.start(&nodes[..1]);
    let supervisor = children().trim().to_string();
    let blocked = Instant::now();
    while world.calls().is_empty() {
        assert!(blocked.elapsed() < Duration::from_secs(60));
    }
    let results = wait(world.start(&nodes));
    assert_eq!(
        numbers(&results),
        [("n1".into(), 1), ("n2".into(), 0)].into()
    );
    let told = format!("is being rebooted by process {supervisor}");
    assert_eq!(why(&results, "n1"), told);
    // Killed, it holds nothing any more.
    kill(Pid::from_raw(supervisor.parse().unwrap()), Signal::SIGKILL).unwrap();
    wait(first);
    world.fault("n1", "");
    assert_eq!(wait(world.start(&nodes)).failed().count(), 0);
}

fn cancelled(world: &World) {
    let nodes = world.nodes(&["n1", "n2", "n3"]);
    world.fault("n1", "blocked");
    nix::unistd::mkfifo(&world.root.join("blocker"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut request = world.request(&nodes);
    request.options.batch = 1;
    request.options.pause = Duration::from_secs(3600);
    let mut handle = start(&world.tables(), &request).unwrap();
    while world.calls().is_empty() {
        handle
            .wait_for(&[], Some(Duration::from_millis(10)))
            .unwrap();
    }
    handle.cancel();
    let results = wait(handle);
    assert_eq!(
        numbers(&results).values().copied().collect::<Vec<_>>(),
        [11, 11, 11]
    );
    assert!(why(&results, "n1").contains("without power"), "{results:?}");
    assert_eq!(why(&results, "n2"), "was not begun");
    assert_eq!(children(), "");
}

fn dropped(world: &World) {
    let nodes = world.nodes(&["n1"]);
    world.fault("n1", "blocked");
    nix::unistd::mkfifo(&world.root.join("blocker"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let handle = world.start(&nodes);
    let mut fd = [0; 1];
    assert!(
        fs::File::from(handle.as_fd().try_clone_to_owned().unwrap())
            .read(&mut fd)
            .is_err()
    );
    drop(handle);
    assert_eq!(children(), "");
}

fn without_mgt(world: &World) {
    let nodes = world.nodes(&["n1"]);
    world.put("nodelist", "bare", "groups", "all");
    let results = wait(world.start(&[nodes[0].clone(), "bare".into()]));
    assert_eq!(
        numbers(&results),
        [("bare".into(), 1), ("n1".into(), 0)].into()
    );
    assert!(why(&results, "bare").contains("nodehm.mgt"), "{results:?}");
}

fn guests(world: &World) {
    let nodes = world.nodes(&["host1", "v1", "v2"]);
    world.put("vm", "v1", "host", "host1");
    world.put("vm", "v2", "host", "host2");
    let results = wait(world.start(&nodes));
    assert_eq!(
        numbers(&results),
        [("host1".into(), 0), ("v1".into(), 10), ("v2".into(), 0)].into()
    );
    assert_eq!(results.failed().count(), 0);
    assert!(why(&results, "v1").contains("host1"), "{results:?}");
    assert!(!world.calls().contains("v1"), "{}", world.calls());
}

fn two_readings(world: &World) {
    let nodes = world.nodes(&["n1"]);
    world.fault("n1", "flickers");
    let plan = Plan::read(&world.tables(), &world.request(&nodes)).unwrap();
    let results = wait(carry_out(plan).unwrap());
    assert_eq!(numbers(&results)["n1"], 0, "{results:?}");
    let readings: Vec<String> = world.calls().lines().map(String::from).collect();
    // Off, then on (the state before), then off twice, and only then on.
    let on = readings.iter().position(|line| line == "n1 on").unwrap();
    assert!(
        readings[..on]
            .iter()
            .filter(|line| *line == "n1 stat")
            .count()
            >= 3,
        "{readings:?}"
    );
    assert_eq!(world.state("n1"), "on");
}
