//! Private tables, filled from the fixtures.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod judge;

use std::path::{Path, PathBuf};

pub use judge::judge;
use serde_json::Value;
use xcat_tables::{Error, Location, Tables};

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Pg,
}

pub struct Scratch {
    /// The table files, if that is the engine.
    pub dir: tempfile::TempDir,
    pub tables: Tables,
    pub engine: Engine,
}

pub fn empty() -> Scratch {
    empty_on(Engine::Sqlite).unwrap()
}

pub fn fixture(name: &str) -> Scratch {
    fixture_on(Engine::Sqlite, name).unwrap()
}

/// None if the engine is not installed here.
pub fn empty_on(engine: Engine) -> Option<Scratch> {
    let dir = tempfile::tempdir().unwrap();
    let location = match engine {
        Engine::Sqlite => Location::sqlite(dir.path()),
        Engine::Pg => {
            let server = postgres_server::shared()?;
            location(&server.setting(&server.database()))
        }
    };
    let tables = Tables::open(&location).unwrap();
    Some(Scratch {
        dir,
        tables,
        engine,
    })
}

/// None if the engine is not installed here.
pub fn fixture_on(engine: Engine, name: &str) -> Option<Scratch> {
    let scratch = empty_on(engine)?;
    let directory = vectors().join("fixtures").join(name);
    scratch.tables.load(&directory).unwrap();
    Some(scratch)
}

/// As `XCATCFG` has it.
pub fn location(setting: &str) -> Location {
    Location::parse(Path::new("XCATCFG"), setting).unwrap()
}

/// Both engines, as far as they are installed, each with the fixture.
pub fn engines(name: &str) -> Vec<Scratch> {
    let engines = [Engine::Sqlite, Engine::Pg].into_iter();
    engines
        .filter_map(|engine| fixture_on(engine, name))
        .collect()
}

pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The cases of a file, one JSON object per line.
pub fn cases(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(vectors().join(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs a change whose only errors are the tables'.
pub fn change<R>(
    tables: &Tables,
    names: &[&str],
    work: impl FnOnce(&xcat_tables::Transaction<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    tables.transaction(names, work)
}
