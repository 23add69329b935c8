//! What a disk can be named by: serial number, World Wide Name, model.

use program::Tree;

/// No number that somebody would ask for is longer; report and order have the same limit.
const LONGEST: usize = 128;

/// A page of vital product data: four bytes, then the number.
const VPD_HEADER: usize = 4;

/// How far up a USB disk's own device is: target, host, interface and a hub or two.
const ANCESTORS: usize = 8;

/// True if both name the same disk. `naa.5000c500a1b2c3d4` is what sysfs says,
/// `0x5000c500a1b2c3d4` what udev and lsblk say, `wwn-0x5000c500a1b2c3d4` the name in /dev/disk/by-id.
pub fn same_wwn(a: &str, b: &str) -> bool {
    bare_wwn(a) == bare_wwn(b)
}

/// The digits alone.
pub(super) fn bare_wwn(text: &str) -> String {
    let mut text = text.trim().to_ascii_lowercase();
    for start in [
        "wwn-", "nvme-", "naa.", "eui.", "uuid.", "t10.", "nvme.", "0x",
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            text = rest.to_string();
        }
    }
    text
}

/// Its serial number: virtio says it on the disk, NVMe and cards on the controller, SCSI and ATA in
/// vital product data, a USB device above its SCSI host; udev may know it where the kernel does not.
pub(super) fn serial(tree: &Tree, path: &str) -> Option<String> {
    let device = device(tree, path);
    let text = |file: String| tree.text(&file).and_then(usable);
    text(format!("{path}/serial"))
        .or_else(|| text(format!("{device}/serial")))
        .or_else(|| {
            let page = tree.bytes(&format!("{device}/vpd_pg80"), VPD_HEADER + LONGEST)?;
            let length = usize::from(*page.get(3)?);
            let number = page.get(VPD_HEADER..)?;
            let number = number.get(..length).unwrap_or(number);
            usable(String::from_utf8_lossy(number).into_owned())
        })
        .or_else(|| usb_serial(tree, &device))
        .or_else(|| udev(tree, path, "ID_SERIAL_SHORT"))
}

/// Its World Wide Name, as the kernel writes it.
pub(super) fn wwn(tree: &Tree, path: &str) -> Option<String> {
    let device = device(tree, path);
    let text = |file: String| tree.text(&file).and_then(usable);
    text(format!("{path}/wwid"))
        .or_else(|| text(format!("{device}/wwid")))
        .or_else(|| udev(tree, path, "ID_WWN"))
}

/// The maker's words.
pub(super) fn model(tree: &Tree, path: &str) -> Option<String> {
    let device = device(tree, path);
    let text = |file: &str| tree.text(&format!("{device}/{file}")).and_then(usable);
    text("model").or_else(|| text("name"))
}

fn device(tree: &Tree, path: &str) -> String {
    let link = format!("{path}/device");
    tree.resolve(&link).unwrap_or(link)
}

fn usb_serial(tree: &Tree, device: &str) -> Option<String> {
    let mut at = device;
    for _ in 0..ANCESTORS {
        at = at.rsplit_once('/')?.0;
        if tree.exists(&format!("{at}/idVendor")) {
            return tree.text(&format!("{at}/serial")).and_then(usable);
        }
    }
    None
}

/// A property in udev's database, where udev runs.
fn udev(tree: &Tree, path: &str, name: &str) -> Option<String> {
    let number = tree.text(&format!("{path}/dev"))?;
    let known = tree.bytes(&format!("/run/udev/data/b{number}"), 64 << 10)?;
    let known = String::from_utf8_lossy(&known);
    let value = known.lines().find_map(|line| {
        let (key, value) = line.strip_prefix("E:")?.split_once('=')?;
        (key == name).then_some(value)
    })?;
    usable(value.to_string())
}

/// Firmware writes what it likes; a number that can be asked for is printable, and not only blanks.
fn usable(text: String) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    ((1..=LONGEST).contains(&text.len()) && printable).then(|| text.to_string())
}
