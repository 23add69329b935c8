//! Whole runs over BMCs in files: every fault ends in that node's verdict, nobody else's; waves; stops;
//! and after SIGKILL at any write of the journal the next process finishes without a second upload.
//!
//! These fork, so they run without the usual runner and its threads: each case is this program again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::exit
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use firmware_update::journal::{self, Folder};
use firmware_update::{
    Dialect, Goal, Limits, MaxFail, Node, Plan, Purpose, Said, State, Waves, run,
};
use support::{Fake, Never, Told, plan, verdicts, worker};

type Case = (&'static str, fn(&Path));

const CASES: [Case; 9] = [
    ("good", good),
    ("faults", faults),
    ("canary", canary),
    ("max_fail", max_fail),
    ("stopped", stopped),
    ("rate", rate),
    ("locked", locked),
    ("killed", killed),
    ("killed_once", killed_once),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("--case") {
        let (_, case) = CASES.iter().find(|(name, _)| *name == args[2]).unwrap();
        let dir = std::env::var_os("NODETOOLS_ROOT").unwrap();
        nix::unistd::alarm::set(1800);
        match args.get(3) {
            Some(id) => resume(Path::new(&dir), id),
            None => case(Path::new(&dir)),
        }
        return;
    }
    let mut failed = 0;
    for (name, _) in CASES {
        let dir = tempfile::tempdir().unwrap();
        let status = again(dir.path(), name, None).status().unwrap();
        println!(
            "test {name} ... {}",
            if status.success() { "ok" } else { "FAILED" }
        );
        failed += u32::from(!status.success());
    }
    std::process::exit(i32::from(failed > 0));
}

fn again(dir: &Path, case: &str, id: Option<&str>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--case", case])
        .args(id)
        .env("NODETOOLS_ROOT", dir);
    command
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("n{number}")).collect()
}

fn fresh(plan: &Plan) -> BTreeMap<String, Node> {
    plan.nodes
        .iter()
        .map(|name| (name.clone(), Node::new(name, plan.images.len())))
        .collect()
}

