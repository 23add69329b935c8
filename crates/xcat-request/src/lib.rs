//! xcatrequest and xcatresponse, their limits, and how a node finds and asks its master.
//!
//! What comes off the wire goes through [`Framer`] (bytes to requests) and [`parse`] (a request to
//! a small tree); what goes out is made by [`response`] and [`write`].

mod element;
mod framer;
mod limits;
mod parse;
pub mod response;
pub mod write;

pub use element::Element;
pub use framer::Framer;
pub use limits::Limits;
pub use parse::{Error, parse};
