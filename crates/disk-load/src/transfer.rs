//! Frames from the image server and from other nodes of the run.

use std::io;
use std::time::Duration;

use image_transfer::{Error, Load, Pulse, ReadBack, Settings};

use crate::supply::{Ended, Supply, Written};

/// An image on its way by HTTP.
pub(crate) struct Transfer {
    settings: Settings,
    /// Until frames are asked for.
    pulse: Option<Pulse>,
    load: Option<Load>,
}

impl Transfer {
    pub(crate) fn new(settings: Settings) -> Transfer {
        let pulse = Pulse::start(settings.server, settings.digest, &settings.nonce);
        Transfer {
            settings,
            pulse: Some(pulse),
            load: None,
        }
    }
}

impl Supply for Transfer {
    fn begin(&mut self, have: &[bool]) -> Result<(), Ended> {
        self.pulse = None;
        // The one before has the socket for peers until it is gone.
        self.load = None;
        self.load = Some(Load::start(self.settings.clone(), have).map_err(ended)?);
        Ok(())
    }

    fn next(
        &mut self,
        disk: &mut dyn Written,
        timeout: Duration,
    ) -> Result<Option<(usize, Vec<u8>)>, Ended> {
        let Some(load) = &mut self.load else {
            return Ok(None);
        };
        let frame = load.next(&mut Disk(disk), timeout).map_err(ended)?;
        Ok(frame.map(|frame| (frame.index, frame.raw)))
    }

    fn written(&mut self, frame: usize) {
        if let Some(load) = &mut self.load {
            load.written(frame);
        }
    }

    fn done(&mut self, disk: &mut dyn Written) {
        if let Some(load) = &mut self.load {
            load.done(&mut Disk(disk));
        }
    }
}

/// What an error of the transfer means for the load.
fn ended(error: Error) -> Ended {
    let text = error.to_string();
    match error {
        Error::Refused { .. } => Ended::Cancelled(text),
        Error::Damaged { .. } => Ended::Damaged(text),
        Error::Deadline { .. } => Ended::Late(text),
        Error::Listen { .. } | Error::System { .. } => Ended::Late(text),
    }
}

struct Disk<'a>(&'a mut dyn Written);

impl ReadBack for Disk<'_> {
    fn raw(&mut self, frame: usize) -> io::Result<Vec<u8>> {
        self.0.raw(frame)
    }
}
