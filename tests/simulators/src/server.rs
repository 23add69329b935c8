//! The process: its threads and its end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Config;
use crate::certificates::Store;
use crate::connection;
use crate::control;
use crate::doors::Door;
use crate::world::World;

/// The stack of a connection's thread; only what it touches takes memory.
const STACK: usize = 512 << 10;

/// Simulates what the file `config` says until standard input ends or the parent is gone.
///
/// # Errors
/// The configuration cannot be read, or an address is taken.
pub fn serve(config: &Path, control: &Path) -> io::Result<()> {
    let parent = nix::unistd::getppid();
    let text = std::fs::read(config)?;
    let config: Config = serde_json::from_slice(&text)?;
    // A descriptor for each door and connection.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;

    let store = Store::new(control.with_extension("certificates"));
    let (end, ended) = channel();
    let world = Arc::new(World::new(config, store, end)?);
    world.open()?;
    let listener = UnixListener::bind(control)?;
    spawn(&world, move |world| control::listen(world, &listener))?;
    spawn(&world, accept)?;
    spawn(&world, move |world| {
        loop {
            if let Some(wake) = world.timer.next() {
                world.wake(wake);
            } else if nix::unistd::getppid() != parent {
                return Ok(());
            }
        }
    })?;
    let mut out = io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    spawn(&world, |_| {
        let mut unused = [0; 64];
        while io::stdin().read(&mut unused)? > 0 {}
        Ok(())
    })?;
    ended.recv().unwrap_or(Ok(()))
}

/// Starts a thread whose end is the end of the process.
fn spawn(
    world: &Arc<World>,
    work: impl FnOnce(&Arc<World>) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let world = Arc::clone(world);
    Builder::new().spawn(move || {
        let _ = world.end.send(work(&world));
    })?;
    Ok(())
}

/// Takes connections, for ever.
fn accept(world: &Arc<World>) -> io::Result<()> {
    loop {
        for (door, mut socket) in world.doors.accept()? {
            match door {
                Door::Bmc(number) => {
                    let world = Arc::clone(world);
                    Builder::new()
                        .stack_size(STACK)
                        .spawn(move || connection::serve(&world, number, socket))?;
                }
                // What an ssh server says first; whoever wants more needs a real one.
                Door::Node(_) => {
                    let _ = socket.write_all(b"SSH-2.0-simulated\r\n");
                }
            }
        }
    }
}
