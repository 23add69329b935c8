//! rflash against simulated BMCs of every generation: what it does, what it leaves, and what it never
//! shows.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::fleet::{Fleet, PASSWORD, runs, verdicts};
use scenarios::{Running, parts};
use simulators::{Config, Fault, Flavour, Group, Power, Rule};

/// Polls often: the simulated BMCs are a hundred times faster than real ones.
const FAST: &str = "--timeout=poll=0.1,find=8,activate=60,reset=60";

/// One BMC of each flavour, `count` times.
fn fleet(network: u8, count: usize) -> Fleet {
    let groups = Flavour::ALL.iter().zip(1..).map(|(flavour, last)| Group {
        flavour: *flavour,
        count,
        first: Ipv4Addr::new(127, 60, network, last * 20),
        ..Group::default()
    });
    Fleet::new(Config {
        groups: groups.collect(),
        scale: 50.0,
        ..Config::default()
    })
}

/// What rflash shows on a terminal where somebody types `typed`.
fn on_a_terminal(fleet: &Fleet, args: &[&str], typed: &str) -> String {
    let mut command = std::process::Command::new("script");
    fleet.cluster.environment(&mut command);
    let words = args.iter().map(|word| format!(" '{word}'"));
    let line: String = std::iter::once(scenarios::program("rflash").display().to_string())
        .chain(words)
        .collect();
    command.args(["-qec", &line, "/dev/null"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    // Its end stays open: the end of input would be typed, too.
    let mut keys = child.stdin.take().expect("stdin");
    std::io::Write::write_all(&mut keys, typed.as_bytes()).expect("keys");
    let mut shown = Vec::new();
    let mut screen = child.stdout.take().expect("stdout");
    std::io::Read::read_to_end(&mut screen, &mut shown).expect("screen");
    child.wait().expect("script");
    String::from_utf8_lossy(&shown).into_owned()
}

/// The first BMC of a flavour, in a fleet with one of each.
fn of(flavour: Flavour) -> usize {
    Flavour::ALL
        .iter()
        .position(|other| *other == flavour)
        .expect("flavour")
}

#[test]
fn every_generation_runs_what_it_was_sent() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(1, 1);
    let firmware = fleet.archives("b-2", "h-2", 500_000);
    let firmware = firmware.to_str().expect("path");
    let report = fleet.cluster.path("report.html");
    let ended = fleet.rflash(&[
        "all",
        "-d",
        firmware,
        FAST,
        "--json",
        "--report",
        report.to_str().expect("path"),
    ]);
    ended.code(0);
    let verdicts = verdicts(&ended);
    for (i, flavour) in Flavour::ALL.iter().enumerate() {
        let state = fleet.state(i);
        assert_eq!(runs(&state, "BMC").as_deref(), Some("b-2"), "{flavour:?}");
        assert_eq!(runs(&state, "Host").as_deref(), Some("h-2"), "{flavour:?}");
        assert_eq!(
            (state.power, state.uploads.len()),
            (Power::On, 2),
            "{flavour:?}"
        );
        assert!(verdicts[&format!("n{}", i + 1)].0);
    }
    assert!(
        std::fs::read_to_string(&report)
            .expect("report")
            .contains("<rect class=\"upload\"")
    );
    // Again: nothing is sent to who runs it.
    let again = fleet.rflash(&["all", "-d", firmware, FAST, "--skip-current"]);
    again.code(0);
    assert!(
        again.stdout.contains("n1: runs this version already"),
        "{}",
        again.stdout
    );
    assert_eq!(fleet.state(0).uploads.len(), 2);
}

#[test]
fn upload_activate_list_and_delete() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(2, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let archive = archive.to_str().expect("path");
    fleet.rflash(&["all", "-u", archive, "--preflight"]).code(0);
    assert!((0..fleet.bmcs.len()).all(|i| fleet.state(i).uploads.is_empty()));
    let dry = fleet.rflash(&["all", "-a", archive, "--dry-run"]);
    assert!(dry.code(0).stdout.contains("n1: ") && dry.stdout.contains("(BMC b-2, "));
    let sent = fleet.rflash(&["all", "-u", archive, FAST]);
    sent.code(0);
    assert!(
        sent.stdout
            .starts_with(&format!("Attempting to upload {archive}, please wait...\n"))
    );
    assert!(
        sent.stdout
            .contains("n1: Firmware upload successful. Use -l option to list.\n")
    );
    assert!(!sent.stdout.contains("Firmware update complete"));
    // The old kind is then activated by the ID that it gave.
    let old = of(Flavour::PhosphorRest);
    let node = format!("n{}", old + 1);
    let listed = fleet.rflash(&[&node, "-l"]);
    let line = listed
        .stdout
        .lines()
        .find(|line| line.ends_with(" b-2"))
        .expect("b-2 is listed");
    let id = line.split_whitespace().nth(1).expect("an ID").to_string();
    let activated = fleet.rflash(&[&node, "-a", &id, FAST]);
    activated.code(0);
    assert!(
        activated.stdout.contains("Firmware activation successful."),
        "{}",
        activated.stdout
    );
    assert!(
        activated
            .stdout
            .contains("Firmware update complete: Total=1 Success=1 Failed=0\n")
    );
    let listed = fleet.rflash(&[&node, "-l"]).stdout;
    assert!(
        listed.contains("BMC     Active(+)  b-2") && listed.contains("BMC     Active(*)  "),
        "{listed}"
    );
    let running = listed
        .lines()
        .find(|line| line.contains("BMC     Active(*)"))
        .expect("what runs");
    let running = running
        .split_whitespace()
        .nth(1)
        .expect("an ID")
        .to_string();
    let kept = fleet.rflash(&[&node, "--delete", &running]);
    assert!(
        kept.code(1)
            .stderr
            .contains("Deleting currently active BMC firmware is not supported")
    );
    let gone = fleet.rflash(&[&node, "--delete", "00000000"]);
    assert!(
        gone.code(1)
            .stderr
            .contains("Invalid ID provided to delete.")
    );
    assert!(
        fleet
            .rflash(&[&node, "--delete", &id])
            .code(0)
            .stdout
            .contains("Firmware removed")
    );
    let checked = fleet.rflash(&["all", "-c", archive]);
    assert!(
        checked
            .code(0)
            .stdout
            .starts_with("TAR BMC Firmware Product Version: b-2\n")
    );
    assert!(
        checked
            .stdout
            .contains("n1: BMC Firmware Product:   2.14.0 (Active)*")
    );
}

#[test]
fn one_bad_bmc_is_one_bad_verdict() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(3, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let bad = of(Flavour::Bmcweb2026);
    for (fault, why) in [
        (Fault::LoginRefused, "login refused"),
        (Fault::NoSpace, ""),
        (
            Fault::LittleMemory { bytes: 100_000 },
            "has 100000 of memory left",
        ),
        (Fault::OldVersionReturns, "came back with the old version"),
        (Fault::ActivationFails { at: 40 }, "activation failed"),
    ] {
        fleet.bmcs.clear(bad);
        fleet.bmcs.fault(bad, Rule::from(fault.clone()));
        let archive = firmware.to_str().expect("path");
        let nodes = format!("n{},n{}", bad + 1, of(Flavour::Bmcweb2023) + 1);
        let ended = fleet.rflash(&[
            &nodes,
            "-d",
            archive,
            FAST,
            "--no-host-reboot",
            "--json",
            "--timeout",
            "find=3,activate=10,reset=20",
        ]);
        ended.code(1);
        let verdicts = verdicts(&ended);
        let (good, said) = &verdicts[&format!("n{}", bad + 1)];
        assert!(!good && said.contains(why), "{fault:?}: {said}");
        assert!(
            verdicts[&format!("n{}", of(Flavour::Bmcweb2023) + 1)].0,
            "{fault:?}: {verdicts:?}"
        );
    }
}

/// Begins `-a` in the background and kills it when the first archive is nearly sent; the run's ID.
fn interrupted(fleet: &Fleet, archive: &str) -> String {
    for i in 0..fleet.bmcs.len() {
        fleet
            .bmcs
            .fault(i, Rule::from(Fault::UploadRate { rate: 4000.0 }));
    }
    let begun = fleet.rflash(&["all", "-a", archive, FAST, "--background"]);
    let id = begun
        .code(0)
        .stdout
        .lines()
        .last()
        .expect("an ID")
        .to_string();
    let folder = fleet
        .cluster
        .path("var/lib/xcat-nodetools/rflash")
        .join(&id);
    // As soon as somebody has begun: nobody else has.
    let journal = || std::fs::read_to_string(folder.join("journal")).unwrap_or_default();
    while !journal().contains("\"sent\":true") {
        std::thread::yield_now();
    }
    let pid: i32 = std::fs::read_to_string(folder.join("lock"))
        .expect("lock")
        .parse()
        .expect("pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
    // Its lock goes with it.
    while fleet.rflash(&["--status"]).stdout.contains("running") {
        std::thread::yield_now();
    }
    for i in 0..fleet.bmcs.len() {
        fleet.bmcs.clear(i);
    }
    id
}

#[test]
fn killed_in_the_background_and_resumed() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(4, 2);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let archive = archive.to_str().expect("path");
    let id = interrupted(&fleet, archive);
    let shown = fleet.rflash(&["--status", &id]);
    assert!(shown.stdout.contains("interrupted"), "{}", shown.stdout);
    let refused = fleet.rflash(&["all", "-a", archive, FAST]);
    assert!(refused.code(2).stderr.contains(&format!("--resume {id}")));
    // The original is another one now: the copy counts.
    std::fs::write(archive, "replaced").expect("write");
    let resumed = fleet.rflash(&["--resume", &id]);
    resumed.code(0);
    for i in 0..fleet.bmcs.len() {
        assert_eq!(
            fleet.state(i).uploads.len(),
            1,
            "n{}: one whole upload, and no second one",
            i + 1
        );
    }
    assert!(fleet.rflash(&["--status"]).stdout.contains("over"));
    fleet.rflash(&["--resume", &id]).code(2);
}

#[test]
fn on_a_terminal_the_same_words_ask_whether_to_go_on() {
    if !parts::root() || !parts::have("script") {
        return;
    }
    let fleet = fleet(7, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let archive = archive.to_str().expect("path");
    let id = interrupted(&fleet, archive);
    let asked = |answer: &str| on_a_terminal(&fleet, &["all", "-a", archive, FAST], answer);
    let no = asked("n\n");
    assert!(no.contains("go on with it? [y/N]"), "{no}");
    assert!(no.contains(&format!("--resume {id}")), "{no}");
    let yes = asked("y\n");
    assert!(yes.contains("Total=6 Success=6 Failed=0"), "{yes}");
    assert!((0..fleet.bmcs.len()).all(|i| fleet.state(i).uploads.len() == 1));
}

#[test]
fn a_hangup_changes_nothing_and_a_signal_leaves_who_has_begun() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(5, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let mut command = fleet.cluster.command("rflash");
    command.args([
        "all",
        "-a",
        archive.to_str().expect("path"),
        FAST,
        "-V",
        "--batch",
        "1",
        "--pause",
        "600",
    ]);
    let mut running = Running::start(command.stdin(Stdio::null()));
    running.stdout_line("Uploading ");
    running.signal(Signal::SIGHUP);
    running.stdout_line("Attempting to activate firmware");
    running.signal(Signal::SIGTERM);
    let ended = running.finish();
    ended.code(1);
    assert!(
        ended.stdout.contains("Total=6 Success=1 Failed=5"),
        "{} {}",
        ended.stdout,
        ended.stderr
    );
    assert!(
        ended.stdout.contains("not touched: the run was stopped"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_password_is_nowhere_to_be_seen() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(6, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let report = fleet.cluster.path("report.html");
    let mut command = fleet.cluster.command("rflash");
    command.args([
        "all",
        "-d",
        firmware.to_str().expect("path"),
        FAST,
        "-V",
        "--report",
        report.to_str().expect("path"),
    ]);
    // Some refuse the login, and repeat what they were given.
    fleet.bmcs.fault(0, Rule::from(Fault::LoginRefused));
    let running = Running::start(command.stdin(Stdio::null()));
    let pid = running.pid();
    let watcher = std::thread::spawn(move || {
        let mut looks = 0;
        while std::path::Path::new(&format!("/proc/{pid}/stat")).exists() && looks < 2000 {
            for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
                let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&words).contains(PASSWORD));
            }
            looks += 1;
            std::thread::sleep(Duration::from_millis(10));
            if std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.contains(") Z "))
            {
                break;
            }
        }
        looks
    });
    let ended = running.finish();
    assert!(watcher.join().expect("no password in a command line") > 0);
    assert!(!ended.stdout.contains(PASSWORD) && !ended.stderr.contains(PASSWORD));
    let mut looked = 0;
    let mut folders = vec![fleet.cluster.path("var"), report];
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(
                std::fs::read_dir(&path)
                    .expect("directory")
                    .flatten()
                    .map(|entry| entry.path()),
            );
        } else {
            let bytes = std::fs::read(&path).expect("file");
            assert!(
                !String::from_utf8_lossy(&bytes).contains(PASSWORD),
                "{}",
                path.display()
            );
            looked += 1;
        }
    }
    assert!(looked > 10, "logs, journal, pins and report were looked at");
}

