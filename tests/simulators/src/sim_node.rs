//! A simulated node with a real sshd, in namespaces of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::{Bmcs, Happened, Power, SimNet};

/// How long to wait for a node.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NodeFault {
    /// sshd accepts no key.
    RefusesKey,
    /// The reboot command never ends, and nothing reboots.
    RebootHangs,
    /// The reboot command succeeds, and nothing reboots.
    RebootIgnored,
    /// The reboot command fails.
    RebootFails,
    /// The next boots keep the boot id.
    SameBootId,
    /// Never comes up again.
    NeverUp,
    /// Every command over ssh waits so many seconds first.
    Slow(u32),
}

/// A node as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNow {
    /// Its sshd answers.
    pub up: bool,
    /// Boots so far, the first one included.
    pub boots: u32,
    /// Its boot id.
    pub boot_id: String,
    /// What it was told from inside: `reboot`, `shutdown -r now`, `b` (by sysrq), in order.
    pub orders: Vec<String>,
    /// Its namespaces are gone: something in the machine's way.
    pub broken: bool,
}

/// A node: a network, process, mount and host name of its own, a real sshd, a boot id of its own. All
/// of it ends with this value, or with the test's process.
#[derive(Debug)]
pub struct SimNode {
    /// Its address on the test's network.
    pub address: Ipv4Addr,
    dir: PathBuf,
    init: Child,
    mail: Sender<Mail>,
    now: Arc<(Mutex<NodeNow>, Condvar)>,
}

/// What the thread behind a node is told.
#[derive(Debug)]
enum Mail {
    /// From inside.
    Order(String),
    Off,
    Boot,
    Never(bool),
    Same(bool),
    End,
}

