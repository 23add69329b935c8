//! The actions. Each can be repeated; none believes what it was told before.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use fork_worker::command::{self, Spec};
use single_server::{Board, Error, Event, Stands, Status, Watch, What};

use super::settings::{Model, Settings, refusal};
use super::{Refusal, code};
use crate::args::Engine;

/// How often processes are looked at whose end nothing tells.
const LOOK: Duration = Duration::from_millis(20);
/// Scores for promotion: a host that stands by, and the one that runs it.
const STANDBY: &str = "10";
const OWNER: &str = "100";

pub(super) struct Agent {
    pub(super) settings: Settings,
}

impl Agent {
    pub(super) fn new(settings: Settings) -> Agent {
        Agent { settings }
    }

    /// Promotable: a supervisor that stands by, in no line. Single: the server runs.
    pub(super) fn start(&self) -> Result<u8, Refusal> {
        self.settings.validate(true)?;
        let until = Instant::now() + self.settings.promote_timeout.min(self.settings.timeout);
        match self.look()?.standing {
            Stands::Nothing | Stands::Abandoned(_) => self.launch()?,
            _ => {}
        }
        if self.settings.model == Model::Promotable {
            self.score(Some(STANDBY));
            return Ok(code::SUCCESS);
        }
        self.become_owner(until)
    }

    pub(super) fn promote(&self) -> Result<u8, Refusal> {
        let until = Instant::now() + self.settings.promote_timeout.min(self.settings.timeout);
        let code = self.become_owner(until)?;
        self.score(Some(OWNER));
        Ok(code)
    }

    pub(super) fn demote(&self) -> Result<u8, Refusal> {
        let until = Instant::now() + self.settings.timeout;
        self.board()?.request("demote");
        loop {
            match self.look()?.standing {
                Stands::Standby | Stands::Failed => break,
                Stands::Nothing => return Err(Refusal(code::NOT_RUNNING, "is not running".into())),
                Stands::Abandoned(server) => server.kill(),
                Stands::Owner(_) | Stands::Broken(_) => {}
            }
            self.pause(until, "the server does not end")?;
        }
        self.score(Some(STANDBY));
        Ok(code::SUCCESS)
    }

    /// Done when nothing of it is left; by force if need be.
    pub(super) fn stop(&self) -> Result<u8, Refusal> {
        let until = Instant::now() + self.settings.timeout;
        let force = Instant::now() + self.settings.timeout * 2 / 3;
        let mut asked = false;
        loop {
            let status = self.look()?;
            match status.standing {
                Stands::Nothing => break,
                Stands::Abandoned(server) => server.kill(),
                _ if Instant::now() > force => {
                    status
                        .supervisor
                        .iter()
                        .for_each(|supervisor| supervisor.kill());
                }
                _ if !asked => asked = self.board()?.request("stop"),
                _ => {}
            }
            self.pause(until, "does not end")?;
        }
        self.score(None);
        Ok(code::SUCCESS)
    }

    pub(super) fn monitor(&self, level: u32) -> Result<u8, Refusal> {
        let promotable = self.settings.model == Model::Promotable;
        let (owner, failed) = match promotable {
            true => (code::PROMOTED, code::FAILED_PROMOTED),
            false => (code::SUCCESS, code::GENERIC),
        };
        let status = self.look()?;
        match &status.standing {
            Stands::Nothing => Ok(code::NOT_RUNNING),
            Stands::Abandoned(server) => {
                let why = format!("process {}: runs without its supervisor", server.pid);
                Err(Refusal(failed, why))
            }
            Stands::Standby | Stands::Failed if promotable => Ok(code::SUCCESS),
            Stands::Standby => Err(Refusal(failed, "the lock is somebody else's".into())),
            Stands::Failed => Err(Refusal(failed, "the server does not start".into())),
            Stands::Broken(why) => Err(Refusal(failed, why.clone())),
            Stands::Owner(_) => {
                if level >= 10 {
                    status.confirm(level).map_err(|why| Refusal(failed, why))?;
                }
                if level >= 20 {
                    self.check(&status).map_err(|why| Refusal(failed, why))?;
                }
                Ok(owner)
            }
        }
    }

    pub(super) fn recover(&self) -> Result<u8, Refusal> {
        let until = Instant::now() + self.settings.timeout;
        let status = self.look()?;
        let before = status.own.as_ref().map_or(0, |own| own.epoch);
        let mut watch = self.watch()?;
        if !self.board()?.request("recover") {
            return self.start();
        }
        self.until_ready(&mut watch, until, |event| event.epoch > before)
    }

    pub(super) fn reload(&self) -> Result<u8, Refusal> {
        match self.board()?.request("reload") {
            true => Ok(code::SUCCESS),
            false => Err(Refusal(code::NOT_RUNNING, "is not running".into())),
        }
    }

    /// The server runs here, or this host stands in no line any more.
    fn become_owner(&self, until: Instant) -> Result<u8, Refusal> {
        if self.is_ready()? {
            return Ok(code::SUCCESS);
        }
        let mut watch = self.watch()?;
        if !self.board()?.request("promote") {
            return Err(Refusal(code::GENERIC, "no supervisor runs here".into()));
        }
        let done = self.until_ready(&mut watch, until, |_| true);
        if done.is_err() {
            let request = if self.settings.model == Model::Single {
                "stop"
            } else {
                "demote"
            };
            self.board()?.request(request);
        }
        done
    }

