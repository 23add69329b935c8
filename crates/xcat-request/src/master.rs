//! How a node finds whom to tell.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tls::Pin;

use crate::boot_words::{kernel_word, variable};
use crate::target::port;
use crate::{Target, XCATD_PORT, leases};

/// No file that is looked at is longer.
const FILE_LIMIT: u64 = 1 << 20;
/// The longest nonce, in digits; ours have 32.
const NONCE_LIMIT: usize = 64;

/// Where to look.
pub struct Sources<'a> {
    /// What the user named, which wins over everything.
    pub option: Option<&'a Target>,
    /// The environment; the program's own, or a test's.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The root of the files: `/`, or another tree.
    pub root: &'a Path,
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// Where to send the report; several only if leases of several servers are all that is known,
    /// the newest first.
    pub targets: Vec<Target>,
    /// What named it, for messages.
    pub source: &'static str,
}

/// Why what was found cannot be used. A wrong value is said, never passed over: the next source
/// might be somebody else's server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source that names no host or no port.
    #[error("{name}: {text}: {why}")]
    Value {
        /// The variable, file or kernel word.
        name: String,
        /// Its value, escaped.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Finds the master. The first of these that names a host wins (spec section 9):
/// the option; `NODETOOLS_REPORT`, then `nodetools.report=` on the kernel line (our own callbackd,
/// at a port of its own); `XCATMASTER` with `XCATPORT`; `/run/xcat/genesis.env`; `xcatd=` on the
/// kernel line; the servers of DHCP leases, of dhclient, then of NetworkManager.
/// Without a port: 3001. Nothing found: `None`.
///
/// # Errors
/// [`Error::Value`]
pub fn find(sources: &Sources<'_>) -> Result<Option<Master>, Error> {
    if let Some(target) = sources.option {
        return Ok(Some(one(target.clone(), "option")));
    }
    if let Some((name, text)) = sources.handed_over("NODETOOLS_REPORT", "nodetools.report") {
        return Ok(Some(one(parsed(name, &text)?, name)));
    }
    if let Some(host) = sources.set("XCATMASTER") {
        let port = sources.set("XCATPORT");
        let target = with_port("XCATMASTER", &host, "XCATPORT", port.as_deref())?;
        return Ok(Some(one(target, "XCATMASTER")));
    }
    let file = sources.text("run/xcat/genesis.env").unwrap_or_default();
    if let Some(host) = variable(&file, "XCATMASTER").filter(|host| !host.is_empty()) {
        let port = variable(&file, "XCATPORT");
        let target = with_port("/run/xcat/genesis.env", host, "/run/xcat/genesis.env", port)?;
        return Ok(Some(one(target, "/run/xcat/genesis.env")));
    }
    let line = sources.text("proc/cmdline").unwrap_or_default();
    if let Some(text) = kernel_word(&line, "xcatd").filter(|text| !text.is_empty()) {
        // The older generation writes `host:` where site.xcatdport is not set.
        let text = text.strip_suffix(':').unwrap_or(text);
        return Ok(Some(one(parsed("xcatd=", text)?, "xcatd=")));
    }
    Ok(sources.leases())
}

/// The key that our own server has to show: `NODETOOLS_PIN`, then `nodetools.pin=` on the kernel
/// line.
///
/// # Errors
/// [`Error::Value`]: a pin that is none is not the same as no pin.
pub fn pin(sources: &Sources<'_>) -> Result<Option<Pin>, Error> {
    let Some((name, text)) = sources.handed_over("NODETOOLS_PIN", "nodetools.pin") else {
        return Ok(None);
    };
    let pin = text.parse().map_err(|why| value(name, &text, why))?;
    Ok(Some(pin))
}

/// The number that ties a report to this boot: `NODETOOLS_NONCE`, then `nodetools.nonce=` on the
/// kernel line.
///
/// # Errors
/// [`Error::Value`]: not 1 to 64 hexadecimal digits.
pub fn nonce(sources: &Sources<'_>) -> Result<Option<String>, Error> {
    let Some((name, text)) = sources.handed_over("NODETOOLS_NONCE", "nodetools.nonce") else {
        return Ok(None);
    };
    match is_nonce(&text) {
        true => Ok(Some(text)),
        false => Err(value(name, &text, "not 1 to 64 hexadecimal digits")),
    }
}

/// True for 1 to 64 hexadecimal digits.
pub fn is_nonce(text: &str) -> bool {
    (1..=NONCE_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Sources<'_> {
    fn set(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|text| !text.is_empty())
    }

    /// What the boot handed over under one of two names: the variable, or else the kernel word. The name
    /// that it had, and its value; an empty value is none.
    pub fn handed_over(
        &self,
        variable: &'static str,
        word: &'static str,
    ) -> Option<(&'static str, String)> {
        if let Some(text) = self.set(variable) {
            return Some((variable, text));
        }
        let line = self.text("proc/cmdline")?;
        let text = kernel_word(&line, word).filter(|text| !text.is_empty())?;
        Some((word, text.to_string()))
    }

    /// A file of the tree, its beginning at least; whatever is not UTF-8 cannot be a host either.
    fn text(&self, path: &str) -> Option<String> {
        read(&self.root.join(path))
    }

    fn leases(&self) -> Option<Master> {
        let dhclient = ["var/lib/dhclient", "var/lib/dhcp"].map(|dir| self.root.join(dir));
        let manager = ["var/lib/NetworkManager", "run/NetworkManager/devices"];
        let manager = manager.map(|dir| self.root.join(dir));
        let mut found = Vec::new();
        for path in newest(&dhclient, &|name| {
            name.starts_with("dhclient")
                && !name.starts_with("dhclient6")
                && name.contains(".lease")
        }) {
            found.extend(leases::dhclient(&read(&path).unwrap_or_default()));
        }
        for path in newest(&manager, &|name| {
            name.ends_with(".lease") || name.bytes().all(|b| b.is_ascii_digit())
        }) {
            let text = read(&path).unwrap_or_default();
            // NetworkManager can run dhclient instead of its own client.
            found.extend(leases::dhclient(&text));
            found.extend(leases::networkmanager(&text));
        }
        let mut targets: Vec<Target> = Vec::new();
        for address in found {
            let host = address.to_string();
            if targets.len() < 8 && targets.iter().all(|target| target.host != host) {
                let port = XCATD_PORT;
                targets.push(Target { host, port });
            }
        }
        let source = "DHCP lease";
        (!targets.is_empty()).then_some(Master { targets, source })
    }
}

fn one(target: Target, source: &'static str) -> Master {
    Master {
        targets: vec![target],
        source,
    }
}

fn parsed(name: &str, text: &str) -> Result<Target, Error> {
    text.parse().map_err(|why| value(name, text, why))
}

/// A host whose port stands elsewhere; a port behind the host counts where it does not.
fn with_port(
    name: &str,
    host: &str,
    port_name: &str,
    digits: Option<&str>,
) -> Result<Target, Error> {
    let mut target = parsed(name, host)?;
    if let Some(digits) = digits.map(str::trim).filter(|digits| !digits.is_empty()) {
        target.port = port(digits).map_err(|why| value(port_name, digits, why))?;
    }
    Ok(target)
}

fn value(name: &str, text: &str, why: impl ToString) -> Error {
    Error::Value {
        name: name.to_string(),
        text: text
            .chars()
            .take(80)
            .flat_map(char::escape_default)
            .collect(),
        why: why.to_string(),
    }
}

/// The files of some directories, by what was written last.
fn newest(dirs: &[PathBuf], wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok());
    for entry in entries.flatten().flatten().take(256) {
        let Ok(about) = entry.metadata() else {
            continue;
        };
        if about.is_file() && entry.file_name().to_str().is_some_and(wanted) {
            let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((written, entry.path()));
        }
    }
    files.sort_by(|a, b| b.cmp(a));
    files.into_iter().map(|(_, path)| path).collect()
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
