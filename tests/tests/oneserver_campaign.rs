//! Candidates for one lock, killed and stopped at random; the servers' own journal is judged. The seed
//! is printed, and ONESERVER_SEED repeats it; ONESERVER_FAULTS says how many faults.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scenarios::history::{Verdict, judge, read};
use scenarios::{parts, program};

const CANDIDATES: usize = 5;
/// Somebody holds the lock within this time when a candidate lives and nothing is done to it.
const BOUND: Duration = Duration::from_secs(20);

/// Small numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Who contends, and over which lock.
struct Arena {
    dir: tempfile::TempDir,
    /// Without the named layers; None: the program as it is.
    mutant: Option<&'static str>,
    database: Option<String>,
    habits: Vec<&'static str>,
    /// Each candidate in a network namespace of this name and its number.
    network: Option<String>,
    running: Vec<Option<Child>>,
    greatest: u64,
}

impl Arena {
    fn new(
        mutant: Option<&'static str>,
        database: Option<String>,
        habits: &[&'static str],
    ) -> Arena {
        Arena::on_network(mutant, database, habits, None)
    }

    fn on_network(
        mutant: Option<&'static str>,
        database: Option<String>,
        habits: &[&'static str],
        network: Option<String>,
    ) -> Arena {
        let dir = tempfile::tempdir().expect("a directory");
        let mut arena = Arena {
            dir,
            mutant,
            database,
            habits: habits.to_vec(),
            network,
            running: (0..CANDIDATES).map(|_| None).collect(),
            greatest: 0,
        };
        for name in ["lock", "h0", "h1", "h2", "h3", "h4"] {
            std::fs::create_dir(arena.at(name)).expect("a directory");
        }
        assert!(
            arena
                .oneserver(0, &["init", "csnap"])
                .status()
                .expect("init")
                .success()
        );
        for at in 0..CANDIDATES {
            arena.start(at);
        }
        arena
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn oneserver(&self, host: usize, words: &[&str]) -> Command {
        let mut command = match &self.network {
            // It becomes the program: one process.
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &format!("{network}{host}")]);
                command.arg(program("oneserver"));
                command
            }
            None => Command::new(program("oneserver")),
        };
        command.args(words);
        match &self.database {
            Some(setting) => command.args(["--engine", "pg"]).env("XCATCFG", setting),
            None => command.arg("--lockdir").arg(self.at("lock")),
        };
        self.on(host, &mut command);
        command
    }

