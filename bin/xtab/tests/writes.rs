//! What chtab, tabch, nodech, nodeadd, noderm and the commands on definitions left behind
//! (vectors/writes.jsonl), and what is left behind by what one types into xtab for the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/xcat-tables/tests/support/judge.rs"]
mod judge;
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use postgres_server::Server;
use serde_json::{Map, Value};
use support::{Ended, Tables, fixture};
use xcat_tables::Location;

/// A step of doing the same with what we have.
enum Step {
    /// A command, and its words.
    Xtab(Vec<String>),
    /// What nodegrpch does besides: each member of the groups gets an empty value of its own in the
    /// column, in a row that is made for it if need be. No command of xtab makes rows that say
    /// nothing.
    Empty { groups: String, column: String },
}

fn translated(words: &[&str]) -> Vec<Step> {
    match words {
        ["chtab" | "tabch", "-d", key, tables @ ..] => {
            vec![xtab(&["set", "-d", "-k", key], tables)]
        }
        // A row that it adds gets the word for the value.
        ["chtab", "node=n1", "nodehm.power=NULL"] => {
            vec![xtab(&["set", "-k", "node=n1", "nodehm.power=@NULL"], &[])]
        }
        // Without a key: a row with an empty one.
        ["chtab", value] if value.contains('.') => vec![xtab(&["set", "-k", "node=", value], &[])],
        ["chtab" | "tabch", key, values @ ..] => vec![xtab(&["set", "-k", key], values)],
        ["nodech", "-d", range, tables @ ..] => vec![xtab(&["set", "-d", range], tables)],
        // Of a node that exists nodeadd is nodech.
        ["nodech", range, values @ ..] | ["nodeadd", range @ "n1", values @ ..] => {
            vec![xtab(&["set", range], values)]
        }
        ["nodeadd", range, values @ ..] => vec![xtab(&["set", "--new", range], values)],
        ["noderm", range] | ["rmdef", "-t", "node", range] => {
            vec![xtab(&["set", "-d", "--all-tables", range], &[])]
        }
        ["nodegrpch", groups, value] => {
            let column = value.split(['=', ',']).next().unwrap();
            let one = |group| xtab(&["set", "-k", &format!("node={group}"), value], &[]);
            let mut steps: Vec<Step> = groups.split(',').map(one).collect();
            let (groups, column) = (groups.to_string(), column.to_string());
            steps.push(Step::Empty { groups, column });
            steps
        }
        ["mkdef", "-t", "node", range, values @ ..] => defined(&["set", "--new", range], values),
        ["chdef", "-t", "node", how @ ("-p" | "-m"), node, value] => {
            let sign = if *how == "-p" { "+=" } else { "^=" };
            defined(&["set", node], &[&value.replacen('=', sign, 1)])
        }
        ["chdef", "-t", "node", node, values @ ..] => defined(&["set", node], values),
        ["chdef", "-t", "group", group, values @ ..] => {
            defined(&["set", "-k", &format!("node={group}")], values)
        }
        ["chdef", "-t", "site", "clustersite", values @ ..] => {
            let one = |value: &&str| match value.split_once('=').unwrap() {
                (key, "") => xtab(&["set", "-d", "-k", &format!("key={key}"), "site"], &[]),
                (key, value) => {
                    let value = format!("site.value={value}");
                    xtab(&["set", "-k", &format!("key={key}"), &value], &[])
                }
            };
            values.iter().map(one).collect()
        }
        ["mkdef", "-t", "group", group, "-d", "-w", conditions] => {
            let conditions = format!("nodegroup.wherevals={conditions}");
            vec![declared(group, "dynamic", &[&conditions])]
        }
        ["mkdef", "-t", "group", group, members] => {
            let members = members.strip_prefix("members=").unwrap();
            let joined = format!("groups+={group}");
            vec![
                declared(group, "static", &[]),
                xtab(&["set", members, &joined], &[]),
            ]
        }
        ["rmdef", "-t", "group", group] => vec![
            xtab(&["set", group, &format!("groups^={group}")], &[]),
            xtab(
                &["set", "-d", "-k", &format!("node={group}"), "nodehm"],
                &[],
            ),
        ],
        _ => panic!("{words:?}: not translated"),
    }
}

