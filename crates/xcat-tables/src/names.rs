//! The nodes and groups that the tables know, for ranges.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use noderange::pattern::Pattern;
use noderange::{Accident, Names, Op};

use crate::resolve::values;
use crate::row::is_defined;
use crate::wherevals::{Condition, conditions, doubts, places};
use crate::{Error, Tables};

/// Nodes and groups, read once; attributes are read when a range selects by them, each column once.
/// Holds no connection.
#[derive(Debug)]
pub struct NodeNames {
    tables: Tables,
    nodes: Vec<Rc<str>>,
    known: HashSet<Rc<str>>,
    /// Places in `nodes`, by the column `groups` as it is written.
    by_groups: HashMap<Rc<str>, Vec<usize>>,
    /// What is written there, by each group in it; made when the first group is asked for.
    members: OnceCell<HashMap<String, Vec<Rc<str>>>>,
    /// Groups that `nodegroup` names, with their conditions if they are dynamic.
    declared: HashMap<String, Option<String>>,
    excluded: Option<String>,
    columns: RefCell<BTreeMap<(String, String), Rc<Column>>>,
}

/// The values of one column, by node: several if there are several rows.
type Column = HashMap<String, Vec<String>>;

impl NodeNames {
    pub(crate) fn read(tables: &Tables) -> Result<NodeNames, Error> {
        let mut names = NodeNames {
            tables: tables.clone(),
            nodes: Vec::new(),
            known: HashSet::new(),
            by_groups: HashMap::new(),
            members: OnceCell::new(),
            declared: HashMap::new(),
            excluded: None,
            columns: RefCell::default(),
        };
        let mut excluded = None;
        let wanted = [
            ("nodelist", vec!["node", "groups"]),
            ("nodegroup", vec!["groupname", "grouptype", "wherevals"]),
            ("site", vec!["key", "value"]),
        ];
        tables.scan(&wanted, &mut |table, cells| {
            let defined = |at: usize| cells[at].filter(|value| is_defined(value));
            match (table, defined(0)) {
                (0, Some(node)) => {
                    let node: Rc<str> = node.into();
                    let place = names.nodes.len();
                    names.known.insert(node.clone());
                    names.nodes.push(node);
                    if let Some(groups) = defined(1) {
                        match names.by_groups.get_mut(groups) {
                            Some(places) => places.push(place),
                            None => {
                                names.by_groups.insert(groups.into(), vec![place]);
                            }
                        }
                    }
                }
                (1, Some(group)) => {
                    let dynamic = defined(1) == Some("dynamic");
                    let conditions = defined(2).unwrap_or_default().to_string();
                    names
                        .declared
                        .insert(group.into(), dynamic.then_some(conditions));
                }
                (2, Some("excludenodes")) => {
                    excluded.get_or_insert(defined(1).map(String::from));
                }
                _ => {}
            }
        })?;
        names.excluded = excluded.flatten();
        Ok(names)
    }

    fn members(&self) -> &HashMap<String, Vec<Rc<str>>> {
        self.members.get_or_init(|| {
            let mut members: HashMap<String, Vec<Rc<str>>> = HashMap::new();
            for text in self.by_groups.keys() {
                for group in text.split(',') {
                    match members.get_mut(group) {
                        // A group that is written twice has the node once.
                        Some(texts) if texts.last() == Some(text) => {}
                        Some(texts) => texts.push(text.clone()),
                        None => {
                            members.insert(group.into(), vec![text.clone()]);
                        }
                    }
                }
            }
            members
        })
    }

    /// The static members of a group, in the order of the table.
    fn listed(&self, group: &str) -> Option<Vec<String>> {
        let texts = self.members().get(group)?;
        let places = texts.iter().filter_map(|text| self.by_groups.get(text));
        let mut places: Vec<usize> = places.flatten().copied().collect();
        places.sort_unstable();
        let nodes = places.iter().map(|at| self.nodes[*at].to_string());
        Some(nodes.collect())
    }

    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(ToString::to_string).collect()
    }

    /// All groups that have members or are declared, sorted.
    pub fn group_names(&self) -> Vec<&str> {
        let names = self.members().keys().chain(self.declared.keys());
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The members of a dynamic group. An attribute that a node does not have never fits.
    fn dynamic(&self, text: &str) -> Result<Vec<String>, String> {
        let Some(conditions) = conditions(text) else {
            // xCAT takes a text that it cannot parse for no condition at all.
            return Ok(self.names());
        };
        let mut nodes = self.names();
        for condition in conditions {
            let test = Test::new(condition.op, condition.value)
                .map_err(|why| format!("{}: {why}", condition.attribute))?;
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
        let found = match values(&self.tables, table, column, &self.names()) {
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
        Box::new(self.nodes.iter().map(AsRef::as_ref))
    }

    fn group(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        match self.declared.get(name) {
            Some(Some(conditions)) => self.dynamic(conditions).map(Some),
            Some(None) => Ok(Some(self.listed(name).unwrap_or_default())),
            None => Ok(self.listed(name)),
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
        let test = Test::new(op, value).map_err(|why| format!("{attribute}: {why}"))?;
        // A node without a value has the empty one.
        let holds = |node: &&Rc<str>| match values.get(&***node) {
            Some(values) => values.iter().any(|value| test.holds(value)),
            None => test.holds(""),
        };
        let chosen = self.nodes.iter().filter(holds);
        Ok(Some(chosen.map(ToString::to_string).collect()))
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
