//! A small cluster in a directory, and commands that stand in for xCAT's.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use boot_target::Target;
use xcat_tables::{Location, Tables, Transaction};

/// Writes an executable shell script. Another program writes it: a descriptor of ours, open for
/// writing, could be held by a child that another test forks just then, and the script not be run.
pub fn script(path: &Path, body: &str) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("#!/bin/sh\n{body}\n");
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(shell.wait().unwrap().success());
    path.to_path_buf()
}

/// Owned names.
pub fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

/// Runs `body` in a process of its own, which has its own environment: our directories, and xCAT's,
/// are all below the directory that it gets. `test` is the name of the calling test.
pub fn isolated(test: &str, body: impl FnOnce(&World)) {
    if let Some(dir) = std::env::var_os("CASE_DIR") {
        return body(&World::open(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().unwrap();
    World::make(dir.path());
    assert!(command(test, dir.path(), "").status().unwrap().success());
}

/// What part of its test a process is to play, if not the first.
pub fn role() -> String {
    std::env::var("CASE_ROLE").unwrap_or_default()
}

fn command(test: &str, dir: &Path, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture"])
        .env("CASE_DIR", dir)
        .env("CASE_ROLE", role)
        .env("NODETOOLS_ROOT", dir.join("root"))
        .env("XCATROOT", dir.join("xcat"));
    command
}

/// The cluster.
pub struct World {
    pub dir: PathBuf,
    pub tables: Tables,
}

impl World {
    fn make(dir: &Path) {
        std::fs::create_dir(dir.join("tables")).unwrap();
        World::open(dir).tables.create_missing().unwrap();
    }

    fn open(dir: &Path) -> World {
        let tables = Tables::open(&Location::sqlite(dir.join("tables"))).unwrap();
        World {
            dir: dir.to_path_buf(),
            tables,
        }
    }

    /// The test again in another process, to play `role`; perhaps behind another program.
    pub fn again(&self, test: &str, role: &str, behind: &[&str]) -> ExitStatus {
        let inner = command(test, &self.dir, role);
        let Some((program, args)) = behind.split_first() else {
            return { inner }.status().unwrap();
        };
        let mut outer = Command::new(program);
        outer
            .args(args)
            .arg(inner.get_program())
            .args(inner.get_args());
        for (name, value) in inner.get_envs() {
            outer.env(name, value.unwrap());
        }
        outer.status().unwrap()
    }

    pub fn path(&self, below_root: &str) -> PathBuf {
        self.dir.join("root").join(below_root)
    }

    /// The boot script of a node, empty if there is none.
    pub fn script(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("tftpboot/xcat/xnba/nodes").join(name))
            .unwrap_or_default()
    }

    pub fn put_script(&self, name: &str, text: &str) {
        let dir = self.path("tftpboot/xcat/xnba/nodes");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }

    /// A directory to boot from, with genesis for x86_64 in it.
    pub fn tftp(&self) {
        let dir = self.path("tftpboot/xcat");
        std::fs::create_dir_all(&dir).unwrap();
        for file in ["genesis.kernel.x86_64", "genesis.fs.x86_64.gz"] {
            std::fs::write(dir.join(file), "x").unwrap();
        }
    }

    /// Nodes of that architecture.
    pub fn nodes(&self, nodes: &[&str]) {
        for node in nodes {
            self.put("nodelist", node, &[("groups", "all")]);
            self.put("nodetype", node, &[("arch", "x86_64")]);
        }
    }

    pub fn put(&self, table: &str, node: &str, values: &[(&str, &str)]) {
        let values: Vec<(&str, Option<&str>)> = values
            .iter()
            .map(|(name, value)| (*name, Some(*value)))
            .collect();
        let key = if table == "site" { "key" } else { "node" };
        self.tables
            .transaction(&[table], |change: &Transaction| {
                change.put(table, &[(key, node)], &values)
            })
            .unwrap();
    }

    /// A column of a node's own row.
    pub fn get(&self, table: &str, node: &str, column: &str) -> Option<String> {
        let rows = self.tables.rows(table).unwrap();
        let row = rows.iter().find(|row| row.get("node") == Some(node))?;
        row.get(column).map(str::to_string)
    }

    /// `currstate` and `currchain`.
    pub fn chain(&self, node: &str) -> (Option<String>, Option<String>) {
        (
            self.get("chain", node, "currstate"),
            self.get("chain", node, "currchain"),
        )
    }

    /// One of xCAT's commands; each call is a line in its log.
    pub fn xcat(&self, name: &str, body: &str) {
        let log = self.dir.join(format!("{name}.log"));
        let body = format!("echo \"$*\" >>'{}'\n{body}", log.display());
        script(&self.dir.join("xcat/bin").join(name), &body);
    }

    /// The calls of a command so far.
    pub fn calls(&self, name: &str) -> Vec<String> {
        let log = self.dir.join(format!("{name}.log"));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// How many nodes have a record of what they booted.
    pub fn records(&self) -> usize {
        let dir = self.path("var/lib/xcat-nodetools/boot");
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .count()
    }
}

/// What `getadapter` arms.
pub fn target() -> Target {
    Target {
        action: "runcmd=getadapter".into(),
        report: "10.0.0.1:4001".into(),
        pin: "ab".repeat(32),
        nonce: "0123456789abcdef0123456789abcdef".into(),
        ..Target::default()
    }
}

pub fn some(state: &str, chain: &str) -> (Option<String>, Option<String>) {
    (Some(state.to_string()), Some(chain.to_string()))
}

/// The nodes that failed, with the reason.
pub fn failures(results: BTreeMap<String, Result<(), String>>) -> BTreeMap<String, String> {
    results
        .into_iter()
        .filter_map(|(node, result)| Some((node, result.err()?)))
        .collect()
}

/// A body for `nodeset` and `rsetboot` that is content with every node.
pub const CONTENT: &str =
    "echo \"$1\" | tr , '\\n' | while read -r node; do echo \"$node: $2\"; done";
