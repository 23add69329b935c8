//! An action of the newer genesis is ended with all that is in its control group and its process group; the
//! load goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use support::{Image, Node, Server, have, wait};
use xcat_request::load::status;

/// What the runner of actions does: a group of its own, pipes for what the action says, and at its end
/// everything is killed that is still there.
struct Runner(std::process::Child);

impl Runner {
    fn start(command: &mut Command) -> Runner {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Runner(piped.process_group(0).spawn().unwrap())
    }

    /// The action has returned, with this code; the pipes are closed and the group is killed.
    fn action_ended(mut self) -> i32 {
        let mut line = String::new();
        let out = self.0.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        drop(self.0.stderr.take());
        let group = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        killpg(group, Signal::SIGKILL).unwrap();
        self.0.wait().unwrap();
        line.trim().parse().expect("a code")
    }
}

/// A load of a disk, run as an action by this runner, to which the agent's words and these are added: it goes
/// on to its verdict, and the disk is the image. The node, which its agent is about to leave.
#[track_caller]
fn goes_on(runner: &mut Command, words: &[&str]) -> Node {
    let (node, image) = (Node::new(), Image::new(24, 17));
    let (order, disk) = (image.order(), node.disk("sda", 25));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::with(&image, &order, any, Some(4 << 20));
    let agent = node.agent(&order, &[&server], &[&disk]);
    runner.arg(agent.get_program()).args(agent.get_args());
    assert_eq!(Runner::start(runner.args(words)).action_ended(), 0);
    let whole = image.object.len() as u64;
    let so_far = server.bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(so_far < whole, "it was waited for: {so_far} of {whole}");
    assert_eq!(node.master.verdict().0, status::LOADED);
    assert!(image.is_on(&disk));
    node
}

#[test]
fn it_goes_on_when_its_process_group_is_killed() {
    let mut runner = Command::new("sh");
    runner.args(["-c", "\"$@\"; echo $?; exec sleep 1000", "runner"]);
    goes_on(&mut runner, &["--detach"]);
}

/// In the place of an action it goes to the background by itself, and out of the control group that is
/// killed, as systemd does it.
const ACTION: &str = r#"set -e
mount -t tmpfs none /usr/libexec
mkdir -p /usr/libexec/xcat/genesis/actions
cp "$1" /usr/libexec/xcat/genesis/actions/osload-agent
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/action.$$
mkdir $group
shift
if sh -c 'echo 0 >"$0/cgroup.procs"; exec /usr/libexec/xcat/genesis/actions/osload-agent "$@"' $group "$@"; then
	code=0
else
	code=$?
fi
echo 1 >$group/cgroup.kill
while ! rmdir $group 2>/dev/null; do :; done
echo $code
exec sleep 1000
"#;

#[test]
fn it_goes_on_when_its_control_group_is_killed() {
    let root = nix::unistd::geteuid().is_root();
    let tree = "unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && [ -w /sys/fs/cgroup/cgroup.procs ]'";
    let tree = root && {
        let tried = Command::new("sh").args(["-c", tree]).status();
        tried.unwrap().success()
    };
    if !have("root and the tree of control groups", tree) {
        return;
    }
    let mut runner = Command::new("unshare");
    runner.args(["-m", "sh", "-c", ACTION, "runner"]);
    let _node = goes_on(&mut runner, &[]);
    // Its own group is empty when it has ended.
    let gone = "unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && rmdir /sys/fs/cgroup/osload-agent 2>/dev/null'";
    wait("the end of its group", || {
        let tried = Command::new("sh").args(["-c", gone]).status();
        tried.unwrap().success()
    });
}
