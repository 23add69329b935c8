//! The built program on private tables and a private store.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout
)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use xcat_tables::{Location, Tables};

pub const MIB: u64 = 1 << 20;

pub struct Place {
    dir: tempfile::TempDir,
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    /// Empty tables, and no store.
    pub fn new() -> Place {
        let place = Place::without_tables();
        place.tables().create_missing().unwrap();
        place
    }

    pub fn without_tables() -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.path("tables")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn tables(&self) -> Tables {
        Tables::open(&Location::sqlite(self.path("tables"))).unwrap()
    }

    /// The value of a column in the image's row of a table.
    pub fn column(&self, table: &str, image: &str, column: &str) -> Option<String> {
        let rows = self
            .tables()
            .rows_where(table, &[("imagename", image)])
            .unwrap();
        assert!(rows.len() < 2);
        Some(rows.first()?.get(column).unwrap_or_default().to_string())
    }

    /// Where the store is.
    pub fn images(&self, name: &str) -> PathBuf {
        self.path("var/lib/xcat-nodetools/images").join(name)
    }

    /// What is in a directory of the store.
    pub fn entries(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.images(name)) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// A sparse disk with some noise at its beginning and another at its end.
    pub fn disk(&self, name: &str, size: u64, seed: u8) -> PathBuf {
        let path = self.path(name);
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        let noise = |at: u64| {
            let byte = move |i: u64| ((i * i + at) >> 3) as u8 ^ seed;
            (0..20_000).map(byte).collect::<Vec<u8>>()
        };
        file.write_all_at(&noise(1), 0).unwrap();
        file.write_all_at(&noise(2), size - 20_000).unwrap();
        path
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NODETOOLS_ROOT", self.dir.path())
            .env(
                "XCATCFG",
                format!("SQLite:{}", self.path("tables").display()),
            )
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        ended(&mut self.command(env!("CARGO_BIN_EXE_osload"), args))
    }

    pub fn add(&self, name: &str, file: &str) -> Ended {
        self.run(&["image", "add", name, file, "--format", "raw"])
    }

    /// The digest of the image that a name means.
    pub fn digest(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.images("names").join(name)).ok()?;
        Some(text.trim_end().to_string())
    }
}

impl Ended {
    #[track_caller]
    pub fn code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// True if strace is there; in CI it has to be.
pub fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "strace: is missing, and this is CI"
    );
    if !found {
        println!("skipped: strace: is missing");
    }
    found
}
