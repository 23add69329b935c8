//! One incarnation of the server: from its launch until nothing of it is left.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::ExitStatus;

use fork_worker::command::{Minded, Spec, mind};
use nix::sys::signal::Signal;

use crate::service::{Layers, Service};

/// Longest address that a server may say, in bytes.
const LONGEST: usize = 512;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Incarnation {
    minded: Minded,
    /// Its side of it says the address; None once it has, or if it need not.
    ready: Option<File>,
    said: Vec<u8>,
}

/// What the ready pipe says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing yet.
    Nothing,
    /// Where it is.
    Address(String),
    /// It will not say it any more, or nothing that could be published.
    Wrong(&'static str),
}

impl Incarnation {
    /// Launches it: with the lock, and with the pipe on which it says its address. `note` learns its
    /// process number before it begins.
    pub(crate) fn launch(
        service: &Service,
        layers: &Layers,
        instance: u32,
        epoch: u64,
        heirloom: Option<BorrowedFd<'_>>,
        note: &mut dyn FnMut(i32),
    ) -> io::Result<Incarnation> {
        let heirloom = heirloom.filter(|_| layers.inherited_lock);
        let mut command = service.command.iter();
        let program = command.next().cloned().unwrap_or_default();
        let mut spec = Spec::new(program).args(command);
        let mut set = |name: &str, value: Option<String>| {
            spec.env.push((name.into(), value.map(OsString::from)));
        };
        set("ONESERVER_KIND", Some(service.name.clone()));
        set("ONESERVER_INSTANCE", Some(instance.to_string()));
        set("ONESERVER_EPOCH", Some(epoch.to_string()));
        set(
            "ONESERVER_LOCK_FD",
            heirloom.map(|lock| lock.as_raw_fd().to_string()),
        );
        let says = service.address.is_none();
        // A shell redirects to one digit only.
        set("ONESERVER_READY_FD", says.then(|| "3".into()));
        let pipe = says.then(io::pipe).transpose()?;
        let (ready, writer) = match pipe {
            Some((reader, writer)) => {
                let writer = fork_worker::above(writer.into(), 3)?;
                (
                    Some(File::from(std::os::fd::OwnedFd::from(reader))),
                    Some(writer),
                )
            }
            None => (None, None),
        };
        let heirlooms: Vec<BorrowedFd<'_>> = heirloom.into_iter().collect();
        let fourth = writer.as_ref().map(AsFd::as_fd);
        let minded = mind(&spec, fourth, &heirlooms, layers.dies_with_supervisor, note)?;
        Ok(Incarnation {
            minded,
            ready,
            said: Vec::new(),
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.minded.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.minded.signal(signal);
    }

    /// Readable when it has ended.
    pub(crate) fn end(&self) -> Option<BorrowedFd<'_>> {
        self.minded.end()
    }

    /// Readable when it says something.
    pub(crate) fn ready(&self) -> Option<BorrowedFd<'_>> {
        self.ready.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.minded.ended()
    }

    /// Reads what it says; only when there is something.
    pub(crate) fn hear(&mut self) -> Said {
        let Some(ready) = &mut self.ready else {
            return Said::Nothing;
        };
        let mut chunk = [0; LONGEST + 1];
        let read = ready.read(&mut chunk);
        match read {
            Ok(count) if count > 0 => self.said.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Said::Nothing,
            _ => {
                self.ready = None;
                return Said::Wrong("ended its ready descriptor without an address");
            }
        }
        let line = self.said.split(|byte| *byte == b'\n').next();
        let complete = self.said.contains(&b'\n');
        if !complete && self.said.len() <= LONGEST {
            return Said::Nothing;
        }
        self.ready = None;
        match line.map(std::str::from_utf8) {
            Some(Ok(address)) if complete && is_address(address) => Said::Address(address.into()),
            _ => Said::Wrong("said no address that could be published"),
        }
    }
}

/// True for what can be published: one word, at most 512 bytes.
pub fn is_address(text: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(fits)
}
