//! The way of a user without root's rights: nodereboot-priv does it, and tells us over a pipe.
//!
//! The seed's trick: called without privilege, the library makes a pipe, lets the privileged entry have
//! its writing end, names that in `REBOOTPIPENO`, and its caller sees no difference. The other half is
//! here as well: [`adopt`] takes that pipe over in the program that the entry runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bmc::Trust;
use fork_worker::Job;
use fork_worker::inherited::adopt_pipe_of;
use fork_worker::privilege::{Errand, run};

use crate::Refused;
use crate::handle::{Handle, pipe};
use crate::line::Line;
use crate::outlet::Outlet;
use crate::permission::Denied;
use crate::request::{BootDevice, Caller, MaxFail, Options, Request};
use crate::verdict::NodeResult;

/// The variable that names the pipe.
const PIPE: &str = "REBOOTPIPENO";
/// Where the privileged entry is installed; `make SBINDIR=...` builds another directory in.
const DIRECTORY: &str = match option_env!("NODETOOLS_SBINDIR") {
    Some(directory) => directory,
    None => "/usr/sbin",
};
const ENTRY: &str = "nodereboot-priv";
const SUDO: &str = "/usr/bin/sudo";
/// What the work has to end in good order before we stop waiting; it goes on all the same.
const GRACE: Duration = Duration::from_secs(60);
/// How long a caller may take to read the last lines.
const LAST: Duration = Duration::from_secs(30);

/// How the other side reads the names of a request; by default as nodereboot does by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// More nodes than this are refused.
    pub most: Option<usize>,
    /// A name that means something else by accident is refused.
    pub strict: bool,
}

/// Starts a reboot by the privileged entry. Without root's rights no table can be read, so the nodes of
/// `request` may be any names, of groups too: what the other side makes of them is in the results.
///
/// # Errors
/// [`Refused`]: there is no way to be run with privilege, or the request says which management
/// controllers to believe, which is for root alone. What the other side refuses comes as the failure of
/// every name.
pub fn start(request: &Request, reading: Reading) -> Result<Handle, Refused> {
    errand(request)?.start(reading)
}

/// Has the privileged entry print what would be done; its exit status.
///
/// # Errors
/// As [`start`].
pub fn show(request: &Request, reading: Reading) -> Result<u8, Refused> {
    errand(request)?.show(reading)
}

fn errand(request: &Request) -> Result<Asked<'_>, Refused> {
    // The entry takes no such option; dropped in silence, it would be believed to hold.
    if request.options.trust != Trust::default() {
        let why = "which management controllers are believed is for root alone to say";
        return Err(Denied(why.to_string()).into());
    }
    Ok(Asked {
        program: None,
        what: "reboot",
        options: arguments(&request.options),
        nodes: &request.nodes,
    })
}

/// What the privileged entry is asked to run.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The option that names the program (`--osload`); nodereboot has none.
    pub program: Option<&'static str>,
    /// What it does to nodes, in one word.
    pub what: &'static str,
    /// Its options, each one argument.
    pub options: Vec<String>,
    /// Names of nodes and groups.
    pub nodes: &'a [String],
}

