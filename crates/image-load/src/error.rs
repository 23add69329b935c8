//! What stops a whole call; what concerns one node is that node's result instead.

/// Nothing was tried for any node.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The nodes, the caller's rights, the power, the system.
    #[error(transparent)]
    Nodes(#[from] node_reboot::Refused),
    /// No image is named.
    #[error("the request names no image, and nodetype.provmethod of these nodes names none: {0}")]
    NoImage(String),
    /// An image cannot be loaded.
    #[error("{image}: {why}")]
    Image {
        /// Its name.
        image: String,
        /// Why.
        why: String,
    },
    /// The images and disks do not go together.
    #[error(transparent)]
    Order(#[from] disk_image::order::NoOrder),
    /// The store of images cannot be used.
    #[error(transparent)]
    Store(#[from] disk_image::Error),
    /// `/etc/xcat-nodetools.conf` cannot be used.
    #[error(transparent)]
    Site(#[from] program::SiteError),
    /// More disks would be loaded at a time than the site wants.
    #[error(
        "{running} nodes are being loaded and {asked} are asked for: at most {most} at a time (max-loads)"
    )]
    TooMany {
        /// By others.
        running: usize,
        /// By this request.
        asked: usize,
        /// The limit.
        most: usize,
    },
}

impl From<xcat_tables::Error> for Refused {
    fn from(error: xcat_tables::Error) -> Refused {
        Refused::Nodes(error.into())
    }
}

impl From<node_report::Error> for Refused {
    fn from(error: node_report::Error) -> Refused {
        Refused::Nodes(error.into())
    }
}

impl From<fork_worker::veto::VetoError> for Refused {
    fn from(error: fork_worker::veto::VetoError) -> Refused {
        Refused::Nodes(error.into())
    }
}

impl From<node_reboot::permission::Denied> for Refused {
    fn from(error: node_reboot::permission::Denied) -> Refused {
        Refused::Nodes(error.into())
    }
}

impl From<node_reboot::Error> for Refused {
    fn from(error: node_reboot::Error) -> Refused {
        Refused::Nodes(error.into())
    }
}
