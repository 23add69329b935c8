//! Who waits for a node: rows of `taskstate`.
//!
//! `(node, command, state=waiting, pid, reserve="host boot-id deadline nonce")`, and a fifth word once
//! another host has stored the report (`state=done`): when that came, in nanoseconds. The original used the
//! pid alone, which is recycled, means nothing on another host and is shared by requests
//! (spec getadapter 10.5, 10.11, 10.17); `reserve` was meant for a lock and never used.

use std::collections::BTreeMap;

use xcat_tables::{Row, Tables, Transaction};

use crate::Error;
use crate::inbox;
use single_server::PrivateDir;
use xcat_request::load::{self, Told};

/// The table.
pub const TABLE: &str = "taskstate";

/// What waits for disks: its claims have nothing to do with adapters, and others nothing with disks.
pub(crate) const LOADS: &str = load::COMMAND;

/// This process, as other hosts and later processes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The host's name.
    pub host: String,
    /// What changes when the host restarts: all pids of before are void.
    pub boot_id: String,
    /// Our pid, the FIFO's name.
    pub pid: u32,
}

/// A row of `taskstate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: String,
    /// What waits for it: `getadapter`, `osload`.
    pub command: String,
    /// Who: host, boot and pid. A row of a Perl process has an empty host: it is taken for one of
    /// this host.
    pub holder: Me,
    /// When the claim ends, in seconds of the database's clock.
    pub deadline: i64,
    /// 128 bits that the boot target hands to the node.
    pub nonce: String,
    /// The report came to another host and is stored; the waiter has not seen it yet.
    pub done: bool,
    /// When that report came, in nanoseconds since 1970: where every host sees it. Zero if none did.
    pub answered: u64,
}

/// Whether a claim still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is ours.
    Mine,
    /// Somebody on this host waits: the FIFO opens.
    Here,
    /// Somebody on another host waits, as far as the deadline tells.
    Elsewhere,
    /// Whoever it was is gone.
    Dead,
}

/// What came of claiming a set of nodes.
#[derive(Debug, Default)]
pub struct Taken {
    /// Ours now.
    pub claimed: Vec<String>,
    /// Held by somebody living, with who that is.
    pub held: BTreeMap<String, String>,
}

impl Me {
    /// This process.
    pub fn here() -> std::io::Result<Me> {
        let host = nix::unistd::gethostname()?
            .to_string_lossy()
            .split_whitespace()
            .collect::<String>();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_string();
        Ok(Me {
            host,
            boot_id,
            pid: std::process::id(),
        })
    }
}

impl Claim {
    /// Reads a row; one that says nothing of a waiting process is no claim.
    pub fn from_row(row: &Row) -> Option<Claim> {
        let state = row.get("state")?;
        let mut words = row.get("reserve").unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_string();
        let (host, boot_id, deadline, nonce) = (word(), word(), word(), word());
        let answered = word().parse().unwrap_or(0);
        Some(Claim {
            node: row.get("node")?.into(),
            command: row.get("command").unwrap_or_default().into(),
            holder: Me {
                host,
                boot_id,
                pid: row.get("pid")?.parse().ok()?,
            },
            deadline: deadline.parse().unwrap_or(0),
            nonce,
            done: match state {
                "waiting" => false,
                "done" => true,
                _ => return None,
            },
            answered,
        })
    }

    /// Judges the claim at `now`, in seconds of the database's clock.
    pub fn life(&self, me: &Me, run: &PrivateDir, now: i64) -> Life {
        self.judge(me, now, |pid| inbox::alive(run, pid))
    }

    /// Somebody else waits, as far as this host can tell.
    fn is_of_another(&self, me: &Me, run: &PrivateDir, now: i64) -> bool {
        matches!(self.life(me, run, now), Life::Here | Life::Elsewhere)
    }

    /// As [`Claim::life`]; `alive` says whether a process of this host waits.
    pub fn judge(&self, me: &Me, now: i64, alive: impl Fn(u32) -> bool) -> Life {
        let holder = &self.holder;
        if holder == me {
            Life::Mine
        } else if !holder.host.is_empty() && holder.host != me.host {
            if now < self.deadline {
                Life::Elsewhere
            } else {
                Life::Dead
            }
        } else if holder.pid == me.pid
            || (!holder.boot_id.is_empty() && holder.boot_id != me.boot_id)
        {
            // Our pid in an older row is a dead man's.
            Life::Dead
        } else if alive(holder.pid) {
            Life::Here
        } else {
            Life::Dead
        }
    }

