//! The resource agent, without a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Stdio};

use support::{Ended, Lock, Site, eventually};

const SERVER: &str = "#!/bin/sh\necho srv:$$ >&3\nexec sleep 600\n";

struct Resource {
    lock: Lock,
    host: Site,
    model: &'static str,
}

impl Resource {
    fn new(model: &'static str) -> Resource {
        let lock = Lock::made("csnap", 1);
        let host = Site::new(&lock, "h1");
        let server = lock.dir().join("server");
        std::fs::write(&server, SERVER).unwrap();
        std::fs::set_permissions(&server, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        Resource { lock, host, model }
    }

    fn command(&self, host: &Site, action: &str, more: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneserver"));
        command
            .args(["ocf", action])
            .env("NODETOOLS_ROOT", host.root())
            .env("OCF_RESKEY_kind", "csnap")
            .env("OCF_RESKEY_lockdir", self.lock.dir())
            .env("OCF_RESKEY_server", self.lock.dir().join("server"))
            .env("OCF_RESKEY_model", self.model)
            .env("OCF_RESKEY_promote_timeout", "20")
            .envs(more.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn act(&self, action: &str) -> Ended {
        self.with(action, &[])
    }

    fn with(&self, action: &str, more: &[(&str, &str)]) -> Ended {
        self.command(&self.host, action, more)
            .output()
            .unwrap()
            .into()
    }

    #[track_caller]
    fn is(&self, action: &str, code: i32) {
        self.act(action).code(code);
    }

    #[track_caller]
    fn deep(&self, level: &str, code: i32) {
        self.with("monitor", &[("OCF_CHECK_LEVEL", level)])
            .code(code);
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        let _ = self.act("stop");
    }
}

#[test]
fn promotable() {
    let resource = Resource::new("promotable");
    resource.is("monitor", 7);
    resource.is("stop", 0);
    resource.is("validate-all", 0);
    resource
        .with("validate-all", &[("OCF_CHECK_LEVEL", "10")])
        .code(0);
    for _ in 0..2 {
        resource.is("start", 0);
        resource.is("monitor", 0);
    }
    resource.is("notify", 0);
    // Nobody stands in line: others may have the lock.
    let other = Site::new(&resource.lock, "h2");
    drop(other.serve("csnap", &[]));
    for _ in 0..2 {
        resource.is("promote", 0);
        for level in ["0", "5", "10", "20", "99"] {
            resource.deep(level, 8);
        }
    }
    resource.is("reload", 0);
    resource.is("reload-agent", 0);
    eventually(|| resource.act("monitor").status.code() == Some(8));
    resource.is("recover", 0);
    resource.is("monitor", 8);
    for _ in 0..2 {
        resource.is("demote", 0);
        resource.is("monitor", 0);
    }
    resource.is("promote", 0);
    resource.is("stop", 0);
    resource.is("monitor", 7);
    resource.is("nonsense", 3);
}

#[test]
fn single() {
    let resource = Resource::new("single");
    resource.is("status", 7);
    for _ in 0..2 {
        resource.is("start", 0);
        resource.is("status", 0);
    }
    for level in ["10", "20"] {
        resource.deep(level, 0);
    }
    resource.is("recover", 0);
    resource.is("status", 0);
    for action in ["promote", "demote", "notify"] {
        resource.is(action, 3);
    }
    resource.is("stop", 0);
    resource.is("stop", 0);
    resource.is("status", 7);
}

#[test]
fn the_lock_decides_against_the_manager() {
    let resource = Resource::new("promotable");
    let other = Site::new(&resource.lock, "h2");
    let theirs = other.serve("csnap", &[]);
    other.until_owner("csnap");
    resource.is("start", 0);
    let refused = resource.with("promote", &[("OCF_RESKEY_promote_timeout", "1")]);
    refused.code(1);
    assert!(refused.stderr.contains("ocf-exit-reason: "), "{refused:?}");
    resource.is("monitor", 0);
    // It does not stand in line behind the manager's back.
    other.ok(&["stop", "csnap"]);
    theirs.finish().code(0);
    resource.is("monitor", 0);
    resource.is("promote", 0);
}

#[test]
fn a_dead_supervisor_is_no_clean_end() {
    let resource = Resource::new("promotable");
    resource.is("start", 0);
    resource.is("promote", 0);
    let status = resource.host.ok(&["status", "csnap", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let [supervisor, server] =
        ["supervisor", "server"].map(|name| i32::try_from(status[name].as_i64().unwrap()).unwrap());
    let kill =
        |pid, signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    // A server that is stopped is still the owner; gone without a trace it is started again.
    kill(server, nix::sys::signal::Signal::SIGSTOP);
    resource.is("monitor", 8);
    kill(supervisor, nix::sys::signal::Signal::SIGKILL);
    eventually(|| resource.act("monitor").status.code() == Some(7));
    resource.is("start", 0);
    resource.is("promote", 0);
    resource.deep("20", 8);
}

#[test]
fn wrong_settings_have_codes_of_their_own() {
    let resource = Resource::new("promotable");
    let code = |name: &str, value: &str, action: &str, code: i32| {
        let name = format!("OCF_RESKEY_{name}");
        let ended = resource.with(action, &[(&name, value)]);
        ended.code(code);
        assert!(ended.stderr.starts_with("ocf-exit-reason: "), "{ended:?}");
    };
    code("kind", "", "validate-all", 6);
    code("kind", "../x", "validate-all", 6);
    code("server", "", "validate-all", 6);
    code("server", "relative", "start", 6);
    code("model", "both", "monitor", 6);
    code("engine", "dlm", "start", 6);
    code("lockdir", "relative", "start", 6);
    code("promote_timeout", "soon", "start", 6);
    code("server", "/nonexistent/server", "start", 5);
    code("lockdir", "/nonexistent", "start", 2);
    code("kind", "other", "start", 2);
    let damaged = resource.lock.dir().join("csnap.lock");
    std::fs::write(damaged, "4711\n").unwrap();
    resource.is("start", 2);
}

#[test]
fn meta_data_is_as_the_standard_wants_it() {
    let resource = Resource::new("promotable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneserver"));
    let shown: Ended = command
        .args(["ocf", "meta-data"])
        .env_clear()
        .output()
        .unwrap()
        .into();
    shown.code(0);
    let text = &shown.stdout;
    assert!(text.contains("<version>1.1</version>") && text.contains("maxinstances=\"1\""));
    // Every action that is described is one, and no two monitors have one interval.
    let mut intervals = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("<action ")) {
        let value = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
        let name = value("name").unwrap();
        assert!(value("timeout").is_some(), "{line}");
        assert_ne!(resource.act(name).status.code(), Some(3), "{name}");
        if name == "monitor" {
            intervals.push(value("interval").unwrap());
        }
    }
    let many = intervals.len();
    intervals.sort_unstable();
    intervals.dedup();
    assert_eq!(intervals.len(), many);
    // And so is every parameter.
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../man/ocf_xcat_oneserver.7"
    ))
    .unwrap();
    for line in text.lines().filter(|line| line.starts_with("<parameter ")) {
        let name = line.split('"').nth(1).unwrap();
        assert!(page.contains(&format!("\n.It {name}\n")), "{name}");
    }
}
