//! What `-l` and `-c` print of a BMC's images.

use serde::{Deserialize, Serialize};

use crate::manifest::Purpose;

/// One image that a BMC holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The BMC's name for it.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The last word of its state: `Active`, `Ready`, `Failed`.
    pub activation: Option<String>,
    /// Its version; objects without one are not listed.
    pub version: Option<String>,
    /// 0 boots next.
    pub priority: Option<u8>,
    /// It runs now; none if the BMC cannot tell.
    pub running: Option<bool>,
    /// More versions, separated by commas.
    pub extended: Option<String>,
}

/// Said before the table by a BMC that does not know what runs.
pub const NO_FUNCTIONAL: &str =
    "WARNING, The current firmware is unable to detect running firmware version.";

/// The table of `-l`, a line each; the original ends it with an empty one.
pub fn table(images: &[Held]) -> Vec<String> {
    let mut lines = vec![
        "ID       Purpose State      Version".to_string(),
        "-".repeat(55),
    ];
    let mut images: Vec<&Held> = images
        .iter()
        .filter(|image| image.version.is_some())
        .collect();
    images.sort_by(|one, other| (&one.purpose, &one.id).cmp(&(&other.purpose, &other.id)));
    for image in images {
        let unknown = || "Unknown".to_string();
        let state = image.activation.clone().unwrap_or_else(unknown) + mark(image, ["(*)", "(+)"]);
        let purpose = image.purpose.to_string();
        let purpose = if purpose.is_empty() {
            unknown()
        } else {
            purpose
        };
        let version = image.version.clone().unwrap_or_default();
        lines.push(format!(
            "{:<8} {purpose:<7} {state:<10} {version}",
            image.id
        ));
    }
    lines.push(String::new());
    lines
}

/// The lines of `-c`: running versions, all of them with `verbose`.
pub fn versions(images: &[Held], verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut images: Vec<&Held> = images
        .iter()
        .filter(|image| {
            verbose
                || image.running == Some(true)
                || (image.running.is_none() && image.priority == Some(0))
        })
        .filter(|image| image.version.is_some())
        .collect();
    images
        .sort_by(|one, other| (&one.purpose, &one.version).cmp(&(&other.purpose, &other.version)));
    for image in images {
        let name = match &image.purpose {
            Purpose::Bmc => "BMC".to_string(),
            Purpose::Host => "HOST".to_string(),
            Purpose::Other(other) => other.clone(),
        };
        let state = image.activation.as_deref().unwrap_or("Unknown");
        let version = image.version.as_deref().unwrap_or_default();
        lines.push(format!(
            "{name} Firmware Product:   {version} ({state}){}",
            mark(image, ["*", "+"])
        ));
        let extended = image.extended.as_deref().unwrap_or_default();
        for item in extended.split(',').filter(|item| !item.is_empty()) {
            lines.push(format!(
                "{name} Firmware Product: -- additional info: {item}"
            ));
        }
    }
    if lines.is_empty() {
        lines.push("No attributes returned from the BMC.".to_string());
    }
    lines
}

/// Of many BMCs those whose running versions differ from what most run, each with its lines; nothing
/// if all are alike.
pub fn outliers(all: &std::collections::BTreeMap<String, Vec<Held>>) -> Vec<(String, Vec<String>)> {
    let mut counts: std::collections::BTreeMap<Vec<String>, usize> =
        std::collections::BTreeMap::new();
    for images in all.values() {
        *counts.entry(versions(images, false)).or_default() += 1;
    }
    // Of two that are equally many the first in order of their texts: then both are shown as such.
    let most = counts
        .iter()
        .max_by_key(|(_, count)| **count)
        .map(|(lines, _)| lines.clone());
    let odd = all
        .iter()
        .map(|(node, images)| (node.clone(), versions(images, false)));
    odd.filter(|(_, lines)| Some(lines) != most.as_ref())
        .collect()
}

/// Running, or the next to boot. A BMC that cannot tell what runs has its first priority running.
fn mark<'a>(image: &Held, [running, next]: [&'a str; 2]) -> &'a str {
    match (image.running, image.priority) {
        (Some(true), _) | (None, Some(0)) => running,
        (Some(false), Some(0)) => next,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, table, versions};
    use crate::manifest::Purpose;

    fn held(
        id: &str,
        purpose: Purpose,
        version: &str,
        priority: Option<u8>,
        running: bool,
    ) -> Held {
        Held {
            id: id.into(),
            purpose,
            activation: Some("Active".into()),
            version: Some(version.into()),
            priority,
            running: Some(running),
            extended: None,
        }
    }

    #[test]
    fn scripts_find_what_they_look_for() {
        let mut host = held("d8368f51", Purpose::Host, "IBM-1", Some(0), false);
        host.extended = Some("op-build-2,skiboot-3".into());
        host.activation = None;
        let images = [
            host,
            held("46e65782", Purpose::Bmc, "ibm-v2", Some(0), true),
            held("0000000a", Purpose::Bmc, "ibm-v1", Some(1), false),
        ];
        assert_eq!(
            table(&images),
            [
                "ID       Purpose State      Version",
                &"-".repeat(55),
                "0000000a BMC     Active     ibm-v1",
                "46e65782 BMC     Active(*)  ibm-v2",
                "d8368f51 Host    Unknown(+) IBM-1",
                "",
            ]
        );
        assert_eq!(
            versions(&images, false),
            ["BMC Firmware Product:   ibm-v2 (Active)*"]
        );
        assert_eq!(
            versions(&images, true),
            [
                "BMC Firmware Product:   ibm-v1 (Active)",
                "BMC Firmware Product:   ibm-v2 (Active)*",
                "HOST Firmware Product:   IBM-1 (Unknown)+",
                "HOST Firmware Product: -- additional info: op-build-2",
                "HOST Firmware Product: -- additional info: skiboot-3",
            ]
        );
        assert_eq!(
            versions(&[], false),
            ["No attributes returned from the BMC."]
        );
    }

    #[test]
    fn the_few_are_shown_against_the_many() {
        let bmc = |version: &str| vec![held("1", Purpose::Bmc, version, Some(0), true)];
        let mut all: std::collections::BTreeMap<String, Vec<Held>> = (1..10)
            .map(|number| (format!("n{number}"), bmc("v2")))
            .collect();
        assert!(super::outliers(&all).is_empty());
        all.insert("n3".into(), bmc("v1"));
        let odd = super::outliers(&all);
        assert_eq!(odd.len(), 1);
        assert_eq!(odd[0].1, ["BMC Firmware Product:   v1 (Active)*"]);
    }

    #[test]
    fn a_bmc_that_cannot_tell_what_runs() {
        let mut image = held("1", Purpose::Bmc, "v", Some(0), false);
        image.running = None;
        assert_eq!(table(&[image.clone()])[2], "1        BMC     Active(*)  v");
        assert_eq!(
            versions(&[image], false),
            ["BMC Firmware Product:   v (Active)*"]
        );
    }
}
