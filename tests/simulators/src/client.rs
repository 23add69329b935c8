//! The test's side: starts the simulator and drives it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::config::address;
use crate::{Ask, BmcState, Config, Event, Happened, Order, Rule, SimNet};

/// How long to wait for an event.
const PATIENCE: Duration = Duration::from_secs(120);

/// Simulated BMCs in a process of their own, which ends with this value. For tests: whatever goes
/// wrong panics with what it was.
#[derive(Debug)]
pub struct Bmcs {
    child: Child,
    dir: tempfile::TempDir,
    config: Config,
}

impl Bmcs {
    /// Starts them and waits until all listen.
    ///
    /// # Panics
    /// `bmc-simulator` is not built (it is looked for beside the caller's executable and above), or
    /// does not start, because an address is taken, say.
    #[track_caller]
    pub fn start(config: Config) -> Bmcs {
        Bmcs::run(config, Command::new(program("bmc-simulator")))
    }

    /// As [`Bmcs::start`], at addresses inside the test's own network.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn start_in(net: &SimNet, config: Config) -> Bmcs {
        Bmcs::run(config, net.command(program("bmc-simulator")))
    }

    #[track_caller]
    #[allow(clippy::expect_used)]
    fn run(config: Config, mut command: Command) -> Bmcs {
        // Certificates are written with fsync, so better into memory.
        let dir = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a directory");
        let file = dir.path().join("config.json");
        let text = serde_json::to_vec_pretty(&config).expect("json");
        std::fs::write(&file, text).expect("configuration");
        let mut child = command
            .arg(&file)
            .arg(dir.path().join("control"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bmc-simulator");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("stdout");
        assert_eq!(line, "ready\n", "bmc-simulator did not get ready");
        Bmcs { child, dir, config }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.config.groups.iter().map(|group| group.count).sum()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is simulated.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The simulator's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The control socket, for those who drive it from elsewhere.
    pub fn control(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    /// Where BMC `i` listens.
    ///
    /// # Panics
    /// There is no such BMC.
    #[track_caller]
    pub fn address(&self, i: usize) -> SocketAddrV4 {
        let mut before = 0;
        for group in &self.config.groups {
            if i < before + group.count {
                return SocketAddrV4::new(address(group.first, i - before), group.port);
            }
            before += group.count;
        }
        panic!("there is no BMC {i}");
    }

    /// Sets a fault at BMC `i`.
    #[track_caller]
    pub fn fault(&self, i: usize, rule: impl Into<Rule>) {
        self.faults(&[i], rule);
    }

    /// Sets a fault at many BMCs.
    #[track_caller]
    pub fn faults(&self, bmcs: &[usize], rule: impl Into<Rule>) {
        self.ask::<serde_json::Value>(&Ask::Fault {
            bmcs: bmcs.to_vec(),
            rule: rule.into(),
        });
    }

    /// Takes all faults away from BMC `i`.
    #[track_caller]
    pub fn clear(&self, i: usize) {
        self.ask::<serde_json::Value>(&Ask::Clear { bmcs: vec![i] });
    }

    /// How BMC `i` is now.
    #[track_caller]
    pub fn state(&self, i: usize) -> BmcState {
        self.ask(&Ask::State { bmc: i })
    }

    /// Presses the host's button.
    #[track_caller]
    pub fn order(&self, i: usize, order: Order) {
        self.ask::<serde_json::Value>(&Ask::Order { bmc: i, order });
    }

    /// The stand-in of node `i` reboots by itself.
    #[track_caller]
    pub fn node_reboot(&self, i: usize) {
        self.ask::<serde_json::Value>(&Ask::NodeReboot { node: i });
    }

    /// All that has happened.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        self.ask(&Ask::Events { since: 0 })
    }

    /// How often each `STATUS METHOD /path` was answered; status 0: not at all.
    #[track_caller]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.ask(&Ask::Counts)
    }

    /// The requests that BMC `i` has got, as `METHOD /path`, in order.
    #[track_caller]
    pub fn requests(&self, i: usize) -> Vec<String> {
        let of = |event: Event| match event.what {
            Happened::Request { request, .. } if event.bmc == i => Some(request),
            _ => None,
        };
        self.events().into_iter().filter_map(of).collect()
    }

    /// Waits for an event, past ones included.
    ///
    /// # Panics
    /// It does not come within two minutes.
    #[track_caller]
    pub fn wait(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let started = Instant::now();
        let found = self.follow(0).find(|event| {
            assert!(started.elapsed() < PATIENCE, "the event does not come");
            wanted(event)
        });
        match found {
            Some(event) => event,
            None => panic!("the simulator has ended, or nothing happened for two minutes"),
        }
    }

    /// Events from number `since` on as they happen; ends after two minutes without one, and with
    /// the simulator.
    #[track_caller]
    #[allow(clippy::expect_used)]
    pub fn follow(&self, since: u64) -> impl Iterator<Item = Event> + use<> {
        let stream = self.connect(&Ask::Follow { since });
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map_while(|line| serde_json::from_str(&line).ok())
    }

    /// Asks the simulator for anything.
    ///
    /// # Panics
    /// It refuses.
    #[track_caller]
    #[allow(clippy::expect_used)]
    pub fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> T {
        let stream = self.connect(ask);
        let mut line = String::new();
        BufReader::new(stream)
            .read_line(&mut line)
            .expect("an answer");
        let value: serde_json::Value = serde_json::from_str(&line).expect("json");
        assert!(value.get("error").is_none(), "{ask:?}: {value}");
        serde_json::from_value(value).expect("an answer of the right shape")
    }

    #[track_caller]
    #[allow(clippy::expect_used)]
    fn connect(&self, ask: &Ask) -> UnixStream {
        let mut stream = UnixStream::connect(self.control()).expect("the control socket");
        let mut line = serde_json::to_vec(ask).expect("json");
        line.push(b'\n');
        stream.write_all(&line).expect("the control socket");
        stream
    }
}

impl Drop for Bmcs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A built program, beside the test's own executable (`target/PROFILE/deps/TEST`).
#[track_caller]
#[allow(clippy::expect_used)]
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let found = own
        .ancestors()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name}: is not built (cargo build -p simulators comes first)"))
}
