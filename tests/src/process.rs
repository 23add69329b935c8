//! Running the built programs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Long enough for a busy machine, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// The path of a built program: beside the test's own executable (`target/PROFILE/deps/TEST`).
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let found = own
        .ancestors()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name}: is not built (cargo build --workspace comes first)"))
}

/// What a program left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Finished {
        Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Asserts the exit code, showing everything if it is another.
    #[track_caller]
    pub fn code(&self, wanted: i32) -> &Finished {
        assert_eq!(
            self.status.code(),
            Some(wanted),
            "\nstdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A program that runs; killed when dropped. Both outputs are read all the time.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

#[derive(Debug)]
struct Lines {
    incoming: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start");
        let stdout = Lines::of(child.stdout.take().expect("stdout"));
        let stderr = Lines::of(child.stderr.take().expect("stderr"));
        Running {
            child,
            stdout,
            stderr,
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard output that contains `text`.
    #[track_caller]
    pub fn stdout_line(&mut self, text: &str) -> String {
        self.stdout.wait(text)
    }

    /// Waits for a line of standard error that contains `text`.
    #[track_caller]
    pub fn stderr_line(&mut self, text: &str) -> String {
        self.stderr.wait(text)
    }

    /// The next line of standard output, with its end.
    #[track_caller]
    pub fn next_stdout(&mut self) -> String {
        let line = self.stdout.incoming.recv_timeout(PATIENCE);
        let line =
            line.unwrap_or_else(|_| panic!("no further line: {}", self.stdout.seen.concat()));
        self.stdout.seen.push(line.clone());
        line
    }

    /// True if such a line comes before the output ends.
    pub fn stdout_has(&mut self, text: &str) -> bool {
        while let Ok(line) = self.stdout.incoming.recv_timeout(PATIENCE) {
            self.stdout.seen.push(line.clone());
            if line.contains(text) {
                return true;
            }
        }
        false
    }

    /// Ends a program that runs under strace: TERM to the traced one, or it is dead already.
    pub fn end_traced(mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        for pid in std::fs::read_to_string(children)
            .unwrap_or_default()
            .split_whitespace()
        {
            if let Ok(pid) = pid.parse() {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
        let _ = self.child.wait();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id()).expect("pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("kill");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let status = self.child.wait().expect("wait");
        Finished {
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
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Lines {
            incoming,
            seen: Vec::new(),
        }
    }

    #[track_caller]
    fn wait(&mut self, text: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        loop {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?}; there were: {}", self.seen.concat()),
            }
        }
    }

    fn rest(&mut self) -> String {
        // Ends when the pipe does: a daemon that kept it open would be a defect to see here.
        while let Ok(line) = self.incoming.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        self.seen.concat()
    }
}

/// A command for a built program, with nothing of this environment but PATH.
pub(crate) fn bare(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}
