//! What stands in place of the boot sector while a disk is being written.
//!
//! A node that boots from such a disk finds nothing to boot, a person who looks at it reads why, and an
//! agent that is started again sees how far the one before came: that is the journal. Genesis lives in
//! memory, so there is no other place that a reboot leaves. Which frames are right already is not noted
//! but read from the disk and compared with their digests, so that nothing has to be believed.

use disk_image::Digest;

/// Bytes of it: one block, so that the first sector and a GPT header behind it go in one write.
pub const LENGTH: usize = 4096;

const FIRST: &str = "xcat-nodetools osload 1";
const WARNING: &str = "this disk is being written; it is not whole and nothing can boot from it";

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The whole disk is being overwritten with zeros.
    Wiping,
    /// The image is being written.
    Writing,
}

/// Which load it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The order's digest.
    pub order: Digest,
    /// The manifest's digest.
    pub manifest: Digest,
    /// How far it has come.
    pub phase: Phase,
}

impl Marker {
    /// The block that says it.
    pub fn to_block(&self) -> [u8; LENGTH] {
        let phase = match self.phase {
            Phase::Wiping => "wiping",
            Phase::Writing => "writing",
        };
        let (order, manifest) = (self.order, self.manifest);
        let body =
            format!("{FIRST}\n{WARNING}\norder {order}\nmanifest {manifest}\nphase {phase}\n");
        let text = format!("{body}sha256 {}\n", Digest::of(body.as_bytes()));
        let mut block = [0; LENGTH];
        for (to, from) in block.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        block
    }

    /// Reads a block; `None` if it is anything else, or damaged.
    pub fn from_block(block: &[u8]) -> Option<Marker> {
        let text = block.get(..LENGTH)?.split(|byte| *byte == 0).next()?;
        let text = std::str::from_utf8(text).ok()?;
        let (body, check) = text.split_at_checked(text.rfind("sha256 ")?)?;
        let mut lines = body.lines();
        if lines.next()? != FIRST || lines.next()? != WARNING {
            return None;
        }
        let digest = |line: &str, name: &str| line.strip_prefix(name)?.parse::<Digest>().ok();
        let order = digest(lines.next()?, "order ")?;
        let manifest = digest(lines.next()?, "manifest ")?;
        let phase = match lines.next()? {
            "phase wiping" => Phase::Wiping,
            "phase writing" => Phase::Writing,
            _ => return None,
        };
        let found = digest(check.strip_suffix('\n')?, "sha256 ")?;
        (found == Digest::of(body.as_bytes()) && lines.next().is_none()).then_some(Marker {
            order,
            manifest,
            phase,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{LENGTH, Marker, Phase};
    use disk_image::Digest;
    use proptest::prelude::*;

    fn marker() -> Marker {
        Marker {
            order: Digest::of(b"o"),
            manifest: Digest::of(b"m"),
            phase: Phase::Writing,
        }
    }

    #[test]
    fn it_reads_back_and_nothing_boots_from_it() {
        let block = marker().to_block();
        assert_eq!(Marker::from_block(&block), Some(marker()));
        assert_ne!(block[510..512], [0x55, 0xaa]);
        assert!(!block[512..].starts_with(b"EFI PART"));
        assert_eq!(Marker::from_block(&[0; LENGTH]), None);
        assert_eq!(Marker::from_block(&block[..512]), None);
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_no_marker(at in 0..256_usize, to in any::<u8>()) {
            let mut block = marker().to_block();
            prop_assume!(block[at] != to);
            block[at] = to;
            prop_assert_eq!(Marker::from_block(&block), None);
        }

        #[test]
        fn any_block_is_a_marker_or_none(block in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let _ = Marker::from_block(&block);
        }
    }
}
