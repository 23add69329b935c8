//! A request on its way out.

use super::fields::{IDENTITY_LIMIT, REASON_LIMIT};
use super::{COMMAND, Disk, Element, Loaded, Told};
use crate::write::document;

/// The request that says this, with the claim's nonce. A serial number or a reason that does not fit
/// is cut and its odd characters become `?`: a report that is refused for its form would be lost.
/// Names of images come from the order, those of disks from the kernel.
pub fn to_request(nonce: &str, told: &Told) -> String {
    let head = |action: &str| {
        vec![
            Element::leaf("command", COMMAND),
            Element::leaf("action", action),
            Element::leaf("nonce", nonce),
        ]
    };
    let children = match told {
        Told::SetUp(set_up) => {
            let mut children = head("setup");
            children.extend(set_up.disks.iter().map(disk));
            children
        }
        Told::Verdict(verdict) => {
            let mut children = head("verdict");
            children.push(Element::leaf("status", verdict.status.to_string()));
            children.push(Element::leaf("reason", one_line(&verdict.reason)));
            children.extend(verdict.images.iter().map(loaded));
            children
        }
    };
    document(&Element::node("xcatrequest", children))
}

fn disk(disk: &Disk) -> Element {
    let mut children = vec![
        Element::leaf("image", &*disk.image),
        Element::leaf("name", &*disk.name),
    ];
    let identities = [("serial", &disk.serial), ("wwn", &disk.wwn)];
    for (name, value) in identities {
        if let Some(value) = value {
            children.push(Element::leaf(name, printable(value)));
        }
    }
    children.push(Element::leaf("size", disk.size.to_string()));
    Element::node("disk", children)
}

fn loaded(loaded: &Loaded) -> Element {
    Element::node(
        "loaded",
        vec![
            Element::leaf("image", &*loaded.image),
            Element::leaf("written", loaded.written.to_string()),
            Element::leaf("seconds", loaded.seconds.to_string()),
        ],
    )
}

fn printable(text: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let cut: String = text
        .trim()
        .chars()
        .take(IDENTITY_LIMIT)
        .map(plain)
        .collect();
    cut.trim().to_string()
}

/// In one line, within the limit, cut between characters. XML's forbidden two are odd as well.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        let c = match c {
            c if c.is_control() => ' ',
            '\u{fffe}' | '\u{ffff}' => '?',
            c => c,
        };
        if line.len() + c.len_utf8() > REASON_LIMIT {
            break;
        }
        line.push(c);
    }
    line.trim().to_string()
}
