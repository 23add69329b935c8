//! Dumps and restores, byte for byte what tabdump and tabrestore do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use serde_json::{Map, Value};
use support::{
    Engine, Scratch, cases, change, empty, empty_on, engines, fixture, fixture_on, judge, vectors,
};
use xcat_tables::{Error, Filter, RestoreError, Selection, records};

#[test]
fn dumps_are_tabdumps_bytes() {
    let dir = vectors().join("tabdump");
    let index: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("index.json")).unwrap()).unwrap();
    let results = index
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["rc"] == 0)
        .map(|case| {
            let (name, table) = (
                case["case"].as_str().unwrap(),
                case["table"].as_str().unwrap(),
            );
            let source = tempfile::tempdir().unwrap();
            std::fs::copy(
                dir.join(format!("{name}.sql")),
                source.path().join(format!("{table}.sql")),
            )
            .unwrap();
            let scratch = empty();
            scratch.tables.load(source.path()).unwrap();
            let found = scratch.tables.dump(table).unwrap();
            let wanted = std::fs::read(dir.join(format!("{name}.csv"))).unwrap();
            let result = if found == wanted {
                Ok(())
            } else {
                Err(format!(
                    "{}\nfor\n{}",
                    String::from_utf8_lossy(&found),
                    String::from_utf8_lossy(&wanted)
                ))
            };
            (name.to_string(), result)
        });
    judge("tabdump", results.collect());
}

