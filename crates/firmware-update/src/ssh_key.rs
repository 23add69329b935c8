//! Root's public key into a BMC's `authorized_keys`, by ssh with the BMC's password, and then the
//! proof: a login with the key alone.
//!
//! The password goes to ssh on its standard input: ssh runs this program again ([`ask_pass`]) to get
//! it, so it is in no argument, environment or file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bmc::Target;
use fork_worker::Report;
use fork_worker::command::{self, Spec};

use crate::engine::Worker;
use crate::plan::Options;
use crate::step::{Kind, Order, Outcome, Trouble};
use crate::texts;

/// Set for ssh: then this program is the one that ssh asks for the password.
pub const ASKED: &str = "RFLASH_ASKPASS";
/// Keys that are looked for, best first: the oldest BMCs know RSA only.
const NAMES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];
/// Longest public key that is taken; an RSA key of 16384 bits has less.
const LONGEST: usize = 4096;
const PORT: u16 = 22;
/// What a login says that needed no password.
const PROOF: &str = "key accepted";

/// A key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The private half's file.
    pub private: PathBuf,
    /// Kind and key, without the comment.
    public: String,
}

/// Root's own key.
///
/// # Errors
/// A text: there is none, or it is no public key.
pub fn key() -> Result<Key, String> {
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| PathBuf::from("/root"), |user| user.dir);
    let directory = program::paths::under(&home.join(".ssh").to_string_lossy());
    let mut private = NAMES.iter().map(|name| directory.join(name));
    let found = private.find(|path| path.with_extension("pub").is_file());
    let private = found.ok_or_else(|| {
        let names = NAMES.map(|name| format!("{name}.pub"));
        format!("{}: has no {}", directory.display(), names.join(", "))
    })?;
    let path = private.with_extension("pub");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let public = public(&text).ok_or_else(|| format!("{}: is no public key", path.display()))?;
    Ok(Key { private, public })
}

/// Kind and key of a `.pub` file: characters that mean nothing to a shell.
fn public(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let plain = |word: &str| {
        let mut bytes = word.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-+/=@.".contains(&byte))
    };
    let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-");
    (known && text.len() <= LONGEST && plain(kind) && plain(key) && key.len() > 30)
        .then(|| format!("{kind} {key}"))
}

/// The worker that gives `key` to these BMCs. `own` is this program, as ssh is to call it.
pub fn worker(
    targets: BTreeMap<String, Target>,
    key: Key,
    own: PathBuf,
    options: &Options,
) -> Worker {
    let calls = Calls {
        targets,
        key,
        own,
        options: options.clone(),
    };
    Rc::new(move |order: &Order, _: &mut Report| calls.give(&order.node))
}

/// The other end of a call of ssh for a password: hands on the first line of standard input, which
/// ssh shares with us.
///
/// # Errors
/// What the system said.
pub fn ask_pass() -> io::Result<()> {
    let mut password = Vec::new();
    let mut byte = [0];
    // Byte by byte and unbuffered: what follows belongs to somebody else.
    while nix::unistd::read(io::stdin().as_fd(), &mut byte)? == 1 && byte != *b"\n" {
        password.push(byte[0]);
    }
    password.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&password).and_then(|()| out.flush())
}

struct Calls {
    targets: BTreeMap<String, Target>,
    key: Key,
    own: PathBuf,
    options: Options,
}

impl Calls {
    fn give(&self, node: &str) -> Result<Outcome, Trouble> {
        let target = self
            .targets
            .get(node)
            .ok_or_else(|| Trouble::new(Kind::Refused, "no BMC is known"))?;
        let failed =
            |text: &str, why: String| Err(Trouble::new(Kind::Refused, format!("{text}: {why}")));
        if let Err(why) = self.copy(node, target) {
            return failed(texts::KEY_NOT_COPIED, why);
        }
        match self.prove(node, target) {
            Ok(()) => Ok(Outcome::Done),
            Err(why) => failed(texts::KEY_NOT_TESTED, why),
        }
    }

