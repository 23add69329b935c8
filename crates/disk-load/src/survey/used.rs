//! Who uses a disk or one of its partitions.

use std::collections::BTreeMap;

use program::Tree;

/// No list of mounts is longer.
const LIST_LIMIT: usize = 4 << 20;

/// What is mounted and what is swapped to, by device number and by name.
#[derive(Debug, Default)]
pub(super) struct Used {
    numbers: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Used {
    pub(super) fn read(tree: &Tree) -> Used {
        let mut used = Used::default();
        let mounts = tree.bytes("/proc/self/mountinfo", LIST_LIMIT);
        for line in String::from_utf8_lossy(&mounts.unwrap_or_default()).lines() {
            used.mount(line);
        }
        let swaps = tree.bytes("/proc/swaps", LIST_LIMIT);
        for line in String::from_utf8_lossy(&swaps.unwrap_or_default()).lines() {
            if let Some(name) = device(line.split_ascii_whitespace().next().unwrap_or("")) {
                used.names.insert(name, "swap".to_string());
            }
        }
        used
    }

    /// `36 35 98:0 /root /mount/point options - type source options`, see proc_pid_mountinfo(5).
    fn mount(&mut self, line: &str) {
        let mut fields = line.split(' ');
        let (number, place) = (fields.nth(2), fields.nth(1));
        let (Some(number), Some(place)) = (number, place) else {
            return;
        };
        let what = format!("mounted on {place}");
        self.numbers.insert(number.to_string(), what.clone());
        // Some file systems have a number of their own and name the device only.
        let source = line.split_once(" - ").and_then(|(_, rest)| {
            let mut rest = rest.split(' ');
            rest.nth(1)
        });
        if let Some(name) = source.and_then(device) {
            self.names.insert(name, what);
        }
    }

    /// What the disk at `path` is used for, if for anything.
    pub(super) fn by(&self, tree: &Tree, name: &str, path: &str) -> Option<String> {
        let mut places = vec![(name.to_string(), path.to_string())];
        places.extend(partitions(tree, path));
        for (name, place) in places {
            let number = tree.text(&format!("{place}/dev")).unwrap_or_default();
            let by = self.numbers.get(&number).or_else(|| self.names.get(&name));
            if let Some(by) = by {
                return Some(format!("{name} is {by}"));
            }
            if let Some(holder) = holders(tree, &place).first() {
                return Some(format!("{name} is a part of {holder}"));
            }
        }
        None
    }
}

/// True if a multipath device stands on the disk.
pub(super) fn is_path(tree: &Tree, path: &str) -> bool {
    holders(tree, path).iter().any(|holder| {
        let uuid = tree.text(&format!("/sys/block/{holder}/dm/uuid"));
        uuid.is_some_and(|uuid| uuid.starts_with("mpath-"))
    })
}

fn holders(tree: &Tree, path: &str) -> Vec<String> {
    tree.list(&format!("{path}/holders")).unwrap_or_default()
}

/// The partitions, each as its name and its place.
fn partitions(tree: &Tree, path: &str) -> Vec<(String, String)> {
    let entries = tree.list(path).unwrap_or_default();
    let entries = entries.into_iter().map(|name| {
        let place = format!("{path}/{name}");
        (name, place)
    });
    entries
        .filter(|(_, place)| tree.exists(&format!("{place}/partition")))
        .collect()
}

/// The kernel's name of a device file.
fn device(path: &str) -> Option<String> {
    let name = path.strip_prefix("/dev/")?;
    Some(name.replace('/', "!"))
}
