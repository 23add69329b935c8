//! Listening sockets that open and close.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Whose socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Bmc(usize),
    Node(usize),
}

/// All that are open.
#[derive(Debug)]
pub(crate) struct Doors {
    epoll: Epoll,
    open: Mutex<HashMap<Door, TcpListener>>,
}

/// Marks a node in an epoll event's number.
const NODE: u64 = 1 << 63;

impl Doors {
    pub(crate) fn new() -> io::Result<Doors> {
        Ok(Doors {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            open: Mutex::default(),
        })
    }

    /// Listens there.
    pub(crate) fn open(&self, door: Door, address: SocketAddrV4) -> io::Result<()> {
        let mut open = self.lock();
        if open.contains_key(&door) {
            return Ok(());
        }
        let failed = |why: io::Error| io::Error::new(why.kind(), format!("{address}: {why}"));
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true)?;
        let number = match door {
            Door::Bmc(i) => i as u64,
            Door::Node(i) => i as u64 | NODE,
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.epoll.add(&listener, event)?;
        open.insert(door, listener);
        Ok(())
    }

    /// Opens or closes. What cannot be opened again stays closed: its address is taken by another
    /// program, and the test will see it.
    pub(crate) fn set(&self, door: Door, address: SocketAddrV4, wanted: bool) {
        if wanted {
            let _ = self.open(door, address);
        } else {
            // The kernel takes a closed descriptor out of the epoll set.
            self.lock().remove(&door);
        }
    }

    /// Waits for connections.
    pub(crate) fn accept(&self) -> io::Result<Vec<(Door, TcpStream)>> {
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(why) => return Err(why.into()),
        };
        let mut accepted = Vec::new();
        let open = self.lock();
        for event in &events[..count] {
            let number = event.data();
            let door = if number & NODE == 0 {
                Door::Bmc(number as usize)
            } else {
                Door::Node((number & !NODE) as usize)
            };
            if let Some(listener) = open.get(&door) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(false)?;
                    accepted.push((door, stream));
                }
            }
        }
        Ok(accepted)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Door, TcpListener>> {
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
