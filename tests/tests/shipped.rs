//! Files that other programs read: each is given to its reader.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{Finished, parts};

fn project(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the project").join(name)
}

fn run(command: &mut Command) -> Finished {
    Finished::from(command.output().expect("starts"))
}

#[test]
fn logs_of_nodes_are_rotated() {
    if !parts::root() || !parts::have("logrotate") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("rflash");
    fs::create_dir(&logs).expect("a directory");
    fs::write(logs.join("n1.log"), "a line\n").expect("a log");
    let rule = fs::read_to_string(project("scripts/logrotate/xcat-nodetools")).expect("the rule");
    let rule = rule.replace("/var/log/xcat/rflash", &logs.display().to_string());
    let (config, state) = (dir.path().join("rule"), dir.path().join("state"));
    fs::write(&config, rule).expect("the rule");
    let mut command = Command::new("logrotate");
    command
        .arg("--force")
        .arg("--state")
        .arg(&state)
        .arg(&config);
    run(&mut command).code(0);
    assert_eq!(
        fs::read_to_string(logs.join("n1.log.1")).expect("the old one"),
        "a line\n"
    );
    assert!(!logs.join("n1.log").exists());
}

/// Compiled against the policy's own interfaces, and with a label for every folder of callbackd's.
#[test]
fn the_policy_compiles_and_labels_what_callbackd_writes() {
    let makefile = Path::new("/usr/share/selinux/devel/Makefile");
    if !parts::have("checkmodule") || !parts::have("semodule_unpackage") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for kind in ["te", "fc"] {
        let name = format!("xcat_nodetools.{kind}");
        fs::copy(
            project("scripts/selinux").join(&name),
            dir.path().join(&name),
        )
        .expect("a copy");
    }
    let mut make = Command::new("make");
    make.arg("-f").arg(makefile).arg("xcat_nodetools.pp");
    let built = run(make.current_dir(dir.path()));
    built.code(0);
    assert!(
        !format!("{}{}", built.stdout, built.stderr)
            .to_lowercase()
            .contains("deprecated"),
        "{built:?}"
    );
    let mut unpack = Command::new("semodule_unpackage");
    unpack.args(["xcat_nodetools.pp", "module", "contexts"]);
    run(unpack.current_dir(dir.path())).code(0);
    let contexts = fs::read_to_string(dir.path().join("contexts")).expect("contexts");
    let unit = fs::read_to_string(project("scripts/units/callbackd.service")).expect("the unit");
    let written = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ReadWritePaths="))
        .flat_map(|paths| paths.split(' '))
        .map(|path| path.trim_start_matches('-').to_string());
    for path in written.chain(["/var/lib/xcat-nodetools".into(), "/run/getadapter".into()]) {
        let label = format!("{path}(/.*)?");
        assert!(
            contexts
                .lines()
                .any(|line| line.split_whitespace().next() == Some(&label)),
            "{label}: {contexts}"
        );
    }
}

#[test]
fn the_daemons_user_is_made_by_systemd() {
    if !parts::root() || !parts::have("systemd-sysusers") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("etc")).expect("etc");
    let mut command = Command::new("systemd-sysusers");
    command.arg(format!("--root={}", dir.path().display()));
    command.arg(project("scripts/sysusers.d/xcat-nodetools.conf"));
    run(&mut command).code(0);
    let users = fs::read_to_string(dir.path().join("etc/passwd")).expect("users");
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("xcat-nodetools:") && line.ends_with("nologin")),
        "{users}"
    );
}

#[test]
fn names_of_xcats_are_linked_only_where_nobody_has_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let (sbin, libexec) = (dir.path().join("sbin"), dir.path().join("libexec"));
    fs::create_dir(&sbin).expect("sbin");
    fs::create_dir(&libexec).expect("libexec");
    for name in ["one", "two", "three"] {
        fs::write(libexec.join(name), "").expect("a program");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(libexec.join(name), mode).expect("executable");
    }
    // A site's own ways.
    fs::write(sbin.join("two"), "the site's").expect("a file");
    symlink("/elsewhere", sbin.join("three")).expect("a link");
    let link_names = |remove: bool| {
        let mut command = Command::new(project("scripts/link-names"));
        command.args(remove.then_some("--remove"));
        command
            .args([&sbin, &libexec])
            .args(["one", "two", "three"]);
        run(&mut command).code(0);
    };
    for _ in 0..2 {
        link_names(false);
        assert_eq!(
            fs::read_link(sbin.join("one")).expect("a link"),
            libexec.join("one")
        );
    }
    link_names(true);
    assert!(sbin.join("one").symlink_metadata().is_err());
    assert_eq!(fs::read(sbin.join("two")).expect("theirs"), b"the site's");
    assert_eq!(
        fs::read_link(sbin.join("three")).expect("theirs"),
        Path::new("/elsewhere")
    );
}
