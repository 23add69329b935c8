//! The disks of a machine: how large, which numbers they bear, what they are attached by, who uses them.
//!
//! All of it is read from sysfs, procfs and udev's database below a root, so that a test can make up any
//! machine. Nothing is opened but those files.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use program::Tree;

mod attached;
mod numbers;
mod used;

use attached::Attached;
pub use numbers::same_wwn;
use used::Used;

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot list the disks: {why}", path.display())]
pub struct NoDisks {
    /// The directory.
    pub path: PathBuf,
    /// Why it cannot be listed.
    pub why: io::Error,
}

/// A whole disk. Optical and floppy drives, and a memory card's boot areas, are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// As the kernel names it, without `/dev/`: `sda`, `nvme0n1`, `cciss!c0d0`.
    pub name: String,
    /// Bytes; 0 without a medium.
    pub size: u64,
    /// Its serial number, if it tells one.
    pub serial: Option<String>,
    /// Its World Wide Name, as the kernel writes it, if it tells one.
    pub wwn: Option<String>,
    /// The maker's words.
    pub model: Option<String>,
    /// Why it is taken only if the order names it by serial number or World Wide Name.
    pub unsafe_because: Option<Reserve>,
    /// Why it is never taken, whatever the order says.
    pub unusable_because: Option<Unusable>,
}

/// What makes it likely that a disk is not the node's own (design section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// It is another machine's: iSCSI, Fibre Channel, NVMe over fabrics and the like.
    Network(&'static str),
    /// It is one path of several, or its name is there twice.
    Multipath,
    /// Somebody's stick.
    Usb,
    /// The medium can be taken out.
    Removable,
}

/// What makes writing impossible or senseless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Memory, a loop, a device mapper's or RAID device: no disk.
    Virtual,
    /// No medium.
    Empty,
    /// Write-protected.
    ReadOnly,
    /// It must be written zone by zone.
    Zoned,
    /// Mounted, swapped to, or a part of another device: by what.
    InUse(String),
}

/// Every disk of the machine whose files are below `root` (`/` for this one), by name.
///
/// # Errors
/// [`NoDisks`]: sysfs is not mounted, or `root` is wrong.
pub fn survey(root: &Path) -> Result<Vec<Disk>, NoDisks> {
    let tree = Tree::new(root);
    let list = "/sys/block";
    let names = tree.list(list).map_err(|why| NoDisks {
        path: tree.at(list),
        why,
    })?;
    let used = Used::read(&tree);
    let mut disks: Vec<Disk> = names
        .iter()
        .filter_map(|name| disk(&tree, name, &used))
        .collect();
    mark_twins(&mut disks);
    Ok(disks)
}

/// The same World Wide Name twice is one disk by two paths. Without multipathd there is no other sign.
fn mark_twins(disks: &mut [Disk]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let bare = |disk: &Disk| disk.wwn.as_deref().map(numbers::bare_wwn);
    for name in disks.iter().filter_map(bare) {
        *seen.entry(name).or_default() += 1;
    }
    for disk in disks {
        let twice = bare(disk).and_then(|name| seen.get(&name)).copied() > Some(1);
        if twice && !matches!(disk.unsafe_because, Some(Reserve::Network(_))) {
            disk.unsafe_because = Some(Reserve::Multipath);
        }
    }
}

fn disk(tree: &Tree, name: &str, used: &Used) -> Option<Disk> {
    // Where sysfs is of the older form there is a directory instead of a link.
    let link = format!("/sys/block/{name}");
    let path = tree.resolve(&link).unwrap_or(link);
    let flag = |file: &str| tree.text(&format!("{path}/{file}")).as_deref() == Some("1");
    let attached = Attached::find(tree, name, &path);
    if attached == Attached::NotADisk || flag("hidden") {
        return None;
    }
    let sectors = tree.text(&format!("{path}/size"));
    let sectors: Option<u64> = sectors.and_then(|text| text.parse().ok());
    let size = sectors.and_then(|sectors| sectors.checked_mul(512));
    let size = size.unwrap_or_default();
    let zoned = tree.text(&format!("{path}/queue/zoned"));
    let unusable_because = if attached == Attached::Virtual {
        Some(Unusable::Virtual)
    } else if size == 0 {
        Some(Unusable::Empty)
    } else if flag("ro") {
        Some(Unusable::ReadOnly)
    } else if zoned.as_deref() == Some("host-managed") {
        Some(Unusable::Zoned)
    } else {
        used.by(tree, name, &path).map(Unusable::InUse)
    };
    let unsafe_because = match attached {
        Attached::Network(what) => Some(Reserve::Network(what)),
        Attached::Multipath => Some(Reserve::Multipath),
        Attached::Usb => Some(Reserve::Usb),
        _ if used::is_path(tree, &path) => Some(Reserve::Multipath),
        Attached::Card => Some(Reserve::Removable),
        _ if flag("removable") => Some(Reserve::Removable),
        _ => None,
    };
    Some(Disk {
        name: name.to_string(),
        size,
        serial: numbers::serial(tree, &path),
        wwn: numbers::wwn(tree, &path),
        model: numbers::model(tree, &path),
        unsafe_because,
        unusable_because,
    })
}

impl Disk {
    /// Its device file: a `!` in the kernel's name is a `/` there.
    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(self.name.replace('!', "/"))
    }
}

impl fmt::Display for Disk {
    /// For people: the name, the size, what it can be named by, and what is to be known of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes", self.name, self.size)?;
        for (what, text) in [("serial", &self.serial), ("wwn", &self.wwn)] {
            if let Some(text) = text {
                write!(f, ", {what} {text}")?;
            }
        }
        if let Some(why) = &self.unusable_because {
            write!(f, ", {why}")?;
        } else if let Some(why) = &self.unsafe_because {
            write!(f, ", {why}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reserve::Network(what) => write!(f, "attached by a network: {what}"),
            Reserve::Multipath => f.write_str("one of several paths"),
            Reserve::Usb => f.write_str("attached by USB"),
            Reserve::Removable => f.write_str("removable"),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Virtual => f.write_str("no disk but a virtual device"),
            Unusable::Empty => f.write_str("without a medium"),
            Unusable::ReadOnly => f.write_str("read-only"),
            Unusable::Zoned => f.write_str("host-managed zones"),
            Unusable::InUse(by) => write!(f, "in use: {by}"),
        }
    }
}

#[cfg(test)]
mod tests;
