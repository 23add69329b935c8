//! Why a node does not have its images.

use std::io;

use disk_image::order::NoOrder;
use xcat_request::load::status;

use crate::choose::Refused;
use crate::supply::Ended;
use crate::survey::NoDisks;

/// Why a node does not have its images. Each text begins with its subject.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The order or a manifest could not be had.
    #[error(transparent)]
    Document(#[from] image_transfer::Error),
    /// What came as the order is none.
    #[error(transparent)]
    Order(#[from] NoOrder),
    /// It is the order of another run.
    #[error("order: its nonce is not the one that this node was booted with")]
    Nonce,
    /// The boot target names a server for each image.
    #[error("image servers: {0} are named, the order has {1} images")]
    Servers(usize, usize),
    /// By hand, each image needs a device.
    #[error("devices: {0} are named, the order has {1} images")]
    Devices(usize, usize),
    /// What came as the manifest is none.
    #[error(transparent)]
    Manifest(#[from] disk_image::Error),
    /// The disks could not be listed.
    #[error(transparent)]
    NoDisks(#[from] NoDisks),
    /// No disk, not the right one, or not clear which.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The disk cannot be opened for writing by us alone.
    #[error("{disk}: cannot be taken: {why}")]
    Open {
        /// Which disk.
        disk: String,
        /// The system's reason.
        why: io::Error,
    },
    /// It bears the signature of somebody else.
    #[error(
        "{disk}: holds {found}: it is not overwritten unless the order says so (osload --overwrite)"
    )]
    Foreign {
        /// Which disk.
        disk: String,
        /// The signatures, and where.
        found: String,
    },
    /// Writing it failed.
    #[error(transparent)]
    Load(#[from] crate::load::Error),
}

impl Error {
    /// The verdict's number.
    pub fn status(&self) -> u8 {
        match self {
            Error::Document(image_transfer::Error::Damaged { .. }) | Error::Manifest(_) => {
                status::IMAGE
            }
            Error::Document(image_transfer::Error::Refused { .. }) => status::CANCELLED,
            Error::Document(_)
            | Error::Order(_)
            | Error::Nonce
            | Error::Servers(..)
            | Error::Devices(..)
            | Error::NoDisks(_) => status::NOT_STARTED,
            Error::Refused(_) | Error::Open { .. } | Error::Foreign { .. } => status::REFUSED,
            Error::Load(error) => match error {
                crate::load::Error::Write { .. } => status::WRITE,
                crate::load::Error::Verify { .. } => status::VERIFY,
                crate::load::Error::Ended(Ended::Damaged(_)) => status::IMAGE,
                crate::load::Error::Ended(_) => status::CANCELLED,
            },
        }
    }
}
