//! A sign of life, while a node's disk is made ready or looked at and no frames are asked for: that can
//! take long, and the server is all that knows whether the node still runs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk_image::Digest;
use nix::sys::epoll::{Epoll, EpollCreateFlags};

use super::document::answer;
use crate::http::{Ask, Exchange};
use crate::protocol::{self, NEIGHBOURS, Progress};

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who ends it waits at most so long.
const SLICE: Duration = Duration::from_millis(100);

/// Tells an image's server that this node is there and has no frame yet, until it is dropped. In a thread
/// beside: a disk that is told to become zeros may not answer for minutes.
#[derive(Debug)]
pub struct Pulse {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// Begins. Whatever befalls it is no error: it is the server that may be gone, and comes back.
    pub fn start(server: SocketAddr, image: Digest, nonce: &str) -> Pulse {
        let progress = Progress {
            nonce: nonce.into(),
            port: 0,
            have: 0,
            done: false,
        };
        let (end, ended) = channel();
        let beats = std::thread::Builder::new().name("pulse".into());
        let thread = beats.spawn(move || beat(server, &image, &progress, &ended));
        Pulse {
            end: Some(end),
            thread: thread.ok(),
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.end.take());
        // What comes after it tells how many frames there are: no older word may overtake that.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(server: SocketAddr, image: &Digest, progress: &Progress, ended: &Receiver<()>) {
    let Ok(epoll) = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC) else {
        return;
    };
    let epoll = Rc::new(epoll);
    let mut exchange = Exchange::new(server, None, Rc::clone(&epoll), 0);
    loop {
        let ask = Ask {
            request: protocol::progress(server, image, progress),
            most: NEIGHBOURS,
            patience: PATIENCE,
        };
        exchange.ask(ask, Instant::now());
        while let Ok(None) = answer(&mut exchange, &epoll, Instant::now() + SLICE) {
            if is_over(ended, Duration::ZERO) {
                return;
            }
        }
        if is_over(ended, PAUSE) {
            return;
        }
    }
}

fn is_over(ended: &Receiver<()>, wait: Duration) -> bool {
    !matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}