/// A web server with one directory, as the management node has one; threads, until the test ends.
fn web_server(directory: std::path::PathBuf) -> std::net::SocketAddr {
    use std::io::{BufRead, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            // All of it: what nobody reads would make the end a reset.
            let lines = std::io::BufReader::new(&socket).lines();
            let lines: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let path = lines[0].split(' ').nth(1).unwrap_or_default().to_string();
            let file = std::fs::read(directory.join(path.trim_start_matches('/')));
            let answer = match file {
                Ok(bytes) => [&b"HTTP/1.0 200 OK\r\n\r\n"[..], &bytes].concat(),
                Err(_) => b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec(),
            };
            let _ = socket.write_all(&answer);
        }
    });
    address
}

#[test]
fn bmcs_that_take_no_upload_fetch_the_archives() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(8, 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let (fetches, pushed) = (of(Flavour::Bmcweb2026), of(Flavour::VendorRedfish));
    fleet.bmcs.fault(fetches, Rule::from(Fault::PullsOnly));
    let range = format!("n{},n{}", fetches + 1, pushed + 1);
    let archives = firmware.to_str().expect("path");
    let url = format!("http://{}/", web_server(firmware.clone()));
    // Without an address it is out before anything is sent.
    let refused = fleet.rflash(&[&range, "-d", archives, FAST]);
    assert!(
        refused.code(1).stderr.contains("--pull URL tells it where"),
        "{}",
        refused.stderr
    );
    let wrong = format!("{url}elsewhere/");
    let wrong = fleet.rflash(&[&range, "-d", archives, FAST, "--pull", &wrong]);
    assert!(
        wrong
            .code(1)
            .stderr
            .contains("fetching an archive: refused: status 400"),
        "{}",
        wrong.stderr
    );
    fleet
        .rflash(&[&range, "-d", archives, FAST, "--pull", &url])
        .code(0);
    for i in [fetches, pushed] {
        let state = fleet.state(i);
        assert_eq!(runs(&state, "BMC").as_deref(), Some("b-2"));
        assert_eq!(runs(&state, "Host").as_deref(), Some("h-2"));
    }
    assert_eq!(fleet.state(fetches).uploads.len(), 2);
}
