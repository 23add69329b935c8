//! Disk images over HTTP: the image server, the node that loads one, and peers that hand frames on.
//!
//! Two loops, both in one thread and never blocking on the network: [`ImageServer`] serves one image,
//! [`Load`] fetches it from the server and from other nodes of the same run while it serves those.
//! Whoever runs one polls it beside what else there is.
//!
//! How N nodes take little longer than one: each frame leaves the server about once. A node offers the
//! frames that it lacks and that no peer has, as far as it knows; the server gives the one that it has
//! given out least. Peers tell each other at once what they have (a question that is held until
//! there is something new), and ask for the rarest frame first. Few frames are sent at a time, by the
//! server and by peers, so that each gets through at the line's rate and can be handed on.
//!
//! Nobody is believed: a frame counts if its raw bytes have the digest that the manifest promises,
//! whoever sent it and however it was compressed. A peer that gives anything else is not asked again.
//! The server lets nobody have anything whom its [`Gate`] does not let in; a peer serves only the
//! addresses that the server named, for its own run. osload-transfer(7) has the protocol.

mod bits;
mod error;
mod http;
mod load;
mod protocol;
mod ring;
mod serve;

pub use error::Error;
pub use http::{Bad, Limits, Method, Parsed, Request, Span, Wanted, parse};
pub use load::{Load, Pulse, ReadBack, Received, Settings, Traffic, document};
pub use protocol::{Asked, Neighbours, OFFERED, Offer, PEERS, Progress, Unknown, read_news};
pub use serve::{Account, Gate, Image, ImageServer, Refusal};
