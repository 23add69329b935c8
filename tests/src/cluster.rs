//! A cluster of simulated nodes on loopback: node `nI` has the address 127.1.x.y.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Finished, Running, bare, program};

/// Private tables, directories and a hook.
#[derive(Debug)]
pub struct Cluster {
    root: tempfile::TempDir,
    /// callbackd's port.
    pub port: u16,
    nodes: usize,
    /// `XCATCFG`; none: SQLite files in the cluster's own directory.
    setting: Option<String>,
}

/// One call of the site's hook.
#[derive(Debug, Clone)]
pub struct Boot {
    /// e.g. `runcmd=getadapter`.
    pub action: String,
    /// Where to report.
    pub report: String,
    /// The listener's key.
    pub pin: String,
    /// The claim's nonce.
    pub nonce: String,
    /// Which nodes.
    pub nodes: Vec<String>,
}

impl Cluster {
    /// Nodes `n1`..`nCOUNT` in group `all`, a free port, a hook whose calls [`Cluster::booted`]
    /// takes.
    pub fn new(count: usize) -> Cluster {
        Cluster::with(count, None)
    }

    /// The same with tables on PostgreSQL; none if that is not installed.
    pub fn on_postgres(count: usize) -> Option<Cluster> {
        let server = postgres_server::shared()?;
        let setting = server.setting(&server.database());
        Some(Cluster::with(count, Some(setting)))
    }

    fn with(count: usize, setting: Option<String>) -> Cluster {
        let root = tempfile::tempdir().expect("tempdir");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let cluster = Cluster {
            root,
            port,
            nodes: count,
            setting,
        };
        fs::create_dir(cluster.path("tables")).expect("tables");
        let hook = cluster.path("hook");
        let calls = cluster.path("calls");
        nix::unistd::mkfifo(&calls, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
        // The whole call is one write to the FIFO when the test opens it.
        let script = format!(
            "#!/bin/sh\nset -eu\nnodes=$(cat)\nprintf '%s\\n' \"$1\" \"$2\" \"$NODETOOLS_PIN\" \"$NODETOOLS_NONCE\" \"$nodes\" > '{}'\n",
            calls.display()
        );
        fs::write(&hook, script).expect("hook");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("mode");
        cluster.run("xtab", &["init"]).code(0);
        cluster.restore(
            "site",
            "#key,value,comments,disable",
            [
                vec!["master".into(), "127.0.0.1".into()],
                vec!["nodetoolsport".into(), port.to_string()],
                vec!["bootcmd".into(), hook.display().to_string()],
            ],
        );
        cluster.restore(
            "nodelist",
            "#node,groups",
            (1..=count).map(|i| vec![format!("n{i}"), "all".into()]),
        );
        cluster.restore(
            "hosts",
            "#node,ip",
            (1..=count).map(|i| vec![format!("n{i}"), Cluster::address(i).to_string()]),
        );
        cluster
    }

    /// The address of node `nI`.
    pub fn address(i: usize) -> Ipv4Addr {
        let i = u16::try_from(i).expect("few nodes");
        Ipv4Addr::from([127, 1, (i >> 8) as u8, (i & 0xff) as u8])
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// A path under the cluster's root directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The directory of FIFOs.
    pub fn run_dir(&self) -> PathBuf {
        self.path("var/run/getadapter")
    }

    /// The spool.
    pub fn spool(&self) -> PathBuf {
        self.path("var/lib/xcat-nodetools/reports")
    }

    /// Reports that wait in the spool.
    pub fn waiting(&self) -> Vec<String> {
        let names = fs::read_dir(self.spool())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names
            .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        names.sort();
        names
    }

    /// Waits until nothing is left in the spool: whoever runs applies it.
    #[track_caller]
    pub fn settle(&self) {
        let started = Instant::now();
        while !self.waiting().is_empty() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the spool is not emptied: {:?}",
                self.waiting()
            );
            std::thread::yield_now();
        }
    }

    /// A command of ours in this cluster.
    pub fn command(&self, name: &str) -> Command {
        let mut command = bare(&program(name));
        self.environment(&mut command);
        command
    }

    /// Puts a command of any kind into this cluster.
    pub fn environment(&self, command: &mut Command) {
        let files = || format!("SQLite:{}", self.path("tables").display());
        command
            .env("NODETOOLS_ROOT", self.root.path())
            .env("XCATCFG", self.setting.clone().unwrap_or_else(files))
            .env("XCATROOT", self.path("opt/xcat"));
    }

    /// Runs a program of ours to its end.
    pub fn run(&self, name: &str, args: &[&str]) -> Finished {
        self.command(name).args(args).output().expect(name).into()
    }

    /// Starts a program of ours.
    pub fn start(&self, name: &str, args: &[&str]) -> Running {
        Running::start(self.command(name).args(args))
    }

    /// Waits until the hook is called and takes the call.
    pub fn booted(&self) -> Boot {
        let mut text = String::new();
        fs::File::open(self.path("calls"))
            .and_then(|mut calls| calls.read_to_string(&mut text))
            .expect("calls");
        let mut lines = text.lines().map(String::from);
        let mut next = || lines.next().expect("a whole call");
        Boot {
            action: next(),
            report: next(),
            pin: next(),
            nonce: next(),
            nodes: lines.collect(),
        }
    }

    /// What the table holds of a node.
    pub fn stored(&self, node: &str) -> Option<String> {
        let shown = self.run("xtab", &["get", node, "nics.nicsadapter", "--json"]);
        let value: serde_json::Value = serde_json::from_str(shown.stdout.trim()).expect("json");
        value["nics.nicsadapter"].as_str().map(String::from)
    }

    /// The rows of `taskstate`, without the header.
    pub fn claims(&self) -> Vec<String> {
        self.run("xtab", &["dump", "taskstate"])
            .stdout
            .lines()
            .skip(1)
            .map(String::from)
            .collect()
    }

    /// Fills a table.
    pub fn restore(&self, table: &str, header: &str, rows: impl IntoIterator<Item = Vec<String>>) {
        let mut text = format!("{header}\n");
        for row in rows {
            let fields: Vec<String> = row
                .iter()
                .map(|field| format!("\"{}\"", field.replace('"', "\"\"")))
                .collect();
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        let file = self.path(&format!("{table}.csv"));
        fs::write(&file, text).expect("csv");
        self.run("xtab", &["restore", &file.display().to_string()])
            .code(0);
    }

    /// What runs in this cluster now, whoever started it: pid and command line.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let own = format!("NODETOOLS_ROOT={}", self.root().display());
        let pids = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        // Of a process that ended meanwhile nothing can be read, and a dead one has no words.
        let found = pids.filter_map(|pid| {
            let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
            let environment = read("environ")?;
            let mut words = environment.split(|byte| *byte == 0);
            words.find(|word| *word == own.as_bytes())?;
            let command = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ");
            (!command.is_empty()).then_some((pid, command))
        });
        found.collect()
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}