impl Asked<'_> {
    /// As [`start`].
    ///
    /// # Errors
    /// [`Refused`]: there is no way to be run with privilege.
    pub fn start(&self, reading: Reading) -> Result<Handle, Refused> {
        let (program, args) = self.entry(reading, "--status-more")?;
        let (reader, writer) = pipe().map_err(|error| Refused::System("pipe", error))?;
        let fd = writer.as_raw_fd();
        let names: BTreeSet<String> = self.nodes.iter().cloned().collect();
        let job = Job::new(move |_| {
            let ended = run(Errand {
                program,
                args,
                env: vec![(PIPE.into(), "3".into())],
                pipe: Some(writer),
                root: false,
                quiet: true,
            });
            match ended.map(|status| status.code()) {
                Ok(Some(0 | 1)) => Ok(String::new()),
                Ok(Some(code)) => Err(format!("{ENTRY} refused it (exit status {code})")),
                Ok(None) => Err(format!("{ENTRY} was killed")),
                Err(error) => Err(error.to_string()),
            }
        });
        Handle::over(reader, names, true, job.keep(fd), GRACE)
    }

    /// As [`show`].
    ///
    /// # Errors
    /// As [`Asked::start`].
    pub fn show(&self, reading: Reading) -> Result<u8, Refused> {
        let (program, args) = self.entry(reading, "--dry-run")?;
        let status = run(Errand {
            program,
            args,
            env: Vec::new(),
            pipe: None,
            root: false,
            quiet: false,
        });
        let status = status.map_err(|error| Refused::System(ENTRY, error))?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(program::exit::NOTHING))
    }

    /// The program that has privilege, and its arguments: the entry itself where it has the setuid bit,
    /// else sudo, which keeps our pipe if the site's rules are like our example.
    fn entry(&self, reading: Reading, how: &str) -> Result<(PathBuf, Vec<OsString>), Refused> {
        once()?;
        let installed = program::paths::under(&format!("{DIRECTORY}/{ENTRY}"));
        let mut args = Vec::new();
        let program = match installed.metadata() {
            Err(error) => {
                let why = format!(
                    "only root may {} nodes here ({}: {error})",
                    self.what,
                    installed.display()
                );
                return Err(Denied(why).into());
            }
            Ok(found) if found.mode() & 0o4000 != 0 && found.uid() == 0 => installed,
            Ok(_) if Path::new(SUDO).is_file() => {
                args.extend(["-n", "-C", "4", "--"].map(OsString::from));
                args.push(installed.into());
                SUDO.into()
            }
            Ok(_) => {
                let why = format!(
                    "{}: has no setuid bit, and there is no sudo",
                    installed.display()
                );
                return Err(Denied(why).into());
            }
        };
        args.extend(self.program.map(OsString::from));
        let mut options = self.options.clone();
        options.push(how.to_string());
        options.extend(reading.strict.then(|| "--strict".to_string()));
        let most = reading.most.map(|most| most.min(999_999));
        options.extend(most.map(|most| format!("--max-nodes={most}")));
        args.extend(options.into_iter().map(OsString::from));
        if !self.nodes.is_empty() {
            args.extend(["--".into(), self.nodes.join(",").into()]);
        }
        Ok((program, args))
    }
}

/// Takes over the pipe that the caller of this process named in `REBOOTPIPENO`, if it did, and the
/// variable out of the environment. To be called before anything is opened.
///
/// # Errors
/// It is not a pipe of the user for whom this process acts; or this process, run for its privilege, has
/// none.
pub fn adopt(caller: &Caller) -> Result<Option<OwnedFd>, Refused> {
    if caller.effective != 0 {
        return once().map(|()| None);
    }
    let owner = caller.behind.unwrap_or(caller.real);
    adopt_pipe_of(PIPE, owner).map_err(|error| Refused::System(PIPE, error))
}

/// The names in a range, as far as they can be told without tables: lists and brackets.
///
/// # Errors
/// Why the range needs the tables.
pub fn words(range: &str) -> Result<Vec<String>, String> {
    let only = |c: char| c.is_ascii_alphanumeric() || "._-[],".contains(c);
    let listed = range.chars().all(only) && !range.split(',').any(|word| word.starts_with('-'));
    let needs =
        || format!("{range}: without root's rights only names, lists and brackets can be given");
    if !listed || range.is_empty() {
        return Err(needs());
    }
    if !range.contains('[') {
        return Ok(range.split(',').map(String::from).collect());
    }
    let options = noderange::Options {
        verify: false,
        generic: true,
        strict: true,
        files: None,
        ..noderange::Options::default()
    };
    let found = noderange::expand(range, &Nothing, &options).map_err(|error| error.to_string())?;
    Ok(found.nodes.into_iter().collect())
}

/// The answers of the program that the privileged entry runs, to whoever called.
#[derive(Debug)]
pub struct Answers(pub(crate) Outlet);

impl Answers {
    /// Over a pipe that [`adopt`] returned. `more`: the reader knows whys and notes.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(pipe: OwnedFd, more: bool) -> io::Result<Answers> {
        Outlet::new(pipe, more).map(Answers)
    }

    /// A node is settled. Never waits for the reader.
    pub fn settled(&mut self, result: &NodeResult) {
        self.0.say(&Line::Settled(result.clone()));
    }

    /// Something is done.
    pub fn note(&mut self, text: &str) {
        self.0.say(&Line::Note(text.into()));
    }

    /// Offers again what the reader had no room for.
    pub fn push(&mut self) {
        self.0.push();
    }

    /// True if some of it still waits for the reader.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    /// Waits until the reader has everything or is gone.
    pub fn drain(&mut self) {
        self.0.drain();
    }

    /// Waits, for a while, until the reader has everything or is gone.
    pub fn finish(self) {
        self.0.drain_for(LAST);
    }
}

