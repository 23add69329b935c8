//! SIGKILL before every system call of osload and of its image server that changes something: what is said
//! of a disk is so, what may boot is whole or was never touched, and the same command a second time does
//! the rest, without a node that is started more often than that takes.
//!
//! `KILL_STRIDE=1` visits every call (`make campaign`); the default run visits a few, each time others.
//! Needs root, network namespaces and strace.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scenarios::strace::{self, Step};
use scenarios::{Finished, Rack, Running, disk, parts, program};

/// What nodes see of an image server.
const SERVED: &str = "bind,listen,sendto,sendfile";
const GENESIS: &str = "runcmd=osload-agent";
const LOAD: [&str; 3] = ["-i", "img", "n1"];

fn is_root() -> bool {
    parts::root() && parts::have("strace") && parts::have("nsenter")
}

/// Osload on the management node under strace. What it executes is not followed: hooks, callbackd, other
/// servers, and so the agents, go on.
fn traced(rack: &Rack, options: &[&str], args: &[&str]) -> Command {
    let mut command = rack.shell();
    command.args(["strace", "-qq"]).args(options).arg("--");
    command.arg(program("osload")).args(args);
    command
}

const FOLLOW: [&str; 3] = ["-f", "-b", "execve"];

/// The steps of a clean run, of all processes that are traced.
fn steps_of(trace: &Path, run: impl FnOnce(&[&str]) -> Finished) -> Vec<Step> {
    let calls = format!("trace={}", strace::CHANGES);
    run(&["-o", trace.to_str().unwrap(), "-e", &calls]).code(0);
    strace::steps(trace)
}

struct Site {
    rack: Rack,
    image: Vec<u8>,
}

impl Site {
    fn new(nodes: usize) -> Site {
        let image = disk(4, 1);
        let rack = Rack::with_image(nodes, &image);
        Site { rack, image }
    }

    /// Nodes as they were, with disks that somebody else had, and no word of earlier boots.
    fn reset(&self) {
        let mut i = 1;
        while self.rack.path(i, "boots").exists() {
            self.rack.wait_until("it is off", || !self.rack.is_on(i));
            self.rack.give_disk(i, self.image.len());
            fs::write(self.rack.path(i, "boots"), "").unwrap();
            i += 1;
        }
    }

    fn is_whole(&self, i: usize) -> bool {
        fs::read(self.rack.disk(i)).unwrap() == self.image
    }

    fn is_untouched(&self, i: usize) -> bool {
        let disk = fs::read(self.rack.disk(i)).unwrap();
        disk.iter().all(|byte| *byte == 0xee)
    }

    /// What was said of n1, what it was made to boot, and what it would boot, after a run that was killed.
    #[track_caller]
    fn assert_true(&self, at: &Step, ended: &Finished) {
        let rack = &self.rack;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let boots = rack.booted(1);
        let is_loaded = said.contains("n1: loaded") || ended.status.code() == Some(0);
        assert!(
            !(is_loaded || said.contains("its disk is whole")) || self.is_whole(1),
            "{at}: said and not so: {said}"
        );
        assert!(
            boots.len() <= 2 && boots.iter().filter(|boot| *boot == GENESIS).count() <= 1,
            "{at}: {boots:?}"
        );
        assert!(
            !boots.iter().any(|boot| boot == "reboot") || self.is_whole(1),
            "{at}: half of a disk is booted"
        );
        let chain = rack.chain("n1");
        assert!(
            !chain.contains("boot") || self.is_whole(1) || self.is_untouched(1),
            "{at}: half of a disk would be booted: {chain}"
        );
    }

    /// The same command, nobody kills it: it takes over what the dead one held.
    #[track_caller]
    fn again(&self, at: &str) {
        fs::write(self.rack.path(1, "boots"), "").unwrap();
        let again = self.rack.run("osload", &LOAD);
        assert_eq!(again.status.code(), Some(0), "{at}: {}", again.stderr);
        assert!(self.is_whole(1), "{at}");
        assert_eq!(self.rack.booted(1), [GENESIS, "reboot"], "{at}");
        self.rack.assert_load_over();
    }

