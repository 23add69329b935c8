//! A recorded run: its tables, its answers, what came of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use boot_target::Answers;
use serde_json::{Value, json};
use service_node_move::{
    Commands, Error, Facts, Interface, Request, Said, Scripts, World, interfaces,
};
use xcat_tables::{Location, Tables};

/// One line of the vectors.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) note: String,
    value: Value,
}

/// What our run came to.
pub(crate) struct Got {
    pub(crate) value: Value,
    pub(crate) said: Vec<String>,
}

impl Got {
    pub(crate) fn comparable(&self, any_order: bool) -> Value {
        comparable(&self.value, any_order)
    }
}

/// The same with calls sorted where their order carries no meaning.
pub(crate) fn comparable(value: &Value, any_order: bool) -> Value {
    let mut value = value.clone();
    if any_order && let Some(calls) = value["calls"].as_array_mut() {
        calls.sort_by_key(Value::to_string);
    }
    value
}

impl Case {
    pub(crate) fn read(line: &str) -> Case {
        let value: Value = serde_json::from_str(line).unwrap();
        Case {
            id: value["id"].as_str().unwrap().to_string(),
            note: value["note"].as_str().unwrap().to_string(),
            value,
        }
    }

    /// The original's behaviour is marked as a defect.
    pub(crate) fn is_quirk(&self) -> bool {
        self.value["quirk"].is_string()
    }

    /// It is about AIX, whose steps are left to the original.
    pub(crate) fn is_aix(&self) -> bool {
        self.value["aix"] == true
    }

    /// The arguments as a request; none where the front does not get that far.
    pub(crate) fn request(&self) -> Option<Request> {
        let argv: Vec<&str> = self.value["argv"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let mut request = Request::new(None, None);
        request.check_destination = false;
        let mut range = None;
        let mut words = argv.into_iter();
        while let Some(word) = words.next() {
            let mut next = || Some(words.next().unwrap().to_string());
            match word {
                "-s" => request.source = next(),
                "-S" => request.old_master = next(),
                "-d" => request.destination = next(),
                "-D" => request.new_master = next(),
                "-i" => request.leave_nodes = true,
                "-l" => request.lite_only = true,
                "-V" => {}
                "-P" => {
                    let list = next().unwrap();
                    request.scripts = match list.as_str() {
                        "all" => Scripts::All,
                        list => Scripts::Also(list.split(',').map(String::from).collect()),
                    };
                }
                _ if word.starts_with('-') || range.is_some() => return None,
                word => range = Some(word.to_string()),
            }
        }
        if request.leave_nodes && request.scripts != Scripts::Usual {
            return None;
        }
        match (&range, &request.source) {
            (None, None) => return None,
            (Some(range), _) => {
                let dir = in_memory();
                let tables = self.tables(dir.path());
                let found = tables
                    .expand(range, &noderange::Options::default())
                    .unwrap();
                if !found.missed.is_empty() {
                    return None;
                }
                request.nodes = Some(found.nodes.into_iter().collect());
            }
            (None, Some(_)) => {}
        }
        Some(request)
    }

    /// Plans, writes, takes the steps.
    pub(crate) fn run(&self, request: &Request) -> Got {
        let dir = in_memory();
        let tables = self.tables(dir.path());
        let before = content(&tables);
        let world = Recorded {
            case: self,
            calls: Default::default(),
        };
        let facts = Facts::read(&tables, request).unwrap();
        let mut said = Vec::new();
        let mut failed = false;
        let mut commands = Replies { world: &world };
        match service_node_move::plan(&facts, request, &BTreeMap::new(), &world) {
            Err(Error::Refused(reasons)) => {
                failed = true;
                said = reasons;
            }
            Err(error) => panic!("{}: {error}", self.id),
            Ok(plan) => {
                said.extend(plan.warnings.clone());
                said.extend(plan.failures.clone());
                said.extend(plan.stays.clone());
                failed |= !plan.failures.is_empty();
                if !plan.changes.is_empty() {
                    service_node_move::write(&tables, &plan).unwrap();
                    assert!(service_node_move::is_written(&tables, &plan).unwrap());
                }
                for step in &plan.steps {
                    let outcome =
                        service_node_move::take(step, &mut commands, &mut |text| match text {
                            Said::Info(text) | Said::Failed(text) => said.push(text),
                            Said::Remark(_) => {}
                        });
                    failed |= !outcome.failed.is_empty();
                }
            }
        }
        let rows = difference(&before, &content(&tables));
        let value = json!({"rows": rows, "calls": world.calls.take(), "exit": i32::from(failed)});
        Got { value, said }
    }

    pub(crate) fn expected_rows(&self) -> Value {
        let mut rows = self.value["expect"]["rows"].clone();
        for table in rows.as_object_mut().unwrap().values_mut() {
            for row in table.as_object_mut().unwrap().values_mut() {
                *row = row["set"].clone();
            }
        }
        rows
    }

    pub(crate) fn expected_calls(&self) -> Value {
        self.value["expect"]["calls"].clone()
    }

    /// Any error of the original's is a failure of ours.
    pub(crate) fn expected_exit(&self) -> Value {
        self.value["expect"]["client_exit"].clone()
    }

    pub(crate) fn groups_may_swap(&self) -> bool {
        self.value["expect"]["order"] == "groups-may-swap"
    }

    fn tables(&self, dir: &std::path::Path) -> Tables {
        // Made once: every new file is flushed to the disk.
        static EMPTY: OnceLock<tempfile::TempDir> = OnceLock::new();
        let empty = EMPTY.get_or_init(|| {
            let empty = in_memory();
            Tables::open(&Location::sqlite(empty.path()))
                .unwrap()
                .create_missing()
                .unwrap();
            empty
        });
        for name in READ {
            let file = format!("{name}.sqlite");
            std::fs::copy(empty.path().join(&file), dir.join(&file)).unwrap();
        }
        let tables = Tables::open(&Location::sqlite(dir)).unwrap();
        let content = self.value["tables"].as_object().unwrap();
        let names: Vec<&str> = content.keys().map(String::as_str).collect();
        tables
            .transaction(&names, |transaction| -> Result<(), xcat_tables::Error> {
                for (table, rows) in content {
                    for row in rows.as_array().unwrap() {
                        let cells: Vec<(&str, Option<&str>)> = row
                            .as_object()
                            .unwrap()
                            .iter()
                            .map(|(column, value)| (column.as_str(), value.as_str()))
                            .collect();
                        transaction.insert(table, &cells)?;
                    }
                }
                Ok(())
            })
            .unwrap();
        tables
    }
}

/// The tables that a case fills or a plan reads.
const READ: [&str; 19] = [
    "hosts",
    "linuximage",
    "mp",
    "networks",
    "nimimage",
    "nodegroup",
    "nodehm",
    "nodelist",
    "noderes",
    "nodetype",
    "osimage",
    "passwd",
    "postscripts",
    "ppc",
    "servicenode",
    "site",
    "statelite",
    "mac",
    "vm",
];

/// A directory whose files are flushed to no disk, where there is such a place.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

type Content = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

fn content(tables: &Tables) -> Content {
    let mut all = Content::new();
    for table in ["noderes", "nodehm"] {
        for row in tables.all_rows(table).unwrap() {
            let cells = row
                .iter()
                .filter_map(|(column, value)| Some((column.to_string(), value?.to_string())));
            let node = row.raw("node").unwrap().to_string();
            all.entry(table.into())
                .or_default()
                .insert(node, cells.collect());
        }
    }
    all
}

fn difference(before: &Content, after: &Content) -> Value {
    let mut tables = json!({});
    for (table, rows) in after {
        for (node, cells) in rows {
            let was = before.get(table).and_then(|rows| rows.get(node));
            for (column, value) in cells {
                if was.and_then(|was| was.get(column)) != Some(value) {
                    tables[table][node][column] = json!(value);
                }
            }
        }
    }
    tables
}

/// The world of a recorded run.
struct Recorded<'a> {
    case: &'a Case,
    calls: std::cell::RefCell<Vec<Value>>,
}

