//! Standard output that survives its reader, and the status descriptor.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use nix::unistd::{AccessFlags, access};

/// Standard output, one record per line, each written at once: the next program in the pipe sees a
/// record when it is made. A reader that has gone is a quiet end, not a panic.
#[derive(Debug, Default)]
pub struct Output {
    closed: bool,
    failed: Option<io::Error>,
    /// Lines that wait, if they may.
    waiting: Option<Vec<u8>>,
}

/// Whoever waits for a line of this program and then for the end of its output goes on: from here on
/// standard output is `/dev/null`.
///
/// # Errors
/// It cannot be opened.
pub fn close_stdout() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    Ok(nix::unistd::dup2_stdout(null)?)
}

/// Bytes that are worth a write.
const BATCH: usize = 64 << 10;

impl Output {
    /// Standard output, open.
    pub fn new() -> Output {
        Output::default()
    }

    /// Standard output of a program whose records are all there at once: they are written by the
    /// thousand, the last ones by [`Output::finish`].
    pub fn batched() -> Output {
        Output {
            waiting: Some(Vec::new()),
            ..Output::default()
        }
    }

    /// Writes a line. Whoever builds it has escaped what came from outside.
    pub fn line(&mut self, text: &str) {
        match &mut self.waiting {
            Some(waiting) if waiting.len() + text.len() + 1 < BATCH => {
                waiting.extend_from_slice(text.as_bytes());
                waiting.push(b'\n');
            }
            _ => self.bytes(format!("{text}\n").as_bytes()),
        }
    }

    /// Writes bytes as they are (a table's dump).
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.waiting {
            Some(waiting) if waiting.len() + bytes.len() < BATCH => {
                waiting.extend_from_slice(bytes);
            }
            _ => {
                self.flush();
                self.write(bytes);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            let bytes = std::mem::take(waiting);
            self.write(&bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.closed || bytes.is_empty() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.closed = true;
            // EBADF: started with standard output closed, as some init scripts do.
            if error.kind() != io::ErrorKind::BrokenPipe
                && error.raw_os_error() != Some(nix::errno::Errno::EBADF as i32)
            {
                self.failed = Some(error);
            }
        }
    }

    /// The error that ended the output, if it was not just a reader that left (a full disk, say).
    pub fn finish(mut self) -> io::Result<()> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

/// `--status-fd N`: a line `node,status` for each node as it is settled.
#[derive(Debug)]
pub struct StatusFd(File);

impl StatusFd {
    /// Over a descriptor that the front has adopted.
    pub fn new(fd: OwnedFd) -> StatusFd {
        StatusFd(File::from(fd))
    }

    /// Writes one line. A reader that left is not an error: the summary still tells everything.
    pub fn settled(&mut self, node: &str, status: u8) {
        let _ = self.0.write_all(format!("{node},{status}\n").as_bytes());
    }
}

/// Writes the failed nodes as one noderange, for `--failed-to FILE` and then `^FILE`. The file is
/// complete or as it was: written beside, then renamed.
pub fn write_failed(path: &Path, noderange: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    std::fs::write(&beside, format!("{noderange}\n"))?;
    std::fs::rename(&beside, path)
}

/// Looks whether the file that `option` names, if it does, can be written the way [`write_failed`] does:
/// to be known before the work, not after.
///
/// # Errors
/// It cannot; option and file are in the text.
pub fn may_write(option: &str, path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    access(parent.unwrap_or(Path::new(".")), AccessFlags::W_OK)
        .map_err(io::Error::from)
        .with_context(|| format!("{option}: {}", path.display()))
}

/// A noderange behind the number of its nodes: nothing for none.
pub fn listed(folded: &str) -> String {
    match folded.is_empty() {
        true => String::new(),
        false => format!(": {folded}"),
    }
}
