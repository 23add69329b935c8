//! One report as it lies in the spool: a JSON file named `<time>.<pid>.<node>`.

use std::collections::BTreeMap;

use adapter_facts::Facts;
use serde::{Deserialize, Serialize};
use xcat_request::Element;
use xcat_request::load::Told;

/// The format that we write of adapters, as older programs read it too; a newer one than [`LOADS`] is
/// refused by its number.
pub const FORMAT: u32 = 1;

/// The format of our plugin for xCAT's daemon: what the node said, unchecked.
pub const AS_SAID: u32 = 2;

/// The format of what `osload-agent` said.
pub const LOADS: u32 = 3;

/// The longest record in the spool, in bytes.
pub(crate) const LONGEST: u64 = 2 << 20;

/// What a node reported. Every value in it has passed the checks of its type, also when it is read
/// back: a spool file is believed no more than the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Report {
    /// The node, as the tables name the peer's address.
    pub node: String,
    /// When it came, in nanoseconds since 1970. Orders reports of one node.
    pub received: u64,
    /// Where it came from, for people.
    pub peer: Option<String>,
    /// The claim's nonce as the node gave it; a stock script has none.
    pub nonce: Option<String>,
    /// What it says.
    pub content: Content,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The adapters that are usable, and what was not, named.
    Adapters(Facts),
    /// What `osload-agent` does with a disk. Counts only with the nonce of a claim of osload.
    Load(Told),
}

/// The file's form, in the formats 1 and 3.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    node: String,
    received: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    load: Option<Told>,
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
    pub fn now(
        node: &str,
        peer: Option<String>,
        nonce: Option<String>,
        content: impl Into<Content>,
    ) -> Report {
        Report {
            node: node.into(),
            received: now(),
            peer,
            nonce,
            content: content.into(),
        }
    }

    /// What it says of a disk, if it does.
    pub fn told(&self) -> Option<&Told> {
        match &self.content {
            Content::Load(told) => Some(told),
            Content::Adapters(_) => None,
        }
    }

    /// True if this one, which came later, says all that `older` of the same node said: then that need
    /// not wait any more. A verdict stays until it is applied, whatever comes after it.
    pub(crate) fn replaces(&self, older: &Report) -> bool {
        self.nonce == older.nonce
            && matches!(
                (&self.content, &older.content),
                (Content::Adapters(_), Content::Adapters(_))
                    | (Content::Load(_), Content::Load(Told::SetUp(_)))
                    | (
                        Content::Load(Told::Verdict(_)),
                        Content::Load(Told::Verdict(_))
                    )
            )
    }

    /// Reads a spool file's text; the reason why not is for the log.
    pub fn parse(text: &[u8]) -> Result<Report, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format: Format = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match format.format {
            FORMAT | LOADS => serde_json::from_slice(text).map_err(|error| error.to_string()),
            AS_SAID => serde_json::from_slice::<AsSaid>(text)
                .map(Report::from)
                .map_err(|error| error.to_string()),
            other => Err(format!(
                "format {other} is not known here ({FORMAT} to {LOADS} are)"
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
        let facts = adapter_facts::from_request(&Element::node("xcatrequest", nics));
        Report {
            node: said.node,
            received: said.received,
            peer: None,
            nonce: said.nonce,
            content: facts.into(),
        }
    }
}

impl From<Facts> for Content {
    fn from(facts: Facts) -> Content {
        Content::Adapters(facts)
    }
}

impl From<Told> for Content {
    fn from(told: Told) -> Content {
        Content::Load(told)
    }
}

impl TryFrom<File> for Report {
    type Error = String;

    fn try_from(file: File) -> Result<Report, String> {
        let content = match (file.format, file.facts, file.load) {
            (FORMAT, Some(facts), None) => Content::Adapters(facts),
            (LOADS, None, Some(told)) => Content::Load(told),
            _ => return Err("does not say what its format says".into()),
        };
        Ok(Report {
            node: file.node,
            received: file.received,
            peer: file.peer,
            nonce: file.nonce,
            content,
        })
    }
}

impl From<Report> for File {
    fn from(report: Report) -> File {
        let (format, facts, load) = match report.content {
            Content::Adapters(facts) => (FORMAT, Some(facts), None),
            Content::Load(told) => (LOADS, None, Some(told)),
        };
        File {
            format,
            node: report.node,
            received: report.received,
            peer: report.peer,
            nonce: report.nonce,
            facts,
            load,
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

/// The present, as reports count it: nanoseconds. Claims count seconds.
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
        assert_eq!(report.received, 7);
        assert_eq!(report.nonce.as_deref(), Some("ab"));
        let Content::Adapters(facts) = report.content else {
            unreachable!("the plugin speaks of adapters");
        };
        let column = adapter_facts::column::format(&facts.adapters);
        assert_eq!(
            column.as_deref(),
            Some("eno1!mac=34:40:b5:be:6a:80 linkstate=UP")
        );
        assert_eq!(facts.dropped.len(), 2, "{:?}", facts.dropped);
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
