//! A site on loopback: tables, stubs of xCAT's commands that write down how they were called, a stub of ssh.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use xcat_tables::{Location, Tables};

pub(crate) struct Site {
    dir: tempfile::TempDir,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn ok(&self) -> &Ended {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

/// Each a table, its key, and the other columns.
type Rows = [(
    &'static str,
    (&'static str, &'static str),
    &'static [(&'static str, &'static str)],
)];

const ROWS: &Rows = &[
    ("site", ("key", "master"), &[("value", "127.0.0.1")]),
    ("nodelist", ("node", "n1"), &[("groups", "compute,all")]),
    ("nodelist", ("node", "n2"), &[("groups", "compute,all")]),
    ("nodelist", ("node", "n3"), &[("groups", "compute,all")]),
    ("nodelist", ("node", "alone"), &[("groups", "all")]),
    ("nodelist", ("node", "aix"), &[("groups", "all")]),
    ("nodelist", ("node", "sn1"), &[("groups", "service")]),
    ("nodelist", ("node", "sn2"), &[("groups", "service")]),
    ("nodelist", ("node", "sn3"), &[("groups", "service")]),
    ("hosts", ("node", "n1"), &[("ip", "127.3.1.1")]),
    ("hosts", ("node", "n2"), &[("ip", "127.3.1.2")]),
    ("hosts", ("node", "n3"), &[("ip", "127.3.1.3")]),
    ("hosts", ("node", "alone"), &[("ip", "127.3.1.4")]),
    ("hosts", ("node", "aix"), &[("ip", "127.3.1.5")]),
    ("hosts", ("node", "sn1"), &[("ip", "127.2.0.11")]),
    ("hosts", ("node", "sn2"), &[("ip", "127.2.0.12")]),
    ("hosts", ("node", "sn3"), &[("ip", "127.2.0.13")]),
    (
        "servicenode",
        ("node", "sn1"),
        &[("tftpserver", "1"), ("conserver", "1")],
    ),
    (
        "servicenode",
        ("node", "sn2"),
        &[("tftpserver", "1"), ("conserver", "1")],
    ),
    (
        "networks",
        ("netname", "cn"),
        &[("net", "127.3.0.0"), ("mask", "255.255.0.0")],
    ),
    (
        "noderes",
        ("node", "compute"),
        &[("servicenode", "sn1,sn2"), ("xcatmaster", "127.3.0.11")],
    ),
    ("noderes", ("node", "n1"), &[("tftpserver", "127.3.0.11")]),
    ("nodehm", ("node", "n1"), &[("conserver", "sn1")]),
    (
        "nodetype",
        ("node", "compute"),
        &[("os", "rhels9"), ("provmethod", "img")],
    ),
    ("nodetype", ("node", "aix"), &[("os", "AIX")]),
    ("ppc", ("node", "n2"), &[("hcp", "sn1")]),
    (
        "postscripts",
        ("node", "xcatdefaults"),
        &[("postscripts", "syslog,remoteshell")],
    ),
];

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site {
            dir: tempfile::tempdir().unwrap(),
        };
        for dir in ["tables", "usr/bin", "opt/xcat/bin"] {
            std::fs::create_dir_all(site.path(dir)).unwrap();
        }
        let tables = site.tables();
        tables.create_missing().unwrap();
        let names: std::collections::BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
        let names: Vec<&str> = names.into_iter().collect();
        tables
            .transaction(&names, |transaction| -> Result<(), xcat_tables::Error> {
                for (table, key, cells) in ROWS {
                    let row: Vec<(&str, Option<&str>)> = std::iter::once(key)
                        .chain(*cells)
                        .map(|(column, value)| (*column, Some(*value)))
                        .collect();
                    transaction.insert(table, &row)?;
                }
                Ok(())
            })
            .unwrap();
        for name in ["makeconservercf", "nodeset", "updatenode"] {
            site.stub(name, "");
        }
        site.stub(
            "xdsh",
            "echo \"$1:     inet 127.3.0.12/16 scope global eth1\"\n",
        );
        site.script(
            "usr/bin/ssh",
            "#!/bin/sh\ncat >/dev/null\necho 'udhcpc asked again'\n",
        );
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command of xCAT's that writes down how it was called, then does this.
    pub(crate) fn stub(&self, name: &str, then: &str) {
        let calls = self.path("calls");
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >>'{}'\n{then}",
            calls.display()
        );
        self.script(&format!("opt/xcat/bin/{name}"), &text);
    }

    pub(crate) fn calls(&self) -> String {
        std::fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    pub(crate) fn mode(&self, file: &str, mode: u32) {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_snmove"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env(
                "XCATCFG",
                format!("SQLite:{}", self.path("tables").display()),
            )
            .env("NODETOOLS_ROOT", self.dir.path())
            .env("XCATROOT", self.path("opt/xcat"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The rows of `noderes` and `nodehm`, one a line, cells without a value left out.
    pub(crate) fn rows(&self) -> String {
        let tables = self.tables();
        let mut lines = Vec::new();
        for table in ["nodehm", "noderes"] {
            for row in tables.all_rows(table).unwrap() {
                let cells = row.iter().filter(|(column, _)| *column != "node");
                let mut cells: Vec<String> = cells
                    .filter_map(|(column, value)| Some(format!(" {column}={}", value?)))
                    .collect();
                cells.sort();
                if !cells.is_empty() {
                    let node = row.raw("node").unwrap();
                    lines.push(format!("{table} {node}{}\n", cells.concat()));
                }
            }
        }
        lines.sort();
        lines.concat()
    }

    pub(crate) fn set(&self, table: &str, node: &str, column: &str, value: Option<&str>) {
        let write = |transaction: &xcat_tables::Transaction<'_>| {
            transaction.put(table, &[("node", node)], &[(column, value)])
        };
        self.tables().transaction(&[table], write).unwrap();
    }

    pub(crate) fn put(&self, table: &str, key: &str, name: &str, cells: &[(&str, &str)]) {
        let cells: Vec<(&str, Option<&str>)> = cells.iter().map(|(c, v)| (*c, Some(*v))).collect();
        let write = |transaction: &xcat_tables::Transaction<'_>| {
            transaction.put(table, &[(key, name)], &cells)
        };
        self.tables().transaction(&[table], write).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        self.mode(path.to_str().unwrap(), 0o755);
    }

    fn tables(&self) -> Tables {
        Tables::open(&Location::sqlite(self.path("tables"))).unwrap()
    }
}
