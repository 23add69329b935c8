//! Names of vendors and models, from what is installed: the hardware database of udev, else a
//! pci.ids. Nothing is compiled in: a list of ours would be older than the machine.

use std::collections::BTreeMap;
use std::fs::File;

use super::device::Device;
use super::hwdb::Hwdb;
use super::pci_ids::{self, PciIds};
use program::Tree;

/// Where udev looks, in its order.
const HWDB: [&str; 6] = [
    "/etc/systemd/hwdb/hwdb.bin",
    "/etc/udev/hwdb.bin",
    "/usr/lib/systemd/hwdb/hwdb.bin",
    "/lib/systemd/hwdb/hwdb.bin",
    "/lib/udev/hwdb.bin",
    "/usr/lib/udev/hwdb.bin",
];

/// Where distributions put it.
const PCI_IDS: [&str; 4] = [
    "/usr/share/hwdata/pci.ids",
    "/usr/share/misc/pci.ids",
    "/usr/share/pci.ids",
    "/var/lib/pciutils/pci.ids",
];

/// What a device is called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) vendor: Option<String>,
    pub(super) model: Option<String>,
}

impl Names {
    /// Both in one text.
    pub(super) fn joined(self) -> Option<String> {
        let both: Vec<String> = [self.vendor, self.model].into_iter().flatten().collect();
        Some(both.join(" ")).filter(|text| !text.is_empty())
    }
}

/// The installed lists. Opened when first asked; each question is answered once.
pub(super) struct Catalog<'t> {
    tree: &'t Tree,
    source: Option<Source>,
    known: BTreeMap<String, Names>,
}

enum Source {
    Hwdb(Hwdb<File>),
    PciIds(PciIds),
    Nothing,
}

impl<'t> Catalog<'t> {
    pub(super) fn new(tree: &'t Tree) -> Catalog<'t> {
        Catalog {
            tree,
            source: None,
            known: BTreeMap::new(),
        }
    }

    /// The names of the device that an interface belongs to: its USB device, else its PCI function,
    /// as udev's rules for network devices have it.
    pub(super) fn of_interface(&mut self, interface: &Device<'_>) -> Names {
        let usb = interface.parents().find(|parent| {
            parent.is_on("usb")
                && parent
                    .variable("DEVTYPE")
                    .is_some_and(|kind| kind == "usb_device")
        });
        if let Some(usb) = usb {
            return match (usb.hex("idVendor"), usb.hex("idProduct")) {
                (Some(vendor), Some(product)) => {
                    self.look_up(&format!("usb:v{vendor:04X}p{product:04X}:"), None)
                }
                _ => Names::default(),
            };
        }
        let Some(pci) = interface.parent_on("pci") else {
            return Names::default();
        };
        let Some((modalias, mut id)) = identity(&pci) else {
            return Names::default();
        };
        id.subsystem = pci.hex("subsystem_vendor").zip(pci.hex("subsystem_device"));
        let whole = pci
            .attribute("modalias")
            .filter(|text| text.starts_with("pci:"));
        self.look_up(&whole.unwrap_or(modalias), Some(id))
    }

    /// The names of a PCI device, without what its maker added: lspci's short form.
    pub(super) fn of_pci(&mut self, pci: &Device<'_>) -> Names {
        match identity(pci) {
            Some((modalias, id)) => self.look_up(&modalias, Some(id)),
            None => Names::default(),
        }
    }

    fn look_up(&mut self, modalias: &str, id: Option<pci_ids::Id>) -> Names {
        if let Some(names) = self.known.get(modalias) {
            return names.clone();
        }
        let tree = self.tree;
        let names = match self.source.get_or_insert_with(|| Source::open(tree)) {
            Source::Hwdb(hwdb) => {
                let mut found = hwdb.look_up(modalias);
                Names {
                    vendor: found.remove("ID_VENDOR_FROM_DATABASE"),
                    model: found.remove("ID_MODEL_FROM_DATABASE"),
                }
            }
            Source::PciIds(list) => {
                id.map(|id| list.look_up(&id))
                    .map_or_else(Names::default, |found| Names {
                        vendor: found.vendor,
                        model: found.model,
                    })
            }
            Source::Nothing => Names::default(),
        };
        self.known.insert(modalias.to_string(), names.clone());
        names
    }
}

impl Source {
    fn open(tree: &Tree) -> Source {
        let hwdb = HWDB
            .iter()
            .find_map(|path| Hwdb::open(tree.open(path)?).ok());
        if let Some(hwdb) = hwdb {
            return Source::Hwdb(hwdb);
        }
        let list = PCI_IDS
            .iter()
            .find_map(|path| tree.bytes(path, pci_ids::LIMIT));
        list.map_or(Source::Nothing, |bytes| Source::PciIds(PciIds::new(bytes)))
    }
}

/// The beginning of a PCI device's modalias, and its numbers.
fn identity(pci: &Device<'_>) -> Option<(String, pci_ids::Id)> {
    let (vendor, device) = (pci.hex("vendor")?, pci.hex("device")?);
    let modalias = format!("pci:v{vendor:08X}d{device:08X}");
    Some((
        modalias,
        pci_ids::Id {
            vendor,
            device,
            subsystem: None,
        },
    ))
}