/// The options as the privileged entry takes them; also what policy's `parameters` are matched with.
pub fn arguments(options: &Options) -> Vec<String> {
    let flags = [
        (options.idle_only, "-a"),
        (options.configure, "-c"),
        (options.at_once, "-f"),
        (options.force, "-F"),
        (options.kill_waiting, "-k"),
        (options.prepare, "-p"),
        (options.notes, "-V"),
    ];
    let given = flags.into_iter().filter(|(given, _)| *given);
    let mut arguments: Vec<String> = given.map(|(_, flag)| flag.into()).collect();
    arguments.extend(
        options
            .wait
            .map(|wait| format!("--wait-time={}", wait.as_secs())),
    );
    arguments.extend(options.boot.map(|device| {
        let word = match device {
            BootDevice::Network | BootDevice::DirectNetwork => "net",
            BootDevice::Disk => "disk",
            BootDevice::None => "none",
        };
        format!("--boot={word}")
    }));
    if options.boot == Some(BootDevice::DirectNetwork) {
        arguments.push("--direct-bootp".into());
    }
    let default = Options::default();
    let mut number = |name: &str, value: Option<u64>| {
        arguments.extend(value.map(|value| format!("--{name}={value}")));
    };
    let small = |value: usize| u64::try_from(value).ok();
    number(
        "batch",
        small(options.batch).filter(|_| options.batch != default.batch),
    );
    number(
        "canary",
        small(options.canary).filter(|_| options.canary != default.canary),
    );
    number("fanout", options.fanout.and_then(small));
    number(
        "pause",
        Some(options.pause.as_secs()).filter(|_| options.pause != default.pause),
    );
    number("per-chassis", options.per_chassis.and_then(small));
    arguments.extend(options.max_fail.map(|most| match most {
        MaxFail::Nodes(nodes) => format!("--max-fail={nodes}"),
        MaxFail::Percent(share) => format!("--max-fail={share}%"),
    }));
    let (limits, usual) = (options.limits.named(), default.limits.named());
    let changed = limits
        .into_iter()
        .zip(usual)
        .filter(|(limit, usual)| limit != usual);
    arguments
        .extend(changed.map(|((name, limit), _)| format!("--limit={name}={}", limit.as_secs())));
    arguments
}

/// Passes unless we were run for our privilege already: that would be a loop.
fn once() -> Result<(), Refused> {
    match std::env::var_os(PIPE) {
        None => Ok(()),
        Some(_) => Err(Denied(format!(
            "{PIPE} is set: run for root's rights, without them"
        ))
        .into()),
    }
}

/// A range's names where there are no tables.
struct Nothing;

impl noderange::Names for Nothing {
    fn is_node(&self, _: &str) -> bool {
        false
    }

    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(std::iter::empty())
    }

    fn group(&self, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }

    fn select(&self, _: &str, _: noderange::Op, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_that_need_no_tables() {
        assert_eq!(words("n1,compute").unwrap(), ["n1", "compute"]);
        assert_eq!(words("n[1-3],x").unwrap(), ["n1", "n2", "n3", "x"]);
        // May be a name as well as a range: the other side knows.
        assert_eq!(words("n1-n4").unwrap(), ["n1-n4"]);
        for range in [
            "all,-n1",
            "-n1",
            "a@b",
            "^file",
            "/n1",
            "mgt==ipmi",
            "(a)",
            "-",
            "",
            "n[3-1]x[",
            "n 1",
        ] {
            assert!(words(range).is_err(), "{range}");
        }
    }

    #[test]
    fn what_is_not_handed_on_is_refused() {
        let caller = Caller {
            effective: 1,
            real: 1,
            behind: None,
        };
        let mut request = Request {
            nodes: vec!["n1".to_string()],
            options: Options::default(),
            caller,
        };
        request.options.trust.insecure = true;
        let refused = start(&request, Reading::default()).unwrap_err();
        assert!(refused.to_string().contains("for root alone"), "{refused}");
    }

    #[test]
    fn only_what_was_changed_is_an_argument() {
        assert_eq!(arguments(&Options::default()), [""; 0]);
        let mut options = Options {
            at_once: true,
            notes: true,
            wait: Some(Duration::from_secs(90)),
            boot: Some(BootDevice::DirectNetwork),
            batch: 0,
            max_fail: Some(MaxFail::Percent(10)),
            ..Options::default()
        };
        options.limits.set("off=7").unwrap();
        let expected = [
            "-f",
            "-V",
            "--wait-time=90",
            "--boot=net",
            "--direct-bootp",
            "--batch=0",
            "--max-fail=10%",
            "--limit=off=7",
        ];
        assert_eq!(arguments(&options), expected);
    }
}
