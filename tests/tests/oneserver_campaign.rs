//! Candidates for one lock, killed and stopped at random; the servers' own journal is judged, and what
//! those who watch were told. The seed is printed, and ONESERVER_SEED repeats it; ONESERVER_FAULTS says
//! how many faults.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scenarios::history::{Reign, Verdict, judge, judge_told, read};
use scenarios::{parts, program};

/// All of them begin at once.
const CANDIDATES: usize = 20;
/// Where each is a host of its own; and in the runs that only have to be seen to fail.
const FEW: usize = 5;
/// Hosts where somebody watches.
const WATCHED: usize = 3;
/// Somebody holds the lock within this time when a candidate lives and nothing is done to it. A server
/// that was killed six times in a minute begins after a pause of 10 seconds.
const BOUND: Duration = Duration::from_secs(20);
/// And so long there may be nobody in the middle of the faults: the one who is next may be stopped, too.
const LONGEST_GAP: Duration = Duration::from_secs(30);

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
    watching: Vec<Child>,
    /// The greatest epoch that clients of each host have read.
    greatest: Vec<u64>,
    /// One pause of so many is longer than a database waits for a host.
    long_pauses: u64,
}

impl Arena {
    fn new(
        mutant: Option<&'static str>,
        database: Option<String>,
        habits: &[&'static str],
    ) -> Arena {
        let count = if mutant.is_some() { FEW } else { CANDIDATES };
        Arena::of(count, mutant, database, habits, None)
    }

    fn of(
        count: usize,
        mutant: Option<&'static str>,
        database: Option<String>,
        habits: &[&'static str],
        network: Option<String>,
    ) -> Arena {
        let dir = tempfile::tempdir().expect("a directory");
        let mut arena = Arena {
            dir,
            mutant,
            long_pauses: if database.is_some() { 3 } else { 20 },
            database,
            habits: habits.to_vec(),
            network,
            running: (0..count).map(|_| None).collect(),
            watching: Vec::new(),
            greatest: vec![0; count],
        };
        std::fs::create_dir(arena.at("lock")).expect("a directory");
        for at in 0..count {
            std::fs::create_dir(arena.at(&format!("h{at}"))).expect("a directory");
        }
        assert!(
            arena
                .oneserver(0, &["init", "csnap"])
                .status()
                .expect("init")
                .success()
        );
        for at in 0..count {
            arena.start(at);
        }
        let watched = if mutant.is_some() { 0 } else { WATCHED };
        for at in 0..watched {
            let told = std::fs::File::create(arena.at(&format!("told{at}"))).expect("a file");
            let mut command = arena.oneserver(at, &["watch", "csnap", "--json"]);
            let watching = command.stdout(told).spawn().expect("oneserver watch");
            arena.watching.push(watching);
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
        let count = self.running.len();
        let victim = dice.throw(count as u64) as usize;
        let owner = self.owner();
        // Mostly the one who has it.
        let at = match dice.throw(4) {
            0 => victim,
            _ => owner.unwrap_or(victim),
        };
        match dice.throw(12) {
            0 | 1 => self.signal(at, Signal::SIGKILL),
            2 => self.server(at, Signal::SIGKILL),
            3 => {
                self.server(at, Signal::SIGKILL);
                self.signal(at, Signal::SIGKILL);
            }
            // Its waiter, or the child that looks.
            4 => {
                if let Some(child) = self.child(at, dice) {
                    let _ = kill(child, Signal::SIGKILL);
                }
            }
            5 => self.signal(at, Signal::SIGTERM),
            6 => self.pause(dice, |signal| self.signal(at, signal)),
            7 => self.pause(dice, |signal| self.server(at, signal)),
            8 => {
                if let Some(child) = self.child(at, dice) {
                    self.pause(dice, |signal| _ = kill(child, signal));
                }
            }
            // Everything on that host.
            9 => {
                let all = self.everything(at);
                self.pause(dice, |signal| {
                    for pid in &all {
                        let _ = kill(*pid, signal);
                    }
                });
            }
            // All, and then all of them contend at once.
            10 if dice.throw(4) == 0 => {
                for at in 0..count {
                    self.signal(at, Signal::SIGKILL);
                    self.server(at, Signal::SIGKILL);
                }
            }
            _ => drop(
                self.oneserver(at, &["handover", "csnap", "--wait", "0"])
                    .status(),
            ),
        }
        for at in 0..count {
            let ended = self.running[at]
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            if ended {
                self.start(at);
            }
        }
        if dice.throw(8) == 0 && self.mutant.is_none() {
            self.read_as_client(victim);
        }
    }

    /// What a client reads never goes back. Over a database every host knows what it has seen itself,
    /// and may be behind another one; a directory is the same everywhere.
    fn read_as_client(&mut self, host: usize) {
        let mut command = self.oneserver(host, &["address", "csnap", "--json"]);
        let said = command
            .stdout(Stdio::piped())
            .output()
            .expect("address")
            .stdout;
        let known = match &self.database {
            Some(_) => &mut self.greatest[host],
            None => &mut self.greatest[0],
        };
        for line in String::from_utf8_lossy(&said).lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("json");
            let epoch = event["epoch"].as_u64().expect("an epoch");
            assert!(epoch >= *known, "host {host}: epoch {epoch} after {known}");
            *known = epoch;
        }
    }

    /// The owner's host is cut off for longer than the database waits for it, then comes back. Every
    /// other time it also stands still meanwhile, so that it cannot notice: only the resource can.
    fn cut(&self, dice: &mut Dice) {
        let at = self
            .owner()
            .unwrap_or(dice.throw(self.running.len() as u64) as usize);
        let frozen = match dice.throw(2) {
            0 => self.everything(at),
            _ => Vec::new(),
        };
        let all = |signal| {
            for pid in &frozen {
                let _ = kill(*pid, signal);
            }
        };
        all(Signal::SIGSTOP);
        ip(&["link", "set", &format!("v{at}"), "down"]);
        std::thread::sleep(Duration::from_millis(4000 + dice.throw(3000)));
        all(Signal::SIGCONT);
        ip(&["link", "set", &format!("v{at}"), "up"]);
    }

    fn owner(&self) -> Option<usize> {
        (0..self.running.len()).find(|at| self.server_of(*at).is_some())
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

    /// A child of the supervisor.
    fn child(&self, at: usize, dice: &mut Dice) -> Option<Pid> {
        let children = self.children(at);
        let chosen = dice.throw(children.len().max(1) as u64) as usize;
        children.get(chosen).copied()
    }

    fn children(&self, at: usize) -> Vec<Pid> {
        let Some(child) = &self.running[at] else {
            return Vec::new();
        };
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        pids.map(Pid::from_raw).collect()
    }

    /// The supervisor and its children, of which the server is one.
    fn everything(&self, at: usize) -> Vec<Pid> {
        let own = self.running[at].as_ref();
        let own = own.map(|child| Pid::from_raw(child.id() as i32));
        own.into_iter().chain(self.children(at)).collect()
    }

    fn pause(&self, dice: &mut Dice, send: impl Fn(Signal)) {
        send(Signal::SIGSTOP);
        let long = dice.throw(self.long_pauses) == 0;
        std::thread::sleep(Duration::from_millis(match long {
            true => 4000 + dice.throw(2000),
            false => 200,
        }));
        send(Signal::SIGCONT);
    }

    /// Faults, then peace: somebody must hold the lock soon, and the history is judged.
    /// Also how many writes the resource has refused.
    fn run(mut self, faults: u64, dice: &mut Dice) -> (Verdict, usize) {
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
        let mut heard = self.until_all_heard();
        for at in 0..self.running.len() {
            self.server(at, Signal::SIGKILL);
            self.signal(at, Signal::SIGKILL);
            if let Some(child) = &mut self.running[at] {
                let _ = child.wait();
            }
        }
        self.sweep();
        let reigns = read(&journal);
        let mut verdict = judge(&reigns);
        for at in 0..self.watching.len() {
            heard.extend(judge_told(&self.at(&format!("told{at}")), &reigns));
        }
        verdict.faults.append(&mut heard);
        if !alive {
            verdict.faults.push("nobody holds the lock".into());
        }
        if self.mutant.is_none() && verdict.longest_gap > LONGEST_GAP {
            let gap = verdict.longest_gap;
            verdict
                .faults
                .push(format!("nobody held the lock for {gap:?}"));
        }
        let refused = std::fs::read_to_string(self.at("journal.refused"));
        (verdict, refused.unwrap_or_default().lines().count())
    }

    /// In peace everybody who watches knows who it is, at last. Who does not.
    fn until_all_heard(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        let newest = |journal: &Path| read(journal).last().map(|reign: &Reign| reign.epoch);
        for at in 0..self.watching.len() {
            if let Ok(Some(status)) = self.watching[at].try_wait() {
                faults.push(format!("who watches on host {at} ended: {status}"));
                continue;
            }
            let (told, started) = (self.at(&format!("told{at}")), Instant::now());
            loop {
                let last = scenarios::history::last_told(&told);
                let wanted = newest(&self.at("journal"));
                if wanted.is_some() && last == wanted {
                    break;
                }
                if started.elapsed() > BOUND {
                    faults.push(format!("host {at} was told {last:?}, and it is {wanted:?}"));
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        faults
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
        let running = self.running.iter_mut().flatten();
        for child in running.chain(&mut self.watching) {
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
    let (verdict, _) = arena.run(faults, &mut Dice(seed));
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
    // How many there are in a time depends on the pauses after crashes and on the machine: not very few.
    assert!(verdict.reigns as u64 > faults / 50);
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
    let arena = Arena::of(
        FEW,
        None,
        Some(setting),
        &["clears", "fenced"],
        Some(network.name.clone()),
    );
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
    let (verdict, refused) = arena.run(0, &mut dice);
    eprintln!(
        "cut off: {} incarnations, {} violations, {refused} refused by the resource, longest time without a server {:?}",
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
        for at in 0..FEW {
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
        for at in 0..FEW {
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
