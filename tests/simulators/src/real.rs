//! Real servers of others, started for a test: `ipmi_sim` of OpenIPMI, and sushy-tools' Redfish.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Whatever goes wrong fails the test.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::parts::have;

/// A program that runs until this value goes.
#[derive(Debug)]
pub struct Running(
    /// It is killed then.
    pub Child,
);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries until it works, for programs that say nowhere that they are ready.
#[track_caller]
pub fn within<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < until, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port of loopback that is free now.
pub fn free_port(udp: bool) -> u16 {
    match udp {
        true => UdpSocket::bind("127.0.0.1:0").unwrap().local_addr(),
        false => TcpListener::bind("127.0.0.1:0").unwrap().local_addr(),
    }
    .unwrap()
    .port()
}

/// `ipmi_sim`, a real IPMI server; a script of ours is its chassis, and keeps its state in files.
#[derive(Debug)]
pub struct IpmiSim {
    _running: Running,
    dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl IpmiSim {
    /// The user that it knows.
    pub const USER: &str = "root";
    /// That user's password. `ipmi_sim` cuts its configuration at spaces and knows no way to quote a
    /// quote.
    pub const PASSWORD: &str = "p'w$(rd);&`*\\";

    /// Starts it, with a node that is off; none if it or `ipmitool` is not installed.
    pub fn start() -> Option<IpmiSim> {
        if !have("ipmi_sim") || !have("ipmitool") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let port = free_port(true);
        let chassis = at.join("chassis");
        let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 1\necho \"$2 $3 $4\" >>log\ncase \"$2 $3\" in\n\
            'get power') echo \"power:$(cat power)\" ;;\n'get boot') echo \"boot:$(cat boot)\" ;;\n\
            'set power') echo \"$4\" >power ;;\n'set boot') echo \"$4\" >boot ;;\nesac\n";
        for (name, text) in [("power", "0"), ("boot", "default"), ("log", "")] {
            std::fs::write(at.join(name), text).unwrap();
        }
        // Another process writes it: a descriptor of ours, open for writing, could be held by a child
        // that another test forks just then, and the script not be run.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&chassis)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(shell.wait().unwrap().success());
        let lan = format!(
            "name \"bmc1\"\nset_working_mc 0x20\n startlan 1\n addr 127.0.0.1 {port}\n priv_limit admin\n\
             allowed_auths_admin none md2 md5 straight\n guid a123456789abcdefa123456789abcdef\n endlan\n\
             chassis_control \"{} 0x20\"\n user 2 true \"{}\" \"{}\" admin 10 none md2 md5 straight\n",
            chassis.display(),
            IpmiSim::USER,
            IpmiSim::PASSWORD
        );
        std::fs::write(at.join("lan.conf"), lan).unwrap();
        let commands = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
            sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
        std::fs::write(at.join("commands"), commands).unwrap();
        let running = Command::new("ipmi_sim")
            .args(["-n", "-c"])
            .arg(at.join("lan.conf"))
            .arg("-f")
            .arg(at.join("commands"))
            .arg("-s")
            .arg(at.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sim = IpmiSim {
            _running: Running(running),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            dir,
        };
        // It listens once the port is taken.
        within(Duration::from_secs(10), || {
            UdpSocket::bind(sim.address).is_err().then_some(())
        });
        Some(sim)
    }

    /// What its chassis was told so far, without questions.
    pub fn told(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        log.lines()
            .filter(|line| line.starts_with("set "))
            .map(String::from)
            .collect()
    }
}

/// sushy-tools' Redfish server, with a node that is off. Its power changes later than it says, it has no
/// sessions, and it keeps every boot device for good.
#[derive(Debug)]
pub struct Sushy {
    _running: Running,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Sushy {
    /// The user that it knows.
    pub const USER: &str = "root";

    /// Starts it; none if it is not installed (`scripts/setup test` does that).
    pub fn start(password: &str) -> Option<Sushy> {
        let bin = python();
        let emulator = bin.join("sushy-emulator");
        if !have(emulator.to_str().unwrap()) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let identity = tls::identity(at, "sushy").unwrap();
        let hashed = Command::new(bin.join("python"))
            .args(["-c", "import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())"])
            .arg(password)
            .output()
            .unwrap();
        let hashed = String::from_utf8(hashed.stdout).unwrap();
        std::fs::write(at.join("auth"), format!("{}:{hashed}", Sushy::USER)).unwrap();
        let port = free_port(false);
        let file = identity.certificate.display();
        let config = format!(
            "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n\
             SUSHY_EMULATOR_SSL_CERT = '{file}'\nSUSHY_EMULATOR_SSL_KEY = '{file}'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{0}/auth'\nSUSHY_EMULATOR_STATE_DIR = '{0}'\n",
            at.display()
        );
        std::fs::write(at.join("config"), config).unwrap();
        let running = Command::new(emulator)
            .arg("--config")
            .arg(at.join("config"))
            .arg("--fake")
            .current_dir(at)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running(running);
        let address = ([127, 0, 0, 1], port).into();
        within(Duration::from_secs(30), || TcpStream::connect(address).ok());
        Some(Sushy {
            _running: running,
            _dir: dir,
            address,
        })
    }
}

/// The private Python environment that scripts/setup makes.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin")
}