impl SimNode {
    /// Makes node `number` (from 1) and waits until it is up; later boots take `boot`.
    ///
    /// # Panics
    /// Not root, or sshd is missing.
    #[track_caller]
    #[allow(clippy::expect_used)]
    pub fn start(net: &SimNet, number: usize, boot: Duration) -> SimNode {
        let name = format!("n{number}");
        let dir = net.dir().join(&name);
        let address = SimNet::address(number);
        furnish(net, &dir).expect("the node's files");
        let mut init = net
            .command("unshare")
            .args(["--mount", "--uts", "--pid", "--fork", "--kill-child", "sh"])
            .arg(dir.join("outside.sh"))
            .arg(&dir)
            .args([&name, &number.to_string(), &format!("{address}/16")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let (mail, letters) = channel();
        let now: Arc<(Mutex<NodeNow>, Condvar)> = Arc::default();
        let keeper = Keeper {
            number,
            boot,
            orders: init.stdin.take().expect("stdin"),
            answers: BufReader::new(init.stdout.take().expect("stdout")),
            now: Arc::clone(&now),
            never: false,
            same: false,
        };
        std::thread::spawn(move || keeper.keep(&letters));
        listen(dir.join("orders"), mail.clone());
        let node = SimNode {
            address,
            dir,
            init,
            mail,
            now,
        };
        node.boot();
        node.wait(|now| now.up);
        node
    }

    /// How it is now.
    pub fn now(&self) -> NodeNow {
        self.lock().clone()
    }

    /// Waits until it is so.
    ///
    /// # Panics
    /// It does not become so within two minutes.
    #[track_caller]
    #[allow(clippy::expect_used)]
    pub fn wait(&self, wanted: impl Fn(&NodeNow) -> bool) -> NodeNow {
        let (_, changed) = &*self.now;
        let (now, late) = changed
            .wait_timeout_while(self.lock(), PATIENCE, |now| !now.broken && !wanted(now))
            .expect("lock");
        assert!(
            !now.broken,
            "the node could not be made or is gone: {now:?}"
        );
        assert!(!late.timed_out(), "the node is still {now:?}");
        now.clone()
    }

    /// Power off, at once.
    pub fn off(&self) {
        let _ = self.mail.send(Mail::Off);
    }

    /// Power on, or a reset.
    pub fn boot(&self) {
        let _ = self.mail.send(Mail::Boot);
    }

    /// Sets a fault, or takes it away.
    ///
    /// # Panics
    /// The node's files cannot be written.
    #[track_caller]
    #[allow(clippy::expect_used)]
    pub fn fault(&self, fault: NodeFault, set: bool) {
        let write = |name: &str, text: &str| {
            fs::write(self.dir.join(name), text).expect("the node's files");
        };
        let wrong = |word: &str| write("wrong", if set { word } else { "" });
        match fault {
            NodeFault::RefusesKey => {
                let key = fs::read_to_string(self.dir.join("key.pub")).expect("key");
                write("authorized_keys", if set { "" } else { &key });
            }
            NodeFault::RebootHangs => wrong("hangs"),
            NodeFault::RebootIgnored => wrong("ignored"),
            NodeFault::RebootFails => wrong("fails"),
            NodeFault::Slow(seconds) => {
                write("slow", &format!("{}", if set { seconds } else { 0 }))
            }
            NodeFault::SameBootId => {
                let _ = self.mail.send(Mail::Same(set));
            }
            NodeFault::NeverUp => {
                let _ = self.mail.send(Mail::Never(set));
            }
        }
    }

    /// From now on its power is what BMC `i` says: off is off, a boot is a boot.
    pub fn follow(&self, bmcs: &Bmcs, i: usize) {
        let since = bmcs.events().len() as u64;
        let events = bmcs.follow(since);
        let mail = self.mail.clone();
        std::thread::spawn(move || {
            for event in events.filter(|event| event.bmc == i) {
                let letter = match event.what {
                    Happened::Power { power: Power::Off } => Mail::Off,
                    Happened::Boot { .. } => Mail::Boot,
                    _ => continue,
                };
                if mail.send(letter).is_err() {
                    return;
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, NodeNow> {
        self.now
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for SimNode {
    fn drop(&mut self) {
        let _ = self.mail.send(Mail::End);
        // With process 1 of its namespace the whole node goes.
        let _ = self.init.kill();
        let _ = self.init.wait();
        // Lets the listening thread see the end.
        let _ = fs::OpenOptions::new()
            .write(true)
            .open(self.dir.join("orders"))
            .and_then(|mut fifo| fifo.write_all(b"end\n"));
    }
}

/// The thread that owns a node's states.
struct Keeper {
    number: usize,
    boot: Duration,
    orders: std::process::ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
    now: Arc<(Mutex<NodeNow>, Condvar)>,
    never: bool,
    same: bool,
}

/// What comes next by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Off,
    Link,
    Up,
}

impl Keeper {
    fn keep(mut self, letters: &Receiver<Mail>) {
        let mut plan: Vec<(Instant, Next)> = Vec::new();
        loop {
            let letter = match plan.first().copied() {
                None => letters.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((at, _)) => letters.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let moment = Instant::now();
            let course = |down: Duration, boot: Duration| {
                vec![
                    (moment + down, Next::Off),
                    (moment + down + boot / 2, Next::Link),
                    (moment + down + boot, Next::Up),
                ]
            };
            match letter {
                Ok(Mail::Order(order)) => {
                    self.change(|now| now.orders.push(order.clone()));
                    // A forced one does not wait for anything.
                    let down = if order == "b" {
                        Duration::ZERO
                    } else {
                        self.boot / 4
                    };
                    plan = course(down, self.boot);
                    if order.starts_with("poweroff") || order.starts_with("halt") {
                        plan.truncate(1);
                    }
                }
                Ok(Mail::Off) => plan = vec![(moment, Next::Off)],
                Ok(Mail::Boot) => plan = course(Duration::ZERO, self.boot),
                Ok(Mail::Never(set)) => self.never = set,
                Ok(Mail::Same(set)) => self.same = set,
                Ok(Mail::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let (_, next) = plan.remove(0);
                    if self.step(next).is_none() {
                        self.change(|now| now.broken = true);
                        return;
                    }
                }
            }
        }
    }

    /// One step; `None`: the node is gone.
    fn step(&mut self, next: Next) -> Option<()> {
        match next {
            Next::Off => {
                self.change(|now| now.up = false);
                self.tell("off")
            }
            Next::Link => self.tell("link"),
            Next::Up if self.never => Some(()),
            Next::Up => {
                let (boots, same) = {
                    let now = self.now.0.lock().ok()?;
                    (now.boots + 1, self.same && now.boots > 0)
                };
                let id = if same {
                    self.now.0.lock().ok()?.boot_id.clone()
                } else {
                    format!("{:08x}-0000-4000-8000-{boots:012x}", self.number)
                };
                self.tell(&format!("up {id}"))?;
                self.change(|now| {
                    now.up = true;
                    now.boots = boots;
                    now.boot_id.clone_from(&id);
                });
                Some(())
            }
        }
    }

    fn tell(&mut self, order: &str) -> Option<()> {
        writeln!(self.orders, "{order}").ok()?;
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        (line == "done\n").then_some(())
    }

    fn change(&self, change: impl FnOnce(&mut NodeNow)) {
        if let Ok(mut now) = self.now.0.lock() {
            change(&mut now);
        }
        self.now.1.notify_all();
    }
}

/// The files of a node, in a directory that only it uses.
fn furnish(net: &SimNet, dir: &Path) -> std::io::Result<()> {
    fs::create_dir(dir)?;
    let here = dir.display().to_string();
    let script = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text.replace("@DIR@", &here))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    script("outside.sh", include_str!("../node/outside.sh"))?;
    script("inside.sh", include_str!("../node/inside.sh"))?;
    script("reboot.sh", include_str!("../node/reboot.sh"))?;
    script("login.sh", include_str!("../node/login.sh"))?;
    nix::unistd::mkfifo(&dir.join("orders"), nix::sys::stat::Mode::S_IRWXU)?;
    let key = fs::read_to_string(net.key().with_extension("pub"))?;
    fs::write(dir.join("key.pub"), &key)?;
    fs::write(dir.join("authorized_keys"), &key)?;
    fs::write(dir.join("boot_id"), "")?;
    fs::write(dir.join("wrong"), "")?;
    fs::write(dir.join("slow"), "0")?;
    // An account that is locked would be refused.
    fs::write(dir.join("shadow"), "root:*:19000:0:99999:7:::\n")?;
    let config = format!(
        "ListenAddress 0.0.0.0\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized_keys\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\n\
         ForceCommand {here}/login.sh\n"
    );
    fs::write(dir.join("sshd_config"), config)?;
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(dir.join("host"))
        .status()?;
    if made.success() {
        Ok(())
    } else {
        Err(std::io::Error::other("ssh-keygen"))
    }
}

/// Passes on what the node is told from inside.
fn listen(fifo: PathBuf, mail: Sender<Mail>) {
    std::thread::spawn(move || {
        // Both ends: a writer that closes is no end.
        let Ok(both) = fs::OpenOptions::new().read(true).write(true).open(fifo) else {
            return;
        };
        for line in BufReader::new(both).lines().map_while(Result::ok) {
            let order = line.trim().to_string();
            if order == "end" || mail.send(Mail::Order(order)).is_err() {
                return;
            }
        }
    });
}
