//! From a queued job to a running child.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::child::{NOT_SAID, fork_child, keep_child_statuses};
use crate::descriptors;
use crate::job::Job;
use crate::outcome::ChildId;
use crate::report::Report;
use crate::running::Running;
use crate::wire::Decoder;

/// Forks one job. It stays in `slot` if that fails.
pub(crate) fn launch<K: Clone>(
    key: &K,
    id: ChildId,
    slot: &mut Option<Job>,
    grace: Duration,
) -> io::Result<Running<K>> {
    let Some(job) = slot.as_ref() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let (reader, writer) = descriptors::pipe()?;
    let (answers_reader, answers_writer) = descriptors::pipe()?;
    descriptors::set_nonblocking(&reader)?;
    descriptors::set_nonblocking(&answers_writer)?;
    let deadline = job.deadline;
    let decoder = Decoder::new(job.line_limit, job.total_limit);
    let mut keep = job.keep.clone();
    keep.extend([writer.as_raw_fd(), answers_reader.as_raw_fd()]);
    // Perl may have ignored SIGCHLD again since.
    keep_child_statuses();
    let pid = fork_child(&keep, || {
        let Some(job) = slot.take() else {
            return NOT_SAID;
        };
        let mut report = Report::new(writer.into(), answers_reader.into(), job.line_limit);
        let verdict = (job.body)(&mut report);
        report.verdict(&verdict).unwrap_or(NOT_SAID)
    })?;
    let pipes = (File::from(reader), File::from(answers_writer));
    Ok(Running::new(
        key.clone(),
        id,
        pid,
        pipes,
        decoder,
        deadline,
        grace,
    ))
}

/// Errors that pass when children end.
pub(crate) fn is_crowded(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
    )
}

/// Each child costs its parent two descriptors. Where the hard limit does not suffice, starts wait
/// until other children have ended.
pub(crate) fn room_for_pipes(fanout: usize) {
    let wanted = u64::try_from(fanout).unwrap_or(u64::MAX);
    let wanted = wanted.saturating_mul(2).saturating_add(256);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}