    /// Adds the key where it is not there yet.
    fn copy(&self, node: &str, target: &Target) -> Result<(), String> {
        let known = self.known_hosts(node)?;
        let script = format!(
            "umask 077; k='{}'; d=\"$HOME/.ssh\"; f=\"$d/authorized_keys\"; mkdir -p \"$d\" && touch \"$f\" || exit 1; \
             grep -qF \"$k\" \"$f\" && exit 0; \
             if [ -s \"$f\" ] && [ -n \"$(tail -c 1 \"$f\")\" ]; then echo >>\"$f\"; fi; echo \"$k\" >>\"$f\"",
            self.key.public
        );
        let spec = self
            .ssh(target, known.as_deref())
            .args([
                "-oPubkeyAuthentication=no",
                "-oPreferredAuthentications=password,keyboard-interactive",
                "-oNumberOfPasswordPrompts=1",
            ])
            .args(["--", &target.host, &script])
            .env("SSH_ASKPASS", &self.own)
            .env("SSH_ASKPASS_REQUIRE", "force")
            // What older ones than 8.4 want to see, beside the missing terminal.
            .env("DISPLAY", ":")
            .env(ASKED, "1")
            .stdin(format!("{}\n", target.password.reveal()));
        finish(&spec).map(drop)
    }

    /// Logs in with the key, and with nothing else.
    fn prove(&self, node: &str, target: &Target) -> Result<(), String> {
        let known = self.known_hosts(node)?;
        let spec = self
            .ssh(target, known.as_deref())
            .arg(format!("-i{}", self.key.private.display()))
            .args(["-oBatchMode=yes", "-oIdentitiesOnly=yes"])
            .args(["--", &target.host, &format!("echo {PROOF}")]);
        let said = finish(&spec)?;
        match said.contains(PROOF) {
            true => Ok(()),
            false => Err("the login says something else".into()),
        }
    }

    fn ssh(&self, target: &Target, known: Option<&Path>) -> Spec {
        let (check, file) = match known {
            Some(file) => ("accept-new", file.display().to_string()),
            None => ("no", "/dev/null".to_string()),
        };
        let limits = &self.options.limits;
        let mut spec = Spec::new("ssh")
            .args([
                format!("-oConnectTimeout={}", limits.connect.as_secs().max(1)),
                format!("-oStrictHostKeyChecking={check}"),
                format!("-oUserKnownHostsFile={file}"),
                format!("-oHostName={}", target.address.ip()),
                format!("-p{PORT}"),
                format!("-l{}", target.user),
            ])
            .args([
                "-T",
                "-oGlobalKnownHostsFile=/dev/null",
                "-oConnectionAttempts=1",
                "-oForwardAgent=no",
                "-oForwardX11=no",
                "-oClearAllForwardings=yes",
                "-oControlPath=none",
                // BMCs of some years ago have nothing else; both spellings are of all versions.
                "-oHostKeyAlgorithms=+ssh-rsa",
                "-oPubkeyAcceptedKeyTypes=+ssh-rsa",
            ])
            .deadline(limits.connect + limits.request.min(Duration::from_secs(30)));
        spec.output_limit = 4096;
        spec
    }

    /// Where the BMC's host key is kept, as its certificate's is; none: it is not checked.
    fn known_hosts(&self, node: &str) -> Result<Option<PathBuf>, String> {
        let trust = self.options.trust;
        if trust.insecure {
            return Ok(None);
        }
        let directory = program::paths::state_dir().join("pins");
        let file = directory.join(format!("{node}.ssh"));
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        if trust.accept_new {
            // Not there is as good as removed.
            let _ = std::fs::remove_file(&file);
        }
        Ok(Some(file))
    }
}

/// Runs it; its last words if it does not end well.
fn finish(spec: &Spec) -> Result<String, String> {
    let finished = command::run(spec).map_err(|error| error.to_string())?;
    if finished.timed_out {
        return Err(format!(
            "ssh: did not end within {} s",
            spec.deadline.as_secs()
        ));
    }
    if finished.status.success() {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&finished.stderr);
    let last = said.trim().lines().last().unwrap_or("said nothing");
    let last: String = last.chars().take(200).collect();
    Err(match finished.status.code() {
        Some(code) => format!("ssh: ended with {code}: {last}"),
        None => format!("ssh: was ended by a signal: {last}"),
    })
}

#[cfg(test)]
mod tests {
    use super::public;

    #[test]
    fn a_public_key_is_what_no_shell_can_read_otherwise() {
        let key = "A".repeat(60);
        let good = format!("ssh-rsa {key}== root@mn\n");
        assert_eq!(public(&good), Some(format!("ssh-rsa {key}==")));
        for bad in [
            String::new(),
            "ssh-rsa".into(),
            "ssh-rsa AAAA".into(),
            format!("rsa {key}"),
            format!("ssh-rsa {key}';reboot;'"),
            format!("ssh-rsa$(x) {key}"),
            format!("ssh-rsa {}", "A".repeat(5000)),
        ] {
            assert_eq!(public(&bad), None, "{bad}");
        }
    }
}
