#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::{Disk, Reserve, Unusable, same_wwn, survey};

/// A machine that is made up.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        fs::create_dir_all(machine.at("sys/block")).unwrap();
        machine
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A disk of 1 MiB whose device (what it belongs to) is at that place below /sys/devices.
    fn disk(&self, name: &str, device: &str) -> String {
        let path = format!("sys/devices/{device}/block/{name}");
        self.file(&format!("{path}/size"), "2048\n");
        self.file(&format!("{path}/ro"), "0\n");
        self.file(&format!("{path}/removable"), "0\n");
        symlink("../..", self.at(&format!("{path}/device"))).unwrap();
        self.link(name, &path);
        path
    }

    fn link(&self, name: &str, path: &str) {
        let path = path.strip_prefix("sys/").unwrap();
        symlink(format!("../{path}"), self.at(&format!("sys/block/{name}"))).unwrap();
    }

    fn survey(&self) -> Vec<Disk> {
        survey(self.0.path()).unwrap()
    }

    fn only(&self) -> Disk {
        let mut disks = self.survey();
        assert_eq!(disks.len(), 1, "{disks:?}");
        disks.remove(0)
    }
}

/// A disk behind a SCSI host, as sysfs has it.
const SCSI: &str = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";

#[test]
fn a_sata_disk_is_a_candidate_and_has_its_numbers() {
    let machine = Machine::new();
    machine.disk("sda", SCSI);
    machine.file(&format!("sys/devices/{SCSI}/model"), "SAMSUNG MZ7LH480\n");
    machine.file(
        &format!("sys/devices/{SCSI}/wwid"),
        "naa.5002538e40a1b2c3\n",
    );
    machine.file(
        &format!("sys/devices/{SCSI}/vpd_pg80"),
        b"\0\x80\0\x0eS45PNA0M123456trailing",
    );
    let disk = machine.only();
    assert_eq!((disk.name.as_str(), disk.size), ("sda", 1 << 20));
    assert_eq!((disk.unsafe_because, &disk.unusable_because), (None, &None));
    assert_eq!(disk.serial.as_deref(), Some("S45PNA0M123456"));
    assert_eq!(disk.wwn.as_deref(), Some("naa.5002538e40a1b2c3"));
    assert_eq!(disk.model.as_deref(), Some("SAMSUNG MZ7LH480"));
    assert_eq!(disk.device(), Path::new("/dev/sda"));
    assert!(same_wwn("naa.5002538e40a1b2c3", "0x5002538E40A1B2C3"));
    assert!(same_wwn("wwn-0x5002538e40a1b2c3", "5002538e40a1b2c3"));
    assert!(!same_wwn("naa.5002538e40a1b2c3", "naa.5002538e40a1b2c4"));
}

#[test]
fn what_is_attached_by_a_network_is_known() {
    for (name, device, what) in [
        (
            "sdb",
            "platform/host3/session1/target3:0:0/3:0:0:0",
            "iSCSI",
        ),
        (
            "sdb",
            "pci0000:00/0000:05:00.0/host4/rport-4:0-1/target4:0:1/4:0:1:0",
            "Fibre Channel",
        ),
        (
            "sdb",
            "pci0000:00/0000:06:00.0/infiniband_srp/srp-mlx5_0-1/host7/target7:0:0/7:0:0:0",
            "SRP",
        ),
        ("nbd0", "virtual", "nbd"),
        ("rbd0", "rbd/0", "rbd"),
        ("etherd!e0.1", "virtual", "ATA over Ethernet"),
    ] {
        let machine = Machine::new();
        machine.disk(name, device);
        let disk = machine.only();
        assert_eq!(
            disk.unsafe_because,
            Some(Reserve::Network(what)),
            "{device}"
        );
    }
    // An offload card whose path looks like any other.
    let machine = Machine::new();
    machine.disk("sda", SCSI);
    machine.file("sys/class/scsi_host/host0/proc_name", "qla2xxx\n");
    let disk = machine.only();
    assert_eq!(disk.unsafe_because, Some(Reserve::Network("Fibre Channel")));
    machine.file("sys/class/scsi_host/host0/proc_name", "ahci\n");
    assert_eq!(machine.only().unsafe_because, None);
}

