//! SIGKILL before every system call of snmove that changes the world: the tables are all old or all new, the journal
//! tells which, and the same command a second time does the rest.
//!
//! `KILL_STRIDE=1` visits every call (`make campaign`); the default run visits every few, each time others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use scenarios::{Cluster, Finished, parts, strace};

const GO: [&str; 5] = ["-s", "sn1", "-D", "127.3.0.12", "--no-dest-check"];

struct Site {
    cluster: Cluster,
    calls: PathBuf,
}

impl Site {
    fn new() -> Site {
        let cluster = Cluster::new(0);
        let restore = |table: &str, header: &str, rows: &[&[&str]]| {
            let owned = |row: &&[&str]| row.iter().map(ToString::to_string).collect();
            cluster.restore(table, header, rows.iter().map(owned));
        };
        restore(
            "nodelist",
            "#node,groups",
            &[
                &["sn1", "service"],
                &["sn2", "service"],
                &["n1", "all"],
                &["n2", "all"],
            ],
        );
        restore(
            "hosts",
            "#node,ip",
            &[
                &["sn1", "127.2.0.11"],
                &["sn2", "127.2.0.12"],
                &["n1", "127.3.1.1"],
                &["n2", "127.3.1.2"],
            ],
        );
        restore(
            "noderes",
            "#node,servicenode,xcatmaster",
            &[&["all", "sn1,sn2", "127.3.0.11"]],
        );
        restore(
            "nodehm",
            "#node,conserver",
            &[&["n1", "sn1"], &["n2", "sn1"]],
        );
        restore("nodetype", "#node,provmethod", &[&["all", "img"]]);
        restore(
            "postscripts",
            "#node,postscripts",
            &[&["xcatdefaults", "syslog"]],
        );
        let site = Site {
            calls: cluster.path("calls.log"),
            cluster,
        };
        let ssh = "#!/bin/sh\ncat >/dev/null\necho 'udhcpc asked again'\n";
        site.script("usr/bin/ssh", ssh);
        for name in ["makeconservercf", "nodeset", "updatenode"] {
            let text = format!(
                "#!/bin/sh\necho \"{name} $2\" >>'{}'\n",
                site.calls.display()
            );
            site.script(&format!("opt/xcat/bin/{name}"), &text);
        }
        site
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.cluster.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = self.cluster.command("snmove");
        command.args(GO);
        command
    }

    fn rows(&self) -> String {
        let dump = |table| self.cluster.run("xtab", &["dump", table]).stdout;
        dump("noderes") + &dump("nodehm")
    }

    /// The newest move's log; none if no move was begun.
    fn log(&self) -> Option<String> {
        let moves = self.cluster.path("var/lib/xcat-nodetools/snmove");
        let names = fs::read_dir(&moves)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        names.sort();
        Some(fs::read_to_string(moves.join(names.last()?).join("log")).unwrap())
    }

    /// As if nothing had ever been moved.
    fn reset(&self, before: &str) {
        if self.rows() != before {
            self.cluster.run("snmove", &["--undo"]).code(0);
        }
        assert_eq!(self.rows(), before);
        let _ = fs::remove_dir_all(self.cluster.path("var/lib/xcat-nodetools/snmove"));
        let _ = fs::remove_file(&self.calls);
    }
}

#[test]
fn killed_at_every_step() {
    if !parts::have("strace") {
        return;
    }
    let site = Site::new();
    let before = site.rows();
    let steps = strace::steps_of(strace::CHANGES, &site.command(), site.cluster.root());
    let after = site.rows();
    assert_ne!(before, after);
    let (mut old, mut new) = (0, 0);
    for at in strace::visited(steps, 7) {
        site.reset(&before);
        strace::killed(&at, &site.command())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let rows = site.rows();
        let log = site.log();
        let is_noted = log.as_ref().is_some_and(|log| log.contains("\"written\""));
        match &rows {
            rows if *rows == before => old += 1,
            rows if *rows == after => new += 1,
            rows => panic!("call {at}: neither old nor new:\n{rows}"),
        }
        assert!(
            !is_noted || rows == after,
            "call {at}: the journal says what is not so"
        );
        assert!(
            rows == before || log.is_some(),
            "call {at}: changed without a journal"
        );
        let taken = fs::read_to_string(&site.calls).unwrap_or_default();
        assert!(
            taken.is_empty() || is_noted,
            "call {at}: {taken} before the rows"
        );
        let again: Finished = site.command().stdin(Stdio::null()).output().unwrap().into();
        again.code(0);
        assert_eq!(site.rows(), after, "call {at}");
        assert!(
            site.log().unwrap().ends_with("\"ended\"\n"),
            "call {at}: {:?}",
            site.log()
        );
        // Each step was taken, in this order, one of them perhaps twice.
        let taken = fs::read_to_string(&site.calls).unwrap();
        let mut order: Vec<&str> = taken.lines().collect();
        order.dedup();
        let wanted = [
            "makeconservercf ",
            "nodeset osimage=img",
            "updatenode -s",
            "updatenode -P",
        ];
        let mut at_step = order.iter().peekable();
        for step in wanted {
            while at_step.next_if(|line| **line != step).is_some() {}
            assert!(
                at_step.next().is_some(),
                "call {at}: {step} is missing in\n{taken}"
            );
        }
        assert!(
            taken.lines().count() <= wanted.len() + 2,
            "call {at}:\n{taken}"
        );
    }
    assert!(
        old > 0 && new > 0,
        "{old} runs before the write, {new} after it"
    );
}