    /// A child of the process that does the work is killed before each step of its own: the others go on,
    /// osload tells of n1, and it was made to boot nothing else.
    #[track_caller]
    fn a_child_is_killed(
        &self,
        default_stride: usize,
        told: &str,
        run: impl Fn(&[&str]) -> Finished,
        may_have_booted: impl Fn(&[String]) -> bool,
    ) {
        // The first run makes directories, so that all others are alike.
        self.again("at first");
        self.reset();
        let steps = steps_of(&self.rack.cluster.path("trace"), &run);
        for at in strace::visited(steps, default_stride) {
            self.reset();
            let ended = run(&["-o", "/dev/null", "-e", &at.kill()]);
            assert_eq!(ended.status.code(), Some(1), "{at}: {ended:?}");
            assert!(ended.stderr.contains(told), "{at}: {}", ended.stderr);
            self.assert_true(&at, &ended);
            let boots = self.rack.booted(1);
            assert!(may_have_booted(&boots), "{at}: {boots:?}");
            self.rack.assert_load_over();
            self.again(&at.to_string());
        }
        self.assert_all_ends();
    }

    /// What of osload runs with this as its first word.
    fn running(&self, word: &str) -> Vec<i32> {
        let own = format!("{} {word}", program("osload").display());
        let mut all = self.rack.cluster.processes();
        all.retain(|(_, command)| command.starts_with(&own));
        all.into_iter().map(|(pid, _)| pid).collect()
    }

