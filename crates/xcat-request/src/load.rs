//! What `osload-agent` says to its master: the disks that it chose, and in the end its verdict.
//!
//! `<xcatrequest>` with `<command>osload</command>`, `<action>setup</action>` or
//! `<action>verdict</action>`, the claim's `<nonce>`, and what is below. Stock programs know neither:
//! an xcatd answers that it has no such command.

use serde::{Deserialize, Serialize};

use crate::Element;
use crate::error::shown;
use crate::master::is_nonce;

mod fields;
mod read;
mod written;

pub use fields::{IMAGE_LIMIT, IMAGES, REASON_LIMIT, is_image_name};
pub use read::from_request;
pub use written::to_request;

/// `<command>` of every such request.
pub const COMMAND: &str = "osload";

/// The numbers of a verdict, as `node,status` lines have them (contract of nodereboot and osload).
pub mod status {
    /// Every disk holds its image, read back and compared.
    pub const LOADED: u8 = 0;
    /// Nothing was written: the order, the image or the disk could not be had.
    pub const NOT_STARTED: u8 = 1;
    /// Nothing was written: the disk is not one that may be overwritten, or which one is not clear.
    pub const REFUSED: u8 = 2;
    /// The manifest or a frame is not what the order says.
    pub const IMAGE: u8 = 7;
    /// Writing failed.
    pub const WRITE: u8 = 8;
    /// What was read back is not what was written.
    pub const VERIFY: u8 = 9;
    /// Left out on purpose.
    pub const SKIPPED: u8 = 10;
    /// Stopped before it was done: its claim is gone.
    pub const CANCELLED: u8 = 11;
    /// The largest number of all.
    pub(super) const LARGEST: u8 = 11;
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Told {
    /// Before the first byte is written.
    SetUp(SetUp),
    /// After the last one was read back, or when it gave up.
    Verdict(Verdict),
}

/// Which disk each image goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// One for each image of the order, in its sequence: 1 to [`IMAGES`].
    #[serde(deserialize_with = "fields::disks")]
    pub disks: Vec<Disk>,
}

/// A disk that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The image that it gets, by its name in the order.
    #[serde(deserialize_with = "fields::image")]
    pub image: String,
    /// As the kernel names it, without `/dev/`: `sda`, `nvme0n1`.
    #[serde(deserialize_with = "fields::disk")]
    pub name: String,
    /// Its serial number, if it has one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "fields::identity"
    )]
    pub serial: Option<String>,
    /// Its World Wide Name, if it has one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "fields::identity"
    )]
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// One of [`status`].
    #[serde(deserialize_with = "fields::status")]
    pub status: u8,
    /// Why it is not [`status::LOADED`]; for people. At most [`REASON_LIMIT`] bytes in one line.
    #[serde(deserialize_with = "fields::reason")]
    pub reason: String,
    /// What was done of each image, at most [`IMAGES`].
    #[serde(deserialize_with = "fields::images")]
    pub images: Vec<Loaded>,
}

/// What was done of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loaded {
    /// The image, by its name in the order.
    #[serde(deserialize_with = "fields::image")]
    pub image: String,
    /// Bytes written to its disk by this boot; what a journal spared is not among them.
    pub written: u64,
    /// From the first request to the last comparison.
    pub seconds: u64,
}

/// Why a request says nothing that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Without a nonce it is of no claim.
    #[error("its nonce is none")]
    Nonce,
    /// Neither `setup` nor `verdict`.
    #[error("action {0}: no such action of osload")]
    Action(String),
    /// A field is missing or not what it has to be.
    #[error("{field}: {what}")]
    Field {
        /// Its tag.
        field: &'static str,
        /// What is wrong.
        what: String,
    },
    /// More disks or images than an order has.
    #[error("more than {IMAGES} images")]
    TooMany,
}

#[cfg(test)]
mod tests;
