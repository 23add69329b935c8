//! Hosts in network namespaces of their own, each behind a link to one switch, shaped in both
//! directions. Needs root.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

/// A switch and the hosts on it; gone when dropped.
#[derive(Debug)]
pub struct Links {
    switch: Namespace,
    hosts: Vec<Namespace>,
}

#[derive(Debug)]
struct Namespace {
    holder: Child,
}

impl Links {
    /// So many hosts, with [`Links::address`]es from 0 on. `rate` in Mbit/s shapes each link, in both
    /// directions.
    pub fn new(count: usize, rate: Option<u32>) -> Links {
        let switch = Namespace::new();
        switch.run("ip link add br0 type bridge");
        switch.run("ip link set br0 up");
        let mut links = Links {
            switch,
            hosts: Vec::new(),
        };
        for number in 0..count {
            let host = Namespace::new();
            let address = Links::address(number);
            let pid = host.holder.id();
            links.switch.run(&format!(
                "ip link add v{number} type veth peer name eth0 netns {pid}"
            ));
            links
                .switch
                .run(&format!("ip link set v{number} master br0 up"));
            host.run(&format!(
                "ip address add {address}/16 broadcast + dev eth0 && ip link set eth0 up && ip route add 224.0.0.0/4 dev eth0"
            ));
            links.hosts.push(host);
            if let Some(rate) = rate {
                links.shape(number, rate);
            }
        }
        links
    }

    /// The address of a host.
    pub fn address(number: usize) -> Ipv4Addr {
        let number = u16::try_from(number).expect("few hosts");
        Ipv4Addr::from([10, 99, (number >> 8) as u8, (number & 0xff) as u8 + 1])
    }

    /// Shapes the link of one host, in Mbit/s; no segments longer than what goes over a wire.
    pub fn shape(&self, number: usize, rate: u32) {
        let qdisc = format!("root handle 1: tbf rate {rate}mbit burst 32kb latency 50ms");
        self.switch
            .run(&format!("tc qdisc replace dev v{number} {qdisc}"));
        self.hosts[number].run(&format!("tc qdisc replace dev eth0 {qdisc}"));
    }

    /// Runs a shell command on a host, to its end.
    pub fn run(&self, number: usize, command: &str) {
        self.hosts[number].run(command);
    }

    /// A program to be started on a host.
    pub fn command(&self, number: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.hosts[number].enter();
        command.arg(program);
        command
    }
}

impl Namespace {
    fn new() -> Namespace {
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up; echo ready; exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut said = String::new();
        let out = holder.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut said).expect("ready");
        assert_eq!(said, "ready\n");
        Namespace { holder }
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--"]);
        command
    }

    fn run(&self, command: &str) {
        let status = self.enter().args(["sh", "-ec", command]).status();
        assert!(status.expect("nsenter").success(), "{command}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
