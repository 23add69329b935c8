//! One network interface.

use std::fmt::Display;

use super::catalog::Catalog;
use super::device::Device;
use super::{guid, naming, udev};
use crate::adapter::Adapter;
use crate::ethtool::Ethtool;
use crate::facts::Intake;
use crate::value::{
    Candidates, Driver, Firmware, Interface, Label, LinkState, Location, Mac, Mtu, NumaNode, PciId,
    Speed,
};
use program::Tree;

/// An interface and its device.
pub(super) struct Port<'t> {
    name: String,
    device: Device<'t>,
}

impl<'t> Port<'t> {
    /// The interface of that name in `/sys/class/net`, if it is one.
    pub(super) fn find(tree: &'t Tree, name: &str) -> Option<Port<'t>> {
        let device = Device::linked(tree, &format!("/sys/class/net/{name}"))?;
        // Every interface has an index; this also leaves out links that lead nowhere.
        device.number("ifindex")?;
        Some(Port {
            name: name.to_string(),
            device,
        })
    }

    /// Its path, from `/sys` on.
    pub(super) fn path(&self) -> &str {
        self.device.path()
    }

    /// All that is known of it. What does not fit its field is named to `intake`.
    pub(super) fn read(
        &self,
        catalog: &mut Catalog<'_>,
        ethtool: Option<&Ethtool>,
        intake: &mut Intake,
    ) -> Adapter {
        let mut fields = Fields {
            name: &self.name,
            intake,
        };
        let device = &self.device;
        let told = self.udev();
        let (vendor, model) = self.labels(told.as_ref(), catalog);
        let driver = ethtool.and_then(|ethtool| ethtool.driver(&self.name));
        let (driver, firmware) = driver.map(|driver| (driver.name, driver.firmware)).unzip();
        let permanent = ethtool.and_then(|ethtool| ethtool.permanent_address(&self.name));
        let speed = device
            .attribute("speed")
            .filter(|text| !text.starts_with('-'));
        let speed = speed.or_else(|| ethtool?.speed(&self.name).map(|speed| speed.to_string()));
        let parent = device.parents().next();
        let of_parent = |name: &str| parent.as_ref().and_then(|parent| parent.attribute(name));
        let bound = parent
            .as_ref()
            .and_then(|parent| parent.link_name("driver"));
        let pci = device.parent_on("pci");
        Adapter {
            interface: fields.value("interface", Some(self.name.clone()), Interface::new),
            candidates: self.candidates(told.as_ref()),
            pci: fields.value("location", Some(self.location()), Location::new),
            // Always said, as the stock script does, also if it is empty.
            mac: fields.value(
                "mac",
                Some(device.attribute("address").unwrap_or_default()),
                Mac::new,
            ),
            vendor: fields.value("vendor", vendor, Label::new),
            model: fields.value("model", model, Label::new),
            linkstate: fields.value("linkstate", self.linkstate(), LinkState::new),
            driver: fields.value("driver", bound.or(driver), Driver::new),
            // An unknown speed is all ones, in the kernel and in some drivers' files.
            speed: speed
                .and_then(|text| Speed::parse(&text).ok())
                .filter(|speed| speed.get() > 0),
            firmware: fields.value("firmware", firmware.flatten(), Firmware::new),
            permanent_mac: fields.value("permanent mac", permanent, Mac::new),
            guid: guid::of_interface(device),
            mtu: device.number("mtu").and_then(|mtu| Mtu::new(mtu).ok()),
            // -1 where there is only one.
            numa_node: of_parent("numa_node")
                .or_else(|| pci.as_ref()?.attribute("numa_node"))
                .and_then(|text| NumaNode::parse(&text).ok()),
            pci_id: pci.as_ref().and_then(pci_id),
        }
    }

    /// What udev knows of it, if udev is there.
    fn udev(&self) -> Option<udev::Entry> {
        let index = self.device.number("ifindex")?;
        let bytes = self
            .device
            .tree()
            .bytes(&format!("/run/udev/data/n{index}"), udev::LIMIT)?;
        Some(udev::Entry::parse(&bytes))
    }

    fn candidates(&self, told: Option<&udev::Entry>) -> Option<Candidates> {
        match told {
            Some(entry) => Candidates::of(entry.names()),
            None => Candidates::of(naming::names(&self.device).iter().map(String::as_str)),
        }
    }

    fn labels(
        &self,
        told: Option<&udev::Entry>,
        catalog: &mut Catalog<'_>,
    ) -> (Option<String>, Option<String>) {
        let told = |key| told.and_then(|entry| entry.get(key)).map(str::to_string);
        let (vendor, model) = (
            told("ID_VENDOR_FROM_DATABASE"),
            told("ID_MODEL_FROM_DATABASE"),
        );
        if vendor.is_some() || model.is_some() {
            return (vendor, model);
        }
        let found = catalog.of_interface(&self.device);
        (found.vendor, found.model)
    }

    /// The device path without `/sys/devices` and the net part. The stock script cuts at the last
    /// `/net*`, which for an interface called `net0` is one part too late (spec section 10.14).
    fn location(&self) -> String {
        let path = self.device.path();
        let path = path.strip_prefix("/sys/devices").unwrap_or(path);
        let end = format!("/net/{}", self.device.name());
        path.strip_suffix(end.as_str()).unwrap_or(path).to_string()
    }

    /// The kernel's states are `ip link`'s in small letters.
    fn linkstate(&self) -> Option<String> {
        Some(self.device.attribute("operstate")?.to_ascii_uppercase())
    }
}

/// Vendor and device number of a PCI device.
pub(super) fn pci_id(pci: &Device<'_>) -> Option<PciId> {
    let id = format!("{:04x}:{:04x}", pci.hex("vendor")?, pci.hex("device")?);
    PciId::new(&id).ok()
}

/// Makes values and names those that do not fit.
struct Fields<'a> {
    name: &'a str,
    intake: &'a mut Intake,
}

impl Fields<'_> {
    fn value<T, E: Display>(
        &mut self,
        field: &str,
        text: Option<String>,
        new: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = text?;
        match new(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.intake
                    .drop(&format!("{}: {field}", self.name), &text, &why.to_string());
                None
            }
        }
    }
}
