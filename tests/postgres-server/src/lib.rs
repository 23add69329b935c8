//! A private PostgreSQL server for tests, from the distribution's package: an own data directory, a
//! socket in a directory of its own, no network unless asked for. The package's own server does not
//! matter.
//!
//! It runs as an unprivileged user, since it refuses to run as root, and ends with the test's
//! process, however that ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The database's administrator, as xCAT's set-up names him, and his password.
pub const USER: &str = "xcatadm";
/// See [`USER`]: asked for over the network only.
pub const PASSWORD: &str = "cluster-pass";

/// Ends the server when it is told so, and takes its files along when our end of its input closes:
/// whatever became of us.
const GUARD: &str = r#"program=$1 directory=$2; shift 2
"$program" "$@" >>"$directory/log" 2>&1 </dev/null &
read -r word
kill -QUIT $!
wait $!
[ "$word" = stop ] || rm -rf "$directory""#;

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server. Ends, and takes its directory along, when dropped or when the process ends.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    options: Vec<String>,
    port: String,
    guard: Option<(Child, ChildStdin)>,
    databases: AtomicUsize,
}

/// One for all tests of a process; `None` if PostgreSQL is not installed: said loudly, a failure
/// under CI.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[])).as_ref()
}

impl Server {
    /// Starts one with these settings on top (`name=value`); `None` as for [`shared`].
    pub fn start(settings: &[&str]) -> Option<Server> {
        let server = Server::make(settings)?;
        Some(server.run())
    }

    /// Makes one that does not run yet, so that files can be put into [`Server::data`].
    pub fn make(settings: &[&str]) -> Option<Server> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "postgres: is missing, and this is CI"
            );
            eprintln!("skipped: postgres missing");
            return None;
        };
        let owner = nix::unistd::geteuid().is_root().then(unprivileged);
        // Short: a socket's path has less than 108 bytes.
        let directory = temporary();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        if let Some((user, group)) = owner {
            chown(&directory, Some(user), Some(group)).unwrap();
        }
        let mut options = vec![
            "listen_addresses=".into(),
            format!("unix_socket_directories={}", directory.display()),
            "fsync=off".into(),
            "log_min_messages=warning".into(),
        ];
        // A later one counts.
        let port = settings.iter().rev();
        let port = port.filter_map(|setting| setting.strip_prefix("port="));
        let port = port.map(String::from).next();
        options.extend(settings.iter().map(ToString::to_string));
        let server = Server {
            directory,
            programs,
            owner,
            options,
            port: port.unwrap_or_else(|| "5432".into()),
            guard: None,
            databases: AtomicUsize::new(0),
        };
        let secret = server.directory.join("password");
        fs::write(&secret, PASSWORD).unwrap();
        server.hand_over(&secret);
        let mut command = server.command("initdb");
        command
            .args([
                "-A",
                "trust",
                "--auth-host=scram-sha-256",
                "-N",
                "-E",
                "UTF8",
            ])
            .args(["--locale=C", "--no-instructions", "-U", USER, "--pwfile"])
            .arg(&secret)
            .arg("-D")
            .arg(server.data());
        let output = command.stdin(Stdio::null()).output().expect("initdb");
        assert!(output.status.success(), "{output:?}");
        Some(server)
    }

    /// Starts it, also again.
    #[must_use]
    pub fn run(mut self) -> Server {
        self.start_again();
        self
    }

    /// Starts it again after [`Server::stop`].
    pub fn start_again(&mut self) {
        let mut command = self.command("sh");
        command.args(["-c", GUARD, "guard"]);
        command.arg(self.programs.join("postgres"));
        command.arg(&self.directory).arg("-D").arg(self.data());
        for option in &self.options {
            command.args(["-c", option]);
        }
        let mut guard = command.stdin(Stdio::piped()).spawn().expect("postgres");
        let input = guard.stdin.take().unwrap();
        self.guard = Some((guard, input));
        let started = Instant::now();
        while !self.answers() {
            assert!(
                started.elapsed() < PATIENCE,
                "postgres does not start: {}",
                fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as `pg_ctl -m immediate`: connections break, nothing is finished.
    pub fn stop(&mut self) {
        if let Some((mut guard, mut input)) = self.guard.take() {
            let _ = input.write_all(b"stop\n");
            let _ = guard.wait();
        }
    }

    /// A new, empty database; its name.
    pub fn database(&self) -> String {
        self.copy("template1")
    }

    /// A new database with the content of another, to which nobody may be connected.
    pub fn copy(&self, model: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("xcat{number}");
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE {model}"),
        );
        name
    }

    /// What `XCATCFG` or cfgloc say for a database.
    pub fn setting(&self, database: &str) -> String {
        let host = self.directory.display();
        let port = &self.port;
        format!("Pg:dbname={database};host={host};port={port}|{USER}|{PASSWORD}")
    }

    /// Runs statements with the distribution's own client; what it prints, fields joined with `|`.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                USER,
                "-h",
            ])
            .arg(&self.directory)
            .args(["-p", &self.port, "-d", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("psql");
        let mut input = child.stdin.take().unwrap();
        input.write_all(statements.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The directory of the socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Gives a file to the server's user.
    pub fn hand_over(&self, file: &Path) {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.owner {
            chown(file, Some(user), Some(group)).unwrap();
        }
    }

    fn answers(&self) -> bool {
        let mut command = Command::new(self.programs.join("pg_isready"));
        command.args(["-q", "-p", &self.port, "-h"]);
        command.arg(&self.directory);
        command.status().is_ok_and(|status| status.success())
    }

    /// A program of the package, or any other, as the server's user.
    fn command(&self, program: &str) -> Command {
        let found = self.programs.join(program);
        let program = if found.exists() {
            found
        } else {
            program.into()
        };
        let mut command = match self.owner {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={user}"), format!("--regid={group}")])
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the package puts its programs: Debian keeps them out of `PATH`.
fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|entry| entry.path().join("bin"));
    let mut places: Vec<PathBuf> = debian.collect();
    places.sort();
    places.extend(["/usr/bin", "/usr/local/bin", "/usr/pgsql/bin"].map(PathBuf::from));
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}

/// The package's user, else nobody.
fn unprivileged() -> (u32, u32) {
    let users = ["postgres", "nobody"];
    let found = users
        .into_iter()
        .find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
    let user = found.expect("neither postgres nor nobody is a user here");
    (user.uid.as_raw(), user.gid.as_raw())
}

fn temporary() -> PathBuf {
    nix::unistd::mkdtemp("/tmp/pg.XXXXXX").expect("a directory in /tmp")
}
