//! One document from the image server: an order, a manifest. Waits for it.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::Digest;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};

use crate::Error;
use crate::http::{Ask, Exchange, Failure, Reply};
use crate::protocol;

/// Between attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// How long the answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Refused or missing for so long, it is not for us: a server may have just begun.
const REFUSED: Duration = Duration::from_secs(30);

/// How often what came may be something else.
const DAMAGED: u32 = 3;

/// The document at `path` of that server: of at most `limit` bytes, and with that digest. Asks until
/// the deadline.
///
/// # Errors
/// [`Error::Deadline`]; [`Error::Refused`] after 30 s; [`Error::Damaged`] if three times something
/// else came.
pub fn document(
    server: SocketAddr,
    path: &str,
    digest: &Digest,
    limit: usize,
    deadline: Instant,
) -> Result<Vec<u8>, Error> {
    let epoll =
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::errno("epoll_create"))?;
    let epoll = Rc::new(epoll);
    let mut exchange = Exchange::new(server, None, Rc::clone(&epoll), 0);
    let what = || format!("http://{server}{path}");
    let (mut last, mut damaged, mut refused) = (String::from("nothing came"), 0, None);
    loop {
        let ask = Ask {
            request: protocol::get(server, path, None),
            most: limit.max(1 << 10),
            patience: PATIENCE,
        };
        exchange.ask(ask, Instant::now());
        let mut pause = AGAIN;
        match answer(&mut exchange, &epoll, deadline)? {
            Some(Ok(reply)) if reply.status == 200 => {
                let found = Digest::of(&reply.body);
                if found == *digest {
                    return Ok(reply.body);
                }
                damaged += 1;
                last = format!("it has the digest {found}, not {digest}");
                if damaged >= DAMAGED {
                    return Err(Error::Damaged {
                        what: what(),
                        why: last,
                    });
                }
            }
            Some(Ok(reply)) if matches!(reply.status, 403 | 404) => {
                last = format!("{} {}", reply.status, words(&reply));
                let since = *refused.get_or_insert_with(Instant::now);
                if since.elapsed() >= REFUSED {
                    return Err(Error::Refused {
                        what: what(),
                        why: last,
                    });
                }
            }
            Some(Ok(reply)) => {
                last = format!("{} {}", reply.status, words(&reply));
                pause = reply
                    .retry_after
                    .map_or(AGAIN, |s| Duration::from_secs(s.min(5)));
            }
            Some(Err(Failure::Gone(why))) => last = why.to_string(),
            Some(Err(Failure::Silent)) => last = "the server is silent".into(),
            Some(Err(Failure::Nonsense(why))) => last = why.into(),
            None => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Deadline { what: what(), last });
        }
        std::thread::sleep(pause.min(left));
    }
}

/// None: the deadline.
pub(super) fn answer(
    exchange: &mut Exchange,
    epoll: &Epoll,
    deadline: Instant,
) -> Result<Option<Result<Reply, Failure>>, Error> {
    loop {
        let now = Instant::now();
        if let Some(answer) = exchange.turn(now) {
            return Ok(Some(answer));
        }
        if now >= deadline {
            return Ok(None);
        }
        let due = exchange.due().map_or(deadline, |due| due.min(deadline));
        let left = due.saturating_duration_since(now) + Duration::from_millis(1);
        let mut polled = [PollFd::new(epoll.0.as_fd(), PollFlags::POLLIN)];
        match poll(
            &mut polled,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Error::errno("poll")(error)),
        }
        match epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Error::errno("epoll_wait")(error)),
        }
    }
}

fn words(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let short: String = text.trim_end().chars().take(200).collect();
    program::escape(&short).into_owned()
}
