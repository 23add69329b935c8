//! The nodes and groups that the tables know, for ranges.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use noderange::pattern::Pattern;
use noderange::{Accident, Names, Op};

use crate::content::Content;
use crate::resolve::{groups, values};
use crate::tables::setting;
use crate::wherevals::{Condition, conditions, doubts, places};
use crate::{Error, Tables};

/// Nodes and groups, read once; attributes are read when a range selects by them, each column once.
/// Holds no connection.
#[derive(Debug)]
pub struct NodeNames {
    tables: Tables,
    nodes: Vec<String>,
    known: HashSet<String>,
    members: HashMap<String, Vec<String>>,
    /// Groups that `nodegroup` names, with their conditions if they are dynamic.
    declared: HashMap<String, Option<String>>,
    excluded: Option<String>,
    columns: RefCell<BTreeMap<(String, String), Rc<Column>>>,
}

/// The values of one column, by node: several if there are several rows.
type Column = HashMap<String, Vec<String>>;

impl NodeNames {
    pub(crate) fn read(tables: &Tables) -> Result<NodeNames, Error> {
        let read = tables.contents(["nodelist", "nodegroup", "site"])?;
        let [rows, declared, site] = read.map(Content::into_enabled_rows);
        let names = rows.iter().filter_map(|row| row.get("node"));
        let nodes: Vec<String> = names.map(String::from).collect();
        let by_node = groups(&rows);
        let mut members: HashMap<String, Vec<String>> = HashMap::new();
        for node in &nodes {
            for group in by_node.get(node).into_iter().flatten() {
                members.entry(group.clone()).or_default().push(node.clone());
            }
        }
        let declared = declared.iter().filter_map(|row| {
            let dynamic = row.get("grouptype") == Some("dynamic");
            let conditions = row.get("wherevals").unwrap_or_default().to_string();
            Some((row.get("groupname")?.into(), dynamic.then_some(conditions)))
        });
        Ok(NodeNames {
            declared: declared.collect(),
            excluded: setting(&site, "excludenodes"),
            known: nodes.iter().cloned().collect(),
            tables: tables.clone(),
            nodes,
            members,
            columns: RefCell::default(),
        })
    }

    /// All groups that have members or are declared, sorted.
    pub fn group_names(&self) -> Vec<&str> {
        let names = self.members.keys().chain(self.declared.keys());
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The members of a dynamic group. An attribute that a node does not have never fits.
    fn dynamic(&self, text: &str) -> Result<Vec<String>, String> {
        let Some(conditions) = conditions(text) else {
            // xCAT takes a text that it cannot parse for no condition at all.
            return Ok(self.nodes.clone());
        };
        let mut nodes = self.nodes.clone();
        for condition in conditions {
            let test = Test::new(condition.op, condition.value)?;
            let mut error = None;
            nodes.retain(|node| match self.fits(node, &condition, &test) {
                Ok(fits) => fits,
                Err(why) => {
                    error.get_or_insert(why);
                    false
                }
            });
            if let Some(why) = error {
                return Err(why);
            }
        }
        Ok(nodes)
    }

    fn fits(&self, node: &str, condition: &Condition<'_>, test: &Test) -> Result<bool, String> {
        let value = self.attribute(node, condition.attribute, 0)?;
        Ok(value.is_some_and(|value| test.holds(&value)))
    }

    /// A node's attribute by the name that xCAT's object commands use.
    fn attribute(
        &self,
        node: &str,
        attribute: &str,
        depth: usize,
    ) -> Result<Option<String>, String> {
        for place in places(attribute) {
            if let Some((other, wanted)) = &place.only_if {
                // The schema nests conditions two deep; a circle would be its bug.
                let value = if depth < 4 {
                    self.attribute(node, other, depth + 1)?
                } else {
                    None
                };
                let words = value.unwrap_or_default();
                let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                if !words.split(word).any(|word| word == wanted) {
                    continue;
                }
            }
            if place.table == "nodelist" && place.column == "node" {
                return Ok(Some(node.into()));
            }
            let Some(column) = self.column(&place.table, &place.column)? else {
                continue;
            };
            if let Some(value) = column.get(node).and_then(|values| values.first()) {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }

    /// All nodes' values in one column; none if there is no such column.
    fn column(&self, table: &str, column: &str) -> Result<Option<Rc<Column>>, String> {
        let key = (table.to_string(), column.to_string());
        if let Some(found) = self.columns.borrow().get(&key) {
            return Ok(Some(found.clone()));
        }
        let found = match values(&self.tables, table, column, &self.nodes) {
            Ok(found) => Rc::new(found),
            Err(
                Error::UnknownTable(_)
                | Error::TableName(_)
                | Error::UnknownColumn { .. }
                | Error::NotByNode(_),
            ) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        self.columns.borrow_mut().insert(key, found.clone());
        Ok(Some(found))
    }
}

impl Names for NodeNames {
    fn is_node(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.nodes.iter().map(String::as_str))
    }

    fn group(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        match self.declared.get(name) {
            Some(Some(conditions)) => self.dynamic(conditions).map(Some),
            Some(None) => Ok(Some(self.members.get(name).cloned().unwrap_or_default())),
            None => Ok(self.members.get(name).cloned()),
        }
    }

    fn doubts(&self, group: &str) -> Vec<Accident> {
        let conditions = self.declared.get(group).and_then(Option::as_deref);
        conditions.map(doubts).unwrap_or_default()
    }

    fn select(&self, attribute: &str, op: Op, value: &str) -> Result<Option<Vec<String>>, String> {
        let (table, column) = match attribute {
            "groups" | "tags" => ("nodelist", "groups"),
            "mgt" => ("nodehm", "mgt"),
            other => match other.split_once('.') {
                Some(parts) => parts,
                None => return Ok(None),
            },
        };
        let Some(values) = self.column(table, column)? else {
            return Ok(None);
        };
        let value = match op {
            Op::Match | Op::NotMatch => {
                let value = value.strip_prefix('/').unwrap_or(value);
                value.strip_suffix('/').unwrap_or(value)
            }
            Op::Equal | Op::NotEqual => value,
        };
        let test = Test::new(op, value)?;
        // A node without a value has the empty one.
        let holds = |node: &&String| match values.get(*node) {
            Some(values) => values.iter().any(|value| test.holds(value)),
            None => test.holds(""),
        };
        Ok(Some(self.nodes.iter().filter(holds).cloned().collect()))
    }

    fn excluded(&self) -> Result<Option<String>, String> {
        Ok(self.excluded.clone())
    }
}

enum Test {
    Text(Op, String),
    Pattern(Op, Pattern),
}

impl Test {
    fn new(op: Op, value: &str) -> Result<Test, String> {
        match op {
            Op::Equal | Op::NotEqual => Ok(Test::Text(op, value.into())),
            // Perl would use the pattern of some earlier match.
            Op::Match | Op::NotMatch if value.is_empty() => Err("empty pattern".into()),
            Op::Match | Op::NotMatch => {
                let pattern = Pattern::new(value).map_err(|error| error.to_string())?;
                Ok(Test::Pattern(op, pattern))
            }
        }
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Test::Text(op, wanted) => (value == wanted) == (*op == Op::Equal),
            Test::Pattern(op, pattern) => pattern.matches(value) == (*op == Op::Match),
        }
    }
}
