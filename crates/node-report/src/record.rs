//! One report as it lies in the spool: a JSON file named `<time>.<pid>.<node>`.

use std::collections::BTreeMap;

use adapter_facts::Facts;
use serde::{Deserialize, Serialize};
use xcat_request::Element;

/// The format that we write; a newer one than [`AS_SAID`] is refused by its number.
pub const FORMAT: u32 = 1;

/// The format of our plugin for xCAT's daemon: what the node said, unchecked.
pub const AS_SAID: u32 = 2;

/// The longest record in the spool, in bytes.
pub(crate) const LONGEST: u64 = 2 << 20;

/// What a node reported. Every value in it has passed the checks of its type, also when it is read
/// back: a spool file is believed no more than the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The format number.
    pub format: u32,
    /// The node, as the tables name the peer's address.
    pub node: String,
    /// When it came, in nanoseconds since 1970. Orders reports of one node.
    pub received: u64,
    /// Where it came from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The claim's nonce as the node gave it; a stock script has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The adapters that are usable, and what was not, named.
    pub facts: Facts,
}

/// Format 2. The plugin knows nothing of what fits where: the values are judged here, as they are in a
/// request that comes over the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsSaid {
    #[allow(dead_code, reason = "read before, to know that it is this format")]
    format: u32,
    node: String,
    received: u64,
    #[serde(default)]
    nonce: Option<String>,
    /// Each element's children by name.
    nic: Vec<BTreeMap<String, String>>,
}

/// A spool file's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// When the report came, in nanoseconds since 1970.
    pub time: u64,
    /// The node.
    pub node: String,
}

impl Report {
    /// A report that came now.
    pub fn now(node: &str, peer: Option<String>, nonce: Option<String>, facts: Facts) -> Report {
        Report {
            format: FORMAT,
            node: node.into(),
            received: now(),
            peer,
            nonce,
            facts,
        }
    }

    /// Reads a spool file's text; the reason why not is for the log.
    pub fn parse(text: &[u8]) -> Result<Report, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format: Format = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match format.format {
            FORMAT => serde_json::from_slice(text).map_err(|error| error.to_string()),
            AS_SAID => serde_json::from_slice::<AsSaid>(text)
                .map(Report::from)
                .map_err(|error| error.to_string()),
            other => Err(format!(
                "format {other} is not known here (formats {FORMAT} and {AS_SAID} are)"
            )),
        }
    }

    /// The file's name: bytewise order is the order of time.
    pub fn file_name(&self, pid: u32) -> String {
        format!("{:020}.{pid}.{}", self.received, self.node)
    }
}

impl From<AsSaid> for Report {
    fn from(said: AsSaid) -> Report {
        let element = |nic: BTreeMap<String, String>| {
            let fields = nic.into_iter();
            let fields = fields.map(|(name, text)| Element::leaf(name, text));
            Element::node("nic", fields.collect())
        };
        let nics = said.nic.into_iter().map(element).collect();
        Report {
            format: FORMAT,
            node: said.node,
            received: said.received,
            peer: None,
            nonce: said.nonce,
            facts: adapter_facts::from_request(&Element::node("xcatrequest", nics)),
        }
    }
}

impl FileName {
    /// Reads a name; anything else in the directory is not a report.
    pub fn parse(name: &str) -> Option<FileName> {
        let (time, rest) = name.split_once('.')?;
        let (pid, node) = rest.split_once('.')?;
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(time) && digits(pid) && fits_a_file_name(node))
            .then(|| time.parse().ok())
            .flatten()
            .map(|time| FileName {
                time,
                node: node.into(),
            })
    }
}

/// The present, as reports count it.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// True if a node's name can be part of a file's name. Table rows are outside bytes too.
pub(crate) fn fits_a_file_name(node: &str) -> bool {
    !node.is_empty()
        && node.len() <= 200
        && !node.starts_with('.')
        && !node
            .bytes()
            .any(|byte| byte == b'/' || byte < b' ' || byte == 0x7f)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_plugin_wrote_is_judged_like_a_request() {
        let text = br#"{"format":2,"node":"n1","received":7,"nonce":"ab","nic":[
            {"interface":"eno1","mac":"34:40:b5:be:6a:80","linkstate":"UP more","colour":"red"},
            {"interface":"a,b","vendor":"x|y"}, {}]}"#;
        let report = Report::parse(text).unwrap();
        assert_eq!((report.format, report.received), (FORMAT, 7));
        assert_eq!(report.nonce.as_deref(), Some("ab"));
        let column = adapter_facts::column::format(&report.facts.adapters);
        assert_eq!(
            column.as_deref(),
            Some("eno1!mac=34:40:b5:be:6a:80 linkstate=UP")
        );
        assert_eq!(report.facts.dropped.len(), 2, "{:?}", report.facts.dropped);
        // It is not mixed with the other format.
        for bad in [
            &br#"{"format":2,"node":"n1","received":7,"facts":{"adapters":[]}}"#[..],
            br#"{"format":1,"node":"n1","received":7,"nic":[]}"#,
            br#"{"format":2,"node":"n1","received":7,"nic":[{"mac":["x"]}]}"#,
            br#"{"format":3,"node":"n1","received":7,"nic":[]}"#,
        ] {
            assert!(Report::parse(bad).is_err());
        }
    }
}
