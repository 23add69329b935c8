//! Adoption of descriptors by number.
#![allow(unsafe_code)] // Descriptors by number.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use fork_worker::inherited::{adopt_pipe, adopt_writable, open_standard_streams};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{getuid, pipe};
use support::descriptors;

fn main() {
    support::run(&[
        ("a_pipe_is_adopted", a_pipe_is_adopted),
        ("files_sockets_and_devices", files_sockets_and_devices),
        ("only_once_and_only_inherited", only_once_and_only_inherited),
        ("what_is_refused", what_is_refused),
        ("standard_output_stays", standard_output_stays),
        ("pipes_of_a_user", pipes_of_a_user),
        ("standard_streams_are_opened", standard_streams_are_opened),
    ]);
}

/// As if it had come through exec: no owner, no close-on-exec.
fn inherited(fd: impl Into<OwnedFd>) -> RawFd {
    let fd = fd.into();
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    fd.into_raw_fd()
}

fn refused(fd: RawFd) -> String {
    let error = adopt_writable(fd).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.starts_with(&format!("descriptor {fd} ")), "{text}");
    text
}

fn a_pipe_is_adopted() {
    let (reader, writer) = pipe().unwrap();
    let number = inherited(writer);
    let writer = adopt_writable(number).unwrap();
    assert_eq!(writer.as_raw_fd(), number);
    let flags = FdFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFD).unwrap());
    assert!(flags.contains(FdFlag::FD_CLOEXEC));
    File::from(writer).write_all(b"n1,0\n").unwrap();
    let mut text = String::new();
    // End of file: nothing else holds it.
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "n1,0\n");
}

fn files_sockets_and_devices() {
    adopt_writable(inherited(tempfile::tempfile().unwrap())).unwrap();
    adopt_writable(inherited(UnixStream::pair().unwrap().0)).unwrap();
    let null = File::options().write(true).open("/dev/null").unwrap();
    adopt_writable(inherited(null)).unwrap();
}

fn only_once_and_only_inherited() {
    let ours = tempfile::tempfile().unwrap();
    assert!(refused(ours.as_raw_fd()).contains("not inherited"));
    let adopted = adopt_writable(inherited(tempfile::tempfile().unwrap())).unwrap();
    assert!(refused(adopted.as_raw_fd()).contains("not inherited"));
}

fn what_is_refused() {
    let before = descriptors();
    for fd in [-1, 0, RawFd::MIN] {
        refused(fd);
    }
    for fd in [900, RawFd::MAX] {
        assert!(refused(fd).contains("not open"));
    }
    assert_eq!(descriptors(), before);
    let (reader, _writer) = pipe().unwrap();
    let reading = File::open("/dev/null").unwrap();
    let directory = File::open("/").unwrap();
    let path = nix::fcntl::open("/dev/null", OFlag::O_PATH, Mode::empty()).unwrap();
    for fd in [reader, reading.into(), directory.into(), path] {
        let fd = inherited(fd);
        assert!(refused(fd).contains("not open for writing"));
        // It is as it was.
        assert!(descriptors().contains(&fd));
    }
}

fn standard_output_stays() {
    let copy = adopt_writable(2).unwrap();
    assert!(copy.as_raw_fd() > 2);
    drop(copy);
    assert!(descriptors().contains(&2));
    // SAFETY: nothing in this process uses it.
    drop(unsafe { OwnedFd::from_raw_fd(1) });
    assert!(refused(1).contains("not open"));
}

fn pipes_of_a_user() {
    let me = getuid().as_raw();
    let (reader, writer) = pipe().unwrap();
    let (reader, writer) = (inherited(reader), inherited(writer));
    let why = |fd, owner| adopt_pipe(fd, owner).unwrap_err().to_string();
    assert!(why(writer, me + 1).contains("somebody else"));
    assert!(why(reader, me).contains("not the writing end"));
    assert!(why(inherited(tempfile::tempfile().unwrap()), me).contains("no pipe"));
    assert!(why(2, me).contains("standard stream"));
    assert!(why(900, me).contains("not open"));
    // Both ends in one: whoever gave it could read what others write.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap();
    assert!(why(inherited(both), me).contains("not the writing end"));
    adopt_pipe(writer, me).unwrap();
}

fn standard_streams_are_opened() {
    let before = descriptors();
    for fd in [0, 1] {
        // SAFETY: nothing in this process uses them.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    open_standard_streams().unwrap();
    assert_eq!(descriptors(), before);
    let target = std::fs::read_link("/proc/self/fd/1").unwrap();
    assert_eq!(target.to_str(), Some("/dev/null"));
    open_standard_streams().unwrap();
    assert_eq!(descriptors(), before);
}
