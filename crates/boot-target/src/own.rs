//! Without xCAT's commands: the chain row and the node's iPXE files, written by us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xcat_tables::{Tables, Transaction};

use crate::arm::Results;
use crate::back;
use crate::durable::Batch;
use crate::error::Error;
use crate::image;
use crate::ipxe::{self, Firmware, Script};
use crate::line::{Serial, kernel_line};
use crate::master::{Master, masters};
use crate::present::Present;
use crate::saved::{Saved, script};
use crate::target::Target;

/// Where a node's boot scripts go, and their texts. Without a served directory (a site hook boots the
/// nodes) there is none.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Path and text of each.
    scripts: Vec<(PathBuf, String)>,
}

impl Place {
    /// The scripts that are there now. One of ours is none: an earlier run could not take it back.
    pub(crate) fn scripts_now(&self) -> Result<BTreeMap<PathBuf, Option<String>>, String> {
        self.scripts
            .iter()
            .map(|(path, _)| {
                let theirs = script(path)?.filter(|text| !ipxe::is_ours(text));
                Ok((path.clone(), theirs))
            })
            .collect()
    }
}

/// For each node its scripts, or what stands in the way.
pub(crate) fn places(
    tables: &Tables,
    nodes: &[String],
    target: &Target,
    present: &BTreeMap<String, Present>,
    hook: bool,
) -> Result<BTreeMap<String, Result<Place, String>>, Error> {
    let site = Site::read(tables, nodes)?;
    let extra = |node: &String| {
        present
            .get(node)
            .and_then(|one| one.before.applied.as_deref())
    };
    Ok(nodes
        .iter()
        .map(|node| (node.clone(), site.place(node, target, extra(node), hook)))
        .collect())
}

/// Writes the scripts, then the chain rows of the nodes whose scripts are in place.
pub(crate) fn arm(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
    target: &Target,
    places: &BTreeMap<String, Place>,
) -> Result<Results, Error> {
    let mut writing = Writing::default();
    for (node, place) in places
        .iter()
        .filter(|(node, _)| records.contains_key(*node))
    {
        for (path, text) in &place.scripts {
            writing.add(node, path, text);
        }
    }
    let mut results = writing.finish();
    let rows: BTreeMap<&String, (&str, &str)> = records
        .iter()
        .filter(|(node, _)| !results.contains_key(*node))
        .map(|(node, saved)| (node, (target.action.as_str(), saved.then.as_str())))
        .collect();
    put_chain(tables, &rows)?;
    results.extend(rows.keys().map(|node| ((*node).clone(), Ok(()))));
    Ok(results)
}

/// Puts scripts of ours back to what they were, then the chain rows that are still ours.
pub(crate) fn release(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
    present: &BTreeMap<String, Present>,
) -> Result<Results, Error> {
    let mut writing = Writing::default();
    for (node, saved) in records {
        for (path, was) in &saved.before.files {
            match script(path) {
                Ok(Some(now)) if ipxe::is_ours(&now) => {
                    let text = was.as_deref().unwrap_or(ipxe::local_boot());
                    writing.add(node, path, text);
                }
                Ok(_) => {}
                Err(why) => writing.fail(node, why),
            }
        }
    }
    let mut results = writing.finish();
    let rows: BTreeMap<&String, (String, String)> = records
        .iter()
        .filter(|(node, saved)| {
            let now = present
                .get(*node)
                .and_then(|one| one.before.currstate.as_deref());
            !results.contains_key(*node) && back::is_ours(saved, now)
        })
        .map(|(node, saved)| (node, back::row(saved)))
        .collect();
    let rows = rows
        .iter()
        .map(|(node, (state, chain))| (*node, (state.as_str(), chain.as_str())))
        .collect();
    put_chain(tables, &rows)?;
    for node in records.keys() {
        results.entry(node.clone()).or_insert(Ok(()));
    }
    Ok(results)
}

/// `currstate` and `currchain` of each node, all rows or none.
pub(crate) fn put_chain(
    tables: &Tables,
    rows: &BTreeMap<&String, (&str, &str)>,
) -> Result<(), xcat_tables::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    tables.transaction(&["chain"], |change: &Transaction| {
        for (node, (state, chain)) in rows {
            change.put(
                "chain",
                &[("node", node)],
                &[("currstate", Some(state)), ("currchain", Some(chain))],
            )?;
        }
        Ok(())
    })
}

/// Scripts on their way, by directory.
#[derive(Default)]
struct Writing {
    batches: BTreeMap<PathBuf, Batch>,
    failed: Results,
}

