//! What an archive's manifest says of its image.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest version, machine or purpose, in bytes.
const VALUE: usize = 256;

/// The keys that count here; others (keys, hashes) are the BMC's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// As the BMC will list it.
    pub version: String,
    /// What the image is for.
    pub purpose: Purpose,
    /// The machine it is made for, if it says so.
    pub machine: Option<String>,
    /// More version numbers, separated by commas.
    pub extended: Option<String>,
}

/// What an image is for: the last word of `purpose`, in the manifest and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// The BMC itself.
    Bmc,
    /// The host's firmware (PNOR, BIOS).
    Host,
    /// Anything else, with the last word of it.
    Other(String),
}

impl Purpose {
    /// Of a full name such as `xyz.openbmc_project.Software.Version.VersionPurpose.BMC`.
    pub fn of(name: &str) -> Purpose {
        match name.rsplit('.').next().unwrap_or(name) {
            "BMC" => Purpose::Bmc,
            "Host" => Purpose::Host,
            other => Purpose::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Bmc => "BMC",
            Purpose::Host => "Host",
            Purpose::Other(other) => other,
        })
    }
}

/// Reads `key=value` lines; CRLF is accepted, as BMCs do. A value may hold `=`.
///
/// # Errors
/// A text if `version` or `purpose` is missing, empty, given twice with two values, too long or not
/// printable.
pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "its MANIFEST is no text".to_string())?;
    let mut lines = Lines::default();
    for line in text.lines() {
        let Some((key, value)) = line.trim_end_matches('\r').split_once('=') else {
            continue;
        };
        match key {
            "version" => put(&mut lines.version, key, value)?,
            "purpose" => put(&mut lines.purpose, key, value)?,
            "MachineName" => put(&mut lines.machine, key, value)?,
            "ExtendedVersion" | "extended_version" => put(&mut lines.extended, key, value)?,
            _ => {}
        }
    }
    let missing = |key: &str| format!("its MANIFEST has no {key}");
    Ok(Manifest {
        version: lines.version.ok_or_else(|| missing("version"))?,
        purpose: Purpose::of(&lines.purpose.ok_or_else(|| missing("purpose"))?),
        machine: lines.machine,
        extended: lines.extended,
    })
}

#[derive(Default)]
struct Lines {
    version: Option<String>,
    purpose: Option<String>,
    machine: Option<String>,
    extended: Option<String>,
}

fn put(slot: &mut Option<String>, key: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    if value.len() > VALUE || value.chars().any(char::is_control) {
        return Err(format!(
            "its MANIFEST has a {key} that is too long or not printable"
        ));
    }
    match slot {
        Some(old) if old != value => Err(format!("its MANIFEST has two values for {key}")),
        _ => {
            *slot = Some(value.to_string());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Purpose, parse};

    #[test]
    fn keys_come_in_any_order_and_values_keep_their_signs() {
        let manifest = parse(
            b"KeyType=OpenBMC\r\npurpose=xyz.openbmc_project.Software.Version.VersionPurpose.Host\r\nMachineName=witherspoon\r\nversion=IBM=1.2\r\nExtendedVersion=op-build-1,skiboot-2\r\n",
        )
        .unwrap();
        assert_eq!(manifest.version, "IBM=1.2");
        assert_eq!(manifest.purpose, Purpose::Host);
        assert_eq!(manifest.machine.as_deref(), Some("witherspoon"));
        assert_eq!(manifest.extended.as_deref(), Some("op-build-1,skiboot-2"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (text, why) in [
            ("purpose=a.BMC\n", "no version"),
            ("version=\npurpose=a.BMC\n", "no version"),
            ("version=1\n", "no purpose"),
            (
                "version=1\nversion=2\npurpose=a.BMC\n",
                "two values for version",
            ),
            ("version=a\x1b[2J\npurpose=a.BMC\n", "not printable"),
        ] {
            assert!(
                parse(text.as_bytes()).unwrap_err().contains(why),
                "{text:?}"
            );
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
        assert!(parse(b"version=1\nversion=1\npurpose=System\n").is_ok());
    }
}
