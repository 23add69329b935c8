//! scripts/install-files is the only list of installed files: it removes exactly what it installs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{Finished, program};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Calls the script from another directory than the project's, as packagers do.
fn install_files(from: &Path, arguments: &[&str]) -> Finished {
    let script = root()
        .canonicalize()
        .expect("the project")
        .join("scripts/install-files");
    // A static agent that lies about must not change the outcome.
    let arguments = arguments.iter().chain(&["STATIC=/nonexistent"]);
    Command::new(script)
        .args(arguments)
        .current_dir(from)
        .output()
        .expect("starts")
        .into()
}

fn programs() -> String {
    program("getadapter")
        .parent()
        .expect("a directory")
        .to_str()
        .expect("text")
        .into()
}

/// Every file below a directory.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

#[test]
fn what_is_installed_is_what_is_listed_and_what_is_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let stage = dir.path().join("the stage");
    let (stage_text, programs) = (stage.to_str().expect("text"), programs());
    install_files(dir.path(), &[stage_text, &programs]).code(0);

    let installed = files(&stage);
    let listed = install_files(dir.path(), &["--list", stage_text, &programs]);
    let listed: BTreeSet<PathBuf> = listed.code(0).stdout.lines().map(PathBuf::from).collect();
    assert_eq!(installed, listed);
    for file in &installed {
        let name = file.strip_prefix(&stage).expect("staged");
        let executable = ["usr/sbin", "usr/libexec", "usr/lib/ocf"]
            .iter()
            .any(|dir| name.starts_with(dir));
        let metadata = fs::symlink_metadata(file).expect("a file");
        assert!(
            metadata.is_file(),
            "{}: no link is installed",
            name.display()
        );
        assert_eq!(
            metadata.permissions().mode() & 0o7777,
            if executable { 0o755 } else { 0o644 },
            "{}",
            name.display()
        );
    }
    for wanted in [
        "usr/sbin/getadapter",
        "usr/libexec/xcat-nodetools/rflash",
        "usr/libexec/xcat-nodetools/snmove",
        "usr/share/man/man5/getadapter-report.5",
        "usr/lib/systemd/system/callbackd.service",
        "usr/lib/systemd/system/oneserver@.service",
        "usr/lib/ocf/resource.d/xcat/oneserver",
        "usr/share/doc/xcat-nodetools/LICENSE-MIT",
        "usr/share/xcat-nodetools/xCAT_plugin/nodetools.pm",
    ] {
        assert!(installed.contains(&stage.join(wanted)), "{wanted}");
    }
    let agent = fs::read(program("findadapter-agent")).expect("the agent");
    for name in ["findadapter-agent", "getadapter"] {
        let copy = fs::read(stage.join("usr/libexec/xcat-nodetools/genesis").join(name))
            .expect("the copy for nodes");
        assert!(copy == agent, "{name} for nodes is the agent");
    }
    let loader = fs::read(program("osload-agent")).expect("the other agent");
    let copy = fs::read(stage.join("usr/libexec/xcat-nodetools/genesis/osload-agent"));
    assert!(copy.expect("the copy for nodes") == loader);

    // Twice is once; somebody else's file stays, with its directory.
    install_files(dir.path(), &[stage_text, &programs]).code(0);
    let foreign = stage.join("usr/share/doc/xcat-nodetools/site-notes");
    fs::write(&foreign, "ours").expect("a note");
    install_files(dir.path(), &["--remove", stage_text, &programs]).code(0);
    assert_eq!(files(&stage), BTreeSet::from([foreign.clone()]));
    assert!(!stage.join("usr/libexec/xcat-nodetools").exists());
    fs::remove_file(foreign).expect("remove");
    install_files(dir.path(), &["--remove", stage_text, &programs]).code(0);
    assert!(!stage.join("usr/share/doc/xcat-nodetools").exists());
}