    /// True if it waits for disks to be loaded.
    pub fn is_load(&self) -> bool {
        self.command == LOADS
    }

    /// Who holds it, for messages.
    pub fn holder_text(&self) -> String {
        let host = if self.holder.host.is_empty() {
            "this host"
        } else {
            &self.holder.host
        };
        format!("{} (process {} on {host})", self.command, self.holder.pid)
    }

    fn reserve(&self) -> String {
        let holder = &self.holder;
        let mut text = format!(
            "{} {} {} {}",
            holder.host, holder.boot_id, self.deadline, self.nonce
        );
        if self.answered > 0 {
            text.push_str(&format!(" {}", self.answered));
        }
        text
    }
}

/// Claims all of `nodes` for `command` for so many seconds, in one transaction: nobody else can get
/// between the look and the write. Claims of dead processes are taken over, ours of before (a
/// recycled pid) removed.
pub(crate) fn take(
    tables: &Tables,
    run: &PrivateDir,
    me: &Me,
    command: &str,
    nodes: &[String],
    seconds: u64,
    nonce: &str,
) -> Result<Taken, Error> {
    tables.transaction(&[TABLE], |change| {
        let now = change.now()?;
        let existing = by_node(change)?;
        for stale in existing
            .values()
            .filter(|claim| claim.holder.host == me.host && claim.holder.pid == me.pid)
        {
            remove(change, stale)?;
        }
        let mut taken = Taken::default();
        for node in nodes {
            if let Some(claim) = existing
                .get(node)
                .filter(|claim| claim.is_of_another(me, run, now))
            {
                taken.held.insert(node.clone(), claim.holder_text());
                continue;
            }
            let claim = Claim {
                node: node.clone(),
                command: command.into(),
                holder: me.clone(),
                deadline: now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)),
                nonce: nonce.into(),
                done: false,
                answered: 0,
            };
            write(change, &claim)?;
            taken.claimed.push(node.clone());
        }
        Ok(taken)
    })
}

/// Whether what a node says of its disk is of a claim of osload; if not, why it is refused for good.
/// A set-up is asked for leave to write: somebody has to be there who waits. A verdict is news even if
/// whoever waited has died, as long as nobody else has taken the node.
pub(crate) fn admit(
    claim: Option<&Claim>,
    me: &Me,
    alive: impl Fn(u32) -> bool,
    nonce: &str,
    told: &Told,
) -> Result<(), String> {
    let claim = claim
        .filter(|claim| claim.is_load() && claim.nonce == nonce)
        .ok_or("its nonce is of no present claim of osload")?;
    // The other host's deadline is by another clock, and its reports are that host's to take.
    match claim.judge(me, i64::MIN, alive) {
        Life::Mine | Life::Here => Ok(()),
        Life::Elsewhere => Err(format!("its osload runs on {}", claim.holder.host)),
        Life::Dead if matches!(told, Told::Verdict(_)) => Ok(()),
        Life::Dead => Err("its osload has ended".into()),
    }
}

/// Gives back our claims on `nodes`.
pub(crate) fn release<'a>(
    tables: &Tables,
    me: &Me,
    nodes: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    let mut nodes = nodes.into_iter().peekable();
    if nodes.peek().is_none() {
        return Ok(());
    }
    tables.transaction(&[TABLE], |change| {
        let existing = by_node(change)?;
        for claim in nodes
            .filter_map(|node| existing.get(node))
            .filter(|claim| claim.holder == *me)
        {
            remove(change, claim)?;
        }
        Ok(())
    })
}

/// Removes claims that name their host and are nobody's any more, in one transaction.
pub(crate) fn forget(tables: &Tables, run: &PrivateDir, me: &Me) -> Result<Vec<Claim>, Error> {
    // A table that is not there is not made for this.
    if list(tables)?.is_empty() {
        return Ok(Vec::new());
    }
    tables.transaction(&[TABLE], |change| {
        let now = change.now()?;
        let mut dead = by_node(change)?;
        dead.retain(|_, claim| {
            !claim.holder.host.is_empty() && claim.life(me, run, now) == Life::Dead
        });
        for claim in dead.values() {
            remove(change, claim)?;
        }
        Ok(dead.into_values().collect())
    })
}

