//! The built program on private tables.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Tables {
    pub dir: tempfile::TempDir,
    /// What `XCATCFG` says.
    pub setting: String,
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The fixtures that the library is tested with.
pub fn fixture(name: &str) -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
    crates.join("xcat-tables/tests/vectors/fixtures").join(name)
}

impl Tables {
    pub fn empty() -> Tables {
        let dir = tempfile::tempdir().unwrap();
        let tables = dir.path().join("tables");
        std::fs::create_dir(&tables).unwrap();
        let setting = format!("SQLite:{}", tables.display());
        Tables { dir, setting }
    }

    pub fn loaded(name: &str) -> Tables {
        let tables = Tables::empty();
        tables
            .run(&["load", fixture(name).to_str().unwrap()])
            .ok("");
        tables
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NODETOOLS_ROOT", self.dir.path())
            .env("XCATCFG", &self.setting)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn xtab(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtab"));
        command.args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        ended(&mut self.xtab(args))
    }

    pub fn run_with(&self, args: &[&str], input: &str) -> Ended {
        let mut child = self
            .xtab(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().into()
    }

    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("tables")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub fn ended(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Ended {
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn ok(&self, out: &str) {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        assert_eq!(self.out, out);
    }

    /// Ends with `code` and one message that starts so; nothing on standard output.
    #[track_caller]
    pub fn fails(&self, code: i32, message: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "");
        assert!(
            self.err.starts_with(&format!("xtab: {message}")),
            "{self:?}"
        );
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
    }
}