fn flash(dir: &Path, plan: &mut Plan, say: &mut dyn FnMut(Said<'_>)) -> BTreeMap<String, Node> {
    let mut folder = Folder::create(plan, None).unwrap();
    let summary = run(
        plan,
        fresh(plan),
        &mut folder,
        worker(dir.join("bmcs")),
        &Never::new(),
        say,
    )
    .unwrap();
    let read = journal::read(folder.id()).unwrap();
    assert_eq!(read.nodes, summary.nodes, "the journal says what was told");
    summary.nodes
}

fn bmcs(dir: &Path, all: &[(String, Fake)]) {
    std::fs::create_dir_all(dir.join("bmcs")).unwrap();
    all.iter()
        .for_each(|(node, bmc)| bmc.write(&dir.join("bmcs"), node));
}

const BOTH: [Purpose; 2] = [Purpose::Bmc, Purpose::Host];

fn good(dir: &Path) {
    for redfish in [false, true] {
        for (goal, uploads, resets) in [
            (Goal::Upload, 1, 0),
            (Goal::Activate, 1, 0),
            (Goal::Run { keep_host: false }, 2, 1),
            (Goal::Run { keep_host: true }, 2, 1),
            (Goal::Preflight, 0, 0),
        ] {
            let all: Vec<_> = names(20)
                .into_iter()
                .map(|name| (name, Fake::new(redfish, "")))
                .collect();
            bmcs(dir, &all);
            let images = if matches!(goal, Goal::Run { .. }) {
                &BOTH[..]
            } else {
                &BOTH[..1]
            };
            let mut plan = plan(dir, goal.clone(), images, &names(20));
            let mut texts = Vec::new();
            let nodes = flash(dir, &mut plan, &mut |said| {
                if let Said::Text(node, text) = said {
                    texts.push(format!("{node}: {text}"));
                }
            });
            for node in nodes.values() {
                assert_eq!(node.state, State::Good, "{redfish} {goal:?}: {node:?}");
                let bmc = Fake::read(&dir.join("bmcs"), &node.node);
                assert_eq!(
                    (bmc.uploads, bmc.resets),
                    (uploads, resets),
                    "{redfish} {goal:?}"
                );
                if let Goal::Run { keep_host } = goal {
                    assert_eq!(bmc.runs.bmc.as_deref(), Some("b2"));
                    assert_eq!(
                        bmc.runs.host.as_deref(),
                        Some(if keep_host { "h1" } else { "h2" })
                    );
                    assert_eq!(node.why.contains("needs host power cycle"), keep_host);
                }
            }
            let has = |text: &str| {
                texts
                    .iter()
                    .any(|other| other.starts_with("n7: ") && other.contains(text))
            };
            assert_eq!(
                has("Firmware b2 activation successful."),
                matches!(goal, Goal::Activate | Goal::Run { .. }),
                "{texts:?}"
            );
            assert_eq!(has("BMC Ready"), resets > 0);
        }
    }
}

fn faults(dir: &Path) {
    for redfish in [false, true] {
        let expected = [
            ("dead", "does not answer"),
            ("small", "takes at most 10"),
            ("little memory", "has 20 of memory left"),
            ("busy", "another update is going on"),
            ("stalls", "upload stalled"),
            ("refuses", "no space"),
            ("crash", "SIGABRT"),
            (
                "activation fails",
                if redfish {
                    "Exception"
                } else {
                    "activation failed"
                },
            ),
            ("stuck", "no progress"),
            ("never back", "state did not change to BMC Ready"),
            ("old version", "came back with the old version b1"),
            ("stays on", "state did not change to off"),
            (
                "vanishes",
                if redfish {
                    ""
                } else {
                    "Could not find firmware b2"
                },
            ),
            ("exists", ""),
            ("answer lost", ""),
            ("task lost", ""),
            ("", ""),
        ];
        let all: Vec<(String, Fake)> = expected
            .iter()
            .enumerate()
            .map(|(number, (fault, _))| (format!("n{number}"), Fake::new(redfish, fault)))
            .collect();
        bmcs(dir, &all);
        let mut plan = plan(
            dir,
            Goal::Run { keep_host: false },
            &BOTH,
            &all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        );
        plan.options.limits.poll = Duration::from_millis(10);
        let nodes = flash(dir, &mut plan, &mut |_| {});
        for (number, (fault, why)) in expected.iter().enumerate() {
            let node = &nodes[&format!("n{number}")];
            let runs = Fake::read(&dir.join("bmcs"), &node.node).runs;
            // The one rule that matters: success is what runs.
            assert_eq!(
                node.state == State::Good,
                runs.bmc.as_deref() == Some("b2") && runs.host.as_deref() == Some("h2"),
                "{redfish} {fault}: {:?} {} {runs:?}",
                node.state,
                node.why
            );
            assert!(node.state.is_settled());
            if node.state == State::Failed && !why.is_empty() {
                assert!(node.why.contains(why), "{redfish} {fault}: {}", node.why);
            }
        }
        for good in ["answer lost", ""] {
            let at = expected
                .iter()
                .position(|(fault, _)| *fault == good)
                .unwrap();
            assert_eq!(
                nodes[&format!("n{at}")].state,
                State::Good,
                "{redfish} {good}: {}",
                nodes[&format!("n{at}")].why
            );
        }
    }
}

fn canary(dir: &Path) {
    for (fault, rest) in [("", State::Good), ("refuses", State::Failed)] {
        let all: Vec<_> = names(10)
            .into_iter()
            .map(|name| {
                (
                    name.clone(),
                    Fake::new(true, if name == "n10" { fault } else { "" }),
                )
            })
            .collect();
        bmcs(dir, &all);
        let mut plan = plan(dir, Goal::Activate, &BOTH[..1], &names(10));
        plan.options.waves = Waves {
            canary: Some(2),
            ..Waves::default()
        };
        let nodes = flash(dir, &mut plan, &mut |_| {});
        // In the order of names n1 and n10 come first.
        assert_eq!(nodes["n5"].state, rest, "{:?}", verdicts(&nodes));
        if rest == State::Failed {
            assert_eq!(nodes["n1"].state, State::Good);
            assert_eq!(nodes["n5"].why, "not touched: a canary failed");
            assert_eq!(Fake::read(&dir.join("bmcs"), "n5").uploads, 0);
        }
    }
}

fn max_fail(dir: &Path) {
    let all: Vec<_> = names(20)
        .into_iter()
        .map(|name| (name, Fake::new(false, "refuses")))
        .collect();
    bmcs(dir, &all);
    let mut plan = plan(dir, Goal::Activate, &BOTH[..1], &names(20));
    plan.options.fanout = 2;
    plan.options.waves = Waves {
        max_fail: Some(MaxFail::Percent(10)),
        batch: Some(2),
        pause: Duration::from_millis(100),
        ..Waves::default()
    };
    let nodes = flash(dir, &mut plan, &mut |_| {});
    let untouched = nodes
        .values()
        .filter(|node| node.why.starts_with("not touched"))
        .count();
    assert!(untouched >= 14, "{:?}", verdicts(&nodes));
    let uploads: u32 = names(20)
        .iter()
        .map(|name| Fake::read(&dir.join("bmcs"), name).uploads)
        .sum();
    assert_eq!(uploads as usize, 20 - untouched);
}

fn stopped(dir: &Path) {
    let all: Vec<_> = names(10)
        .into_iter()
        .map(|name| (name, Fake::new(true, "")))
        .collect();
    bmcs(dir, &all);
    let mut plan = plan(dir, Goal::Run { keep_host: false }, &BOTH, &names(10));
    plan.options.waves = Waves {
        batch: Some(1),
        pause: Duration::from_secs(3600),
        ..Waves::default()
    };
    let mut folder = Folder::create(&mut plan, None).unwrap();
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    reader.set_nonblocking(true).unwrap();
    let mut told = false;
    let summary = run(
        &plan,
        fresh(&plan),
        &mut folder,
        worker(dir.join("bmcs")),
        &Told(reader, 0.into()),
        &mut |said| {
            if let Said::Text(_, text) = said
                && text.contains("upload successful")
                && !told
            {
                told = true;
                std::io::Write::write_all(&mut &writer, b"x").unwrap();
            }
        },
    )
    .unwrap();
    // The one that had begun went on to its verdict; the others were not touched.
    assert_eq!(
        summary.nodes["n1"].state,
        State::Good,
        "{:?}",
        verdicts(&summary.nodes)
    );
    assert_eq!(summary.nodes["n5"].why, "not touched: the run was stopped");
}

fn rate(dir: &Path) {
    // Grants are asked for by the wire's worker; here only that a rate changes nothing else.
    bmcs(dir, &[("n1".into(), Fake::new(true, ""))]);
    let mut plan = plan(dir, Goal::Upload, &BOTH[..1], &names(1));
    plan.options.rate = Some(1_000_000);
    assert_eq!(flash(dir, &mut plan, &mut |_| {})["n1"].state, State::Good);
}

fn locked(dir: &Path) {
    bmcs(
        dir,
        &[
            ("n1".into(), Fake::new(true, "")),
            ("n2".into(), Fake::new(true, "")),
        ],
    );
    let lock = firmware_update::node_files::lock("n2").unwrap();
    let mut plan = plan(dir, Goal::Upload, &BOTH[..1], &names(2));
    let nodes = flash(dir, &mut plan, &mut |_| {});
    assert_eq!(nodes["n1"].state, State::Good);
    assert_eq!(
        nodes["n2"].why,
        "Unable to rflash n2. Another process is already flashing this node."
    );
    drop(lock);
}

/// Takes a run over and finishes it, whoever was killed before.
fn resume(dir: &Path, id: &str) {
    let (mut folder, read) = match Folder::resume(id) {
        Ok(found) => found,
        // A child of the killed one may not have closed its copy of the lock yet: the next try will do.
        Err(journal::Error::Busy(..)) => std::process::exit(1),
        Err(error) => panic!("{error}"),
    };
    run(
        &read.plan,
        read.nodes,
        &mut folder,
        worker(dir.join("bmcs")),
        &Never::new(),
        &mut |_| {},
    )
    .unwrap();
    folder.end("done");
    folder.flush().unwrap();
}

/// A run of three nodes, not begun yet; its ID.
fn three(dir: &Path, redfish: bool) -> String {
    let all: Vec<_> = names(3)
        .into_iter()
        .map(|name| (name, Fake::new(redfish, "")))
        .collect();
    bmcs(dir, &all);
    let mut plan = plan(dir, Goal::Run { keep_host: false }, &BOTH, &names(3));
    // Long limits, for a busy machine: only the one that a lost upload is waited for is short.
    plan.options.limits = Limits {
        find: Duration::from_millis(700),
        poll: Duration::from_millis(5),
        ..Limits::default()
    };
    let folder = Folder::create(&mut plan, None).unwrap();
    folder.id().to_string()
}

/// Works on that run until it ends, or SIGKILL comes before the `when`th such call on its journal.
/// True: it ended.
fn until_killed(dir: &Path, id: &str, call: &str, when: u32) -> bool {
    let journal = journal::directory().join(id).join("journal");
    let status = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-P"])
        .arg(journal)
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--case", "killed", id])
        .env("NODETOOLS_ROOT", dir)
        .status();
    status.unwrap().success()
}

/// No node is lost, and none got an archive twice.
fn finished(dir: &Path, id: &str, redfish: bool, context: &str) {
    let read = journal::read(id).unwrap();
    assert_eq!(read.ended.as_deref(), Some("done"), "{context}");
    assert_eq!(read.nodes.len(), 3);
    for node in read.nodes.values() {
        let bmc = Fake::read(&dir.join("bmcs"), &node.node);
        assert_eq!(node.state, State::Good, "{context}: {node:?}");
        assert_eq!(bmc.uploads, 2, "one per image: {context}");
        assert_eq!(bmc.runs.host.as_deref(), Some("h2"), "{context}");
        let dialect = if redfish {
            Dialect::Redfish
        } else {
            Dialect::Rest
        };
        assert_eq!(node.dialect, Some(dialect));
    }
}

fn has_strace() -> bool {
    let strace = Command::new("strace")
        .arg("-V")
        .output()
        .is_ok_and(|out| out.status.success());
    assert!(
        strace || std::env::var_os("CI").is_none(),
        "strace: is missing, and this is CI"
    );
    if !strace {
        println!("skipped: strace missing");
    }
    strace
}

/// SIGKILL once, before each single write and each single fsync of the journal, and then a resume.
/// `KILL_STRIDE` (default 5) says how many of them are passed over; 1 takes each.
fn killed_once(dir: &Path) {
    if !has_strace() {
        return;
    }
    let stride = std::env::var("KILL_STRIDE").ok();
    let stride = stride.and_then(|text| text.parse().ok()).unwrap_or(5);
    for redfish in [false, true] {
        for call in ["write", "fdatasync"] {
            let mut steps = 0;
            for when in (1..).step_by(stride) {
                let id = three(dir, redfish);
                let ended = until_killed(dir, &id, call, when);
                if !ended {
                    steps += 1;
                    // A child of the killed one may not have closed its copy of the lock yet.
                    while !again(dir, "killed", Some(&id)).status().unwrap().success() {}
                }
                finished(dir, &id, redfish, &format!("{redfish} {call} {when}"));
                std::fs::remove_dir_all(journal::directory().join(&id)).unwrap();
                if ended {
                    break;
                }
            }
            assert!(steps * stride >= 20, "{steps} steps of the journal");
        }
    }
}

/// The same again and again, until a run gets through.
fn killed(dir: &Path) {
    if !has_strace() {
        return;
    }
    for redfish in [false, true] {
        for stride in [7, 10, 13] {
            let id = three(dir, redfish);
            let mut kills = 0;
            loop {
                let call = if kills % 2 == 0 { "write" } else { "fdatasync" };
                if until_killed(dir, &id, call, 1 + kills % stride) {
                    break;
                }
                kills += 1;
                assert!(kills < 300, "no progress");
            }
            assert!(kills > 3, "{kills}");
            finished(dir, &id, redfish, &format!("{redfish} {stride} {kills}"));
        }
    }
}
