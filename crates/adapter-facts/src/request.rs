//! The request by which a node reports its adapters.

use xcat_request::Element;
use xcat_request::write::element;

use crate::adapter::Adapter;
use crate::facts::{Facts, Intake};
use crate::value::{
    Candidates, Driver, Firmware, Guid, Interface, Label, LinkState, Location, Mac, Mtu, NumaNode,
    PciId, Refused, Speed,
};

/// True if a request is a node's report: `<action>update</action>`. Any other action, or none, is a
/// request to inspect (the seed's rule).
pub fn is_update(root: &Element) -> bool {
    root.text_of("action")
        .is_some_and(|action| action.trim() == "update")
}

/// What a report says: the `nic` elements of an `xcatrequest`, or of the `opt` of xCAT's frames
/// (spec sections 5 and 6). Blanks around a value do not count, and a link state ends at the first
/// blank, as the later generations read it. What does not fit its field is dropped and named.
pub fn from_request(root: &Element) -> Facts {
    let mut intake = Intake::default();
    for (index, nic) in root.all("nic").enumerate() {
        let subject = format!("nic {index}");
        let adapter = read(nic, &subject, &mut intake);
        intake.admit(&subject, adapter);
    }
    intake.finish()
}

/// The request that reports these adapters: what the stock script sends, in its order, one element a
/// line, empty ones left out but for the mac; then the later fields, which an xcatd does not look
/// at. `extra` are further elements for the head, whose names are the program's own.
pub fn to_request(adapters: &[Adapter], extra: &[(&str, &str)]) -> String {
    let mut text =
        String::from("<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n");
    for (name, value) in extra {
        line(&mut text, name, value);
    }
    for adapter in adapters {
        text.push_str("<nic>\n");
        write(&mut text, adapter);
        text.push_str("</nic>\n");
    }
    text.push_str("</xcatrequest>\n");
    text
}

fn read(nic: &Element, subject: &str, intake: &mut Intake) -> Adapter {
    let mut fields = Fields {
        nic,
        subject,
        intake,
    };
    Adapter {
        // An empty name is no name: the original leaves such a device out.
        interface: fields.filled("interface", Interface::new),
        candidates: fields.value("predictablename", |text| {
            // The file generation joined them by commas.
            Candidates::new(&text.replace(',', "/"))
        }),
        pci: fields.value("pcilocation", Location::new),
        mac: fields.value("mac", Mac::new),
        vendor: fields.value("vendor", Label::new),
        model: fields.value("model", Label::new),
        linkstate: fields.value("linkstate", |text| {
            LinkState::new(text.split_whitespace().next().unwrap_or_default())
        }),
        driver: fields.filled("driver", Driver::new),
        speed: fields.filled("speed", Speed::parse),
        firmware: fields.filled("firmware", Firmware::new),
        permanent_mac: fields.filled("permanentmac", Mac::new),
        guid: fields.filled("guid", Guid::new),
        mtu: fields.filled("mtu", Mtu::parse),
        numa_node: fields.filled("numanode", NumaNode::parse),
        pci_id: fields.filled("pciid", PciId::new),
    }
}

/// The fields of one `nic` element.
struct Fields<'a> {
    nic: &'a Element,
    subject: &'a str,
    intake: &'a mut Intake,
}

impl Fields<'_> {
    /// A value that may be empty.
    fn value<T>(&mut self, name: &str, new: impl Fn(&str) -> Result<T, Refused>) -> Option<T> {
        let text = self.nic.text_of(name)?.trim();
        match new(text) {
            Ok(value) => Some(value),
            Err(why) => {
                let subject = format!("{}: {name}", self.subject);
                self.intake.drop(&subject, text, &why.to_string());
                None
            }
        }
    }

    /// A value that is missing when it is empty.
    fn filled<T>(&mut self, name: &str, new: impl Fn(&str) -> Result<T, Refused>) -> Option<T> {
        if self.nic.text_of(name)?.trim().is_empty() {
            return None;
        }
        self.value(name, new)
    }
}

fn write(text: &mut String, adapter: &Adapter) {
    let filled = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
    let original = [
        (
            "interface",
            adapter.interface.as_ref().map(|value| value.as_str()),
        ),
        (
            "predictablename",
            adapter.candidates.as_ref().map(|value| value.as_str()),
        ),
        (
            "pcilocation",
            adapter.pci.as_ref().map(|value| value.as_str()),
        ),
        ("mac", adapter.mac.as_ref().map(|value| value.as_str())),
        (
            "vendor",
            adapter.vendor.as_ref().map(|value| value.as_str()),
        ),
        ("model", adapter.model.as_ref().map(|value| value.as_str())),
        (
            "linkstate",
            adapter.linkstate.as_ref().map(|value| value.as_str()),
        ),
    ];
    for (name, value) in original {
        if let Some(value) = value.filter(|_| name == "mac" || filled(value)) {
            line(text, name, value);
        }
    }
    for (name, value) in adapter.later() {
        line(text, name, &value);
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(&element(name, value));
    text.push('\n');
}

#[cfg(test)]
mod tests;
