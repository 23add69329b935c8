//! The order of a run: what its nodes are to load, and how.
//!
//! osload writes it, the image server looks up in it which images a nonce may have, and the agent does
//! what it says. Its SHA-256 comes to the node with the boot target; from elsewhere nothing is believed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::check_name;

/// The format number that is written; a higher one is refused.
pub const FORMAT: u64 = 1;
/// Longest order, in bytes.
pub const LONGEST: usize = 64 << 10;
/// Images in one order at most.
pub const IMAGES: usize = 16;
/// Most signatures that may be overwritten, and the longest name of one.
const SIGNATURES: (usize, usize) = (32, 64);
/// Longest number that a disk is named by.
const LONGEST_CHOICE: usize = 128;
/// Longest nonce, in hexadecimal digits.
const LONGEST_NONCE: usize = 64;

/// What the nodes of one run are to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    format: u64,
    /// The run's number, 1 to 64 hexadecimal digits.
    pub nonce: String,
    /// What to load, in this sequence: 1 to [`IMAGES`].
    pub images: Vec<Wanted>,
    /// Signatures of other users of a disk that may be overwritten, by the names of blkid(8).
    pub overwrite: Vec<String>,
    /// What is to become of the disk's other bytes.
    pub zero: Zero,
    /// The time that a node has for all of it, in seconds; not 0.
    pub limit_seconds: u64,
}

/// One image and its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The image's name, for messages.
    pub name: String,
    /// SHA-256 of its manifest: which image it is.
    pub manifest: Digest,
    /// Which disk it goes to; without, the only one that can be meant.
    pub disk: Option<DiskChoice>,
}

/// How a disk is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskChoice {
    /// By its serial number.
    Serial(String),
    /// By its World Wide Name.
    Wwn(String),
    /// By the kernel's name for it, without `/dev/`.
    Name(String),
}

/// What is done beside writing the image. Whatever it is, the image's own range becomes exactly the
/// image, holes as zeros: file systems count on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Zero {
    /// Nothing.
    #[default]
    Nothing,
    /// The disk behind the image becomes zeros too.
    Rest,
    /// The whole disk is overwritten with zeros first.
    All,
}

/// Why bytes are no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("order: {0}")]
pub struct NoOrder(pub String);

/// What only the format number is read from, before anything else is believed.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

impl Order {
    /// An order of these parts.
    ///
    /// # Errors
    /// [`NoOrder`] if a part is not what it has to be, or two images are for one disk.
    pub fn new(
        nonce: &str,
        images: Vec<Wanted>,
        overwrite: Vec<String>,
        zero: Zero,
        limit_seconds: u64,
    ) -> Result<Order, NoOrder> {
        let order = Order {
            format: FORMAT,
            nonce: nonce.to_string(),
            images,
            overwrite,
            zero,
            limit_seconds,
        };
        order.check().map_err(NoOrder)?;
        Ok(order)
    }

    /// Reads an order and checks all of it.
    ///
    /// # Errors
    /// [`NoOrder`]: too long, not JSON of that form, of a newer format, or not as [`Order::new`] takes
    /// it.
    pub fn parse(bytes: &[u8]) -> Result<Order, NoOrder> {
        if bytes.len() > LONGEST {
            return Err(NoOrder(format!("is longer than {LONGEST} bytes")));
        }
        let wrong = |error: serde_json::Error| NoOrder(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(wrong)?;
        if head.format != FORMAT {
            let why = format!("has format {}; this program reads {FORMAT}", head.format);
            return Err(NoOrder(why));
        }
        let order: Order = serde_json::from_slice(bytes).map_err(wrong)?;
        order.check().map_err(NoOrder)?;
        Ok(order)
    }

    /// The bytes of an order's file; their SHA-256 is what the boot target carries.
    ///
    /// # Errors
    /// [`NoOrder`] if it is longer than an order may be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoOrder> {
        let bytes = serde_json::to_vec(self).map_err(|error| NoOrder(error.to_string()))?;
        if bytes.len() <= LONGEST {
            return Ok(bytes);
        }
        Err(NoOrder(format!("would be longer than {LONGEST} bytes")))
    }

