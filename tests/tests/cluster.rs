//! The resource agent under a real corosync and Pacemaker: three hosts in namespaces, with fencing.
//! `make test-cluster` installs what it needs and says so by TEST_CLUSTER; `make test` does without.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scenarios::{Finished, parts, program};

const PATIENCE: Duration = Duration::from_secs(180);

/// True if these tests are meant to run; then what is missing is a failure.
fn wanted() -> bool {
    if std::env::var_os("TEST_CLUSTER").is_none() {
        eprintln!("skipped: TEST_CLUSTER is not set (make test-cluster)");
        return false;
    }
    let programs = ["corosync", "pacemakerd", "ocf-tester", "xmllint", "ip"];
    parts::root() && programs.iter().all(|program| parts::have(program))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "{what}: it does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_tester_has_no_complaint() {
    if !wanted() {
        return;
    }
    for model in ["promotable", "single"] {
        let dir = tempfile::Builder::new()
            .prefix("ocf")
            .tempdir_in("/tmp")
            .expect("a directory");
        let at = |name: &str| dir.path().join(name);
        // The tester reads the meta-data as nobody.
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("chmod");
        for name in ["lock", "host"] {
            std::fs::create_dir(at(name)).expect("a directory");
        }
        let own = at("oneserver-program");
        std::fs::copy(program("oneserver"), &own).expect("copy");
        let agent = at("oneserver");
        let script =
            std::fs::read_to_string(root().join("scripts/ocf/oneserver")).expect("the agent");
        std::fs::write(
            &agent,
            script.replace("/usr/sbin/oneserver", own.to_str().expect("text")),
        )
        .expect("write");
        std::fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("chmod");
        let lockdir = at("lock");
        let lockdir = lockdir.to_str().expect("text");
        let made = Command::new(&own)
            .args(["init", "t1", "--lockdir", lockdir])
            .output();
        Finished::from(made.expect("init")).code(0);
        let mut tester = Command::new("ocf-tester");
        tester.args([
            "-n",
            "t1",
            "-o",
            "kind=t1",
            "-o",
            "server=/bin/sleep",
            "-o",
            "args=600",
        ]);
        tester.args(["-o", "address=tcp:here:1"]);
        tester.args([
            "-o",
            &format!("lockdir={lockdir}"),
            "-o",
            &format!("model={model}"),
        ]);
        tester
            .arg(&agent)
            .env("NODETOOLS_ROOT", at("host"))
            .env("OCF_ROOT", "/usr/lib/ocf");
        let tested = Finished::from(tester.stdin(Stdio::null()).output().expect("ocf-tester"));
        tested.code(0);
        assert!(tested.stdout.contains("passed all tests"), "{tested:?}");
        eprintln!(
            "{model}: {}",
            tested.stdout.lines().last().unwrap_or_default()
        );
    }
}

struct Lab {
    dir: tempfile::TempDir,
    power: Child,
}

impl Lab {
    fn up() -> Lab {
        let dir = tempfile::Builder::new()
            .prefix("lab")
            .tempdir_in("/tmp")
            .expect("a directory");
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("chmod");
        std::fs::write(dir.path().join("name"), std::process::id().to_string()).expect("write");
        std::fs::create_dir(dir.path().join("lock")).expect("a directory");
        let power = Command::new(root().join("tests/cluster/power"))
            .env("LAB", dir.path())
            .spawn()
            .expect("power");
        let lab = Lab { dir, power };
        lab.lab(&["up", "3"]).code(0);
        lab
    }

    fn lab(&self, words: &[&str]) -> Finished {
        let programs = program("oneserver");
        Command::new(root().join("tests/cluster/lab"))
            .args(words)
            .env("LAB", self.dir.path())
            .env("PROGRAMS", programs.parent().expect("a directory"))
            .stdin(Stdio::null())
            .output()
            .expect("lab")
            .into()
    }

    fn run(&self, host: u32, words: &[&str]) -> Finished {
        self.lab(&[&["run", &host.to_string()], words].concat())
    }

    fn journal(&self) -> Vec<Stamp> {
        let text = std::fs::read_to_string(self.dir.path().join("journal")).unwrap_or_default();
        text.lines().filter_map(Stamp::parse).collect()
    }

    /// The host of the newest stamp, if it is not older than a second.
    fn owner(&self) -> Option<(u64, u32)> {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("uptime");
        let now: f64 = uptime.split(' ').next()?.parse().ok()?;
        let last = self.journal().into_iter().last()?;
        (now - last.time < 1.0).then_some((last.epoch, last.host))
    }

    fn property(&self, host: u32, name: &str, value: &str) {
        let words = [
            "crm_attribute",
            "--type",
            "crm_config",
            "--name",
            name,
            "--update",
            value,
        ];
        self.run(host, &words).code(0);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.lab(&["down"]);
        let _ = self.power.kill();
        let _ = self.power.wait();
    }
}

#[derive(Debug)]
struct Stamp {
    time: f64,
    epoch: u64,
    host: u32,
}

