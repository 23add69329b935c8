//! xcatrequest and xcatresponse, their limits, and how a node finds and asks its master.
//!
//! What comes off the wire goes through [`Framer`] (bytes to requests) and [`parse`] (a request to
//! a small tree); what goes out is made by [`response`] and [`write`](mod@write). A node finds its master with
//! [`master`] and tells it with [`post`](mod@post); what `osload-agent` tells it is [`load`].

mod boot_words;
mod element;
mod error;
mod framer;
pub mod leases;
mod limits;
pub mod load;
pub mod master;
mod parse;
pub mod post;
pub mod response;
mod target;
pub mod trust;
pub mod write;

pub use boot_words::{kernel_word, variable};
pub use element::Element;
pub use error::Error;
pub use framer::Framer;
pub use limits::Limits;
pub use parse::parse;
pub use target::{NotATarget, Target, XCATD_PORT};