/// All claims, by node. A table that does not exist holds none.
pub fn list(tables: &Tables) -> Result<BTreeMap<String, Claim>, Error> {
    Ok(index(&tables.rows(TABLE)?))
}

/// The nodes that somebody else waits for now, as far as this host can tell, each with its claim.
///
/// # Errors
/// [`Error`]: it could not be found out.
pub fn of_others(tables: &Tables) -> Result<BTreeMap<String, Claim>, Error> {
    let mut claims = list(tables)?;
    if claims.is_empty() {
        return Ok(claims);
    }
    let me = Me::here().map_err(|error| Error::Host(error.to_string()))?;
    let run = PrivateDir::open(&program::paths::run_dir())?;
    // This host's clock for the database's: to ask that one would take a transaction.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    claims.retain(|_, claim| claim.is_of_another(&me, &run, now));
    Ok(claims)
}

/// All claims, inside a transaction.
pub(crate) fn by_node(change: &Transaction<'_>) -> Result<BTreeMap<String, Claim>, Error> {
    Ok(index(&change.rows(TABLE)?))
}

/// Removes the claim, if it is still that very one.
pub(crate) fn remove(change: &Transaction<'_>, claim: &Claim) -> Result<(), Error> {
    let pid = claim.holder.pid.to_string();
    change.delete(
        TABLE,
        &[("node", claim.node.as_str()), ("pid", pid.as_str())],
    )?;
    Ok(())
}

/// Tells the waiter on another host that its node's report is stored, and every other host how old
/// that is.
pub(crate) fn mark_done(
    change: &Transaction<'_>,
    claim: &Claim,
    received: u64,
) -> Result<(), Error> {
    let answered = Claim {
        answered: received,
        ..claim.clone()
    };
    change.put(
        TABLE,
        &[("node", claim.node.as_str())],
        &[
            ("state", Some("done")),
            ("reserve", Some(answered.reserve().as_str())),
        ],
    )?;
    Ok(())
}

fn write(change: &Transaction<'_>, claim: &Claim) -> Result<(), Error> {
    let (pid, reserve) = (claim.holder.pid.to_string(), claim.reserve());
    change.put(
        TABLE,
        &[("node", claim.node.as_str())],
        &[
            ("command", Some(claim.command.as_str())),
            ("state", Some("waiting")),
            ("pid", Some(pid.as_str())),
            ("reserve", Some(reserve.as_str())),
            ("disable", None),
        ],
    )?;
    Ok(())
}

fn index(rows: &[Row]) -> BTreeMap<String, Claim> {
    rows.iter()
        .filter_map(Claim::from_row)
        .map(|claim| (claim.node.clone(), claim))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xcat_request::load::{SetUp, Verdict};

    fn me(host: &str, pid: u32) -> Me {
        Me {
            host: host.into(),
            boot_id: "b".into(),
            pid,
        }
    }

    fn claim(command: &str, holder: Me) -> Claim {
        Claim {
            node: "n1".into(),
            command: command.into(),
            holder,
            deadline: 0,
            nonce: "aa".into(),
            done: false,
            answered: 0,
        }
    }

    #[test]
    fn only_a_claim_of_osload_makes_a_word_on_a_disk_count() {
        let set_up = Told::SetUp(SetUp { disks: Vec::new() });
        let verdict = Told::Verdict(Verdict {
            status: 0,
            reason: String::new(),
            images: Vec::new(),
        });
        let judge = |claim: Option<&Claim>, lives: bool, nonce: &str, told: &Told| {
            admit(claim, &me("h", 1), |_| lives, nonce, told).is_ok()
        };
        let ours = claim("osload", me("h", 2));
        for told in [&set_up, &verdict] {
            assert!(judge(Some(&ours), true, "aa", told));
            for nonce in ["", "ab", "aaaa"] {
                assert!(!judge(Some(&ours), true, nonce, told), "{nonce}");
            }
            assert!(!judge(None, true, "aa", told));
            assert!(!judge(
                Some(&claim("getadapter", me("h", 2))),
                true,
                "aa",
                told
            ));
            assert!(!judge(
                Some(&claim("osload", me("other", 2))),
                true,
                "aa",
                told
            ));
        }
        assert!(!judge(Some(&ours), false, "aa", &set_up), "nobody waits");
        assert!(
            judge(Some(&ours), false, "aa", &verdict),
            "news all the same"
        );
    }
}
