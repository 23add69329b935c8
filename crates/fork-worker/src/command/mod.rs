//! Other programs: run one and collect what it says, or start one that outlives us.
//!
//! No shell, ever. The program gets descriptors 0 to 2 and no others, default signals (SIGPIPE and
//! SIGCHLD too, whatever our caller did to them), an empty mask, and a process group of its own.
//! Between fork and exec nothing allocates or locks, so unlike [`Crew`](crate::Crew) this works
//! beside threads.

mod image;
mod minded;
mod spawn;
mod watch;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::descriptors::pipe;
pub(crate) use image::Image;
pub use minded::{Minded, mind};
pub(crate) use spawn::{Place, Start, reap, spawn, spawn_noted};

/// What to run and within which bounds.
#[derive(Debug, Clone)]
pub struct Spec {
    /// A path, or a name to be found in PATH.
    pub program: PathBuf,
    /// Its arguments, without the name.
    pub args: Vec<OsString>,
    /// Changes to our environment; None removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Starts from an empty environment instead of ours.
    pub env_clear: bool,
    /// Its standard input. It need not read it.
    pub stdin: Vec<u8>,
    /// After this long its whole process group is ended.
    pub deadline: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Most bytes that are kept of standard output, and of standard error; more is read and dropped.
    pub output_limit: usize,
}

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its wait status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// It was made to end, because its time was over.
    pub timed_out: bool,
    /// It said more than the limit; what is here is the beginning.
    pub truncated: bool,
}

/// Runs a program to its end. A process that it leaves behind with our pipes open does not delay the
/// return. If we die, it gets SIGKILL.
///
/// # Errors
/// `NotFound` and the like if it cannot be started, with its name; else what the system said.
pub fn run(spec: &Spec) -> io::Result<Finished> {
    let image = Image::new(&spec.program, &spec.args, &spec.env, spec.env_clear)?;
    let (stdin, feed) = pipe()?;
    let (out, stdout) = pipe()?;
    let (err, stderr) = pipe()?;
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let start = Start {
        image: &image,
        streams,
        fourth: None,
        heirlooms: &[],
        place: Place::Group,
    };
    let leader = spawn(start).map_err(|error| named(spec, error))?;
    drop((stdin, stdout, stderr));
    let mut watch = watch::Watch::new(leader, spec, feed, out, err);
    let watched = watch.until_ended();
    if watched.is_err() {
        // The caller hears of the error; nobody must be left behind for it.
        watch.kill();
    }
    let status = ExitStatus::from_raw(reap(leader)?);
    watched?;
    Ok(watch.finished(status))
}

/// Starts a program that is not our child and outlives us: a session of its own, working directory
/// `/`, standard input and error `/dev/null`. The file reads its standard output: by a line there it
/// can say that it is ready, and end of file without a line means that it is not.
///
/// # Errors
/// As [`run`].
pub fn start_detached(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> io::Result<File> {
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    let image = Image::new(program, args, &env, false)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let null = crate::descriptors::above_2(null.into())?;
    let (ready, stdout) = pipe()?;
    let streams = [null.as_fd(), stdout.as_fd(), null.as_fd()];
    let start = Start {
        image: &image,
        streams,
        fourth: None,
        heirlooms: &[],
        place: Place::Detached,
    };
    let between = spawn(start)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    reap(between)?;
    Ok(ready.into())
}

impl Spec {
    /// A program without arguments in our environment, with nothing on its standard input, a minute
    /// to live, 5 seconds of grace, and 1 MiB of output.
    pub fn new(program: impl AsRef<OsStr>) -> Spec {
        Spec {
            program: PathBuf::from(program.as_ref()),
            args: Vec::new(),
            env: Vec::new(),
            env_clear: false,
            stdin: Vec::new(),
            deadline: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            output_limit: 1 << 20,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Spec {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Spec {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Spec {
        let value = Some(value.as_ref().to_owned());
        self.env.push((name.as_ref().to_owned(), value));
        self
    }

    /// Sets what comes on standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Spec {
        self.stdin = bytes.into();
        self
    }

    /// Sets the time after which it is made to end.
    pub fn deadline(mut self, deadline: Duration) -> Spec {
        self.deadline = deadline;
        self
    }
}

fn named(spec: &Spec, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", spec.program.display()))
}
