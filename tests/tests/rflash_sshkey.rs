//! `rflash --sshkey` against real ssh servers that stand for BMCs, each with a home of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use scenarios::{Cluster, Finished, Host, parts};

const PASSWORD: &str = "0penBmc of 'the' $BMC";

/// A BMC's ssh server: in the host's network, with files of its own. Ends with this value.
struct Sshd {
    home: PathBuf,
    child: Child,
}

const SCRIPT: &str = r#"set -e
mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/home" "$HOME"
mount -t tmpfs none /run
mkdir /run/sshd
exec /usr/sbin/sshd -D -e -f "$1/sshd_config""#;

impl Sshd {
    /// Listens at `address`; with `keys` false it takes no key, whatever is in its home.
    fn start(cluster: &Cluster, host: &Host<'_>, address: &str, keys: bool) -> Sshd {
        let dir = cluster.path(&format!("sshd-{address}"));
        let home = dir.join("home");
        std::fs::create_dir_all(&home).expect("home");
        let hash = Command::new("openssl")
            .args(["passwd", "-6", PASSWORD])
            .output()
            .expect("openssl");
        let hash = String::from_utf8(hash.stdout).expect("text");
        let write = |name: &str, text: String| std::fs::write(dir.join(name), text).expect("file");
        write(
            "shadow",
            format!("root:{}:19000:0:99999:7:::\n", hash.trim()),
        );
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
            .arg(dir.join("host"))
            .status();
        assert!(made.is_ok_and(|status| status.success()));
        let file = if keys {
            "%h/.ssh/authorized_keys"
        } else {
            "none"
        };
        write(
            "sshd_config",
            format!(
                "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {file}\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication yes\nPermitRootLogin yes\nUseDNS no\n",
                dir.join("host").display()
            ),
        );
        let mut command = host.shell();
        command
            .args(["unshare", "--mount", "sh", "-c", SCRIPT, "sshd"])
            .arg(&dir)
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("sshd");
        let mut said = std::io::BufReader::new(child.stderr.take().expect("stderr"));
        let mut line = String::new();
        while !line.contains("Server listening") {
            line.clear();
            let count = std::io::BufRead::read_line(&mut said, &mut line).expect("sshd");
            assert!(count > 0, "sshd ended");
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Sshd { home, child }
    }

    fn keys(&self) -> String {
        std::fs::read_to_string(self.home.join(".ssh/authorized_keys")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program did, without a word of the password.
#[track_caller]
fn run(host: &Host<'_>, program: &Path, args: &[&str], code: i32) -> Finished {
    let mut command = host.shell();
    let ended: Finished = command
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("rflash")
        .into();
    ended.code(code);
    assert!(!ended.stdout.contains("0penBmc") && !ended.stderr.contains("0penBmc"));
    ended
}

#[test]
fn a_key_is_given_once_and_logged_in_with() {
    let needed = ["unshare", "nsenter", "ip", "ssh", "ssh-keygen", "openssl"];
    if !parts::root() || !needed.iter().all(|part| parts::have(part)) {
        return;
    }
    let cluster = Cluster::new(5);
    let host = Host::new(&cluster, "mn");
    let addresses: Vec<String> = (1..=5).map(|i| format!("127.60.90.{i}")).collect();
    cluster.restore(
        "nodehm",
        "#node,mgt",
        (1..=5).map(|i| {
            let mgt = if i == 5 { "hmc" } else { "openbmc" };
            vec![format!("n{i}"), mgt.into()]
        }),
    );
    cluster.restore(
        "openbmc",
        "#node,bmc,username,password",
        (1..=5).zip(&addresses).map(|(i, address)| {
            let password = if i == 3 { "0penBmc wrong" } else { PASSWORD };
            vec![
                format!("n{i}"),
                address.clone(),
                "root".into(),
                password.into(),
            ]
        }),
    );
    let good = Sshd::start(&cluster, &host, &addresses[0], true);
    // Its file ends without a line's end, and with somebody else's key.
    std::fs::create_dir(good.home.join(".ssh")).expect("directory");
    std::fs::write(good.home.join(".ssh/authorized_keys"), "ssh-rsa AAAA other").expect("file");
    let deaf = Sshd::start(&cluster, &host, &addresses[1], false);
    let strict = Sshd::start(&cluster, &host, &addresses[2], true);
    // Nothing listens at n4's.
    let rflash = scenarios::program("rflash");
    let none = run(&host, &rflash, &["all", "--sshkey"], 3);
    assert!(none.stderr.contains("has no id_rsa.pub"), "{}", none.stderr);
    let keys = cluster.path("mn/root/.ssh");
    std::fs::create_dir_all(&keys).expect("directory");
    let made = Command::new("ssh-keygen")
        .args([
            "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "root@mn", "-f",
        ])
        .arg(keys.join("id_rsa"))
        .status();
    assert!(made.is_ok_and(|status| status.success()));

    let dry = run(&host, &rflash, &["n1", "--sshkey", "--dry-run"], 0);
    assert!(dry.stdout.starts_with("n1: ") && dry.stdout.contains("id_rsa.pub would be added"));
    for _ in 0..2 {
        let ended = run(
            &host,
            &rflash,
            &["all", "--sshkey", "--timeout", "connect=5"],
            1,
        );
        assert_eq!(
            ended.stdout,
            "n5: Error: nodehm.mgt says \"hmc\": no BMC that takes a key\nn1: ssh keys copied to BMC\n",
            "{}",
            ended.stderr
        );
        for text in [
            "n2: Error: Testing the ssh connection to BMC failed. Please rerun rspconfig command.: ssh: ended with 255: ",
            "n3: Error: Error copying ssh keys to BMC: ssh: ended with 255: ",
            "n4: Error: Error copying ssh keys to BMC: ssh: ended with 255: ",
            "rflash: 1 done; 4 failed: n[2-5]",
        ] {
            assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
        }
        let lines: Vec<String> = good.keys().lines().map(String::from).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "ssh-rsa AAAA other");
        assert!(lines[1].starts_with("ssh-rsa AAAAB3"));
        assert_eq!(deaf.keys().lines().count(), 1);
        assert_eq!(strict.keys(), "");
    }

    // Under the other name, in xCAT's words.
    let rspconfig = cluster.path("rspconfig");
    std::os::unix::fs::symlink(&rflash, &rspconfig).expect("link");
    let ended = run(&host, &rspconfig, &["n1-n3", "sshcfg"], 1);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "n1: ssh keys copied to BMC",
            "n2: Testing the ssh connection to BMC failed. Please rerun rspconfig command.",
            "n3: Error copying ssh keys to BMC",
        ]
    );
    run(&host, &rspconfig, &["n1", "sshcfg"], 0);
    run(&host, &rspconfig, &["n1", "ip"], 2);

    // Another host key than the one that was seen first: no password for it.
    drop(good);
    std::fs::remove_dir_all(cluster.path(&format!("sshd-{}", addresses[0]))).expect("files");
    let other = Sshd::start(&cluster, &host, &addresses[0], true);
    let refused = run(&host, &rflash, &["n1", "--sshkey"], 1);
    assert!(
        refused.stderr.contains("n1: Error: Error copying ssh keys"),
        "{}",
        refused.stderr
    );
    assert_eq!(other.keys(), "");
    run(&host, &rflash, &["n1", "--sshkey", "--accept-new-cert"], 0);
    assert_eq!(other.keys().lines().count(), 1);
}