impl Recorded<'_> {
    fn reply(&self, command: &str, nodes: &[String], args: &[&str]) -> (String, Option<String>) {
        let mut sorted = nodes.to_vec();
        sorted.sort_unstable();
        self.calls
            .borrow_mut()
            .push(json!({"command": command, "nodes": sorted, "args": args}));
        let joined = args.join(" ");
        let matching = self.case.value["replies"]
            .as_array()
            .unwrap()
            .iter()
            .find(|reply| {
                reply["command"] == command
                    && reply["node"]
                        .as_str()
                        .is_none_or(|node| nodes.iter().any(|other| other == node))
                    && reply["arg"].as_str().is_none_or(|arg| joined.contains(arg))
            });
        let Some(reply) = matching else {
            return (String::new(), None);
        };
        let lines = reply["lines"].as_array().into_iter().flatten();
        let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
        (lines.join("\n"), reply["error"].as_str().map(String::from))
    }
}

impl World for Recorded<'_> {
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let known = self.case.value["hosts"][host]
            .as_str()
            .map(|address| address.parse().unwrap());
        known.or_else(|| host.parse().ok()).into_iter().collect()
    }

    fn own(&self) -> Vec<Interface> {
        let own = self.case.value["local_ips"]
            .as_array()
            .into_iter()
            .flatten();
        let text: Vec<String> = own
            .map(|each| format!("inet {} scope global\n", each.as_str().unwrap()))
            .collect();
        interfaces(&text.concat())
    }

    fn interfaces(&self, service_node: &str) -> Result<Vec<Interface>, String> {
        let (text, error) = self.reply(
            "xdsh",
            &[service_node.to_string()],
            &["-s", "/sbin/ip addr "],
        );
        let found = interfaces(&text);
        if found.is_empty() {
            Err(error.unwrap_or("nothing".into()))
        } else {
            Ok(found)
        }
    }

    fn missing(&self, _: &str, _: &[&str]) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn answering(&self, hosts: &BTreeMap<String, IpAddr>) -> Vec<String> {
        hosts.keys().cloned().collect()
    }

    fn command(&self, name: &str) -> Option<PathBuf> {
        Some(PathBuf::from("/opt/xcat/bin").join(name))
    }
}

struct Replies<'a> {
    world: &'a Recorded<'a>,
}

impl Commands for Replies<'_> {
    fn xcat(&mut self, command: &str, nodes: &[String], args: &[&str]) -> Result<Answers, String> {
        let (lines, error) = self.world.reply(command, nodes, args);
        let good = error.is_none();
        Ok(Answers::of(
            lines.as_bytes(),
            error.unwrap_or_default().as_bytes(),
            nodes,
            good,
        ))
    }

    fn route(&mut self, _: &[String], _: &str, _: Option<&str>) -> Answers {
        Answers {
            good: true,
            ..Answers::default()
        }
    }

    fn rebind(&mut self, _: &[String]) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}
