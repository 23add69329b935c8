//! Where a node's boot scripts go and what is in them, by the tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use xcat_tables::Tables;

use crate::error::Error;
use crate::image;
use crate::ipxe::{self, Firmware, Script};
use crate::line::{Serial, kernel_line};
use crate::master::{Master, masters};
use crate::present::Present;
use crate::saved::script;
use crate::target::Target;

/// Where a node's boot scripts go, and their texts. Where a site hook boots the nodes there may
/// be none.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Path and text of each.
    pub scripts: Vec<(PathBuf, String)>,
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
pub(crate) fn find(
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
    let place = |node: &String| match site.place(node, target, extra(node)) {
        // The site's command is asked to boot the node, however it does that.
        Err(_) if hook => Ok(Place::default()),
        place => place,
    };
    Ok(nodes
        .iter()
        .map(|node| (node.clone(), place(node)))
        .collect())
}

/// What a UEFI loader asks for behind the node's name.
pub(crate) const UEFI: &str = ".uefi";

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

    fn place(&self, node: &str, target: &Target, extra: Option<&str>) -> Result<Place, String> {
        let tftp = self.value("tftpdir", node).unwrap_or(&self.tftp);
        if !tftp.starts_with('/') || tftp.split('/').any(|part| part == "..") {
            return Err("its tftpdir is no absolute path".to_string());
        }
        let tftp = program::paths::under(tftp);
        if !tftp.is_dir() {
            return Err(format!(
                "{}: no such directory to boot from",
                tftp.display()
            ));
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