    fn on(&self, host: usize, command: &mut Command) {
        command
            .env("NODETOOLS_ROOT", self.at(&format!("h{host}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    }

    fn start(&mut self, at: usize) {
        let stamper = program("stamper");
        let mut server: Vec<std::ffi::OsString> =
            vec![stamper.clone().into(), self.at("journal").into()];
        server.extend(self.habits.iter().map(Into::into));
        let mut command = match self.mutant {
            Some(without) => {
                let mut command = Command::new(stamper);
                command.args(["mutant", without]).arg(self.at("lock"));
                self.on(at, &mut command);
                command
            }
            None => {
                let mut command = self.oneserver(at, &["run", "csnap"]);
                command.args(["--stop-timeout", "1", "--restarts", "1000000", "--"]);
                command
            }
        };
        self.running[at] = command.args(server).spawn().ok();
    }

    /// One fault; dead supervisors are started again at once.
    fn fault(&mut self, dice: &mut Dice) {
        let victim = dice.throw(CANDIDATES as u64) as usize;
        let owner = self.owner();
        let at = if dice.throw(2) == 0 {
            owner.unwrap_or(victim)
        } else {
            victim
        };
        match dice.throw(9) {
            0 | 1 => self.signal(at, Signal::SIGKILL),
            2 => self.server(at, Signal::SIGKILL),
            3 => {
                self.server(at, Signal::SIGKILL);
                self.signal(at, Signal::SIGKILL);
            }
            // Its waiter, or the child that looks.
            4 => self.child(at, dice),
            5 => self.signal(at, Signal::SIGTERM),
            6 => self.pause(|arena, signal| arena.signal(at, signal)),
            7 => self.pause(|arena, signal| arena.server(at, signal)),
            _ => drop(
                self.oneserver(at, &["handover", "csnap", "--wait", "0"])
                    .status(),
            ),
        }
        for at in 0..CANDIDATES {
            let ended = self.running[at]
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            if ended {
                self.start(at);
            }
        }
        // What a client reads never goes back. Over a database every host knows what it has seen itself,
        // and may be behind another one: there only the servers' journal is judged.
        if dice.throw(8) == 0 && self.mutant.is_none() && self.database.is_none() {
            let mut command = self.oneserver(victim, &["address", "csnap", "--json"]);
            let said = command
                .stdout(Stdio::piped())
                .output()
                .expect("address")
                .stdout;
            for line in String::from_utf8_lossy(&said).lines() {
                let event: serde_json::Value = serde_json::from_str(line).expect("json");
                let epoch = event["epoch"].as_u64().expect("an epoch");
                assert!(
                    epoch >= self.greatest,
                    "epoch {epoch} after {}",
                    self.greatest
                );
                self.greatest = epoch;
            }
        }
    }

    /// The owner's host is cut off for longer than the database waits for it, then comes back.
    fn cut(&self, dice: &mut Dice) {
        let at = self
            .owner()
            .unwrap_or(dice.throw(CANDIDATES as u64) as usize);
        ip(&["link", "set", &format!("v{at}"), "down"]);
        std::thread::sleep(Duration::from_millis(4000 + dice.throw(3000)));
        ip(&["link", "set", &format!("v{at}"), "up"]);
    }

    fn owner(&self) -> Option<usize> {
        (0..CANDIDATES).find(|at| self.server_of(*at).is_some())
    }

    fn server_of(&self, at: usize) -> Option<i32> {
        let path = self.at(&format!("h{at}/var/run/getadapter/oneserver/csnap/server"));
        let text = std::fs::read_to_string(path).ok()?;
        let pid = text.split(' ').next()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains("stamper").then_some(pid)
    }

    fn signal(&self, at: usize, signal: Signal) {
        if let Some(child) = &self.running[at] {
            let _ = kill(Pid::from_raw(child.id() as i32), signal);
        }
    }

    fn server(&self, at: usize, signal: Signal) {
        if let Some(pid) = self.server_of(at) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn child(&self, at: usize, dice: &mut Dice) {
        let Some(child) = &self.running[at] else {
            return;
        };
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let children: Vec<i32> = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        if !children.is_empty() {
            let chosen = children[dice.throw(children.len() as u64) as usize];
            let _ = kill(Pid::from_raw(chosen), Signal::SIGKILL);
        }
    }

    fn pause(&self, send: impl Fn(&Arena, Signal)) {
        send(self, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(200));
        send(self, Signal::SIGCONT);
    }

    /// Faults, then peace: somebody must hold the lock soon, and the history is judged.
    fn run(mut self, faults: u64, dice: &mut Dice) -> Verdict {
        let journal = self.at("journal");
        let grows = |than: u64, within: Duration| {
            let started = Instant::now();
            while size(&journal) <= than {
                if started.elapsed() > within {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            true
        };
        assert!(grows(0, BOUND), "nobody begins");
        for _ in 0..faults {
            self.fault(dice);
            std::thread::sleep(Duration::from_millis(10 + dice.throw(60)));
        }
        let alive = self.mutant.is_some() || grows(size(&journal), BOUND);
        for at in 0..CANDIDATES {
            self.server(at, Signal::SIGKILL);
            self.signal(at, Signal::SIGKILL);
            if let Some(child) = &mut self.running[at] {
                let _ = child.wait();
            }
        }
        self.sweep();
        let mut verdict = judge(&read(&journal));
        if !alive {
            verdict.faults.push("nobody holds the lock".into());
        }
        verdict
    }

    /// Servers that outlived their supervisors: those of this arena's journal.
    fn sweep(&self) {
        let own = self.at("journal");
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours = line
                .split(|byte| *byte == 0)
                .any(|word| word == own.as_os_str().as_encoded_bytes());
            if let (true, Ok(pid)) = (ours, entry.file_name().to_string_lossy().parse()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.sweep();
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

fn campaign(name: &str, arena: Arena, faults: u64) -> Verdict {
    let seed = number("ONESERVER_SEED", u64::from(std::process::id()) ^ 0x5eed);
    eprintln!("{name}: ONESERVER_SEED={seed} ONESERVER_FAULTS={faults}");
    let verdict = arena.run(faults, &mut Dice(seed));
    eprintln!(
        "{name}: {} incarnations, {} violations, longest time without a server {:?}",
        verdict.reigns,
        verdict.faults.len(),
        verdict.longest_gap
    );
    verdict
}

#[test]
fn never_two_over_one_file() {
    let faults = number("ONESERVER_FAULTS", 120);
    let verdict = campaign("files", Arena::new(None, None, &["clears"]), faults);
    assert!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    assert!(verdict.reigns as u64 > faults / 10);
}

#[test]
fn never_two_over_one_database() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let faults = number("ONESERVER_FAULTS", 120) / 4;
    let setting = server.setting(&server.database());
    let verdict = campaign(
        "database",
        Arena::new(None, Some(setting), &["clears"]),
        faults,
    );
    assert!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
}

/// The same faults and the same judge over programs that lack a layer. Chance may need a few tries.
#[test]
fn a_missing_layer_is_seen() {
    for (without, habit) in [
        ("lock", "clears"),
        ("signal", "closes"),
        ("lock signal", ""),
    ] {
        let name = format!("without {without}");
        let seen = (0..8).any(|_| {
            let arena = Arena::new(Some(without), None, &[habit]);
            !campaign(&name, arena, 60).faults.is_empty()
        });
        assert!(seen, "{name}: nothing was seen");
    }
}

const INSIDE: &str = "ONESERVER_INSIDE";

/// Candidates on hosts of their own, which are cut off from the database. In a network namespace of this
/// test's own, into which it starts itself.
#[test]
fn never_two_when_hosts_are_cut_off() {
    if !parts::root() || !parts::have("ip") || !parts::have("unshare") {
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let own = std::env::current_exe().expect("own path");
        let mut inside = Command::new("unshare");
        inside.arg("--net").arg(own).args([
            "--exact",
            "never_two_when_hosts_are_cut_off",
            "--nocapture",
        ]);
        assert!(inside.env(INSIDE, "1").status().expect("unshare").success());
        return;
    }
    let network = Network::new();
    let Some(server) = postgres_server::Server::make(&["listen_addresses=10.78.0.254"]) else {
        return;
    };
    let rules = server.data().join("pg_hba.conf");
    let text = std::fs::read_to_string(&rules).expect("pg_hba.conf");
    std::fs::write(
        &rules,
        format!("{text}host all all 10.78.0.0/24 scram-sha-256\n"),
    )
    .expect("pg_hba.conf");
    let server = server.run();
    let (user, password) = (postgres_server::USER, postgres_server::PASSWORD);
    let database = server.database();
    let setting = format!("Pg:dbname={database};host=10.78.0.254|{user}|{password}");
    let arena = Arena::on_network(None, Some(setting), &["clears"], Some(network.name.clone()));
    let seed = number("ONESERVER_SEED", u64::from(std::process::id()) ^ 0x5eed);
    let cuts = number("ONESERVER_CUTS", 2);
    eprintln!("cut off: ONESERVER_SEED={seed} ONESERVER_CUTS={cuts}");
    let mut dice = Dice(seed);
    let journal = arena.at("journal");
    let started = Instant::now();
    while size(&journal) == 0 {
        assert!(started.elapsed() < BOUND, "nobody begins");
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..cuts {
        arena.cut(&mut dice);
        std::thread::sleep(Duration::from_millis(500 + dice.throw(2000)));
    }
    let verdict = arena.run(0, &mut dice);
    eprintln!(
        "cut off: {} incarnations, {} violations, longest time without a server {:?}",
        verdict.reigns,
        verdict.faults.len(),
        verdict.longest_gap
    );
    assert!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    assert!(verdict.reigns as u64 > cuts / 2, "nobody took over");
}

/// A bridge in this namespace and a namespace for each candidate.
struct Network {
    name: String,
}

impl Network {
    fn new() -> Network {
        let name = format!("oc{}-", std::process::id());
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", "br0", "type", "bridge"]);
        ip(&["addr", "add", "10.78.0.254/24", "dev", "br0"]);
        ip(&["link", "set", "br0", "up"]);
        for at in 0..CANDIDATES {
            let space = format!("{name}{at}");
            ip(&["netns", "add", &space]);
            ip(&[
                "link",
                "add",
                &format!("v{at}"),
                "type",
                "veth",
                "peer",
                "name",
                "e0",
                "netns",
                &space,
            ]);
            ip(&["link", "set", &format!("v{at}"), "master", "br0", "up"]);
            ip(&[
                "-n",
                &space,
                "addr",
                "add",
                &format!("10.78.0.{}/24", at + 1),
                "dev",
                "e0",
            ]);
            ip(&["-n", &space, "link", "set", "e0", "up"]);
        }
        Network { name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for at in 0..CANDIDATES {
            let _ = Command::new("ip")
                .args(["netns", "del", &format!("{}{at}", self.name)])
                .status();
        }
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    assert!(
        Command::new("ip")
            .args(words)
            .status()
            .expect("ip")
            .success(),
        "{words:?}"
    );
}
