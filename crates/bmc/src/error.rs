//! What can go wrong, so that the node's name can stand before it.

use std::io;
use std::path::PathBuf;

/// An error of one node's BMC, or of the settings and tables for all. None shows a secret; texts of a
/// BMC are escaped and cut.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tables cannot be read.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// The site's file.
    #[error(transparent)]
    Site(#[from] program::SiteError),
    /// A CA file or the TLS library.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A value in the tables is missing or unfit.
    #[error("{subject}: {why}")]
    Table {
        /// Table and column.
        subject: String,
        /// What is wrong with it.
        why: String,
    },
    /// The node has no BMC of a kind that is spoken here.
    #[error(
        "nodehm.{column}: {kind}: no management controller of a known kind (ipmi, openbmc, redfish)"
    )]
    Kind {
        /// `power` or `mgt`.
        column: &'static str,
        /// What it holds.
        kind: String,
    },
    /// A name that no address is known of.
    #[error("{host}: no address found: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// A password or user name that this dialect cannot carry.
    #[error("BMC {bmc}: {why}")]
    Credentials {
        /// Host.
        bmc: String,
        /// What it is too long for, or the like; never the text itself.
        why: String,
    },
    /// No connection.
    #[error("BMC {bmc}: cannot be reached: {why}")]
    Unreachable {
        /// Host.
        bmc: String,
        /// The system's reason.
        why: String,
    },
    /// No answer in time.
    #[error("BMC {bmc}: {what}: no answer in time")]
    TimedOut {
        /// Host.
        bmc: String,
        /// The request.
        what: String,
    },
    /// The connection broke in the middle.
    #[error("BMC {bmc}: {what}: connection broke off: {why}")]
    Dropped {
        /// Host.
        bmc: String,
        /// The request.
        what: String,
        /// The system's reason.
        why: String,
    },
    /// No TLS connection: nothing in common, or a certificate that the CA does not know.
    #[error("BMC {bmc}: {why}")]
    Handshake {
        /// Host.
        bmc: String,
        /// TLS' reason.
        why: String,
    },
    /// Another key than the one seen first: another machine, a new certificate, or somebody in between.
    /// Nothing was sent to it.
    #[error("BMC {bmc}: its key has changed: has pin {found}, {} says {pinned}: no login; if it is right, remove that file", file.display())]
    PinChanged {
        /// Host.
        bmc: String,
        /// The pin of the key that it shows.
        found: tls::Pin,
        /// The pin that was seen first.
        pinned: tls::Pin,
        /// Where that is written.
        file: PathBuf,
    },
    /// A pin that cannot be read or written.
    #[error("{}: {why}", file.display())]
    PinFile {
        /// The file or its directory.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// User name or password are wrong.
    #[error("BMC {bmc}: login refused: {why}")]
    Login {
        /// Host.
        bmc: String,
        /// What it said.
        why: String,
    },
    /// It is busy, and stays so.
    #[error("BMC {bmc}: {what}: busy: {why}")]
    Busy {
        /// Host.
        bmc: String,
        /// The request.
        what: String,
        /// What it said.
        why: String,
    },
    /// It understood and will not.
    #[error("BMC {bmc}: {what}: refused: {why}")]
    Refused {
        /// Host.
        bmc: String,
        /// The request.
        what: String,
        /// Status and text.
        why: String,
    },
    /// An answer that is not what it should be.
    #[error("BMC {bmc}: {what}: unusable answer: {why}")]
    Answer {
        /// Host.
        bmc: String,
        /// The request.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// It speaks HTTPS, but neither dialect.
    #[error("BMC {bmc}: speaks neither Redfish nor OpenBMC's REST: {why}")]
    NoDialect {
        /// Host.
        bmc: String,
        /// What was tried.
        why: String,
    },
    /// It manages no computer system, or several, of which none is the node by its name.
    #[error("BMC {bmc}: {why}")]
    System {
        /// Host.
        bmc: String,
        /// Which there are.
        why: String,
    },
    /// It cannot do that.
    #[error("BMC {bmc}: {what}: not offered: {why}")]
    NotOffered {
        /// Host.
        bmc: String,
        /// The action.
        what: String,
        /// What it offers.
        why: String,
    },
    /// It said yes, and reads back something else.
    #[error("BMC {bmc}: {what}: accepted, but reads back {found}")]
    NotTaken {
        /// Host.
        bmc: String,
        /// The action.
        what: String,
        /// What is there.
        found: String,
    },
    /// `ipmitool` cannot be run.
    #[error("ipmitool: {0}")]
    Ipmitool(io::Error),
}

impl Error {
    /// True if the same may go well a little later: the BMC is busy, starting, or out of reach.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. }
                | Error::TimedOut { .. }
                | Error::Dropped { .. }
                | Error::Busy { .. }
        )
    }
}

/// Longest text of a BMC in an error, in characters.
const TEXT: usize = 200;

/// A text from outside, fit for a message.
pub(crate) fn tidy(text: &str) -> String {
    let short: String = text.trim().chars().take(TEXT).collect();
    program::escape(&short).into_owned()
}
