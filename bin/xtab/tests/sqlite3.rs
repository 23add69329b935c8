//! The table files as other programs find and leave them: the `sqlite3` shell stands for those.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Tables, ended};

/// True if the shell is there; else says so, and fails under CI.
fn shell() -> bool {
    let found = Command::new("sqlite3").arg("-version").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "sqlite3: is missing, and this is CI"
    );
    if !found {
        eprintln!("skipped: sqlite3 missing");
    }
    found
}

fn file(tables: &Tables, table: &str) -> std::path::PathBuf {
    tables.path("tables").join(format!("{table}.sqlite"))
}

fn sqlite3(file: &Path, statement: &str) -> String {
    let output = Command::new("sqlite3")
        .arg(file)
        .arg(statement)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_we_write_the_shell_reads_and_dumps_to_the_same_bytes() {
    if !shell() {
        return;
    }
    let ours = Tables::loaded("attrs");
    ours.run(&["set", "n1", "nodehm.mgt=a\"b,c", "nodelist.status=x"])
        .ok("");
    let theirs = Tables::empty();
    let names: Vec<String> = ours.files();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let table = name.strip_suffix(".sqlite").unwrap();
        assert_eq!(
            sqlite3(&file(&ours, table), "PRAGMA integrity_check"),
            "ok\n"
        );
        // The shell's own dump, run by the shell: a file that we did not make.
        let dump = sqlite3(&file(&ours, table), ".dump");
        let mut child = Command::new("sqlite3")
            .arg(file(&theirs, table))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(dump.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        let wanted = ours.run(&["dump", table]);
        assert_eq!(wanted.code, Some(0), "{wanted:?}");
        theirs.run(&["dump", table]).ok(&wanted.out);
        // Values as the shell sees them: undefined ones apart from empty ones.
        let nulls = format!("SELECT count(*) FROM \"{table}\" WHERE disable IS NULL");
        assert_eq!(
            sqlite3(&file(&ours, table), &nulls),
            sqlite3(&file(&theirs, table), &nulls)
        );
    }
    assert_eq!(
        sqlite3(
            &file(&ours, "nodehm"),
            "SELECT mgt FROM nodehm WHERE node = 'n1'"
        ),
        "a\"b,c\n"
    );
}

#[test]
fn a_table_of_a_newer_xcat_with_a_killed_writers_journal() {
    if !shell() {
        return;
    }
    let tables = Tables::loaded("ops");
    let nodehm = file(&tables, "nodehm");
    sqlite3(
        &nodehm,
        "ALTER TABLE nodehm ADD COLUMN newcol TEXT; UPDATE nodehm SET newcol = 'kept'",
    );
    let before = tables.run(&["dump", "nodehm"]);
    let kept = sqlite3(&nodehm, "SELECT * FROM nodehm");
    // A writer whose pages are in the file already, killed before its commit.
    let mut writer = Command::new("sqlite3")
        .arg(&nodehm)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                INSERT INTO nodehm(node, comments) SELECT 'lost' || i, hex(randomblob(200)) FROM n;";
    let statements = format!(
        "PRAGMA cache_size = 5; PRAGMA cache_spill = 1; BEGIN; UPDATE nodehm SET mgt = 'lost'; {many} SELECT 'written';\n"
    );
    let mut input = writer.stdin.take().unwrap();
    input.write_all(statements.as_bytes()).unwrap();
    input.flush().unwrap();
    let mut said = String::new();
    let out = writer.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut said).unwrap();
    assert_eq!(said, "written\n");
    writer.kill().unwrap();
    writer.wait().unwrap();
    let journal = tables.path("tables").join("nodehm.sqlite-journal");
    assert!(
        journal.metadata().unwrap().len() > 512,
        "the journal is hot"
    );
    assert!(
        nodehm.metadata().unwrap().len() > 100_000,
        "pages of the lost change are in the file"
    );
    tables.run(&["dump", "nodehm"]).ok(&before.out);
    assert!(!journal.exists());
    tables.run(&["set", "n2", "nodehm.cons=new"]).ok("");
    let after = sqlite3(&nodehm, "SELECT newcol FROM nodehm WHERE node = 'n2'");
    assert_eq!(after, "kept\n");
    assert_eq!(
        sqlite3(&nodehm, "SELECT count(*) FROM nodehm WHERE newcol = 'kept'").trim(),
        kept.lines().count().to_string()
    );
}

#[test]
fn two_writers_both_succeed_and_a_held_table_is_a_clear_error() {
    if !shell() {
        return;
    }
    let tables = Tables::loaded("ops");
    let children: Vec<_> = (1..=2)
        .map(|n| {
            let value = format!("nodehm.cons=v{n}");
            let node = format!("n{n}");
            tables
                .xtab(&["set", &node, &value, "nodelist.status=new"])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    tables
        .run(&["get", "n1,n2", "nodehm.cons"])
        .ok("n1: v1\nn2: v2\n");
    let mut holder = Command::new("sqlite3")
        .arg(file(&tables, "nodelist"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    input
        .write_all(b"BEGIN IMMEDIATE; SELECT 'held';\n")
        .unwrap();
    input.flush().unwrap();
    let mut said = String::new();
    let out = holder.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut said).unwrap();
    assert_eq!(said, "held\n");
    let refused = ended(&mut tables.xtab(&["set", "n1", "nodehm.cons=no", "nodelist.status=no"]));
    refused.fails(3, "nodelist: the table is busy");
    drop(input);
    holder.wait().unwrap();
    tables.run(&["get", "n1", "nodehm.cons"]).ok("n1: v1\n");
}
