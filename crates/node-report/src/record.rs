//! One report as it lies in the spool: a JSON file named `<time>.<pid>.<node>`.

use adapter_facts::Facts;
use serde::{Deserialize, Serialize};

/// The format that we write and read; a newer one is refused by its number.
pub const FORMAT: u32 = 1;

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
        if format.format != FORMAT {
            return Err(format!(
                "format {} is not known here (format {FORMAT} is)",
                format.format
            ));
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// The file's name: bytewise order is the order of time.
    pub fn file_name(&self, pid: u32) -> String {
        format!("{:020}.{pid}.{}", self.received, self.node)
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