fn xtab(words: &[&str], more: &[&str]) -> Step {
    Step::Xtab(words.iter().chain(more).map(ToString::to_string).collect())
}

/// A row of `nodegroup`.
fn declared(group: &str, kind: &str, more: &[&str]) -> Step {
    let key = format!("groupname={group}");
    let (kind, members) = (
        format!("nodegroup.grouptype={kind}"),
        format!("nodegroup.members={kind}"),
    );
    xtab(&["set", "-k", &key, &kind, &members], more)
}

/// Values by the names that they have in the definitions of nodes.
fn defined(words: &[&str], values: &[&str]) -> Vec<Step> {
    let column = |name: &str| match name {
        "arch" | "os" => format!("nodetype.{name}"),
        "bmc" => "ipmi.bmc".into(),
        "postscripts" => "postscripts.postscripts".into(),
        "switch" => "switch.switch".into(),
        "switchport" => "switch.port".into(),
        "groups" | "mgt" => name.into(),
        // None of a node's: xtab shall say so.
        other => other.into(),
    };
    let value = |value: &&str| {
        let at = value.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
        let (name, rest) = value.split_at(at);
        // Takes the node's own value away, and hides nothing.
        let rest = if rest == "=" { "=NULL" } else { rest };
        format!("{}{rest}", column(name))
    };
    let values: Vec<String> = values.iter().map(value).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut steps = vec![xtab(words, &values)];
    // These tables are not there; xtab says then that init makes them.
    if values
        .iter()
        .any(|value| value.starts_with("nodetype.") || value.starts_with("ipmi."))
    {
        steps.insert(0, xtab(&["init"], &[]));
    }
    // What all nodes run is not for one of them as well.
    if values
        .iter()
        .any(|value| value.starts_with("postscripts.postscripts="))
    {
        let all = "postscripts.postscripts^=syslog,remoteshell";
        steps.push(xtab(words, &[all]));
    }
    steps
}

/// Until one fails.
fn done(tables: &Tables, steps: &[Step]) -> Ended {
    let mut last = None;
    for step in steps {
        match step {
            Step::Xtab(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ended = last.insert(tables.run(&words));
                if ended.code != Some(0) {
                    break;
                }
            }
            Step::Empty { groups, column } => emptied(tables, groups, column),
        }
    }
    last.unwrap()
}

fn emptied(tables: &Tables, groups: &str, column: &str) {
    let tables = library(tables);
    let (table, column) = column.split_once('.').unwrap();
    let members = tables.expand(groups, &noderange::Options::default());
    let empty = [(column, Some(""))];
    let made: Result<(), xcat_tables::Error> = tables.transaction(&[table], |change| {
        let nodes = members?.nodes;
        nodes
            .iter()
            .try_for_each(|node| change.put(table, &[("node", node)], &empty))
    });
    made.unwrap();
}

fn library(tables: &Tables) -> xcat_tables::Tables {
    let location = Location::parse(Path::new("XCATCFG"), &tables.setting).unwrap();
    xcat_tables::Tables::open(&location).unwrap()
}

/// All rows as the vectors have them: NULL columns are left out.
fn rows(tables: &Tables, table: &str) -> Value {
    let rows = library(tables).all_rows(table).unwrap();
    let row = |row: &xcat_tables::Row| -> Value {
        let cells = row.iter();
        let cells = cells.filter_map(|(column, value)| Some((column.to_string(), value?.into())));
        cells.collect::<Map<_, _>>().into()
    };
    sorted(rows.iter().map(row).collect::<Vec<_>>().into())
}

/// In no order: xCAT's own differs by engine.
fn sorted(mut rows: Value) -> Value {
    if let Some(rows) = rows.as_array_mut() {
        rows.sort_by_key(ToString::to_string);
    }
    rows
}

const TABLES: [&str; 7] = [
    "nodegroup",
    "nodehm",
    "nodelist",
    "passwd",
    "postscripts",
    "site",
    "switch",
];

/// A database with the fixture in it, to make others of.
struct Model {
    server: &'static Server,
    database: String,
    sums: Vec<String>,
}

