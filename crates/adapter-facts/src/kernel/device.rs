//! A device of sysfs: its attributes, its bus, its parent.

use program::Tree;

/// Levels of parents that are looked at; the deepest real path (USB behind bridges) has some 20.
const DEPTH: usize = 64;

/// A directory below `/sys/devices` that the kernel calls a device.
#[derive(Clone)]
pub(super) struct Device<'t> {
    tree: &'t Tree,
    path: String,
}

impl<'t> Device<'t> {
    /// The device that a symbolic link names.
    pub(super) fn linked(tree: &'t Tree, link: &str) -> Option<Device<'t>> {
        let path = tree.resolve(link)?;
        path.starts_with("/sys/devices/")
            .then_some(Device { tree, path })
    }

    /// Its path, from `/sys` on.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The last part of its path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// An attribute's text, if it can be read and is not empty.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let text = self.tree.text(&self.file(name))?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// An attribute that is a decimal number.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.attribute(name)?.parse().ok()
    }

    /// An attribute that is a hex number of four digits, with or without `0x`.
    pub(super) fn hex(&self, name: &str) -> Option<u16> {
        let text = self.attribute(name)?;
        u16::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok()
    }

    /// A byte of an attribute that is not text.
    pub(super) fn byte(&self, name: &str, at: usize) -> Option<u8> {
        self.tree.bytes(&self.file(name), at + 1)?.get(at).copied()
    }

    /// A variable of its uevent file.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let text = self.attribute("uevent")?;
        let values = text.lines().filter_map(|line| line.split_once('='));
        values
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.to_string())
            .next()
    }

    /// The last part of what one of its links points to: `subsystem`, `driver`.
    pub(super) fn link_name(&self, name: &str) -> Option<String> {
        let target = self.tree.resolve(&self.file(name))?;
        Some(target.rsplit('/').next()?.to_string())
    }

    /// The device that one of its links points to.
    pub(super) fn link(&self, name: &str) -> Option<Device<'t>> {
        Device::linked(self.tree, &self.file(name))
    }

    /// The names in one of its directories.
    pub(super) fn entries(&self, directory: &str) -> Vec<String> {
        self.tree.list(&self.file(directory)).unwrap_or_default()
    }

    /// Its parents, the nearest first. Directories between devices (`net`, `infiniband`) have no
    /// uevent file and are none.
    pub(super) fn parents(&self) -> impl Iterator<Item = Device<'t>> {
        let tree = self.tree;
        let above = |path: &str| path.rsplit_once('/').map(|(above, _)| above.to_string());
        std::iter::successors(above(&self.path), move |path| above(path))
            .take(DEPTH)
            .take_while(|path| path.starts_with("/sys/devices/"))
            .filter(|path| tree.exists(&format!("{path}/uevent")))
            .map(move |path| Device { tree, path })
    }

    /// The nearest parent on a bus.
    pub(super) fn parent_on(&self, bus: &str) -> Option<Device<'t>> {
        self.parents().find(|parent| parent.is_on(bus))
    }

    /// True if its subsystem is `bus`.
    pub(super) fn is_on(&self, bus: &str) -> bool {
        self.link_name("subsystem")
            .is_some_and(|subsystem| subsystem == bus)
    }

    pub(super) fn tree(&self) -> &'t Tree {
        self.tree
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}
