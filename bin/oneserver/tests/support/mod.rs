//! Hosts on one machine: each a root directory of its own, all over one lock.
#![allow(dead_code, clippy::print_stderr)] // Each test uses a part of it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No test takes this long; only a hang does.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Lock(tempfile::TempDir);

impl Lock {
    pub(crate) fn new() -> Lock {
        Lock(tempfile::tempdir().unwrap())
    }

    pub(crate) fn made(kind: &str, instances: u32) -> Lock {
        let lock = Lock::new();
        let host = Site::new(&lock, "maker");
        host.ok(&["init", kind, "--instances", &instances.to_string()]);
        lock
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("lock")
    }

    /// What the directories of all hosts and of the lock are in.
    pub(crate) fn whole(&self) -> &Path {
        self.0.path()
    }
}

pub(crate) struct Site {
    root: PathBuf,
    lockdir: PathBuf,
    /// The tables' database, if that is where the lock is.
    database: Option<String>,
    environment: Vec<(&'static str, String)>,
}

impl Site {
    pub(crate) fn new(lock: &Lock, name: &str) -> Site {
        let root = lock.0.path().join(name);
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(lock.dir()).unwrap();
        Site {
            root,
            lockdir: lock.dir(),
            database: None,
            environment: Vec::new(),
        }
    }

    /// One whose lock is in a database.
    pub(crate) fn with_database(lock: &Lock, name: &str, setting: &str) -> Site {
        Site {
            database: Some(setting.into()),
            ..Site::new(lock, name)
        }
    }

    /// Its programs get this, too.
    pub(crate) fn with(mut self, environment: &[(&'static str, String)]) -> Site {
        self.environment.extend_from_slice(environment);
        self
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn command(&self, arguments: &[&str], lockdir: bool) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneserver"));
        // The options of all stand before the server's command.
        let end = arguments
            .iter()
            .position(|word| *word == "--")
            .unwrap_or(arguments.len());
        command.args(&arguments[..end]);
        match &self.database {
            _ if !lockdir || arguments.first() == Some(&"list") => {}
            Some(setting) => {
                command.args(["--engine", "pg"]).env("XCATCFG", setting);
            }
            None => {
                command.arg("--lockdir").arg(&self.lockdir);
            }
        }
        command.args(&arguments[end..]);
        command
            .env("NODETOOLS_ROOT", &self.root)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Ended {
        self.command(arguments, true).output().unwrap().into()
    }

    pub(crate) fn bare(&self, arguments: &[&str]) -> Ended {
        self.command(arguments, false).output().unwrap().into()
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.call(arguments);
        ended.code(0);
        ended.stdout
    }

    /// Starts it; the code that it is to end with.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Running {
        Running::start(&mut self.command(arguments, true), code)
    }

    /// A supervisor with a server that says its pid.
    pub(crate) fn serve(&self, kind: &str, options: &[&str]) -> Running {
        let mut arguments = vec!["run", kind];
        arguments.extend(options);
        let server = "trap '' HUP; echo srv:$$ >&$ONESERVER_READY_FD; exec 3>&-; exec sleep 600";
        arguments.extend(["--", "sh", "-c", server]);
        self.run(&arguments, 0)
    }

    #[track_caller]
    pub(crate) fn until_owner(&self, kind: &str) {
        eventually(|| {
            let status = self.call(&["status", kind, "--depth", "10"]);
            status.status.code() == Some(0) && status.stdout.contains("event=ready")
        });
    }
}

#[track_caller]
pub(crate) fn eventually(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Ended {
        Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(&self, wanted: i32) {
        assert_eq!(self.status.code(), Some(wanted), "{self:?}");
    }
}

pub(crate) struct Running {
    child: Child,
    code: i32,
    stdout: Lines,
    stderr: Lines,
}

struct Lines {
    incoming: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(command: &mut Command, code: i32) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            stdout: Lines::of(child.stdout.take().unwrap()),
            stderr: Lines::of(child.stderr.take().unwrap()),
            child,
            code,
        }
    }

    #[track_caller]
    pub(crate) fn stdout_line(&mut self, text: &str) -> String {
        self.stdout.wait(text)
    }

    #[track_caller]
    pub(crate) fn stderr_line(&mut self, text: &str) -> String {
        self.stderr.wait(text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Kills it, and it alone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > Duration::from_secs(3) && self.code != 0 {
                let _ = self.child.kill();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended {
            status,
            stdout: self.stdout.rest(),
            stderr: self.stderr.rest(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What a failed test has to go by.
        if std::thread::panicking() {
            eprintln!("{}: {}", self.child.id(), self.stderr.rest());
        }
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines {
            incoming,
            seen: Vec::new(),
        }
    }

    #[track_caller]
    fn wait(&mut self, text: &str) -> String {
        loop {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?}; there were: {:#?}", self.seen),
            }
        }
    }

    fn rest(&mut self) -> String {
        while let Ok(line) = self.incoming.recv_timeout(Duration::from_millis(200)) {
            self.seen.push(line);
        }
        self.seen.join("\n")
    }
}