impl Writing {
    fn add(&mut self, node: &str, path: &Path, text: &str) {
        let (Some(directory), Some(name)) =
            (path.parent(), path.file_name().and_then(|n| n.to_str()))
        else {
            return self.fail(node, format!("{}: is no file", path.display()));
        };
        if let Err(error) = std::fs::create_dir_all(directory) {
            return self.fail(node, format!("{}: {error}", directory.display()));
        }
        let batch = self
            .batches
            .entry(directory.to_path_buf())
            .or_insert_with(|| Batch::new(directory, 0o644));
        if let Err(error) = batch.write(name, text.as_bytes()) {
            self.fail(node, format!("{}: {error}", path.display()));
        }
    }

    fn fail(&mut self, node: &str, why: String) {
        self.failed.insert(node.to_string(), Err(why));
    }

    /// The nodes that have a script that is not in place.
    fn finish(mut self) -> Results {
        for (directory, batch) in std::mem::take(&mut self.batches) {
            for (name, why) in batch.commit() {
                let node = name.strip_suffix(UEFI).unwrap_or(&name).to_string();
                let why = format!("{}: {why}", directory.join(&name).display());
                self.failed.insert(node, Err(why));
            }
        }
        self.failed
    }
}

/// What a UEFI loader asks for behind the node's name.
const UEFI: &str = ".uefi";

/// What the tables say of the boot service.
struct Site {
    tftp: String,
    web: String,
    xcatd: u16,
    masters: BTreeMap<String, Master>,
    columns: BTreeMap<&'static str, BTreeMap<String, String>>,
}

/// Columns of a node that decide where and how it boots, with their tables.
const COLUMNS: [(&str, &str); 6] = [
    ("nodetype", "arch"),
    ("noderes", "netboot"),
    ("noderes", "tftpdir"),
    ("nodehm", "serialport"),
    ("nodehm", "serialspeed"),
    ("nodehm", "serialflow"),
];

impl Site {
    fn read(tables: &Tables, nodes: &[String]) -> Result<Site, Error> {
        let port = |key: &str| -> Result<Option<u16>, Error> {
            Ok(tables.site(key)?.and_then(|port| port.trim().parse().ok()))
        };
        let mut columns = BTreeMap::new();
        for (table, column) in COLUMNS {
            columns.insert(column, tables.attribute(table, column, nodes)?);
        }
        Ok(Site {
            tftp: tables.site("tftpdir")?.unwrap_or("/tftpboot".to_string()),
            web: match port("httpport")? {
                None | Some(80) => String::new(),
                Some(other) => format!(":{other}"),
            },
            xcatd: port("xcatdport")?.unwrap_or(3001),
            masters: masters(tables, nodes)?,
            columns,
        })
    }

    fn value(&self, column: &str, node: &str) -> Option<&str> {
        let value = self.columns.get(column)?.get(node)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn place(
        &self,
        node: &str,
        target: &Target,
        extra: Option<&str>,
        hook: bool,
    ) -> Result<Place, String> {
        let tftp = self.value("tftpdir", node).unwrap_or(&self.tftp);
        if !tftp.starts_with('/') || tftp.split('/').any(|part| part == "..") {
            return Err("its tftpdir is no absolute path".to_string());
        }
        let tftp = program::paths::under(tftp);
        if !tftp.is_dir() {
            return match hook {
                true => Ok(Place::default()),
                false => Err(format!(
                    "{}: no such directory to boot from",
                    tftp.display()
                )),
            };
        }
        let method = match self.value("netboot", node) {
            None | Some("xnba") => "xnba",
            Some("ipxe") => "ipxe",
            Some(other) => {
                return Err(format!(
                    "noderes.netboot is {other:?}: without xCAT's nodeset only xnba and ipxe can be set"
                ));
            }
        };
        let arch = self.value("arch", node).ok_or("nodetype.arch is not set")?;
        let image = image::find(&tftp, arch)?;
        let serial = Serial {
            port: self.value("serialport", node).map(str::to_string),
            speed: self.value("serialspeed", node).map(str::to_string),
            flow: self.value("serialflow", node).map(str::to_string),
        };
        let unknown = Master::default();
        let master = self.masters.get(node).unwrap_or(&unknown);
        let line = kernel_line(target, master, self.xcatd, &serial, extra)?;
        let script = Script {
            state: &target.action,
            kernel: &image.kernel,
            initrd: &image.initrd,
            line: &line,
            port: &self.web,
        };
        let nodes = tftp.join("xcat").join(method).join("nodes");
        Ok(Place {
            scripts: vec![
                (nodes.join(node), script.text(Firmware::Bios)),
                (
                    nodes.join(format!("{node}{UEFI}")),
                    script.text(Firmware::Uefi),
                ),
            ],
        })
    }
}
