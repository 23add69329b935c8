//! Reports through TLS, spool and table, beside one SQLite commit per report and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use scenarios::{Cluster, Node, report_xml};
use xcat_tables::{Location, Tables};

use crate::measure::{children_cpu, median};

const REPORTS: usize = 1_000;
const ROUNDS: usize = 3;
const PLAYERS: usize = 50;

/// All of it.
pub(crate) fn run() {
    let (mut whole, mut floor, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (seconds, burnt) = storm();
        whole.push(seconds);
        cpu.push(burnt);
        floor.push(one_commit_each());
    }
    let (whole, floor, cpu) = (median(&mut whole), median(&mut floor), median(&mut cpu));
    println!(
        "reports: {REPORTS} of 6 KB through TLS, spool and table: {:.0} per second",
        REPORTS as f64 / whole
    );
    println!(
        "reports: one commit of two table files per report, nothing else: {:.0} per second",
        REPORTS as f64 / floor
    );
    println!(
        "reports: ratio {:.2} (above 1: quicker than a commit per report)",
        floor / whole
    );
    println!("reports: CPU of callbackd and getadapter per 1,000 reports: {cpu:.2} s");
}

/// Wall time from the first connection to the end of getadapter, and CPU of our programs.
fn storm() -> (f64, f64) {
    let cluster = Cluster::new(REPORTS);
    let before = children_cpu();
    let mut callbackd = cluster.start("callbackd", &[]);
    callbackd.stdout_line("ready");
    let scan = cluster.start(
        "getadapter",
        &["all", "--timeout", "300", "--fanout", "1000"],
    );
    cluster.booted();
    let names: Vec<String> = (0..28).map(|i| format!("eth{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = Arc::new(report_xml("", &names));
    let next = Arc::new(AtomicUsize::new(1));
    let started = Instant::now();
    let players: Vec<_> = (0..PLAYERS)
        .map(|_| {
            let (next, report, port) = (Arc::clone(&next), Arc::clone(&report), cluster.port);
            std::thread::spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i > REPORTS {
                        return;
                    }
                    let answer = Node {
                        address: Cluster::address(i),
                        port,
                    }
                    .say(report.as_bytes());
                    assert!(answer.is_ok_and(|answer| answer.contains("serverdone")));
                }
            })
        })
        .collect();
    players
        .into_iter()
        .for_each(|player| player.join().expect("player"));
    scan.finish().code(0);
    let seconds = started.elapsed().as_secs_f64();
    callbackd.signal(nix::sys::signal::Signal::SIGTERM);
    callbackd.finish();
    (seconds, children_cpu() - before)
}

fn one_commit_each() -> f64 {
    let cluster = Cluster::new(REPORTS);
    cluster.restore("nics", "#node,nicsadapter", []);
    cluster.restore("taskstate", "#node,command", []);
    let location = Location::sqlite(cluster.path("tables"));
    let tables = Tables::open(&location).expect("tables");
    let text: String = (0..28)
        .map(|i| {
            format!(
                "eth{i}!mac=52:54:00:00:00:{i:02x} linkstate=UP pci=/pci0000:00/0000:00:{i:02x}.0"
            )
        })
        .collect::<Vec<_>>()
        .join(",");
    let started = Instant::now();
    for i in 1..=REPORTS {
        let node = format!("n{i}");
        let result: Result<(), xcat_tables::Error> =
            tables.transaction(&["nics", "taskstate"], |change| {
                change.put(
                    "nics",
                    &[("node", node.as_str())],
                    &[("nicsadapter", Some(text.as_str()))],
                )?;
                change.delete("taskstate", &[("node", node.as_str())])?;
                Ok(())
            });
        result.expect("commit");
    }
    started.elapsed().as_secs_f64()
}