#[test]
fn nothing_is_installed_if_something_is_missing_or_misspelt() {
    let dir = tempfile::tempdir().expect("a directory");
    let stage = dir.path().join("stage");
    let stage_text = stage.to_str().expect("text");
    fs::create_dir(dir.path().join("empty")).expect("a directory");
    let missing = install_files(dir.path(), &[stage_text, "empty"]);
    missing.code(3);
    assert!(
        missing.stderr.contains("empty/getadapter: is not there"),
        "{}",
        missing.stderr
    );
    install_files(dir.path(), &[stage_text, &programs(), "SBINDUR=/usr/sbin"]).code(2);
    install_files(dir.path(), &[stage_text, &programs(), "SBINDIR=usr/sbin"]).code(2);
    install_files(dir.path(), &["--purge", stage_text, &programs()]).code(2);
    assert!(!stage.exists());
}

#[test]
fn the_unit_names_the_installed_program_and_systemd_takes_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| format!("{name}={}/{name}", dir.path().display());
    let variables = [
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
        "OCFDIR",
        "DATADIR",
    ]
    .map(at);
    let mut arguments = vec!["", ""];
    let programs = programs();
    arguments[1] = &programs;
    arguments.extend(variables.iter().map(String::as_str));
    install_files(dir.path(), &arguments).code(0);
    let unit = dir.path().join("UNITDIR/callbackd.service");
    let text = fs::read_to_string(&unit).expect("the unit");
    let installed = dir.path().join("SBINDIR/callbackd");
    assert!(
        text.lines()
            .any(|line| line == format!("ExecStart={}", installed.display())),
        "{text}"
    );
    assert!(installed.is_file());
    let plugin = fs::read_to_string(dir.path().join("DATADIR/xCAT_plugin/nodetools.pm"));
    let plugin = plugin.expect("the plugin");
    for name in ["SBINDIR", "LIBEXECDIR"] {
        let own = format!("{}/{name}/$_", dir.path().display());
        assert!(plugin.contains(&own), "{own}");
    }
    assert!(!plugin.contains("/usr/sbin/$_") && !plugin.contains("/usr/libexec/"));
    // Not on every machine; where it is it must have nothing to say.
    let Ok(verified) = Command::new("systemd-analyze")
        .args(["--man=no", "verify"])
        .args([&unit, &dir.path().join("UNITDIR/callbackd.socket")])
        .output()
    else {
        eprintln!("systemd-analyze is not here: the unit was not verified");
        return;
    };
    let verified = Finished::from(verified);
    let about_ours: Vec<&str> = verified
        .stderr
        .lines()
        .filter(|line| line.contains("callbackd"))
        .collect();
    assert!(about_ours.is_empty(), "{about_ours:?}");
    verified.code(0);
}

#[test]
fn the_setuid_bit_is_asked_for_and_only_one_program_gets_it() {
    if !scenarios::parts::root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let stage = dir.path().join("stage");
    let arguments = [stage.to_str().expect("text"), &programs(), "SETUID=1"];
    install_files(dir.path(), &arguments).code(0);
    for file in files(&stage) {
        let metadata = fs::metadata(&file).expect("a file");
        let wanted = file.ends_with("sbin/nodereboot-priv");
        assert_eq!(
            metadata.permissions().mode() & 0o7000 == 0o4000,
            wanted,
            "{}",
            file.display()
        );
        assert!(!wanted || std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    }
    install_files(dir.path(), &[arguments[0], arguments[1], "SETUID=2"]).code(2);
}

#[test]
fn sudo_takes_the_example_and_it_names_one_program() {
    if !scenarios::parts::have("visudo") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let stage = dir.path().join("stage");
    let arguments = [
        stage.to_str().expect("text"),
        &programs(),
        "SBINDIR=/opt/here/sbin",
    ];
    install_files(dir.path(), &arguments).code(0);
    let example = stage.join("usr/share/doc/xcat-nodetools/examples/sudoers.d/nodereboot");
    let checked = Command::new("visudo")
        .args(["-c", "-f"])
        .arg(&example)
        .output();
    Finished::from(checked.expect("visudo")).code(0);
    let text = fs::read_to_string(&example).expect("the example");
    let rules: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let named: Vec<&str> = rules
        .iter()
        .flat_map(|line| line.split(' '))
        .filter(|word| word.starts_with('/'))
        .collect();
    assert_eq!(named, ["/opt/here/sbin/nodereboot-priv"]);
}
