//! A machine's files, made up in a directory that goes away by itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use adapter_facts::{Adapter, kernel};

pub(crate) struct Machine(tempfile::TempDir);

impl Machine {
    pub(crate) fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        fs::create_dir_all(machine.root().join("sys/class/net")).unwrap();
        machine
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// A file with its directories.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Machine {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A symbolic link, relative as sysfs makes them.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Machine {
        let depth = path.trim_start_matches('/').matches('/').count();
        let target = format!("{}{}", "../".repeat(depth), target.trim_start_matches('/'));
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// A device on a bus: a directory with a uevent file and the given attributes.
    pub(crate) fn device(&self, path: &str, bus: &str, attributes: &[(&str, &str)]) -> &Machine {
        if attributes.iter().all(|(name, _)| *name != "uevent") {
            self.file(&format!("{path}/uevent"), "");
        }
        for (name, value) in attributes {
            self.file(&format!("{path}/{name}"), format!("{value}\n"));
        }
        self.link(&format!("{path}/subsystem"), &format!("/sys/bus/{bus}"))
    }

    /// A PCI function, listed on its bus.
    pub(crate) fn pci(
        &self,
        path: &str,
        class: &str,
        id: (&str, &str),
        attributes: &[(&str, &str)],
    ) -> &Machine {
        let address = path.rsplit('/').next().unwrap();
        self.device(
            path,
            "pci",
            &[("class", class), ("vendor", id.0), ("device", id.1)],
        );
        for (name, value) in attributes {
            self.file(&format!("{path}/{name}"), format!("{value}\n"));
        }
        self.link(&format!("/sys/bus/pci/devices/{address}"), path)
    }

    /// An interface below a device, with usual attributes where none are given.
    pub(crate) fn interface(
        &self,
        device: &str,
        name: &str,
        index: u32,
        attributes: &[(&str, &str)],
    ) -> &Machine {
        let path = format!("{device}/net/{name}");
        let index = index.to_string();
        let usual = [
            ("ifindex", index.as_str()),
            ("iflink", &index),
            ("type", "1"),
            ("addr_assign_type", "0"),
            ("operstate", "down"),
            ("mtu", "1500"),
            ("dev_port", "0"),
            ("dev_id", "0x0"),
            ("speed", "-1"),
        ];
        let given = |name: &str| attributes.iter().any(|(given, _)| *given == name);
        let usual = usual.into_iter().filter(|(name, _)| !given(name));
        let all: Vec<(&str, &str)> = usual.chain(attributes.iter().copied()).collect();
        self.device(&path, "net", &all);
        self.link(&format!("/sys/class/net/{name}"), &path)
    }

    /// The kernel reader's answer.
    pub(crate) fn adapters(&self) -> Vec<Adapter> {
        kernel::read(self.root()).unwrap()
    }

    /// The answer's only adapter.
    pub(crate) fn adapter(&self) -> Adapter {
        let mut adapters = self.adapters();
        assert_eq!(adapters.len(), 1, "{adapters:#?}");
        adapters.remove(0)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }
}

/// A value's text, or nothing.
pub(crate) fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}