#[test]
fn nvme_by_its_transport() {
    for (transport, wanted) in [
        ("pcie\n", None),
        ("tcp\n", Some(Reserve::Network("NVMe over TCP"))),
        ("rdma\n", Some(Reserve::Network("NVMe over RDMA"))),
        ("fc\n", Some(Reserve::Network("NVMe over Fibre Channel"))),
        ("loop\n", Some(Reserve::Network("NVMe over fabrics"))),
    ] {
        let machine = Machine::new();
        let path = machine.disk("nvme0n1", "pci0000:00/0000:01:00.0/nvme/nvme0");
        machine.file(
            "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/transport",
            transport,
        );
        machine.file(
            "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/serial",
            "PHAX 1234  \n",
        );
        machine.file(&format!("{path}/wwid"), "eui.0025385b81b00001\n");
        let disk = machine.only();
        assert_eq!(disk.unsafe_because, wanted);
        assert_eq!(disk.serial.as_deref(), Some("PHAX 1234"));
        assert_eq!(disk.wwn.as_deref(), Some("eui.0025385b81b00001"));
    }
}

/// With the kernel's own NVMe multipathing a local disk is among virtual devices as well.
#[test]
fn an_nvme_subsystem_is_what_its_controllers_are() {
    let subsystem = "virtual/nvme-subsystem/nvme-subsys0";
    for (controllers, wanted) in [
        (&[("nvme0", "pcie")][..], None),
        (
            &[("nvme0", "pcie"), ("nvme1", "pcie")],
            Some(Reserve::Multipath),
        ),
        (
            &[("nvme0", "tcp"), ("nvme1", "tcp")],
            Some(Reserve::Network("NVMe over TCP")),
        ),
    ] {
        let machine = Machine::new();
        machine.disk("nvme0n1", subsystem);
        for (name, transport) in controllers {
            machine.file(
                &format!("sys/devices/{subsystem}/{name}/transport"),
                transport,
            );
        }
        // The path of a single controller is hidden.
        let path = machine.disk("nvme0c0n1", "pci0000:00/0000:01:00.0/nvme/nvme0");
        machine.file(&format!("{path}/hidden"), "1\n");
        let disk = machine.only();
        assert_eq!((disk.unsafe_because, disk.unusable_because), (wanted, None));
    }
}

#[test]
fn usb_removable_and_cards() {
    let machine = Machine::new();
    let usb = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0";
    machine.disk("sda", usb);
    machine.file(
        "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/idVendor",
        "0781\n",
    );
    machine.file(
        "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial",
        "4C53000\n",
    );
    let disk = machine.only();
    assert_eq!(disk.unsafe_because, Some(Reserve::Usb));
    assert_eq!(disk.serial.as_deref(), Some("4C53000"));

    let machine = Machine::new();
    let path = machine.disk("sda", SCSI);
    machine.file(&format!("{path}/removable"), "1\n");
    assert_eq!(machine.only().unsafe_because, Some(Reserve::Removable));

    let machine = Machine::new();
    for (name, kind) in [("mmcblk0", "MMC"), ("mmcblk1", "SD")] {
        let device = format!("platform/mmc/{name}:0001");
        machine.disk(name, &device);
        machine.file(&format!("sys/devices/{device}/type"), kind);
    }
    machine.disk("mmcblk0boot0", "platform/mmc/mmcblk0:0001/boot");
    machine.disk(
        "sr0",
        "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0",
    );
    let disks = machine.survey();
    let about: Vec<_> = disks
        .iter()
        .map(|disk| (disk.name.as_str(), disk.unsafe_because))
        .collect();
    assert_eq!(
        about,
        [("mmcblk0", None), ("mmcblk1", Some(Reserve::Removable))]
    );
}

#[test]
fn several_paths_with_and_without_multipathd() {
    let machine = Machine::new();
    for (name, host) in [("sda", 1), ("sdb", 2), ("sdc", 3)] {
        let device =
            format!("pci0000:00/0000:0{host}:00.0/host{host}/target{host}:0:0/{host}:0:0:0");
        let path = machine.disk(name, &device);
        let wwn = if name == "sdc" { "naa.3" } else { "naa.600a" };
        machine.file(&format!("sys/devices/{device}/wwid"), wwn);
        if name == "sdc" {
            machine.file(&format!("{path}/holders/dm-0/dev"), "253:0\n");
        }
    }
    machine.file("sys/devices/virtual/block/dm-0/size", "2048\n");
    machine.file("sys/devices/virtual/block/dm-0/dm/uuid", "mpath-3600a\n");
    machine.link("dm-0", "sys/devices/virtual/block/dm-0");
    let disks = machine.survey();
    let about = |name: &str| disks.iter().find(|disk| disk.name == name).unwrap();
    assert_eq!(about("dm-0").unusable_because, Some(Unusable::Virtual));
    for name in ["sda", "sdb", "sdc"] {
        assert_eq!(
            about(name).unsafe_because,
            Some(Reserve::Multipath),
            "{name}"
        );
    }
    let used = Unusable::InUse("sdc is a part of dm-0".into());
    assert_eq!(about("sdc").unusable_because, Some(used));
    assert_eq!(about("sda").unusable_because, None);
}

