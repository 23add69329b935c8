//! Requests to the supervisor of this host, and whether they were fulfilled.

use std::time::{Duration, Instant};

use program::{complain, exit};
use single_server::{Board, Event, LockAt, Stands, Status, Watch, What};

use crate::args::{Ask, Kind};
use crate::{NAME, code};

/// How often processes are looked at whose end nothing tells.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn stop(ask: &Ask) -> anyhow::Result<u8> {
    let lock = ask.kind.lock()?;
    let board = Board::open(&ask.kind.name)?;
    let until = Instant::now() + Duration::from_secs(ask.wait);
    let status = Status::look(&ask.kind.name, &lock)?;
    match status.standing {
        Stands::Nothing => return Ok(nothing(&ask.kind)),
        // Its supervisor is dead: there is nobody to ask.
        Stands::Abandoned(server) => server.kill(),
        _ => drop(board.request("stop")),
    }
    loop {
        if Status::look(&ask.kind.name, &lock)?.standing == Stands::Nothing {
            return Ok(exit::DONE);
        }
        if Instant::now() >= until {
            return Ok(code::ELAPSED);
        }
        std::thread::sleep(LOOK);
    }
}

pub(crate) fn reload(ask: &Ask) -> anyhow::Result<u8> {
    let (_, mut request) = owner(&ask.kind, "reload")?;
    request.until(ask, |event| event.event == What::Reloaded)
}

/// Ready again, under a greater epoch.
pub(crate) fn recover(ask: &Ask) -> anyhow::Result<u8> {
    let (epoch, mut request) = owner(&ask.kind, "recover")?;
    request.until(ask, |event| {
        event.event == What::Ready && event.epoch > epoch
    })
}

/// Over here; who has it then is the others' matter.
pub(crate) fn handover(ask: &Ask) -> anyhow::Result<u8> {
    let (epoch, mut request) = owner(&ask.kind, "handover")?;
    request.until(ask, |event| {
        event.event == What::Lost && event.epoch == epoch
    })
}

struct Request {
    board: Board,
    watch: Watch,
    word: &'static str,
    allowed: bool,
}

/// A request that needs a server on this host, or, to recover, one that has failed.
fn owner(kind: &Kind, word: &'static str) -> anyhow::Result<(u64, Request)> {
    let lock: LockAt = kind.lock()?;
    let status = Status::look(&kind.name, &lock)?;
    let allowed = match status.standing {
        Stands::Owner(_) | Stands::Broken(_) => true,
        Stands::Failed => word == "recover",
        _ => false,
    };
    // Before the request: its answer must find us. What is so already is no answer.
    let mut watch = Watch::new(&kind.name, &lock)?;
    while watch.next(None, Some(Duration::ZERO))?.is_some() {}
    let request = Request {
        board: Board::open(&kind.name)?,
        watch,
        word,
        allowed,
    };
    Ok((status.own.map_or(0, |own| own.epoch), request))
}

impl Request {
    fn until(&mut self, ask: &Ask, done: impl Fn(&Event) -> bool) -> anyhow::Result<u8> {
        let until = Instant::now() + Duration::from_secs(ask.wait);
        if !self.allowed || !self.board.request(self.word) {
            return Ok(nothing(&ask.kind));
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.watch.next(None, Some(left))? {
                Some(event) if done(&event) => return Ok(exit::DONE),
                Some(event) if event.event == What::Failed => {
                    let why = event.reason.unwrap_or_default();
                    complain(NAME, &format!("{}: failed: {why}", ask.kind.name));
                    return Ok(exit::SOME_FAILED);
                }
                Some(_) => {}
                None => return Ok(code::ELAPSED),
            }
        }
    }
}

fn nothing(kind: &Kind) -> u8 {
    complain(NAME, &format!("{}: does not run on this host", kind.name));
    code::NO_SERVER
}