#[test]
fn filters_are_tabdumps() {
    let scratch = empty();
    let source = tempfile::tempdir().unwrap();
    let dir = vectors().join("tabdump");
    std::fs::copy(
        dir.join("where_nodehm.sql"),
        source.path().join("nodehm.sql"),
    )
    .unwrap();
    scratch.tables.load(source.path()).unwrap();
    let mut seen = 0;
    for case in cases("tabdump/where.jsonl") {
        let filters = case["w"].as_array().unwrap().iter();
        let filters: Result<Vec<Filter>, _> = filters
            .map(|text| Filter::parse(text.as_str().unwrap()))
            .collect();
        let found = filters.map_err(Error::from).and_then(|filters| {
            let selection = Selection {
                filters,
                last: None,
            };
            scratch.tables.dump_selected("nodehm", &selection)
        });
        match found {
            Ok(dump) => assert_eq!(case["stdout"], String::from_utf8(dump).unwrap(), "{case}"),
            // Where Perl dies, any error will do.
            Err(_) if case["perl_crash"] == true => {}
            Err(error) => assert_eq!(case["stderr"], format!("Error: {error}\n"), "{case}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 22);
}

#[test]
fn the_last_rows_are_counted_back_from_the_highest_number() {
    let scratch = empty();
    let dump = b"#audittime\na\nb\nc\nd\n";
    scratch
        .tables
        .restore("auditlog", "d", dump, false)
        .unwrap();
    change(&scratch.tables, &["auditlog"], |t| {
        t.delete("auditlog", &[("recid", "3")])
    })
    .unwrap();
    let last = |last: u32, filter: Option<&str>| -> Vec<String> {
        let filters = filter.map(|text| Filter::parse(text).unwrap());
        let selection = Selection {
            filters: filters.into_iter().collect(),
            last: Some(last),
        };
        let rows = scratch.tables.selected("auditlog", &selection).unwrap();
        rows.map(|row| row.get("recid").unwrap().into()).collect()
    };
    assert_eq!(last(2, None), ["4"]);
    assert_eq!(last(3, None), ["2", "4"]);
    assert_eq!(last(9, Some("audittime!=b")), ["1", "4"]);
    assert_eq!(last(0, None), [""; 0]);
    let site = Selection {
        last: Some(1),
        ..Selection::default()
    };
    assert!(matches!(
        scratch.tables.dump_selected("site", &site),
        Err(Error::Filter(_))
    ));
}

#[test]
fn events_that_are_alike_are_all_restored() {
    for scratch in [Engine::Sqlite, Engine::Pg]
        .into_iter()
        .filter_map(empty_on)
    {
        let tables = &scratch.tables;
        let events = b"#audittime,userid\nt,u\nt,u\nt,v\n";
        tables.restore("auditlog", "d", events, false).unwrap();
        let dump = tables.dump("auditlog").unwrap();
        tables.restore("auditlog", "d", &dump, false).unwrap();
        assert_eq!(tables.rows("auditlog").unwrap().len(), 3);
        // Adding them again adds nothing, as with tabrestore.
        tables.restore("auditlog", "d", &dump, true).unwrap();
        assert_eq!(tables.rows("auditlog").unwrap().len(), 3);
    }
}

const LOST: &str = "two \n\n lines\t\n\r\nend \n";

#[test]
fn a_dump_keeps_what_tabrestore_loses() {
    let scratch = empty();
    let tables = &scratch.tables;
    tables.create_missing().unwrap();
    change(tables, &["site"], |t| {
        t.insert("site", &[("key", Some("a")), ("value", Some(LOST))])?;
        t.insert("site", &[("key", Some("b \n ")), ("value", Some(" x "))])
    })
    .unwrap();
    let dump = tables.dump("site").unwrap();
    tables.restore("site", "site", &dump, false).unwrap();
    assert_eq!(tables.site("a").unwrap().as_deref(), Some(LOST));
    assert_eq!(tables.site("b \n ").unwrap().as_deref(), Some(" x "));
    assert_eq!(tables.dump("site").unwrap(), dump);
    // An edited file is read as tabrestore reads it: a heading of one's own, or another system's ends
    // of lines.
    tables
        .restore("site", "site", b"#key,value\n\"a\",\"x \n\ny\"\n", false)
        .unwrap();
    assert_eq!(tables.site("a").unwrap().as_deref(), Some("x\ny"));
    tables
        .restore(
            "site",
            "site",
            b"#key,value,comments,disable\r\n\"a\",\"x \r\ny\",,\r\n",
            false,
        )
        .unwrap();
    assert_eq!(tables.site("a").unwrap().as_deref(), Some("x\ny"));
    let blank = tables.restore("site", "site", b"#key,value,comments,disable\n \n", false);
    assert!(blank.unwrap_err().to_string().contains("the line is blank"));
}

#[test]
fn columns_of_a_newer_schema_are_dumped_and_come_back() {
    let scratch = empty();
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("nodehm.sql");
    let text = "CREATE TABLE nodehm (node VARCHAR(128), mgt TEXT, comments TEXT, disable TEXT, \
                newer TEXT, unused TEXT, PRIMARY KEY (node));";
    std::fs::write(
        &file,
        format!("{text} INSERT INTO nodehm (node, mgt) VALUES ('n1', 'x');"),
    )
    .unwrap();
    scratch.tables.load(source.path()).unwrap();
    let without = String::from_utf8(scratch.tables.dump("nodehm").unwrap()).unwrap();
    assert!(
        without
            .lines()
            .next()
            .unwrap()
            .ends_with(",comments,disable"),
        "{without}"
    );
    change(&scratch.tables, &["nodehm"], |t| {
        t.put("nodehm", &[("node", "n1")], &[("newer", Some("kept \n"))])
    })
    .unwrap();
    let dump = scratch.tables.dump("nodehm").unwrap();
    let shown = String::from_utf8(dump.clone()).unwrap();
    assert!(
        shown.lines().next().unwrap().ends_with(",disable,newer"),
        "{shown}"
    );
    scratch
        .tables
        .restore("nodehm", "nodehm", &dump, false)
        .unwrap();
    let row = &scratch.tables.rows("nodehm").unwrap()[0];
    assert_eq!(
        (row.get("mgt"), row.get("newer")),
        (Some("x"), Some("kept \n"))
    );
}

/// A whole table as the vectors have it: NULL columns are left out. In no order: xCAT's own differs
/// by engine.
fn table(scratch: &Scratch, name: &str) -> Value {
    let rows = scratch.tables.all_rows(name).unwrap();
    let row = |row: &xcat_tables::Row| -> Value {
        let cells = row.iter().filter_map(|(column, value)| {
            let value = value?;
            // The vectors have numbers of the database's as numbers.
            let value = if column == "recid" {
                value.parse::<i64>().unwrap().into()
            } else {
                Value::from(value)
            };
            Some((column.to_string(), value))
        });
        cells.collect::<Map<String, Value>>().into()
    };
    sorted(rows.iter().map(row).collect::<Vec<_>>().into())
}

fn sorted(mut rows: Value) -> Value {
    if let Some(rows) = rows.as_array_mut() {
        rows.sort_by_key(ToString::to_string);
    }
    rows
}

/// What Perl says, but for what the database said: each engine has its own words.
fn without_the_databases_words(text: &str, engine: Engine) -> String {
    match (engine, text.strip_prefix("DB error ")) {
        (Engine::Pg, Some(rest)) => {
            let at = rest.find(" with line ").unwrap_or_default();
            format!("DB error{}", &rest[at..])
        }
        _ => text.to_string(),
    }
}

fn restored(engine: Engine, case: &Value) -> Result<(), String> {
    let scratch = fixture_on(engine, "ops").unwrap();
    let name = case["table"].as_str().unwrap();
    let before = scratch.tables.dump(name).ok();
    let dump = case["csv"].as_str().unwrap().as_bytes();
    let result = scratch
        .tables
        .restore(name, "dump", dump, case["addrows"] == true);
    if case["rc"] == 0 {
        result.map_err(|error| error.to_string())?;
        let wanted = case["changed"].get(name).cloned().map(sorted);
        let found = table(&scratch, name);
        return match wanted {
            Some(wanted) if wanted != found => Err(format!("{found} for {wanted}")),
            _ => Ok(()),
        };
    }
    let Err(error) = result else {
        return Err("no error".into());
    };
    if scratch.tables.dump(name).ok() != before {
        return Err("something was changed".into());
    }
    // The last line is tabrestore's own; the one before is Perl's.
    let wanted = case["stderr"].as_str().unwrap().trim_end_matches('\n');
    let wanted = wanted
        .rsplit_once("Error: ")
        .map_or(wanted, |(_, text)| text);
    let words = |text: &str| without_the_databases_words(text, engine);
    match error {
        Error::Restore { error, .. } if words(&error.to_string()) == words(wanted) => Ok(()),
        // Where xCAT gives no reason, ours has one.
        Error::Restore {
            error: RestoreError::Refused { why, line, record },
            ..
        } if wanted == format!("DB error  with line {line}: {record}") && !why.is_empty() => Ok(()),
        Error::UnknownTable(name) if wanted == format!("Unable to open {name}") => Ok(()),
        other => Err(format!("{other} for {wanted}")),
    }
}

#[test]
fn restores_are_tabrestores() {
    for engine in [Engine::Sqlite, Engine::Pg] {
        if empty_on(engine).is_none() {
            return;
        }
        let results = cases("tabrestore.jsonl").into_iter().map(|case| {
            let id = case["id"].as_str().unwrap().to_string();
            (id, restored(engine, &case))
        });
        judge("tabrestore", results.collect());
    }
}

#[test]
fn every_fixture_survives_dump_and_restore() {
    for name in ["attrs", "basic", "hpc", "empty", "ops"] {
        for from in engines(name) {
            let to = empty_on(from.engine).unwrap();
            to.tables.create_missing().unwrap();
            for table in xcat_tables::table_names() {
                let dump = from.tables.dump(table).unwrap();
                // Each empty table costs a server three connections, and shows nothing new.
                let empty = dump.iter().filter(|byte| **byte == b'\n').count() == 1;
                if empty && from.engine == Engine::Pg {
                    continue;
                }
                to.tables.restore(table, table, &dump, false).unwrap();
                assert_eq!(to.tables.dump(table).unwrap(), dump, "{name}/{table}");
            }
        }
    }
}

#[test]
fn a_load_is_all_or_nothing_and_reaches_no_file() {
    let scratch = fixture("ops");
    let before = scratch.tables.dump("site").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("site.csv"), "#key,value\n\"a\",\"b\"\n").unwrap();
    std::fs::write(dir.path().join("switch.csv"), "#node,nosuch\n").unwrap();
    assert!(scratch.tables.load(dir.path()).is_err());
    assert_eq!(scratch.tables.dump("site").unwrap(), before);
    std::fs::remove_file(dir.path().join("switch.csv")).unwrap();
    let outside = dir.path().join("outside");
    for statement in [
        format!("ATTACH '{}' AS x", outside.display()),
        format!("CREATE TABLE t(a); VACUUM INTO '{}'", outside.display()),
        "CREATE TABLE other(a)".to_string(),
        "nonsense".to_string(),
    ] {
        std::fs::write(dir.path().join("switch.sql"), &statement).unwrap();
        let error = scratch.tables.load(dir.path()).unwrap_err();
        assert!(error.to_string().contains("switch.sql: "), "{error}");
        assert!(!outside.exists(), "{statement}");
    }
    std::fs::remove_file(dir.path().join("switch.sql")).unwrap();
    assert_eq!(scratch.tables.load(dir.path()).unwrap(), ["site"]);
    assert_eq!(scratch.tables.site("a").unwrap().as_deref(), Some("b"));
}

fn taken_apart(text: &[u8]) -> Result<xcat_tables::Records, xcat_tables::RestoreError> {
    let whole = ["a", "b", "c"].map(String::from);
    records("t", text, |column| "abc".contains(column), &whole)
}

proptest! {
    #[test]
    fn any_bytes_are_records_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = body_of(&bytes);
    }

    #[test]
    fn likely_texts_too(text in "[a\",\n \r#]{0,60}") {
        if let Ok(found) = body_of(text.as_bytes()) {
            prop_assert!(found.records.iter().all(|record| record.values.len() == 3));
        }
    }

}

proptest! {
    // Each case writes to a disk several times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn values_come_back(rows in prop::collection::vec(("[^\u{0}]{1,12}", prop::option::of("[ -~\n\r\t]{2,12}")), 0..8)) {
        // A lone line end is no value to anybody.
        prop_assume!(rows.iter().all(|(key, _)| key != "\n"));
        let mut keys: Vec<&String> = rows.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        prop_assume!(keys.len() == rows.len());
        let scratch = empty();
        scratch.tables.restore("site", "site", b"#key,value\n", false).unwrap();
        change(&scratch.tables, &["site"], |t| {
            for (key, value) in &rows {
                t.insert("site", &[("key", Some(key)), ("value", value.as_deref())])?;
            }
            Ok(())
        }).unwrap();
        let dump = scratch.tables.dump("site").unwrap();
        // csv, which knows nothing of ours, reads the same values.
        let mut reader = csv::Reader::from_reader(&dump[..]);
        let seen: Vec<String> = reader.records().map(|record| record.unwrap()[0].to_string()).collect();
        prop_assert_eq!(seen, rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
        scratch.tables.restore("site", "site", &dump, false).unwrap();
        prop_assert_eq!(scratch.tables.dump("site").unwrap(), dump);
    }
}

fn body_of(body: &[u8]) -> Result<xcat_tables::Records, xcat_tables::RestoreError> {
    let _ = taken_apart(body);
    taken_apart(&[&b"#a,b,c\n"[..], body].concat())
}