    fn until_ready(
        &self,
        watch: &mut Watch,
        until: Instant,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<u8, Refusal> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match watch
                .next(None, Some(left))
                .map_err(|error| refusal(&error))?
            {
                // Another host's server has no process here.
                Some(event) if event.event == What::Ready && event.pid != 0 && fits(&event) => {
                    return Ok(code::SUCCESS);
                }
                Some(event) if event.event == What::Failed => {
                    let why = event.reason.unwrap_or_default();
                    let why = format!("the server does not start: {why}");
                    return Err(Refusal(code::GENERIC, why));
                }
                Some(_) => {}
                None => {
                    return Err(Refusal(
                        code::GENERIC,
                        "the lock or the server was not to be had in time".into(),
                    ));
                }
            }
        }
    }

    fn is_ready(&self) -> Result<bool, Refusal> {
        let status = self.look()?;
        let ready = status.own.is_some_and(|own| own.event == What::Ready);
        Ok(ready && matches!(status.standing, Stands::Owner(_)))
    }

    /// A supervisor in the background, which waits to be told.
    fn launch(&self) -> Result<(), Refusal> {
        let failed = |why: String| Refusal(code::GENERIC, why);
        let settings = &self.settings;
        let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut args: Vec<OsString> = ["run", "--announce", "--managed"].map(Into::into).into();
        let mut option = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                let mut word = OsString::from(name);
                word.push(value);
                args.push(word);
            }
        };
        option("--lockdir=", settings.kind.lockdir.clone().map(Into::into));
        option(
            "--engine=",
            (settings.kind.engine == Engine::Pg).then(|| "pg".into()),
        );
        option("--address=", settings.address.clone().map(Into::into));
        option("--check=", settings.check.clone().map(Into::into));
        let patience = settings.promote_timeout.as_secs().max(1).to_string();
        option("--start-timeout=", Some(patience.into()));
        // Half of what a stop has.
        let grace = (settings.timeout / 2).as_secs().clamp(1, 10).to_string();
        option("--stop-timeout=", Some(grace.into()));
        args.extend([settings.kind.name.clone().into(), "--".into()]);
        args.extend(settings.server.iter().map(OsString::from));
        let output = command::start_detached(&own, &args, &[]);
        let output = output.map_err(|error| failed(error.to_string()))?;
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        match read {
            Ok(_) if line == "listening\n" => Ok(()),
            _ => Err(failed(
                "the supervisor does not start; its log says why".into(),
            )),
        }
    }

    /// The server's own check, asked now.
    fn check(&self, status: &Status) -> Result<(), String> {
        let Some(check) = &self.settings.check else {
            return Ok(());
        };
        let mut words = crate::args::words(check).into_iter();
        let own = status.own.as_ref();
        let address = own.and_then(|own| own.address.clone()).unwrap_or_default();
        let spec = Spec::new(words.next().unwrap_or_default())
            .args(words)
            .env("ONESERVER_KIND", &self.settings.kind.name)
            .env(
                "ONESERVER_EPOCH",
                own.map_or(0, |own| own.epoch).to_string(),
            )
            .env("ONESERVER_ADDRESS", address)
            .deadline(self.settings.timeout);
        match command::run(&spec) {
            Ok(finished) if finished.status.success() && !finished.timed_out => Ok(()),
            Ok(finished) => Err(format!("its check failed: {}", finished.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What the manager prefers for promotion; without a manager nobody keeps it.
    fn score(&self, score: Option<&str>) {
        if !self.settings.scored || self.settings.model == Model::Single {
            return;
        }
        let spec = Spec::new("crm_attribute").args(["--promotion", "-l", "reboot"]);
        let spec = match score {
            Some(score) => spec.args(["-v", score]),
            None => spec.arg("-D"),
        };
        // Without a score nobody is promoted, which the manager shows.
        let _ = command::run(&spec.deadline(Duration::from_secs(5)));
    }

    fn pause(&self, until: Instant, why: &str) -> Result<(), Refusal> {
        if Instant::now() >= until {
            return Err(Refusal(code::GENERIC, why.into()));
        }
        std::thread::sleep(LOOK);
        Ok(())
    }

    fn look(&self) -> Result<Status, Refusal> {
        let found = Status::look(&self.settings.kind.name, &self.settings.lock);
        found.map_err(|error: Error| refusal(&error))
    }

    fn board(&self) -> Result<Board, Refusal> {
        Board::open(&self.settings.kind.name).map_err(|error| refusal(&error))
    }

    /// A subscription to what happens from now on.
    fn watch(&self) -> Result<Watch, Refusal> {
        let watch = Watch::new(&self.settings.kind.name, &self.settings.lock);
        let mut watch = watch.map_err(|error| refusal(&error))?;
        while watch
            .next(None, Some(Duration::ZERO))
            .map_err(|error| refusal(&error))?
            .is_some()
        {}
        Ok(watch)
    }
}
