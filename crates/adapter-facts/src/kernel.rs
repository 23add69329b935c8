//! What this machine's kernel says of its adapters: no program is run, nothing is sent.
//!
//! Read are sysfs, udev's database where there is one (else names are composed as udev composes
//! them), the hardware database or pci.ids for vendors and models, and, on the live system only,
//! the driver by ethtool. Every file is read up to a limit; what cannot be read is not known.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::adapter::Adapter;
use crate::facts::{ADAPTERS_LIMIT, Facts, Intake};
use crate::value::Location;

mod catalog;
mod device;
mod guid;
pub mod hwdb;
mod naming;
mod pci;
pub mod pci_ids;
mod port;
mod slot;

pub mod udev;

use catalog::Catalog;
use port::Port;
use program::Tree;

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no list of network interfaces: sysfs is not mounted, or `root` is wrong.
    #[error("{path}: cannot list the network interfaces")]
    NoInterfaces {
        /// The directory.
        path: PathBuf,
        /// Why it cannot be listed.
        #[source]
        source: io::Error,
    },
}

/// The adapters of the machine whose files are below `root` (`/` for this one): its network
/// interfaces but `lo`, by name, then network devices on PCI that have no interface.
pub fn read(root: &Path) -> Result<Vec<Adapter>, Error> {
    Ok(survey(root)?.adapters)
}

/// As [`read`], with what was found but did not fit. If there are too many adapters, the virtual
/// ones go first.
pub fn survey(root: &Path) -> Result<Facts, Error> {
    let tree = Tree::new(root);
    let list = "/sys/class/net";
    let names = tree.list(list).map_err(|source| Error::NoInterfaces {
        path: tree.at(list),
        source,
    })?;
    // An ioctl asks the running kernel, whatever the tree says.
    let ethtool = (root == Path::new("/"))
        .then(crate::ethtool::Ethtool::open)
        .flatten();
    let mut catalog = Catalog::new(&tree);
    let mut intake = Intake::default();
    let mut found = Vec::new();
    let mut paths = BTreeSet::new();
    for name in names.iter().filter(|name| *name != "lo") {
        // What is no link to a device is no interface: bonding's control file stands here too.
        if let Some(port) = Port::find(&tree, name) {
            found.push((
                name.clone(),
                port.read(&mut catalog, ethtool.as_ref(), &mut intake),
            ));
            paths.insert(port.path().to_string());
        }
    }
    found.extend(pci::without_interface(&tree, &mut catalog, &paths));
    if found.len() > ADAPTERS_LIMIT {
        found.sort_by_key(|(_, adapter)| adapter.pci.as_ref().is_some_and(Location::is_virtual));
    }
    for (subject, adapter) in found {
        intake.admit(&subject, adapter);
    }
    Ok(intake.finish())
}
