//! Pools of service nodes that no node can be moved in (`snmove`): the first of the pool serves the
//! node, `xcatmaster` is its face towards the node, and every one of the pool is a service node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xcat_tables::Tables;

use crate::cluster::{Cluster, fold};
use crate::shell::word;
use crate::{Check, Finding, Host, said};

/// What nodes that are served alike have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pool {
    members: String,
    master: Option<String>,
    monitor: Option<String>,
}

pub(crate) fn look(
    tables: &Tables,
    _: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let columns = ["servicenode", "xcatmaster", "monserver"];
    let found = tables
        .attributes("noderes", &columns, &cluster.nodes)
        .map_err(said)?;
    let mut pools: BTreeMap<Pool, Vec<String>> = BTreeMap::new();
    for (node, rows) in &found {
        let value = |column: &str| {
            rows.iter()
                .find_map(|row| row.get(column))
                .map(String::from)
        };
        // One service node alone is no pool: nothing is promised of it.
        if let Some(members) = value("servicenode").filter(|text| text.contains(',')) {
            let pool = Pool {
                members,
                master: value("xcatmaster"),
                monitor: value("monserver"),
            };
            pools.entry(pool).or_default().push(node.clone());
        }
    }
    if pools.is_empty() {
        return Ok(());
    }
    let names = Faces::read(tables, pools.keys())?;
    for (pool, nodes) in &pools {
        let nodes = fold(nodes);
        for (what, fix) in wrong(cluster, &names, pool, &nodes) {
            let subject = format!("pool {:?} of {nodes}", pool.members);
            check.findings.push(Finding::new(subject, what, fix));
        }
    }
    Ok(())
}

fn wrong(cluster: &Cluster, faces: &Faces, pool: &Pool, nodes: &str) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let set = |value: &str| format!("xtab set {} {}", word(nodes), word(value));
    let pool_of = |names: &[&str]| set(&format!("noderes.servicenode={}", names.join(",")));
    let members: Vec<&str> = pool.members.split(',').collect();
    let clean: Vec<&str> = members
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .collect();
    let distinct: BTreeSet<&str> = clean.iter().copied().collect();
    if clean != members || distinct.len() != clean.len() {
        let mut list: Vec<&str> = Vec::new();
        clean.iter().for_each(|name| {
            if !list.contains(name) {
                list.push(name);
            }
        });
        wrong.push((
            "blanks, empty names or one name twice: xCAT takes them as they stand".into(),
            pool_of(&list),
        ));
    }
    for name in &distinct {
        if !cluster.is_node(name) {
            wrong.push((
                format!("{name} is no node"),
                format!(
                    "define {name}, or take it out: {}",
                    set(&format!("noderes.servicenode^={name}"))
                ),
            ));
        } else if !faces.service.contains(*name) {
            wrong.push((
                format!("{name} is no service node: the table servicenode does not have it"),
                format!(
                    "xtab set {} servicenode.tftpserver=1 (and what else it serves)",
                    word(name)
                ),
            ));
        }
    }
    match &pool.master {
        None => wrong.push((
            "no noderes.xcatmaster: snmove cannot tell which service node serves them".into(),
            format!(
                "{}, the face of {} towards them",
                set("noderes.xcatmaster=NAME"),
                clean.first().unwrap_or(&"")
            ),
        )),
        Some(master) => {
            // Only what the tables say for certain: a face may have a name that only DNS knows.
            let others = clean.iter().skip(1).find(|name| faces.is_of(master, name));
            if let Some(other) = others.filter(|_| {
                !clean
                    .first()
                    .is_some_and(|first| faces.is_of(master, first))
            }) {
                let mut list = vec![*other];
                list.extend(clean.iter().filter(|name| name != &other));
                wrong.push((
                    format!(
                        "noderes.xcatmaster {master} is {other}, which is not the first of the pool"
                    ),
                    pool_of(&list),
                ));
            }
        }
    }
    if let Some(monitor) = pool.monitor.as_deref().filter(|text| !text.contains(',')) {
        wrong.push((
            format!("noderes.monserver {monitor} has one name: a move leaves it as it is"),
            set(&format!("noderes.monserver={monitor},FACE")),
        ));
    }
    wrong
}

/// The service nodes, and the names and addresses that the tables know them by.
struct Faces {
    service: BTreeSet<String>,
    of: HashMap<String, Vec<String>>,
}

impl Faces {
    fn read<'p>(tables: &Tables, pools: impl Iterator<Item = &'p Pool>) -> Result<Faces, String> {
        let members: BTreeSet<String> = pools
            .flat_map(|pool| pool.members.split(','))
            .map(|name| name.trim().to_string())
            .collect();
        let members: Vec<String> = members.into_iter().collect();
        // A group's row counts for its nodes; any column will do, also `disable` of an enabled row.
        let columns: Vec<&str> = xcat_tables::schema("servicenode")
            .map(|schema| schema.columns.iter().map(String::as_str).collect())
            .unwrap_or_default();
        let service = tables
            .attributes("servicenode", &columns, &members)
            .map_err(said)?;
        let hosts = tables
            .attributes("hosts", &["ip", "hostnames"], &members)
            .map_err(said)?;
        let of = members.iter().map(|name| {
            let rows = hosts.get(name).map_or(&[][..], Vec::as_slice);
            let words = rows
                .iter()
                .flat_map(|row| [row.get("ip"), row.get("hostnames")]);
            let words = words.flatten().flat_map(|text| text.split([',', ' ']));
            (name.clone(), words.map(String::from).collect())
        });
        Ok(Faces {
            of: of.collect(),
            service: service.into_keys().collect(),
        })
    }

    fn is_of(&self, face: &str, name: &str) -> bool {
        face == name
            || self
                .of
                .get(name)
                .is_some_and(|faces| faces.iter().any(|one| one == face))
    }
}
