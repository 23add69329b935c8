//! A tree as sysfs has it, with as many adapters as wanted.

use std::fs;
use std::path::Path;

/// Makes `count` Ethernet adapters, eight to a PCI slot, under `root`.
pub fn make_adapters(root: &Path, count: usize) {
    let class = root.join("sys/class/net");
    fs::create_dir_all(&class).expect("class");
    fs::create_dir_all(root.join("sys/bus/pci")).expect("bus");
    for i in 0..count {
        let device = root.join(format!(
            "sys/devices/pci0000:00/0000:00:{:02x}.{}",
            i / 8,
            i % 8
        ));
        let net = device.join(format!("net/eth{i}"));
        fs::create_dir_all(&net).expect("net");
        for (name, text) in [
            ("address", format!("52:54:00:00:00:{i:02x}\n")),
            ("operstate", "up\n".into()),
            ("ifindex", format!("{}\n", i + 2)),
            ("iflink", format!("{}\n", i + 2)),
            ("type", "1\n".into()),
            ("addr_assign_type", "0\n".into()),
            ("dev_id", "0x0\n".into()),
            ("dev_port", "0\n".into()),
        ] {
            fs::write(net.join(name), text).expect(name);
        }
        for (name, text) in [
            ("vendor", "0x8086\n"),
            ("device", "0x100e\n"),
            ("class", "0x020000\n"),
        ] {
            fs::write(device.join(name), text).expect(name);
        }
        std::os::unix::fs::symlink("../..", net.join("device")).expect("device");
        std::os::unix::fs::symlink("../../../bus/pci", device.join("subsystem"))
            .or_else(|error| {
                if device.join("subsystem").is_symlink() {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .expect("subsystem");
        std::os::unix::fs::symlink(
            format!(
                "../../devices/pci0000:00/0000:00:{:02x}.{}/net/eth{i}",
                i / 8,
                i % 8
            ),
            class.join(format!("eth{i}")),
        )
        .expect("link");
    }
}
