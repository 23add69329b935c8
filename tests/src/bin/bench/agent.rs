//! The agent beside a shell loop that asks udevadm and ip for every adapter.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use scenarios::program;
use scenarios::sysfs::make_adapters;

use crate::measure::{cpu_of, median};

const ROUNDS: usize = 3;

/// All of it.
pub(crate) fn run() {
    for adapters in [4, 64] {
        let root = tempfile::tempdir().expect("tempdir");
        make_adapters(root.path(), adapters);
        let (mut ours, mut shell) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(cpu_of(20, || {
                let mut command = Command::new(program("findadapter-agent"));
                command.args(["--print", "--sysroot"]).arg(root.path());
                command
            }));
            shell.push(cpu_of(1, || {
                let mut command = Command::new("sh");
                command.args(["-c", "i=0; while [ $i -lt $0 ]; do udevadm info --query=property --path=/sys/class/net/lo; ip link show lo; i=$((i+1)); done", &adapters.to_string()]);
                command
            }));
        }
        let (ours, shell) = (median(&mut ours), median(&mut shell));
        println!(
            "agent: {adapters} adapters: {:.2} ms CPU, a shell loop with udevadm and ip {:.0} ms: ratio 1:{:.0}",
            ours * 1e3,
            shell * 1e3,
            shell / ours
        );
        println!("agent: {adapters} adapters: {} forks", forks(root.path()));
    }
}

fn forks(root: &Path) -> usize {
    let log = root.join("forks");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=clone,clone3,fork,vfork", "-o"])
        .arg(&log)
        .arg(program("findadapter-agent"))
        .args(["--print", "--sysroot"])
        .arg(root)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("strace").success());
    fs::read_to_string(log)
        .expect("log")
        .lines()
        .filter(|line| line.contains("clone") || line.contains("fork"))
        .count()
}
