//! One node's management controller: its power and what it boots once.
//!
//! [`targets`] reads addresses and credentials in bulk, in the parent; a [`Client`] is made in the
//! child that talks to one BMC. Three dialects: Redfish, OpenBMC's old REST interface, and IPMI through
//! `ipmitool`. Of the first two the one that the BMC speaks is found by asking; the tables only say
//! whether it is IPMI.
//!
//! Every byte of a BMC is hostile: answers are bounded in length and time, a URI in one is reduced to
//! its path on the same connection, redirects are not followed, and no error shows a password.

mod address;
mod client;
mod dialect;
mod error;
pub mod firmware;
mod http;
mod ipmi;
mod openbmc;
mod pins;
mod power;
mod redfish;
mod secret;
mod settings;
pub mod shapes;
mod target;
mod transport;

pub use client::Client;
pub use error::Error;
pub use power::{BootDevice, BootOverride, Off, PowerState};
pub use secret::Secret;
pub use settings::{Certificates, Limits, Settings, Trust};
pub use target::{Kind, Target, targets};
