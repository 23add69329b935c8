//! What a confined child can still do, and what not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use fork_worker::confine::{Confinement, Ids};
use fork_worker::{Failure, Job};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Uid, geteuid, getgid, getgroups, getuid, pipe};
use support::{Outcome, outcome};

fn main() {
    support::run(&[
        ("user_and_groups_are_gone", user_and_groups_are_gone),
        ("nothing_is_opened", nothing_is_opened),
        ("nothing_is_forked_or_run", nothing_is_forked_or_run),
        ("no_file_is_written", no_file_is_written),
        ("memory_is_bounded", memory_is_bounded),
        ("processor_time_is_bounded", processor_time_is_bounded),
        ("what_it_has_still_works", what_it_has_still_works),
        (
            "death_signal_dumps_and_privileges",
            death_signal_dumps_and_privileges,
        ),
        (
            "tight_limits_of_the_caller_stay",
            tight_limits_of_the_caller_stay,
        ),
        ("root_is_refused_as_user", root_is_refused_as_user),
        ("a_namespace_with_one_user", a_namespace_with_one_user),
    ]);
}

/// Runs `body` in a confined child.
fn confined(body: impl FnOnce() -> String + 'static) -> Outcome {
    outcome(Job::new(|_| {
        let ids = Confinement::default()
            .enter()
            .map_err(|error| error.to_string())?;
        match ids {
            Ids::Dropped => assert_eq!(getuid(), Uid::from_raw(65534)),
            Ids::Unprivileged => assert!(!geteuid().is_root()),
            Ids::OnlyOne => {}
        }
        Ok(body())
    }))
}

/// The tests that change users need root, and more than one user to change to.
fn skipped() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let skip = !geteuid().is_root() || map.split_whitespace().nth(2) == Some("1");
    if skip {
        eprintln!("skipped: needs root and users to become");
    }
    skip
}

fn user_and_groups_are_gone() {
    if skipped() {
        return;
    }
    let end = confined(|| {
        let groups = getgroups().unwrap();
        let back = nix::unistd::setuid(Uid::from_raw(0));
        format!("{} {} {groups:?} {back:?}", getuid(), getgid())
    });
    assert_eq!(end, Ok("65534 65534 [] Err(EPERM)".into()));
}

fn nothing_is_opened() {
    let end = confined(|| {
        let open = File::open("/dev/null").unwrap_err().raw_os_error();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap_err()
            .raw_os_error();
        let copy = nix::unistd::dup(std::io::stdin()).unwrap_err() as i32;
        format!("{open:?} {socket:?} {:?}", Some(copy))
    });
    let full = Some(libc::EMFILE);
    assert_eq!(end, Ok(format!("{full:?} {full:?} {full:?}")));
}

fn nothing_is_forked_or_run() {
    // Also not by root: the limit counts for everybody who has become somebody else.
    if skipped() {
        return;
    }
    let end = confined(|| {
        let thread = std::thread::Builder::new().spawn(|| {});
        format!("{:?}", thread.map(drop).map_err(|error| error.kind()))
    });
    assert_eq!(
        end,
        Ok(format!("{:?}", Err::<(), _>(ErrorKind::WouldBlock)))
    );
}

fn no_file_is_written() {
    let mut file = tempfile::tempfile().unwrap();
    let copy = file.try_clone().unwrap();
    let number = copy.as_raw_fd();
    let job = Job::new(move |_| {
        Confinement::default()
            .enter()
            .map_err(|error| error.to_string())?;
        (&copy).write_all(b"x").map_err(|error| error.to_string())?;
        Ok(String::new())
    });
    assert_eq!(
        outcome(job.keep(number)),
        Err(Failure::Signal(libc::SIGXFSZ))
    );
    let mut text = Vec::new();
    file.read_to_end(&mut text).unwrap();
    assert!(text.is_empty());
}

fn memory_is_bounded() {
    let end = confined(|| {
        let mut some: Vec<u8> = Vec::new();
        let fits = some.try_reserve_exact(32 << 20).is_ok();
        let mut more: Vec<u8> = Vec::new();
        let too_much = more.try_reserve_exact(128 << 20).is_ok();
        format!("{fits} {too_much}")
    });
    assert_eq!(end, Ok("true false".into()));
}

fn processor_time_is_bounded() {
    let end = outcome(Job::new(|_| {
        let tight = Confinement {
            cpu: Duration::from_millis(1),
            ..Confinement::default()
        };
        tight.enter().map_err(|error| error.to_string())?;
        loop {
            std::hint::spin_loop();
        }
    }));
    // Soft and hard are the same: KILL comes in place of XCPU, or with it.
    let Err(Failure::Signal(signal)) = end else {
        panic!("{end:?}")
    };
    assert!([libc::SIGXCPU, libc::SIGKILL].contains(&signal), "{signal}");
}

fn what_it_has_still_works() {
    let (reader, writer) = pipe().unwrap();
    File::from(writer).write_all(b"from outside").unwrap();
    let number = reader.as_raw_fd();
    let job = Job::new(move |report| {
        Confinement::default()
            .enter()
            .map_err(|error| error.to_string())?;
        let mut polled = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::NONE).map_err(|error| error.to_string())?;
        let mut text = String::new();
        File::from(reader)
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?;
        report.line(&text).map_err(|error| error.to_string())?;
        Ok(text)
    });
    assert_eq!(outcome(job.keep(number)), Ok("from outside".into()));
}

fn death_signal_dumps_and_privileges() {
    let end = confined(|| {
        let signal = prctl::get_pdeathsig().unwrap();
        let dumps = prctl::get_dumpable().unwrap();
        format!("{signal:?} {dumps} {}", prctl::get_no_new_privs().unwrap())
    });
    assert_eq!(end, Ok("Some(SIGKILL) false true".into()));
}

fn tight_limits_of_the_caller_stay() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    setrlimit(Resource::RLIMIT_CPU, 5, 5).unwrap();
    let end = confined(|| format!("{:?}", getrlimit(Resource::RLIMIT_CPU).unwrap()));
    assert_eq!(end, Ok("(5, 5)".into()));
}

fn root_is_refused_as_user() {
    if skipped() {
        return;
    }
    for (user, group) in [(0, 65534), (65534, 0)] {
        let end = outcome(Job::new(move |_| {
            let root = Confinement {
                user,
                group,
                ..Confinement::default()
            };
            root.enter()
                .map(|_| String::new())
                .map_err(|error| error.kind().to_string())
        }));
        assert_eq!(end, Err(Failure::Said(ErrorKind::InvalidInput.to_string())));
    }
}

fn a_namespace_with_one_user() {
    let end = outcome(Job::new(|_| {
        let user = geteuid();
        if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER) {
            return Ok(format!("skipped: no user namespaces here: {error}"));
        }
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        let ids = Confinement::default()
            .enter()
            .map_err(|error| error.to_string())?;
        Ok(format!(
            "{ids:?} {:?}",
            File::open("/dev/null").unwrap_err().raw_os_error()
        ))
    }));
    let end = end.unwrap();
    if end.starts_with("skipped") {
        eprintln!("{end}");
        return;
    }
    assert_eq!(end, format!("OnlyOne {:?}", Some(libc::EMFILE)));
}
