//! The built program on PostgreSQL: what it starts, what it shows, what is left when it is killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use postgres_server::{PASSWORD, Server};
use support::{Ended, Tables, ended, fixture};

/// The fixture `ops` in a database of its own; none if PostgreSQL is not installed.
struct World {
    server: &'static Server,
    tables: Tables,
    database: String,
}

impl World {
    fn new() -> Option<World> {
        let server = postgres_server::shared()?;
        let world = World {
            server,
            tables: Tables::empty(),
            database: server.database(),
        };
        world.run(&["init"]).ok("");
        world
            .run(&["load", fixture("ops").to_str().unwrap()])
            .ok("");
        Some(world)
    }

    fn xtab(&self, args: &[&str]) -> Command {
        let mut command = self.tables.xtab(args);
        command.env("XCATCFG", self.server.setting(&self.database));
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        ended(&mut self.xtab(args))
    }

    /// Under strace with these options; it follows threads and children.
    fn traced(&self, options: &[&str], args: &[&str]) -> Ended {
        let mut command = self.tables.command("strace");
        command
            .env("XCATCFG", self.server.setting(&self.database))
            .args(["-f", "-qq", "-o"])
            .arg(self.tables.path("trace"))
            .args(options)
            .arg(env!("CARGO_BIN_EXE_xtab"))
            .args(args);
        ended(&mut command)
    }

    fn trace(&self) -> String {
        std::fs::read_to_string(self.tables.path("trace")).unwrap()
    }

    fn content(&self) -> String {
        let tables = ["nodehm", "nodelist", "postscripts", "switch"];
        let all = tables.map(|table| format!("SELECT * FROM {table} ORDER BY node;"));
        self.server.sql(&self.database, &all.concat())
    }
}

const CHANGE: [&str; 6] = [
    "set",
    "n[1-4]",
    "nodehm.cons=new",
    "nodelist.status=new",
    "switch.vlan=new",
    "postscripts.postscripts=new",
];

#[test]
fn the_commands_work_as_on_files() {
    let Some(world) = World::new() else { return };
    let files = Tables::loaded("ops");
    world.run(&CHANGE).ok("");
    files.run(&CHANGE).ok("");
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    for args in [
        &["nodes", "all"][..],
        &["get", "all", "nodehm.mgt", "switch.vlan"],
        &["get", "all", "nodelist.groups", "--json"],
        &["dump", "nodehm"],
        &["dump", "site"],
        &["dump", "mac"],
    ] {
        let (found, wanted) = (world.run(args), files.run(args));
        assert_eq!(found.code, wanted.code, "{args:?}: {found:?}");
        assert_eq!(sorted(found.out), sorted(wanted.out), "{args:?}");
    }
    assert!(files.run(&["dump", "taskstate"]).out.starts_with("#node"));
}

#[test]
fn no_thread_or_child_is_started_and_nothing_is_shown() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = port.unwrap().port();
    let settings = ["listen_addresses=127.0.0.1", &format!("port={port}")];
    let Some(server) = Server::start(&settings) else {
        return;
    };
    let database = server.database();
    let tables = Tables::empty();
    // A host's name is what would need a thread.
    let setting = format!(
        "Pg:dbname={database};host=localhost;port={port}|{}|{PASSWORD}",
        postgres_server::USER
    );
    for args in [&["init"][..], &["dump", "site"], &["nodes", "all"]] {
        let trace = tables.path("trace");
        let mut command = tables.command("strace");
        command
            .env("XCATCFG", &setting)
            .args(["-f", "-qq", "-e", "trace=process", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_xtab"))
            .args(args);
        let ended = ended(&mut command);
        assert!(ended.err.is_empty() || ended.code == Some(1), "{ended:?}");
        let text = std::fs::read_to_string(&trace).unwrap();
        assert!(text.contains("execve("), "{text}");
        for call in ["clone(", "clone3(", "fork(", "vfork("] {
            assert!(!text.contains(call), "{args:?}: {text}");
        }
        assert!(!text.contains(PASSWORD));
    }
    let wrong = setting.replace(PASSWORD, "wrong-pass");
    let ended = ended(tables.xtab(&["dump", "site"]).env("XCATCFG", &wrong));
    ended.fails(
        3,
        &format!("dbname={database};host=localhost;port={port}: "),
    );
    assert!(
        ended.err.contains("password authentication failed") && !ended.err.contains("wrong-pass"),
        "{ended:?}"
    );
}

#[test]
fn a_killed_writer_leaves_all_or_nothing() {
    let Some(world) = World::new() else { return };
    let before = world.content();
    let sends = |world: &World| {
        assert_eq!(world.traced(&["-e", "trace=sendto"], &CHANGE).code, Some(0));
        world
            .trace()
            .lines()
            .filter(|line| line.contains("sendto("))
            .count()
    };
    let model = World::new().unwrap();
    let count = sends(&model);
    let after = model.content();
    assert!(count > 20 && before != after, "{count}");
    let (mut old, mut new) = (0, 0);
    // The commit is among the last; `KILL_STRIDE=1` visits all of them.
    let stride = std::env::var("KILL_STRIDE").ok();
    let stride: usize = stride.and_then(|text| text.parse().ok()).unwrap_or(4);
    let visited = (1..=count).filter(|when| when % stride == 0 || count - when < 5);
    for when in visited {
        // A kill after the commit is as good as none: the rest of the sends is the farewell.
        let inject = format!("inject=sendto:signal=SIGKILL:when={when}");
        let ended = world.traced(&["-e", &inject], &CHANGE);
        let found = world.content();
        if found == before {
            assert_ne!(ended.code, Some(0), "{when}: said to be done, and is not");
            old += 1;
        } else {
            assert_eq!(found, after, "{when}: neither the old nor the new world");
            new += 1;
        }
        if new > 1 {
            break;
        }
    }
    assert!(old > 5 && new > 0, "{old} old, {new} new");
    // Nor does a dead writer's lock stay.
    world.run(&["set", "n1", "nodehm.cons=again"]).ok("");
}

#[test]
fn writers_at_once_all_succeed() {
    let Some(world) = World::new() else { return };
    let children: Vec<_> = (1..=4)
        .map(|n| {
            let value = format!("nodelist.comments=v{n}");
            let mut command = world.xtab(&["set", &format!("n{n}"), &value, "switch.vlan=new"]);
            command.spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let shown = world.run(&["get", "n[1-4]", "nodelist.comments"]).out;
    assert_eq!(shown, "n1: v1\nn2: v2\nn3: v3\nn4: v4\n");
}
