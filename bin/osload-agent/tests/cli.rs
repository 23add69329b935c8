//! What is refused before anything is tried.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use support::{NONCE, Ran, program, run};

fn agent(dir: &std::path::Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program());
    command
        .env_clear()
        .arg("--sysroot")
        .arg(dir)
        .args(arguments);
    run(command)
}

#[test]
fn wrong_usage_is_2() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, why) in [
        (
            &["--order", "abc"][..],
            "--order <HEX>: invalid value 'abc'",
        ),
        (
            &["--images", "mn:80"],
            "--images <ADDRESS:PORT>: invalid value 'mn:80'",
        ),
        (&["--timeout", "0"], "not 1 to 31536000 seconds"),
        (&["--nonce", "x"], "not 1 to 64 hexadecimal digits"),
        (&["--detach", "--foreground"], "--foreground"),
        (&["--no-report", "--report", "a"], "--report"),
        (&["sda"], "sda: no such option or argument"),
    ] {
        let ran = agent(dir.path(), arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(
            ran.stderr.starts_with("osload-agent: ") && ran.stderr.contains(why),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn without_what_the_boot_hands_over_nothing_can_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let order = "0".repeat(64);
    let missing = |arguments: &[&str], why: &str| {
        let ran = agent(dir.path(), arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{arguments:?}"
        );
        assert_eq!(ran.stderr, format!("osload-agent: {why}\n"));
    };
    missing(
        &[],
        "no order: no option, variable or kernel word names one",
    );
    let more = [
        "--order",
        &order,
        "--images",
        "127.0.0.1:1",
        "--nonce",
        NONCE,
    ];
    missing(
        &more[..2],
        "no image server: no option, variable or kernel word names one",
    );
    missing(
        &more[..4],
        "no nonce: no option, variable or kernel word has one",
    );
    missing(
        &more,
        "no master: no option, variable, kernel word or DHCP lease names one",
    );
    std::fs::create_dir_all(dir.path().join("proc")).unwrap();
    let line = |text: &str| std::fs::write(dir.path().join("proc/cmdline"), text).unwrap();
    line("nodetools.order=zz");
    missing(
        &[],
        "nodetools.order: is no SHA-256 digest: 64 hexadecimal digits in lower case are",
    );
    line(&format!(
        "nodetools.order={order} nodetools.images=10.0.0.1:80,mn"
    ));
    missing(
        &[],
        "nodetools.images: 10.0.0.1:80,mn: invalid socket address syntax",
    );
    missing(
        &["--print-disks"],
        &format!(
            "{0}/sys/block: cannot list the disks: No such file or directory (os error 2)",
            dir.path().display()
        ),
    );
}
