//! 10,000 nodes change their service node, whole process without steps, beside the sqlite3 shell that reads and changes
//! the same rows, and beside one transaction for each node.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use scenarios::Cluster;
use xcat_tables::{Location, Tables};

use crate::measure::median;

const NODES: usize = 10_000;
const SERVERS: usize = 20;
const ROUNDS: usize = 5;
/// The floor is measured on fewer nodes, and multiplied.
const SAMPLE: usize = 500;
/// What a plan reads.
const READ: [&str; 14] = [
    "hosts",
    "linuximage",
    "mp",
    "networks",
    "nodehm",
    "nodelist",
    "noderes",
    "nodetype",
    "osimage",
    "postscripts",
    "ppc",
    "servicenode",
    "site",
    "nodegroup",
];

/// All of it.
pub(crate) fn run() {
    let cluster = cluster();
    let script = cluster.path("script.sql");
    fs::write(&script, statements(&cluster.path("tables"))).expect("script");
    let (mut ours, mut shell, mut each) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(cluster.command("snmove").args([
            "compute",
            "-D",
            "10.200.0.1",
            "-i",
            "--no-dest-check",
        ])));
        cluster.run("snmove", &["--undo"]).code(0);
        let mut command = Command::new("sqlite3");
        command.args(["-batch", ":memory:"]);
        command.stdin(fs::File::open(&script).expect("script"));
        shell.push(timed(&mut command));
        clear(&cluster.path("tables"));
        each.push(one_transaction_each(&cluster.path("tables")));
        clear(&cluster.path("tables"));
    }
    let (ours, shell, each) = (median(&mut ours), median(&mut shell), median(&mut each));
    let ratio = ours / shell;
    println!(
        "moves: {NODES} nodes of {SERVERS} service nodes: {ours:.2} s, sqlite3 {shell:.2} s: ratio {ratio:.2} (target 5: {})",
        if ratio <= 5.0 { "met" } else { "MISSED" }
    );
    println!(
        "moves: one transaction for each node {each:.2} s (from {SAMPLE} of them): ratio {:.2}",
        ours / each
    );
}

fn cluster() -> Cluster {
    let cluster = Cluster::new(0);
    let nodes = || (1..=NODES).map(|i| (i, format!("c{i}")));
    let server = |i: usize| format!("sv{}", 1 + i % SERVERS);
    let servers = || (0..SERVERS).map(server);
    let listed = nodes().map(|(_, node)| vec![node, "compute".into()]);
    cluster.restore(
        "nodelist",
        "#node,groups",
        listed.chain(servers().map(|name| vec![name, "service".into()])),
    );
    let addressed =
        nodes().map(|(i, node)| vec![node, format!("10.200.{}.{}", 1 + i / 250, 1 + i % 250)]);
    cluster.restore(
        "hosts",
        "#node,ip",
        addressed.chain(
            servers()
                .enumerate()
                .map(|(i, name)| vec![name, format!("10.201.0.{}", i + 1)]),
        ),
    );
    cluster.restore(
        "networks",
        "#netname,net,mask",
        [vec!["cn".into(), "10.200.0.0".into(), "/16".into()]],
    );
    cluster.restore(
        "noderes",
        "#node,servicenode,xcatmaster,tftpserver",
        nodes().map(|(i, node)| {
            let pool = format!("{},{}", server(i), server(i + 1));
            let master = format!("10.201.0.{}", 1 + i % SERVERS);
            vec![node, pool, master.clone(), master]
        }),
    );
    cluster
}

/// The same rows, read and changed by the shell: three columns of each node, one transaction.
fn statements(tables: &Path) -> String {
    let mut text = String::from(".output /dev/null\n");
    // noderes is the main database: the journal of a change needs a file beside it.
    text.push_str(&format!(
        ".open '{}'\n",
        tables.join("noderes.sqlite").display()
    ));
    for table in READ.iter().filter(|table| **table != "noderes") {
        let file = tables.join(format!("{table}.sqlite"));
        text.push_str(&format!(
            "attach '{}' as a{table};\nselect * from a{table}.{table};\ndetach a{table};\n",
            file.display()
        ));
    }
    text.push_str("select * from noderes;\nbegin immediate;\n");
    for i in 1..=NODES {
        let pool = format!("sv{},sv{}", 1 + (i + 1) % SERVERS, 1 + i % SERVERS);
        text.push_str(&format!(
            "update noderes set servicenode='{pool}', xcatmaster='10.200.0.1', tftpserver='10.200.0.1' where node='c{i}';\n"
        ));
    }
    text.push_str("commit;\n");
    text
}

fn one_transaction_each(tables: &Path) -> f64 {
    let tables = Tables::open(&Location::sqlite(tables)).expect("tables");
    let started = Instant::now();
    for i in 1..=SAMPLE {
        let node = format!("c{i}");
        let cells = [
            ("servicenode", Some("sv1,sv2")),
            ("xcatmaster", Some("10.200.0.1")),
        ];
        tables
            .transaction(&["noderes"], |change| {
                change.put("noderes", &[("node", node.as_str())], &cells)
            })
            .expect("commit");
    }
    started.elapsed().as_secs_f64() * (NODES / SAMPLE) as f64
}

/// The rows as they were.
fn clear(tables: &Path) {
    let mut text = String::from("begin;\n");
    for i in 1..=NODES {
        let master = format!("10.201.0.{}", 1 + i % SERVERS);
        text.push_str(&format!(
            "update noderes set servicenode='sv{},sv{}', xcatmaster='{master}', tftpserver='{master}' where node='c{i}';\n",
            1 + i % SERVERS,
            1 + (i + 1) % SERVERS
        ));
    }
    text.push_str("commit;\n");
    let file = tables.join("clear.sql");
    fs::write(&file, text).expect("script");
    let mut command = Command::new("sqlite3");
    command.arg(tables.join("noderes.sqlite"));
    command.stdin(fs::File::open(&file).expect("script"));
    timed(&mut command);
}

fn timed(command: &mut Command) -> f64 {
    let started = Instant::now();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("start");
    let took: Duration = started.elapsed();
    assert!(output.status.success(), "{output:?}");
    took.as_secs_f64()
}