    /// Image servers end when they are told to, and the next one takes away what they left.
    fn end_servers(&self) {
        for pid in self.running("serve") {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let rack = &self.rack;
        rack.wait_until("no server runs", || self.running("serve").is_empty());
        rack.run("osload", &["serve", "img", "--idle", "0"]).code(0);
        let progress = rack.cluster.path("var/lib/xcat-nodetools/osload/progress");
        let left: Vec<_> = fs::read_dir(progress).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Whatever else there is ends by itself.
    fn assert_all_ends(&self) {
        self.end_servers();
        self.rack.wait_until("everything has ended", || {
            self.rack.cluster.processes().is_empty()
        });
    }
}

/// Of all that osload is the front goes at the first calls, the process that does the work at the others.
#[test]
fn osload_killed_at_every_step() {
    if !is_root() {
        return;
    }
    let site = Site::new(1);
    let run = |options: &[&str]| {
        let mut run = traced(&site.rack, &[&FOLLOW[..], options].concat(), &LOAD);
        Finished::from(run.output().unwrap())
    };
    let steps = steps_of(&site.rack.cluster.path("trace"), run);
    assert!(
        steps.len() > 40,
        "{steps:?}: the trace does not see the work"
    );
    let mut killed = 0;
    for at in strace::visited(steps, 17) {
        site.reset();
        let ended = run(&["-o", "/dev/null", "-e", &at.kill()]);
        killed += usize::from(ended.status.code() != Some(0));
        site.assert_true(&at, &ended);
        site.rack
            .wait_until("nothing of it runs", || site.running("-i").is_empty());
        site.again(&at.to_string());
    }
    assert!(killed > 0, "nobody was killed");
    site.assert_all_ends();
}

/// What says that a call touches a node's boot target.
fn boot_target(rack: &Rack) -> Vec<String> {
    let files = [
        "tables/chain.sqlite",
        "tables/chain.sqlite-journal",
        "var/lib/xcat-nodetools/boot",
        "var/lib/xcat-nodetools/boot/n1",
    ];
    let paths = files.map(|file| rack.cluster.path(file).display().to_string());
    paths
        .into_iter()
        .flat_map(|path| ["-P".into(), path])
        .collect()
}

/// The child that arms a node is not the one that does the work: that goes on, and says so.
#[test]
fn arming_killed_at_every_step() {
    if !is_root() {
        return;
    }
    let site = Site::new(1);
    let rack = &site.rack;
    let touches = boot_target(rack);
    let run = |options: &[&str]| {
        let mut all = FOLLOW.to_vec();
        all.extend(touches.iter().map(String::as_str));
        all.extend(options);
        Finished::from(traced(rack, &all, &LOAD).output().unwrap())
    };
    site.a_child_is_killed(7, "1 failed: n1", run, |boots| {
        // The last steps are those of the child that has it boot from its disk.
        boots.is_empty() || (boots == [GENESIS] && site.is_whole(1))
    });
}

/// So is the child that has the node boot from its disk, which is whole by then.
#[test]
fn going_to_the_disk_killed_at_every_step() {
    if !is_root() {
        return;
    }
    let site = Site::new(1);
    let rack = &site.rack;
    let gate = rack.path(1, "gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let waits = format!(
        "sh -c 'read -r go <{}; exec {}'",
        gate.display(),
        rack.agent(1)
    );
    // A run that is traced from when its node has booted on.
    let run = |options: &[&str]| {
        rack.boots(1, &waits);
        let run = rack.start("osload", &LOAD);
        rack.wait_until("it has booted", || rack.booted(1) == [GENESIS]);
        let names = fs::read_dir(rack.cluster.run_dir()).unwrap().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        // The process that does the work is named by its FIFO.
        let living: Vec<String> = names
            .filter(|name| Path::new("/proc").join(name).exists())
            .collect();
        assert_eq!(living.len(), 1, "{living:?}");
        let mut tracer = Command::new("strace");
        tracer.arg("-qq").args(FOLLOW).args(boot_target(rack));
        tracer.args(options).args(["-p", &living[0]]);
        let tracer = Running::start(&mut tracer);
        let status = Path::new("/proc").join(&living[0]).join("status");
        rack.wait_until("it is traced", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let tracer = status.lines().find(|line| line.starts_with("TracerPid"));
            tracer.is_some_and(|line| !line.ends_with("\t0"))
        });
        fs::write(&gate, "go\n").unwrap();
        let ended = run.finish();
        tracer.finish();
        rack.boots(1, &rack.agent(1));
        ended
    };
    site.a_child_is_killed(5, "its disk is whole, but", run, |boots| boots == [GENESIS]);
}

/// Whatever the server was about to do, another one does it, and no node is started again for that.
#[test]
fn the_image_server_killed_at_every_step() {
    if !is_root() {
        return;
    }
    let site = Site::new(2);
    let rack = &site.rack;
    let calls = format!("{},{SERVED}", strace::CHANGES);
    let serve = |options: &[&str]| {
        let args = ["serve", "img", "--idle", "600"];
        Running::start(&mut traced(rack, options, &args))
    };
    let load = |at: &str| {
        let done = rack.run("osload", &["-i", "img", "all"]);
        assert_eq!(done.status.code(), Some(0), "{at}: {}", done.stderr);
        for i in [1, 2] {
            assert!(site.is_whole(i), "{at}: n{i}");
            assert_eq!(rack.booted(i), [GENESIS, "reboot"], "{at}: n{i}");
        }
        rack.assert_load_over();
        site.end_servers();
    };
    let trace = rack.cluster.path("trace");
    let tracing = format!("trace={calls}");
    let mut server = serve(&["-o", trace.to_str().unwrap(), "-e", &tracing]);
    server.stdout_line("ready");
    load("at first");
    server.finish().code(0);
    let steps = strace::steps(&trace);
    let sends = |step: &Step| step.to_string().starts_with("sendfile");
    assert!(
        steps.iter().any(sends),
        "{steps:?}: the trace does not see the work"
    );
    let (mut early, mut late) = (0, 0);
    for at in strace::visited(steps, 13) {
        site.reset();
        let mut server = serve(&["-o", "/dev/null", "-e", &at.kill()]);
        let is_up = server.stdout_has("ready");
        load(&at.to_string());
        match (is_up, server.finish().status.code()) {
            (false, _) => early += 1,
            (true, None) => late += 1,
            (true, code) => assert_eq!(code, Some(0), "{at}"),
        }
    }
    println!("{early} before it was ready, {late} while it served");
    assert!(early + late > 0, "nobody was killed");
    site.assert_all_ends();
}
