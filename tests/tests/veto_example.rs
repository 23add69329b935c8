//! The example hook for Slurm, with a squeue and a scontrol that say what the test wants.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use scenarios::Finished;

/// A `scontrol show hostnames` that knows the lists of these tests.
const SCONTROL: &str = r#"#!/bin/sh
[ "$1 $2" = 'show hostnames' ] || exit 9
case $3 in
'n[1-2]') printf 'n1\nn2\n' ;;
n7) echo n7 ;;
*) echo 'scontrol: bad list' >&2; exit 1 ;;
esac
"#;

fn hook(squeue: &str, nodes: &str) -> Finished {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [("squeue", squeue), ("scontrol", SCONTROL)] {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a command");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/veto/slurm");
    let path = format!(
        "{}:{}",
        dir.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Command::new(script);
    command
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    // It may have failed before it reads.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(nodes.as_bytes());
    child.wait_with_output().expect("ends").into()
}

#[test]
fn nodes_with_jobs_are_named_with_the_job_and_no_others() {
    let squeue = "#!/bin/sh\necho '17 anna RUNNING n[1-2]'\necho '18 bert COMPLETING n7'\necho '19 carl RUNNING '\n";
    let ended = hook(squeue, "n2\nn3\nn7.cluster\n");
    assert_eq!(
        ended.code(0).stdout,
        "n2: job 17 of anna (running)\nn7.cluster: job 18 of bert (completing)\n"
    );
}

#[test]
fn no_jobs_and_no_nodes_are_no_vetoes() {
    assert_eq!(hook("#!/bin/sh\n", "n1\nn2\n").code(0).stdout, "");
    assert_eq!(
        hook("#!/bin/sh\necho '17 anna RUNNING n7'\n", "")
            .code(0)
            .stdout,
        ""
    );
}

#[test]
fn a_slurm_that_does_not_answer_fails_the_hook() {
    let silent = hook(
        "#!/bin/sh\necho 'squeue: no controller' >&2\nexit 1\n",
        "n1\n",
    );
    assert!(!silent.status.success());
    assert!(
        silent.stderr.contains("squeue: does not answer"),
        "{}",
        silent.stderr
    );
    // A list that cannot be expanded might hold the node.
    let unread = hook("#!/bin/sh\necho '17 anna RUNNING x[1-2]'\n", "n1\n");
    assert!(!unread.status.success());
    assert_eq!(unread.stdout, "");
}
