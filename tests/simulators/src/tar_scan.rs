//! Looks into a tar archive as it streams by: its MANIFEST, and whether it is whole.

/// What a MANIFEST says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    /// The last part of its `purpose`: `BMC`, `Host`, `System`.
    pub(crate) purpose: String,
    pub(crate) machine: Option<String>,
}

/// An archive that is not stored.
#[derive(Debug, Default)]
pub(crate) struct TarScan {
    header: Vec<u8>,
    /// Bytes of the present member (padding included) that are still to come.
    left: u64,
    /// So many of them belong to the MANIFEST.
    keep: u64,
    manifest: Vec<u8>,
    ended: bool,
    bad: bool,
    /// All bytes so far.
    pub(crate) bytes: u64,
    /// A digest of them ([`digest`]).
    pub(crate) digest: u64,
}

const BLOCK: usize = 512;
/// Longest MANIFEST.
const LONGEST: u64 = 64 << 10;

impl TarScan {
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest = more(self.digest, bytes);
        while !bytes.is_empty() && !self.ended && !self.bad {
            if self.left > 0 {
                let count =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let kept = usize::try_from(self.keep).map_or(count, |keep| keep.min(count));
                self.manifest.extend_from_slice(&bytes[..kept]);
                self.keep -= kept as u64;
                self.left -= count as u64;
                bytes = &bytes[count..];
                continue;
            }
            let count = (BLOCK - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.header.len() == BLOCK {
                self.member();
                self.header.clear();
            }
        }
    }

    /// The MANIFEST of a whole archive.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        if self.bad || !self.ended {
            return None;
        }
        let text = String::from_utf8_lossy(&self.manifest);
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find_map(|(one, value)| (one == name).then(|| value.trim().to_string()))
        };
        Some(Manifest {
            version: field("version").filter(|version| !version.is_empty())?,
            purpose: field("purpose")?.rsplit('.').next()?.to_string(),
            machine: field("MachineName"),
        })
    }

    fn member(&mut self) {
        let header = &self.header;
        if header.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return;
        }
        let number = |field: &[u8]| {
            let text = String::from_utf8_lossy(field);
            u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
        };
        let sum: u64 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                u64::from(if (148..156).contains(&at) {
                    b' '
                } else {
                    *byte
                })
            })
            .sum();
        let (Some(size), Some(wanted)) = (number(&header[124..136]), number(&header[148..156]))
        else {
            self.bad = true;
            return;
        };
        if sum != wanted {
            self.bad = true;
            return;
        }
        let name = String::from_utf8_lossy(&header[..100]);
        let name = name.trim_end_matches('\0');
        self.left = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        if name.rsplit('/').next() == Some("MANIFEST") {
            self.manifest.clear();
            self.keep = size.min(LONGEST);
        }
    }
}

/// A quick digest of an image, to compare what was received with what was sent. Nothing secure.
pub fn digest(bytes: &[u8]) -> u64 {
    more(0, bytes)
}

fn more(so_far: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(so_far, |sum, byte| {
        (sum ^ u64::from(*byte))
            .wrapping_mul(0x0100_0000_01b3)
            .wrapping_add(1)
    })
}
