//! One connection to a BMC, from the handshake to its end. A thread of its own.

use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use crate::Fault;
use crate::events::Happened;
use crate::http::Wire;
use crate::phase::Phase;
use crate::respond::{Reply, respond};
use crate::world::World;

/// What happens to a connection before its first request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Greeting {
    Normal,
    Reset,
    Silence,
    Garbage,
}

/// Serves a connection that was taken at BMC `number`'s address.
pub(crate) fn serve(world: &World, number: usize, socket: TcpStream) {
    let now = world.clock.now();
    let Some((number, greeting, lives)) = choose(world, number) else {
        return;
    };
    world.events.add(now, number, Happened::Connected);
    let bmc = &world.bmcs[number];
    match greeting {
        Greeting::Reset => return reset(socket.as_fd()),
        Greeting::Silence => return hang(socket.as_fd()),
        Greeting::Garbage => {
            let _ = std::io::Write::write_all(&mut &socket, b"SSH-2.0-no TLS here\r\n");
            return hang(socket.as_fd());
        }
        Greeting::Normal => {}
    }
    // Small answers go out at once.
    let _ = socket.set_nodelay(true);
    let Ok(stream) = bmc
        .shown
        .context(&world.store, number)
        .and_then(|context| context.accept(socket))
    else {
        return;
    };
    let mut wire = Wire::new(stream);
    while let Ok(Some(request)) = wire.request() {
        let what = request.what();
        // A connection of an earlier life of this BMC is cut, as its peer would find it.
        if world.with(number, |_, state| state.lives) != Some(lives) {
            return reset(wire.stream.as_fd());
        }
        let reply = respond(world, number, &request, &mut wire);
        let log = |status| {
            let request = what.clone();
            let at = world.clock.now();
            world
                .events
                .add(at, number, Happened::Request { request, status });
        };
        let (answer, manner) = match reply {
            Reply::Answer(answer, manner) => (answer, manner),
            Reply::Hang => {
                log(0);
                return hang(wire.stream.as_fd());
            }
            Reply::Close => {
                log(0);
                return reset(wire.stream.as_fd());
            }
            Reply::Headers => {
                log(0);
                return endless(&mut wire);
            }
        };
        world.clock.pass(answer.delay);
        if world.with(number, |_, state| state.lives) != Some(lives) && answer.delay > 0.0 {
            log(0);
            return reset(wire.stream.as_fd());
        }
        log(answer.status);
        if answer.status == 0 {
            return reset(wire.stream.as_fd());
        }
        match wire.answer(&answer, &manner) {
            Ok(true) if !answer.close => {}
            Ok(true) => return wire.stream.finish(),
            Ok(false) => return reset(wire.stream.as_fd()),
            Err(_) => return,
        }
        // What of the body nobody wanted.
        if !drained(&mut wire) {
            return;
        }
    }
}

/// Which BMC really answers, how, and in which of its lives.
fn choose(world: &World, number: usize) -> Option<(usize, Greeting, u64)> {
    let other = world.with(number, |_, state| {
        state.connections += 1;
        let with = state.rules.standing(|fault| match fault {
            Fault::SharedAddress { with } => Some(*with),
            _ => None,
        });
        with.filter(|_| state.connections % 2 == 0)
    })?;
    let number = other.unwrap_or(number);
    let now = world.clock.now();
    world.with(number, |bmc, state| {
        let greeting = state.rules.take("", |fault| match fault {
            Fault::CloseAtOnce => Some(Greeting::Reset),
            Fault::HangBeforeTls => Some(Greeting::Silence),
            Fault::NotTls => Some(Greeting::Garbage),
            _ => None,
        });
        let mut greeting = greeting.unwrap_or(Greeting::Normal);
        // Taken just before the door closed.
        if state.phase(bmc.dialect, now) == Phase::Refused {
            greeting = Greeting::Reset;
        }
        (number, greeting, state.lives)
    })
}

/// Reads what is left of a body, if it is short. False: the connection is of no more use.
fn drained(wire: &mut Wire) -> bool {
    matches!(wire.whole(64 << 10), Ok(Some(_)))
}

/// Waits until the peer goes.
fn hang(socket: impl AsFd) {
    while !gone(&socket, PollTimeout::NONE) {}
}

/// Waits so long for the peer to go; true if it has.
pub(crate) fn gone(socket: impl AsFd, most: PollTimeout) -> bool {
    let wanted = PollFlags::from_bits_retain(nix::libc::POLLRDHUP) | PollFlags::POLLHUP;
    let polled = poll(&mut [PollFd::new(socket.as_fd(), wanted)], most);
    matches!(polled, Ok(1..))
}

/// Makes the end that follows a reset.
fn reset(socket: BorrowedFd<'_>) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let _ = setsockopt(&socket, sockopt::Linger, &linger);
}

/// Header lines until the peer has had enough.
fn endless(wire: &mut Wire) {
    let head = b"HTTP/1.1 200 OK\r\n";
    let line = "X-More: and more\r\n".repeat(1000);
    let mut sent = wire.raw(head);
    while sent.is_ok() {
        sent = wire.raw(line.as_bytes());
    }
}
