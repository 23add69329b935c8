//! HTTP/1.1 as far as images need it: both ends, never blocking, no threads.

mod bucket;
mod connection;
mod exchange;
mod log;
mod range;
mod request;
mod response;
mod server;

pub(crate) use exchange::{Ask, Exchange, Failure, Reply};
pub use range::{Span, Wanted};
pub use request::{Bad, Method, Parsed, Request, parse};
pub(crate) use response::{Body, Response, Verdict};
pub use server::Limits;
pub(crate) use server::{Handler, Server};
