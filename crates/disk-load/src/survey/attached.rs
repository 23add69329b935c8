//! What a disk is attached by, as its name and its place among the devices tell.

use program::Tree;

/// Kinds of attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    /// By a bus inside the machine.
    Inside,
    /// By a network: which protocol.
    Network(&'static str),
    /// By several controllers of one NVMe subsystem.
    Multipath,
    Usb,
    /// A memory card.
    Card,
    /// Not by anything.
    Virtual,
    /// An optical or floppy drive, or an area of a card that holds no files.
    NotADisk,
}

/// Drivers of SCSI hosts that reach other machines' disks without saying so in the device's path.
const NETWORK_HOSTS: [(&str, &str); 17] = [
    ("iscsi_tcp", "iSCSI"),
    ("iser", "iSCSI"),
    ("ib_iser", "iSCSI"),
    ("bnx2i", "iSCSI"),
    ("be2iscsi", "iSCSI"),
    ("cxgb3i", "iSCSI"),
    ("cxgb4i", "iSCSI"),
    ("qla4xxx", "iSCSI"),
    ("qedi", "iSCSI"),
    ("ib_srp", "SRP"),
    ("fcoe", "Fibre Channel"),
    ("fnic", "Fibre Channel"),
    ("lpfc", "Fibre Channel"),
    ("qla2xxx", "Fibre Channel"),
    ("qedf", "Fibre Channel"),
    ("zfcp", "Fibre Channel"),
    ("ibmvfc", "Fibre Channel"),
];

impl Attached {
    /// `path` is where the kernel has it, `/sys/devices/...`.
    pub(super) fn find(tree: &Tree, name: &str, path: &str) -> Attached {
        if let Some(known) = by_name(name) {
            return known;
        }
        if name.starts_with("nvme") {
            return nvme(tree, path);
        }
        if name.starts_with("mmcblk") {
            let kind = tree.text(&format!("{path}/device/type"));
            return match kind.as_deref() {
                Some("MMC") => Attached::Inside,
                _ => Attached::Card,
            };
        }
        for part in path.split('/') {
            if numbered(part, "usb") {
                return Attached::Usb;
            }
            if numbered(part, "session") {
                return Attached::Network("iSCSI");
            }
            if part.starts_with("rport-") {
                return Attached::Network("Fibre Channel");
            }
            if part == "infiniband_srp" {
                return Attached::Network("SRP");
            }
            if numbered(part, "host") {
                let driver = tree.text(&format!("/sys/class/scsi_host/{part}/proc_name"));
                let known = NETWORK_HOSTS
                    .iter()
                    .find(|(name, _)| driver.as_deref() == Some(name));
                if let Some((_, what)) = known {
                    return Attached::Network(what);
                }
            }
        }
        match path.starts_with("/sys/devices/virtual/") {
            true => Attached::Virtual,
            false => Attached::Inside,
        }
    }
}

/// What the name alone tells.
fn by_name(name: &str) -> Option<Attached> {
    let starts = |names: &[&str]| names.iter().any(|start| numbered(name, start));
    if starts(&["sr", "fd"]) {
        return Some(Attached::NotADisk);
    }
    if starts(&["nbd"]) {
        return Some(Attached::Network("nbd"));
    }
    if starts(&["rbd"]) {
        return Some(Attached::Network("rbd"));
    }
    if name.starts_with("etherd!") {
        return Some(Attached::Network("ATA over Ethernet"));
    }
    if starts(&[
        "loop", "ram", "zram", "dm-", "md", "md_d", "bcache", "drbd", "zd", "nullb", "ublkb",
        "mtdblock", "pmem",
    ]) {
        return Some(Attached::Virtual);
    }
    let area = name
        .strip_prefix("mmcblk")?
        .trim_start_matches(|c: char| c.is_ascii_digit());
    (!area.is_empty()).then_some(Attached::NotADisk)
}

/// A namespace belongs to a controller, or to a subsystem with one or more of them.
fn nvme(tree: &Tree, path: &str) -> Attached {
    let device = format!("{path}/device");
    let at = tree.resolve(&device).unwrap_or(device);
    let controllers: Vec<String> = tree
        .list(&at)
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| numbered(entry, "nvme"))
        .collect();
    let mut transports: Vec<String> = controllers
        .iter()
        .filter_map(|controller| tree.text(&format!("{at}/{controller}/transport")))
        .collect();
    transports.extend(tree.text(&format!("{at}/transport")));
    for transport in &transports {
        match transport.as_str() {
            "pcie" | "apple-nvme" => {}
            "tcp" => return Attached::Network("NVMe over TCP"),
            "rdma" => return Attached::Network("NVMe over RDMA"),
            "fc" => return Attached::Network("NVMe over Fibre Channel"),
            _ => return Attached::Network("NVMe over fabrics"),
        }
    }
    if controllers.len() > 1 {
        return Attached::Multipath;
    }
    // Kernels before 4.5 tell no transport and know no fabrics.
    Attached::Inside
}

/// True for `start` with nothing but digits behind it.
fn numbered(text: &str, start: &str) -> bool {
    let digits = text.strip_prefix(start);
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}
