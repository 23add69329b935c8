//! HTTP's connections: one address, our TLS, and the check of who is there before anything is sent.
//!
//! ureq's own connectors know neither pins nor old suites, and its resolver starts a thread.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
    time::Duration as Left,
};

use crate::settings::Certificates;
use crate::{Error, Settings, Target, pins};

/// Bytes of ureq's buffers, each way: a thousand children have them at once.
pub(crate) const BUFFER: usize = 16 << 10;

/// Makes connections to one BMC.
#[derive(Debug, Clone)]
pub(crate) struct ToBmc {
    pub(crate) target: Target,
    pub(crate) settings: Settings,
}

/// Names were resolved in the parent: whatever a URI says, there is one address.
#[derive(Debug)]
pub(crate) struct OneAddress(pub(crate) std::net::SocketAddr);

impl Resolver for OneAddress {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(self.0);
        Ok(found)
    }
}

impl ToBmc {
    pub(crate) fn open(&self, limit: Duration) -> Result<tls::Stream, Error> {
        let bmc = &self.target.host;
        let deadline = Instant::now() + limit;
        let socket = TcpStream::connect_timeout(&self.target.address, limit).map_err(|why| {
            Error::Unreachable {
                bmc: bmc.clone(),
                why: why.to_string(),
            }
        })?;
        // Small requests that wait for answers.
        let _ = socket.set_nodelay(true);
        let context = self.settings.context(&self.target);
        let stream = context.connect_by(socket, bmc, deadline)?;
        if let Certificates::FirstSeen { accept_new } = self.settings.certificates() {
            let found = stream.peer_pin().ok_or_else(|| Error::Handshake {
                bmc: bmc.clone(),
                why: "shows no certificate".to_string(),
            })?;
            pins::check(self.settings.pins(), &self.target, found, *accept_new)?;
        }
        Ok(stream)
    }

    /// TLS' errors name the peer themselves.
    pub(crate) fn said(&self, error: Error) -> Error {
        let bmc = self.target.host.clone();
        let prefix = format!("{bmc}: ");
        match error {
            Error::Tls(tls::Error::TimedOut { .. }) => Error::TimedOut {
                bmc,
                what: "TLS handshake".to_string(),
            },
            Error::Tls(tls::Error::Handshake { why, .. }) => Error::Dropped {
                bmc,
                what: "TLS handshake".to_string(),
                why,
            },
            Error::Tls(error) => {
                let text = error.to_string();
                let why = text.strip_prefix(&prefix).unwrap_or(&text).to_string();
                Error::Handshake { bmc, why }
            }
            other => other,
        }
    }
}

impl Connector for ToBmc {
    type Out = Line;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Line>, ureq::Error> {
        let limit = left(&details.timeout).min(self.settings.limits().connect);
        if limit.is_zero() {
            return Err(ureq::Error::Timeout(details.timeout.reason));
        }
        let stream = self
            .open(limit)
            .map_err(|error| ureq::Error::Other(Box::new(self.said(error))))?;
        Ok(Some(Line {
            stream,
            buffers: LazyBuffers::new(BUFFER, BUFFER),
        }))
    }
}

/// One TLS connection as ureq wants it.
#[derive(Debug)]
pub(crate) struct Line {
    stream: tls::Stream,
    buffers: LazyBuffers,
}

impl Line {
    fn deadline(&mut self, timeout: &NextTimeout) {
        let deadline = Instant::now().checked_add(left(timeout));
        self.stream.set_deadline(deadline);
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.deadline(&timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        std::io::Write::write_all(&mut self.stream, output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.deadline(&timeout);
        let amount = std::io::Read::read(&mut self.stream, self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Nothing may be waiting between two requests: that is the end, or something nobody asked for.
    fn is_open(&mut self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let quiet = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0));
        quiet && self.stream.pending() == 0
    }

    fn is_tls(&self) -> bool {
        true
    }
}

fn left(timeout: &NextTimeout) -> Duration {
    match timeout.after {
        Left::Exact(left) => left,
        Left::NotHappening => Duration::MAX,
    }
}
