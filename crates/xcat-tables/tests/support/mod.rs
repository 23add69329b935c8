//! Private tables, filled from the fixtures.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use xcat_tables::{Error, Location, Tables};

pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub tables: Tables,
}

pub fn empty() -> Scratch {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(&Location::sqlite(dir.path())).unwrap();
    Scratch { dir, tables }
}

pub fn fixture(name: &str) -> Scratch {
    let scratch = empty();
    scratch
        .tables
        .load(&vectors().join("fixtures").join(name))
        .unwrap();
    scratch
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

/// Checks every case against the list of those not met yet, `ID reason` per line: a listed case that
/// passes and an unlisted one that fails are both failures, so the list can only shrink.
pub fn judge(list: &str, results: Vec<(String, Result<(), String>)>) {
    let text = std::fs::read_to_string(vectors().join(list)).unwrap();
    let unmet: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for id in &unmet {
        assert!(
            results.iter().any(|(case, _)| case == id),
            "{list}: no case {id}"
        );
    }
    let mut wrong = Vec::new();
    for (id, result) in results {
        match result {
            Ok(()) if unmet.contains(&id.as_str()) => {
                wrong.push(format!("{id}: met, take it off {list}"))
            }
            Err(why) if !unmet.contains(&id.as_str()) => wrong.push(format!("{id}: {why}")),
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Runs a change whose only errors are the tables'.
pub fn change<R>(
    tables: &Tables,
    names: &[&str],
    work: impl FnOnce(&xcat_tables::Transaction<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    tables.transaction(names, work)
}