#[test]
fn what_is_in_use_or_cannot_be_written_is_never_taken() {
    let used = |change: &dyn Fn(&Machine, &str)| {
        let machine = Machine::new();
        let path = machine.disk("sda", SCSI);
        machine.file(&format!("{path}/dev"), "8:0\n");
        machine.file(&format!("{path}/sda2/partition"), "2\n");
        machine.file(&format!("{path}/sda2/dev"), "8:2\n");
        change(&machine, &path);
        machine.only().unusable_because.map(|why| why.to_string())
    };
    let mounts = "22 1 0:20 / /sys rw - sysfs sysfs rw\n";
    let by = |machine: &Machine, line: &str| {
        machine.file("proc/self/mountinfo", format!("{mounts}{line}\n"));
    };
    assert_eq!(used(&|machine, _| by(machine, "")), None);
    assert_eq!(
        used(&|machine, _| by(
            machine,
            "25 1 8:2 / /data rw,relatime shared:1 - xfs /dev/sda2 rw"
        )),
        Some("in use: sda2 is mounted on /data".to_string())
    );
    // btrfs has a number of its own.
    assert_eq!(
        used(&|machine, _| by(machine, "25 1 0:40 /root / rw - btrfs /dev/sda2 rw")),
        Some("in use: sda2 is mounted on /".to_string())
    );
    assert_eq!(
        used(
            &|machine, _| machine.file("proc/swaps", "Filename Type\n/dev/sda2 partition 1 0 -2\n")
        ),
        Some("in use: sda2 is swap".to_string())
    );
    assert_eq!(
        used(&|machine, path| machine.file(&format!("{path}/sda2/holders/md127/dev"), "9:127")),
        Some("in use: sda2 is a part of md127".to_string())
    );
    let file = |name: &'static str, text: &'static str| {
        move |machine: &Machine, path: &str| machine.file(&format!("{path}/{name}"), text)
    };
    assert_eq!(used(&file("ro", "1\n")).as_deref(), Some("read-only"));
    assert_eq!(
        used(&file("size", "0\n")).as_deref(),
        Some("without a medium")
    );
    assert_eq!(
        used(&file("size", "many\n")).as_deref(),
        Some("without a medium")
    );
    assert_eq!(
        used(&file("queue/zoned", "host-managed\n")).as_deref(),
        Some("host-managed zones")
    );
    assert_eq!(used(&file("queue/zoned", "none\n")), None);
}

#[test]
fn what_is_no_hardware_is_no_disk() {
    let machine = Machine::new();
    for name in [
        "loop0", "ram0", "zram0", "md127", "bcache0", "drbd1", "zd16", "nullb0", "pmem0",
    ] {
        machine.disk(name, "virtual");
    }
    machine.disk("unheard-of", "virtual");
    for disk in machine.survey() {
        assert_eq!(
            disk.unusable_because,
            Some(Unusable::Virtual),
            "{}",
            disk.name
        );
    }
}

#[test]
fn strange_numbers_are_no_numbers() {
    let machine = Machine::new();
    let path = machine.disk("vda", "pci0000:00/0000:00:04.0/virtio1");
    assert_eq!(machine.only().serial, None);
    machine.file(&format!("{path}/serial"), "\x1b[2J\n");
    assert_eq!(machine.only().serial, None);
    machine.file(&format!("{path}/dev"), "254:0\n");
    machine.file(
        "run/udev/data/b254:0",
        "S:disk/by-id/x\nE:ID_SERIAL_SHORT=from udev\nE:ID_WWN=0x5\n",
    );
    assert_eq!(machine.only().serial.as_deref(), Some("from udev"));
    assert_eq!(machine.only().wwn.as_deref(), Some("0x5"));
    machine.file(&format!("{path}/serial"), "vm-disk-1");
    assert_eq!(machine.only().serial.as_deref(), Some("vm-disk-1"));
    let error = survey(Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/sys/block: cannot list the disks: "));
}