impl Model {
    fn new() -> Option<Model> {
        let server = postgres_server::shared()?;
        let database = server.database();
        let mut tables = Tables::empty();
        tables.setting = server.setting(&database);
        let fixture = fixture("ops");
        tables.run(&["load", fixture.to_str().unwrap()]).ok("");
        let sums = sums(server, &database);
        Some(Model {
            server,
            database,
            sums,
        })
    }
}

/// One line per table; they differ if the tables do.
fn sums(server: &Server, database: &str) -> Vec<String> {
    let sum = |table| {
        format!(
            "SELECT '{table}', md5(string_agg(CAST(t AS text), ',' ORDER BY CAST(t AS text))) FROM {table} AS t;"
        )
    };
    let found = server.sql(database, &TABLES.map(sum).concat());
    found.lines().map(String::from).collect()
}

/// The tables that the case changes, and all that the fixture has.
fn concerned(case: &Value) -> BTreeSet<&str> {
    let changed = case["changed"].as_object().unwrap().keys();
    changed.map(String::as_str).chain(TABLES).collect()
}

fn on_files(case: &Value, steps: &[Step], model: &Tables) -> Result<(), String> {
    let tables = Tables::empty();
    for file in model.files() {
        let file = format!("tables/{file}");
        std::fs::copy(model.path(&file), tables.path(&file)).unwrap();
    }
    let ended = done(&tables, steps);
    for table in concerned(case) {
        let wanted = case["changed"].get(table).cloned().map(sorted);
        let wanted = wanted.unwrap_or_else(|| rows(model, table));
        let found = rows(&tables, table);
        if found != wanted {
            return Err(format!(
                "{}: {table}: {found} for {wanted}: {ended:?}",
                case["cmd"]
            ));
        }
    }
    said(case, &ended)
}

fn on_postgres(case: &Value, steps: &[Step], model: &Model) -> Result<(), String> {
    let database = model.server.copy(&model.database);
    let mut tables = Tables::empty();
    tables.setting = model.server.setting(&database);
    let ended = done(&tables, steps);
    let sums = sums(model.server, &database);
    for table in concerned(case) {
        let at = TABLES.iter().position(|one| *one == table);
        match case["changed"].get(table).cloned().map(sorted) {
            None if at.is_some_and(|at| sums[at] == model.sums[at]) => {}
            Some(wanted) if rows(&tables, table) == wanted => {}
            wanted => {
                let found = rows(&tables, table);
                return Err(format!(
                    "{}: {table}: {found} for {wanted:?}: {ended:?}",
                    case["cmd"]
                ));
            }
        }
    }
    said(case, &ended)
}

fn said(case: &Value, ended: &Ended) -> Result<(), String> {
    // In bypass mode a command ends well whatever the range; xCAT's daemon refuses, and so does xtab.
    let missed = case["stdout"].as_str().unwrap();
    let missed = missed.starts_with("Invalid nodes");
    // chtab with nothing to set does nothing and ends well; xtab calls it wrong usage.
    let nothing = case["cmd"] == serde_json::json!(["chtab", "node=n1"]);
    let good = case["rc"] == 0 && !missed && !nothing;
    match ended.code {
        Some(0) if good => Ok(()),
        Some(2 | 3) if !good => Ok(()),
        _ => Err(format!("{ended:?} for {case}")),
    }
}

/// Each case with the steps to its like.
fn cases() -> Vec<(String, Value, Vec<Step>)> {
    let text = std::fs::read_to_string(fixture("ops").join("../../writes.jsonl")).unwrap();
    let case = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        let words = case["cmd"].as_array().unwrap().iter();
        let steps = translated(&words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>());
        (case["id"].as_str().unwrap().to_string(), case, steps)
    };
    let cases: Vec<_> = text.lines().map(case).collect();
    assert_eq!(cases.len(), 102);
    cases
}

#[test]
fn what_is_left_in_files_is_what_xcats_commands_leave() {
    let model = Tables::loaded("ops");
    let results = cases()
        .into_iter()
        .map(|(id, case, steps)| (id, on_files(&case, &steps, &model)));
    judge::judge("writes", results.collect());
}

#[test]
fn what_is_left_on_postgresql_is_what_xcats_commands_leave() {
    let Some(model) = Model::new() else { return };
    let results = cases()
        .into_iter()
        .map(|(id, case, steps)| (id, on_postgres(&case, &steps, &model)));
    judge::judge("writes", results.collect());
}
