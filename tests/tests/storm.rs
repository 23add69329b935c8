//! A thousand nodes that report within one second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenarios::{Cluster, Node, report_xml};

/// Simulated nodes, and bytes per report.
const NODES: usize = 1_000;
const SIZE: usize = 6 * 1024;

#[test]
fn a_thousand_reports_in_a_second_are_all_stored_and_none_torn() {
    let cluster = Cluster::new(NODES);
    let scan = cluster.start(
        "getadapter",
        &["all", "--timeout", "300", "--fanout", "1000", "-V"],
    );
    let boot = cluster.booted();
    assert_eq!(boot.nodes.len(), NODES);
    let names: Vec<String> = (0..28).map(|i| format!("eth{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = Arc::new(report_xml("", &names));
    assert!(report.len() >= SIZE, "{}", report.len());
    let port = cluster.port;
    let started = Instant::now();
    let players: Vec<_> = (1..=NODES)
        .map(|i| {
            let report = Arc::clone(&report);
            let node = Node {
                address: Cluster::address(i),
                port,
            };
            let play = move || {
                // A stock node does not try again: whoever is not acknowledged here was refused.
                let begun = started.elapsed();
                let answer = node.say(report.as_bytes()).unwrap_or_default();
                let acknowledged = answer.contains("serverdone") && !answer.contains("<error>");
                (begun, acknowledged)
            };
            let builder = std::thread::Builder::new().stack_size(256 << 10);
            builder.spawn(play).unwrap()
        })
        .collect();
    let played: Vec<(Duration, bool)> = players
        .into_iter()
        .map(|player| player.join().unwrap())
        .collect();
    let last = played.iter().map(|(begun, _)| *begun).max().unwrap();
    println!("the last node began {last:?} after the first");
    let acknowledged = played.iter().filter(|(_, well)| *well).count();
    assert_eq!(
        acknowledged, NODES,
        "all were acknowledged at the first try"
    );
    let finished = scan.finish();
    finished.code(0);
    let counted = finished.stderr.lines().find_map(|line| {
        let text = line.split("reports were stored in ").nth(1)?;
        text.split(' ').next()?.parse::<usize>().ok()
    });
    let transactions = counted.expect("how many transactions");
    println!("{NODES} reports in {transactions} transactions");
    assert!(
        transactions <= NODES / 4,
        "{transactions} transactions: one for every few reports"
    );
    let answered: BTreeSet<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        (answered.len(), finished.stdout.lines().count()),
        (NODES, NODES * 28)
    );
    let dump = cluster.run("xtab", &["get", "all", "nics.nicsadapter", "--json"]);
    let wanted = cluster.stored("n1").unwrap();
    assert_eq!(wanted.split(',').count(), 28);
    let rows: Vec<serde_json::Value> = dump
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), NODES);
    assert!(
        rows.iter()
            .all(|row| row["nics.nicsadapter"].as_str() == Some(&wanted)),
        "none is torn"
    );
    assert!(cluster.claims().is_empty());
    assert!(cluster.waiting().is_empty());
}

#[test]
fn two_hundred_reports_of_twenty_kilobytes_at_once() {
    let cluster = Cluster::new(200);
    let scan = cluster.start(
        "getadapter",
        &["all", "--timeout", "300", "--fanout", "200"],
    );
    cluster.booted();
    let names: Vec<String> = (0..98).map(|i| format!("eth{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = Arc::new(report_xml("", &names));
    assert!(report.len() >= 20_000, "{}", report.len());
    let port = cluster.port;
    let players: Vec<_> = (1..=200)
        .map(|i| {
            let report = Arc::clone(&report);
            std::thread::spawn(move || {
                Node {
                    address: Cluster::address(i),
                    port,
                }
                .say(report.as_bytes())
                .unwrap()
            })
        })
        .collect();
    assert!(
        players
            .into_iter()
            .all(|player| player.join().unwrap().contains("serverdone"))
    );
    let finished = scan.finish();
    finished.code(0);
    assert_eq!(finished.stdout.lines().count(), 200 * 98);
}