    fn check(&self) -> Result<(), String> {
        let hexadecimal = self.nonce.bytes().all(|b| b.is_ascii_hexdigit());
        if !hexadecimal || !(1..=LONGEST_NONCE).contains(&self.nonce.len()) {
            return Err("nonce is not 1 to 64 hexadecimal digits".to_string());
        }
        if !(1..=IMAGES).contains(&self.images.len()) {
            return Err(format!(
                "has {} images, not 1 to {IMAGES}",
                self.images.len()
            ));
        }
        if self.limit_seconds == 0 {
            return Err("limit_seconds is 0".to_string());
        }
        let (most, longest) = SIGNATURES;
        let signature =
            |name: &String| !name.is_empty() && name.len() <= longest && printable(name);
        if self.overwrite.len() > most || !self.overwrite.iter().all(signature) {
            return Err("overwrite: has names that no signature has, or too many".to_string());
        }
        let mut disks = BTreeSet::new();
        for image in &self.images {
            check_name(&image.name).map_err(|error| error.to_string())?;
            let Some(disk) = &image.disk else { continue };
            let (DiskChoice::Serial(text) | DiskChoice::Wwn(text) | DiskChoice::Name(text)) = disk;
            if text.is_empty() || text.len() > LONGEST_CHOICE || !printable(text) {
                let why = "its disk is named by what no disk can have";
                return Err(format!("{}: {why}", image.name));
            }
            if !disks.insert(disk) {
                return Err(format!(
                    "{}: its disk has another image already",
                    image.name
                ));
            }
        }
        // Two images that both go to "the only disk" are two images for one disk.
        match self.images.iter().filter(|i| i.disk.is_none()).count() {
            0 | 1 => Ok(()),
            _ => Err("two images, and for neither is a disk named".to_string()),
        }
    }
}

impl TryFrom<u8> for Zero {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Zero, &'static str> {
        match number {
            0 => Ok(Zero::Nothing),
            1 => Ok(Zero::Rest),
            2 => Ok(Zero::All),
            _ => Err("zero is not 0, 1 or 2"),
        }
    }
}

impl From<Zero> for u8 {
    fn from(zero: Zero) -> u8 {
        match zero {
            Zero::Nothing => 0,
            Zero::Rest => 1,
            Zero::All => 2,
        }
    }
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{DiskChoice, Order, Wanted, Zero};
    use crate::Digest;
    use proptest::prelude::*;

    fn wanted(name: &str, disk: Option<DiskChoice>) -> Wanted {
        Wanted {
            name: name.to_string(),
            manifest: Digest::of(name.as_bytes()),
            disk,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let images = vec![
            wanted("rhel9", None),
            wanted("data.1", Some(DiskChoice::Serial("S3 X".into()))),
            wanted("data-2", Some(DiskChoice::Name("sdb".into()))),
        ];
        let order = Order::new("0a", images, vec!["LVM2_member".into()], Zero::All, 60).unwrap();
        let bytes = order.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(r#""disk":{"serial":"S3 X"}"#) && text.contains(r#""zero":2"#));
        assert!(text.starts_with(r#"{"format":1,"nonce":"0a","images":[{"name":"rhel9","#));
        assert_eq!(Order::parse(&bytes).unwrap(), order);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let name = |disk: &str| Some(DiskChoice::Name(disk.into()));
        let why = |nonce: &str, images: Vec<Wanted>, overwrite: &[&str], limit| {
            let overwrite = overwrite.iter().map(ToString::to_string).collect();
            let refused = Order::new(nonce, images, overwrite, Zero::Nothing, limit).unwrap_err();
            refused.to_string()
        };
        let one = || vec![wanted("a", None)];
        assert!(why("xyz", one(), &[], 1).contains("nonce"));
        assert!(why("", one(), &[], 1).contains("nonce"));
        assert!(why("0", vec![], &[], 1).contains("0 images"));
        assert!(why("0", vec![wanted("a", None); 17], &[], 1).contains("17 images"));
        assert!(why("0", one(), &[], 0).contains("limit_seconds"));
        assert!(why("0", one(), &["a\nb"], 1).contains("overwrite"));
        assert!(why("0", vec![wanted("../a", None)], &[], 1).contains("../a"));
        let twice = vec![wanted("a", name("sda")), wanted("b", name("sda"))];
        assert!(why("0", twice, &[], 1).contains("b: its disk has another image"));
        let both = vec![wanted("a", None), wanted("b", None)];
        assert!(why("0", both, &[], 1).contains("two images"));
        assert!(why("0", vec![wanted("a", name(""))], &[], 1).contains("a: its disk"));
    }

    #[test]
    fn a_newer_format_is_named() {
        let refused = Order::parse(br#"{"format":2,"new":[]}"#).unwrap_err();
        assert!(refused.to_string().contains("has format 2"), "{refused}");
        for text in ["", "[]", "{}", r#"{"format":1}"#, r#"{"format":-1}"#] {
            assert!(Order::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_order_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Order::parse(&bytes);
        }

        #[test]
        fn whatever_is_accepted_is_written_the_same(nonce in "[0-9a-f]{1,65}", limit in any::<u64>(),
            disk in "[ -~]{0,10}", zero in 0..4_u8, signature in "\\PC{0,10}") {
            let text = serde_json::json!({"format": 1, "nonce": nonce, "overwrite": [signature], "zero": zero,
                "limit_seconds": limit, "images": [{"name": "a", "manifest": "00".repeat(32), "disk": {"wwn": disk}}]});
            if let Ok(order) = Order::parse(text.to_string().as_bytes()) {
                prop_assert_eq!(Order::parse(&order.to_bytes().unwrap()).unwrap(), order);
            }
        }
    }
}