impl Stamp {
    fn parse(line: &str) -> Option<Stamp> {
        let mut words = line.split(' ');
        Some(Stamp {
            time: words.next()?.parse().ok()?,
            epoch: words.next()?.parse().ok()?,
            host: words.next()?.strip_prefix('h')?.parse().ok()?,
        })
    }
}

/// One kernel's clock, one file: whoever stamps has an epoch that nobody after it undercuts.
#[track_caller]
fn never_two(journal: &[Stamp]) {
    for pair in journal.windows(2) {
        let [before, after] = pair else { continue };
        assert!(
            before.epoch <= after.epoch,
            "two owners: {before:?}, then {after:?}"
        );
        assert!(
            before.epoch < after.epoch || before.host == after.host,
            "{before:?} {after:?}"
        );
    }
}

#[test]
fn three_hosts() {
    if !wanted() {
        return;
    }
    let lab = Lab::up();
    let (lock, journal) = (lab.dir.path().join("lock"), lab.dir.path().join("journal"));
    let (lock, journal) = (
        lock.to_str().expect("text"),
        journal.to_str().expect("text"),
    );
    eventually("a cluster of three", || {
        lab.run(1, &["crm_mon", "-1"])
            .stdout
            .contains("Online: [ h1 h2 h3 ]")
    });
    lab.run(1, &["oneserver", "init", "csnap", "--lockdir", lock])
        .code(0);
    lab.property(1, "dc-deadtime", "3s");
    lab.property(1, "no-quorum-policy", "stop");
    lab.property(1, "stonith-enabled", "true");
    let server = root()
        .join("tests/cluster/server")
        .canonicalize()
        .expect("the server");
    let nvpair = |id: &str, name: &str, value: &str| {
        format!(r#"<nvpair id="{id}-{name}" name="{name}" value="{value}"/>"#)
    };
    let switch = format!(
        r#"<primitive id="pw" class="stonith" type="fence_lab"><instance_attributes id="pw-a">{}{}</instance_attributes></primitive>"#,
        nvpair("pw", "labdir", lab.dir.path().to_str().expect("text")),
        nvpair("pw", "pcmk_host_list", "h1 h2 h3")
    );
    let clone = format!(
        r#"<clone id="csnap-clone"><meta_attributes id="c-m">{}{}{}</meta_attributes><primitive id="csnap" class="ocf" provider="xcat" type="oneserver"><instance_attributes id="cs-a">{}{}{}{}{}</instance_attributes><operations><op id="o1" name="monitor" interval="2s" role="Promoted" timeout="20s"/><op id="o2" name="monitor" interval="3s" role="Unpromoted" timeout="20s"/><op id="o3" name="monitor" interval="7s" role="Promoted" timeout="20s"><instance_attributes id="o3-a">{}</instance_attributes></op><op id="o4" name="promote" interval="0s" timeout="20s"/></operations></primitive></clone>"#,
        nvpair("c", "promotable", "true"),
        nvpair("c", "promoted-max", "1"),
        nvpair("c", "notify", "true"),
        nvpair("cs", "kind", "csnap"),
        nvpair("cs", "lockdir", lock),
        nvpair("cs", "server", server.to_str().expect("text")),
        nvpair("cs", "args", journal),
        nvpair("cs", "promote_timeout", "4"),
        nvpair("o3", "OCF_CHECK_LEVEL", "20"),
    );
    for resource in [switch, clone] {
        lab.run(1, &["cibadmin", "-C", "-o", "resources", "-X", &resource])
            .code(0);
    }
    eventually("a promotion", || lab.owner().is_some());
    let (epoch, first) = lab.owner().expect("an owner");

    // A power cut.
    lab.lab(&["kill", &first.to_string()]);
    eventually("a promotion elsewhere", || {
        lab.owner()
            .is_some_and(|(e, host)| e > epoch && host != first)
    });
    let (epoch, second) = lab.owner().expect("an owner");
    never_two(&lab.journal());
    lab.lab(&["boot", &first.to_string()]).code(0);
    let online = || {
        lab.run(second, &["crm_mon", "-1"])
            .stdout
            .contains("Online: [ h1 h2 h3 ]")
    };
    eventually("a cluster of three again", online);

    // No fencing, and the owner's cluster stack stands still: the manager promotes another one, which
    // the lock does not allow.
    lab.property(second, "stonith-enabled", "false");
    lab.lab(&["freeze", &second.to_string(), "corosync"])
        .code(0);
    let other = if second == 1 { 2 } else { 1 };
    eventually("that the others see it go", || {
        lab.run(other, &["crm_mon", "-1"])
            .stdout
            .contains(&format!("OFFLINE: [ h{second} ]"))
    });
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        let owner = lab.owner();
        assert_eq!(
            owner,
            Some((epoch, second)),
            "{}",
            lab.run(other, &["crm_mon", "-1"]).stdout
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    never_two(&lab.journal());
    lab.lab(&["thaw", &second.to_string(), "corosync"]).code(0);
    eventually("an owner at last", || online() && lab.owner().is_some());
    never_two(&lab.journal());
}
