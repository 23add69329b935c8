//! What shells complete: every option and command that a program's help has, and names of nodes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{Cluster, Finished, parts, program};

/// The programs and all that belongs to them, installed in a directory of their own.
struct Installed {
    dir: tempfile::TempDir,
    cluster: Cluster,
}

const PLACES: [&str; 13] = [
    "SBINDIR",
    "LIBEXECDIR",
    "MANDIR",
    "UNITDIR",
    "TMPFILESDIR",
    "SYSUSERSDIR",
    "LOGROTATEDIR",
    "BASHDIR",
    "ZSHDIR",
    "FISHDIR",
    "DOCDIR",
    "DATADIR",
    "OCFDIR",
];

fn installed() -> Installed {
    let dir = tempfile::tempdir().expect("a directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let places = PLACES.map(|name| format!("{name}={}/{name}", dir.path().display()));
    let built = program("xtab");
    let done = Command::new(root.join("scripts/install-files"))
        .arg("")
        .arg(built.parent().expect("a directory"))
        .args(places)
        .arg("STATIC=/nonexistent")
        .output();
    Finished::from(done.expect("starts")).code(0);
    let cluster = Cluster::new(3);
    Installed { dir, cluster }
}

impl Installed {
    fn at(&self, place: &str, name: &str) -> PathBuf {
        self.dir.path().join(place).join(name)
    }

    /// Lines that a shell offers for a command line, without what it says of each.
    fn offers(&self, shell: &str, words: &[&str]) -> BTreeSet<String> {
        let name = words[0];
        let mut command = match shell {
            "bash" => {
                let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
                    _xcat_nodetools; printf '%s\\n' \"${COMPREPLY[@]}\"";
                let mut command = Command::new("bash");
                command.args(["--norc", "-c", script, "bash"]);
                command.arg(self.at("BASHDIR", name));
                command
            }
            "zsh" => {
                let script = "compadd() { print -rl -- ${(P)@[-1]} }; _files() { }
                    file=$1; shift; words=(\"$@\"); CURRENT=$#; source $file";
                let mut command = Command::new("zsh");
                command.args(["-f", "-c", script, "zsh"]);
                command.arg(self.at("ZSHDIR", &format!("_{name}")));
                command
            }
            _ => {
                let script = "source $argv[1]
                    complete -C (string join ' ' -- (string escape -- $argv[2..-2]) $argv[-1])";
                let mut command = Command::new("fish");
                command.args(["--no-config", "-c", script]);
                command.arg(self.at("FISHDIR", &format!("{name}.fish")));
                command
            }
        };
        command.args(words);
        self.cluster.environment(&mut command);
        let path = std::env::var("PATH").expect("PATH");
        let directories = ["SBINDIR", "LIBEXECDIR"].map(|place| self.at(place, ""));
        let [sbin, libexec] = directories.map(|directory| directory.display().to_string());
        command.env("PATH", format!("{sbin}:{libexec}:{path}"));
        command.env("HOME", self.dir.path());
        let ended = Finished::from(command.output().expect("a shell"));
        assert_eq!(ended.stderr, "", "{shell} {words:?}");
        let lines = ended.stdout.lines().map(|line| line.split('\t').next());
        let words = lines.flatten().filter(|word| !word.is_empty());
        words.map(String::from).collect()
    }
}

fn help(words: &[&str]) -> String {
    let mut command = Command::new(program(words[0]));
    command.args(&words[1..]).arg("--help");
    let ended = Finished::from(command.output().expect("starts"));
    ended.code(0).stdout.clone()
}

/// Long options: what a line of the help begins with.
fn long_options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| {
        let spelling = line.split("  ").next()?;
        spelling
            .split([' ', ',', '='])
            .find(|word| word.starts_with("--"))
    });
    words.map(String::from).collect()
}

fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(String::from).collect()
}

fn programs() -> Vec<String> {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Makefile");
    let makefile = std::fs::read_to_string(makefile).expect("Makefile");
    let line = makefile
        .lines()
        .find_map(|line| line.strip_prefix("PROGRAMS = "));
    line.expect("PROGRAMS")
        .split(' ')
        .map(String::from)
        .collect()
}

#[test]
fn every_option_and_command_in_every_shell() {
    let installed = installed();
    for shell in ["bash", "zsh", "fish"] {
        if !parts::have(shell) {
            continue;
        }
        for name in programs() {
            let shown = help(&[&name]);
            let wanted = long_options(&shown);
            assert!(wanted.len() > 1, "{name}: {shown}");
            let offered = installed.offers(shell, &[&name, "--"]);
            assert_eq!(offered, wanted, "{shell}: {name}");
            let commands = commands(&shown);
            if let Some(first) = commands.first() {
                let offered = installed.offers(shell, &[&name, ""]);
                assert!(
                    commands.iter().all(|command| offered.contains(command)),
                    "{shell}: {name}: {offered:?}"
                );
                let offered = installed.offers(shell, &[&name, first, "--"]);
                assert_eq!(offered, long_options(&help(&[&name, first])), "{shell}");
            }
        }
        let set = installed.offers(shell, &["xtab", "--json", "set", "--d"]);
        assert_eq!(
            set,
            BTreeSet::from(["--delete", "--dry-run"].map(String::from))
        );
    }
}

#[test]
fn names_of_nodes_and_groups() {
    let installed = installed();
    let all = ["n1", "n2", "n3"].map(String::from);
    for shell in ["bash", "zsh", "fish"] {
        if !parts::have(shell) {
            continue;
        }
        for words in [
            &["getadapter", "n"][..],
            &["rflash", "--fanout", "3", "n"],
            &["xtab", "get", "n"],
            &["nodereboot", "--dry-run", "n"],
        ] {
            let offered = installed.offers(shell, words);
            assert!(
                all.iter().all(|node| offered.contains(node)),
                "{shell}: {words:?}: {offered:?}"
            );
        }
        let second = installed.offers(shell, &["getadapter", "n1,n"]);
        assert!(second.contains("n1,n2"), "{shell}: {second:?}");
        let group = installed.offers(shell, &["snmove", "al"]);
        assert!(group.contains("all"), "{shell}: {group:?}");
        // A number is wanted, and none is guessed.
        let number = installed.offers(shell, &["rflash", "n1", "--fanout", "n"]);
        assert!(!number.contains("n1"), "{shell}: {number:?}");
    }
}

#[test]
fn another_program_of_that_name_is_not_run() {
    let installed = installed();
    let other = installed.at("SBINDIR", "rflash");
    std::fs::remove_file(installed.at("LIBEXECDIR", "rflash")).expect("ours");
    let _ = std::fs::remove_file(&other);
    let ran = installed.dir.path().join("ran");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] || echo \"$@\" >>{}\n",
        ran.display()
    );
    std::fs::write(&other, script).expect("the other one");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&other, mode).expect("executable");
    assert_eq!(installed.offers("bash", &["rflash", "--"]), BTreeSet::new());
    assert!(!ran.exists());
}
