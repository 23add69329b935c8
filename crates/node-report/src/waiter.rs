//! The side that waits: listen, claim, be rung, end.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use adapter_facts::{Adapter, column};
use xcat_request::load::Told;

use crate::Error;
use crate::apply::{self, Outcome, Place};
use crate::claim::{self, Claim, Taken};
use crate::frames::{Frame, Frames};
use crate::inbox;
use crate::perl_frame;
use crate::record::Content;
use single_server::Fifo;

/// How an answer reached the waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A report that this process applied.
    Report,
    /// Somebody else wrote the row: another host's program, or xCAT's own hook.
    Row,
    /// The node has moved on from our boot target and its row is as it was.
    Unchanged,
}

/// A node that has answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The node.
    pub node: String,
    /// What it has; empty: nothing usable, the row is as it was.
    pub adapters: Vec<Adapter>,
    /// What was not usable, named.
    pub dropped: Vec<String>,
    /// The column before.
    pub before: Option<String>,
    /// How we know.
    pub how: How,
}

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Nodes that have answered, each once.
    pub answers: Vec<Answer>,
    /// What nodes said of their disks, in the order of arrival; only to who waits for disks. A node may
    /// say the same again that was acknowledged to nobody: its first word counts.
    pub told: Vec<(String, Told)>,
    /// For who wants to know more: a FIFO made again, frames that made no sense.
    pub remarks: Vec<String>,
    /// What an administrator has to know, though nothing is lost: tables that cannot be used, reports
    /// put aside, claims that others took.
    pub troubles: Vec<String>,
}

/// A process that waits for nodes.
#[derive(Debug)]
pub struct Waiter {
    place: Place,
    inbox: Fifo,
    frames: Frames,
    command: String,
    nonce: String,
    waiting: BTreeSet<String>,
    /// Nodes whose verdict has come; their claims are held until they are given up.
    judged: BTreeSet<String>,
    /// Nodes that are waited for again, and since when.
    again: BTreeMap<String, u64>,
    /// The rows and chain states when the wait began, to see what others change.
    columns: BTreeMap<String, String>,
    armed: BTreeSet<String>,
    /// Claims that others took, each said once.
    lost: BTreeSet<String>,
    transactions: usize,
    /// When we claimed, as reports' times are.
    since: u64,
    /// The FIFO's bytes since the last tick.
    fed: bool,
    /// xCAT's daemon may take the reports: then a chain that moved on is an answer.
    watch_chain: bool,
}

impl Waiter {
    /// Listens: from here on whoever rings is heard. What dead processes left is cleaned up and what
    /// waits in the spool applied.
    pub fn open(
        mut place: Place,
        command: &str,
        watch_chain: bool,
    ) -> Result<(Waiter, News), Error> {
        inbox::sweep(&place.run)?;
        let inbox = Fifo::open(&place.run, &place.me.pid.to_string())?;
        let nonce = nonce()?;
        place.nonce = Some(nonce.clone());
        let mut waiter = Waiter {
            place,
            inbox,
            frames: Frames::default(),
            command: command.into(),
            nonce,
            waiting: BTreeSet::new(),
            judged: BTreeSet::new(),
            again: BTreeMap::new(),
            columns: BTreeMap::new(),
            armed: BTreeSet::new(),
            lost: BTreeSet::new(),
            transactions: 0,
            since: u64::MAX,
            fed: false,
            watch_chain,
        };
        let mut news = News::default();
        waiter.look(&mut news);
        Ok((waiter, news))
    }

    /// The 128 bits, in hex, that the boot target hands to our agents.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Where things are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Claims nodes for so many seconds, all in one transaction. Those that somebody living holds
    /// are returned with who that is; the others are waited for from now on.
    pub fn claim(&mut self, nodes: &[String], seconds: u64) -> Result<Taken, Error> {
        let place = &self.place;
        let taken = claim::take(
            &place.tables,
            &place.run,
            &place.me,
            &self.command,
            nodes,
            seconds,
            &self.nonce,
        )?;
        self.since = self.since.min(crate::record::now());
        self.columns = apply::columns(&place.tables, &taken.claimed)?;
        self.waiting.extend(taken.claimed.iter().cloned());
        Ok(taken)
    }

    /// Waits again for a node whose verdict has come: it was being started anew, and has more to say.
    pub fn wait_again(&mut self, node: &str) {
        if self.judged.remove(node) {
            self.waiting.insert(node.to_string());
            self.again.insert(node.to_string(), crate::record::now());
        }
    }

    /// How many transactions storing the answers has taken so far.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// Nodes that have not answered.
    pub fn waiting(&self) -> &BTreeSet<String> {
        &self.waiting
    }

    /// Stops waiting for nodes, because they could not be booted, and gives their claims back. A
    /// verdict does not give a node's claim back: that is for who has finished with the node.
    pub fn give_up(&mut self, nodes: &[String]) -> Result<(), Error> {
        for node in nodes {
            self.waiting.remove(node);
            self.judged.remove(node);
        }
        claim::release(&self.place.tables, &self.place.me, nodes)
    }

    /// Takes an answer that did not come over the wire (a node asked by ssh): it goes the same way,
    /// through the spool.
    pub fn take_report(&mut self, report: &crate::record::Report) -> Result<News, Error> {
        self.place
            .spool
            .store(std::slice::from_ref(report))
            .pop()
            .transpose()
            .map_err(|error| Error::Spool(error.to_string()))?;
        Ok(self.rung())
    }

    /// To be called when the FIFO is readable: takes what is in it and looks into the spool.
    pub fn rung(&mut self) -> News {
        let mut news = News::default();
        let bytes = self.inbox.drain();
        self.fed |= !bytes.is_empty();
        for frame in self.frames.feed(&bytes) {
            match frame {
                Frame::Bell => {}
                Frame::Garbage(count) => news
                    .remarks
                    .push(format!("{count} bytes in the FIFO are no frame; dropped")),
                Frame::Message(message) => self.take_message(&message, &mut news),
            }
        }
        self.look(&mut news);
        news
    }

    /// To be called once a second: does without any bell.
    pub fn tick(&mut self) -> News {
        let mut news = News::default();
        if !self.inbox.in_place(&self.place.run) {
            match Fifo::open(&self.place.run, &self.place.me.pid.to_string()) {
                Ok(inbox) => {
                    self.inbox = inbox;
                    news.remarks.push("the FIFO was removed; made again".into());
                }
                Err(error) => news.troubles.push(error.to_string()),
            }
        }
        // A Perl poster that died in the middle of a frame must not swallow what comes after it.
        if self.frames.unfinished() && !self.fed {
            let count = self.frames.abandon();
            news.remarks
                .push(format!("{count} bytes of an unfinished frame; dropped"));
        }
        self.fed = false;
        self.look(&mut news);
        if !self.waiting.is_empty()
            && let Err(error) = self.watch(&mut news)
        {
            news.troubles.push(error.to_string());
        }
        news
    }

    /// The end, answered or not: claims go first, then the FIFO, then one more look. A poster that
    /// rang before is seen by that look; a later one finds no reader and applies by itself. Nobody
    /// else applies between: to others a report with our nonce is one of no claim.
    pub fn end(&mut self) -> (News, BTreeSet<String>) {
        let mut news = News::default();
        // What the FIFO holds of a Perl poster would go with it.
        let bytes = self.inbox.drain();
        for frame in self.frames.feed(&bytes) {
            if let Frame::Message(message) = frame {
                self.take_message(&message, &mut news);
            }
        }
        let mut outcome = Outcome::default();
        if let Err(error) = self.leave(&mut outcome) {
            news.troubles.push(error.to_string());
        }
        self.sort_out(outcome, &mut news);
        (news, std::mem::take(&mut self.waiting))
    }

    /// True if it waits for disks, not for adapters.
    fn loads(&self) -> bool {
        self.command == claim::LOADS
    }

    fn leave(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let place = &self.place;
        let lock = place.spool.lock()?;
        let held = self.waiting.union(&self.judged);
        let released = claim::release(&place.tables, &place.me, held);
        let closed = self.inbox.close(&place.run);
        let applied = place.apply_locked(&lock, outcome);
        released?;
        closed.map_err(|why| place.run.error(&place.me.pid.to_string(), why))?;
        applied
    }

    fn take_message(&self, message: &[u8], news: &mut News) {
        match perl_frame::report(message, &self.waiting) {
            Ok(report) => {
                if let Some(Err(error)) = self.place.spool.store(&[report]).pop() {
                    news.troubles.push(error.to_string());
                }
            }
            Err(why) => news
                .remarks
                .push(format!("a message in the FIFO: {why}; dropped")),
        }
    }

    fn look(&mut self, news: &mut News) {
        let outcome = self.place.apply();
        self.sort_out(outcome, news);
    }

    fn sort_out(&mut self, outcome: Outcome, news: &mut News) {
        self.transactions += outcome.transactions;
        news.troubles
            .extend(outcome.failed.map(|error| error.to_string()));
        for (node, why) in outcome.rejected {
            let text = format!("{node}: a report was put into rejected/: {why}");
            program::syslog::log("node-report", program::syslog::Level::Warning, &text);
            news.troubles.push(text);
        }
        if self.loads() {
            // A verdict is the answer; the claim stays until it is given back.
            for (node, told) in outcome.told {
                let is_verdict = matches!(told, Told::Verdict(_));
                let waited_for = match is_verdict {
                    true => self.waiting.remove(&node),
                    false => self.waiting.contains(&node),
                };
                if !waited_for {
                    continue;
                }
                if is_verdict {
                    self.judged.insert(node.clone());
                }
                news.told.push((node, told));
            }
            return;
        }
        // Of two reports of one node in the same look the newer one is the answer.
        let first = news.answers.len();
        for applied in outcome.applied.into_iter().rev() {
            if self.waiting.remove(&applied.node) {
                news.answers.push(Answer {
                    node: applied.node,
                    adapters: applied.adapters,
                    dropped: applied.dropped,
                    before: applied.before,
                    how: How::Report,
                });
            }
        }
        news.answers[first..].reverse();
    }

    /// What others did to our nodes' rows: another host's callbackd, xCAT's own hook.
    fn watch(&mut self, news: &mut News) -> Result<(), Error> {
        if self.loads() {
            return self.watch_loads(news);
        }
        let place = &self.place;
        let nodes: Vec<String> = self.waiting.iter().cloned().collect();
        let claims = claim::list(&place.tables)?;
        let columns = apply::columns(&place.tables, &nodes)?;
        let chain = if self.watch_chain {
            apply::own_values(&place.tables, "chain", "currstate", &nodes)?
        } else {
            BTreeMap::new()
        };
        let mut settled = Vec::new();
        for node in nodes {
            let claim = claims.get(&node);
            let ours = claim.is_some_and(|claim| claim.holder == place.me);
            theft(&mut self.lost, claim.filter(|_| !ours), news);
            let changed = columns.get(&node) != self.columns.get(&node);
            let armed = chain
                .get(&node)
                .is_some_and(|state| state.starts_with("runcmd="));
            let moved_on = self.watch_chain && !armed && self.armed.contains(&node);
            if armed {
                self.armed.insert(node.clone());
            }
            // Without our FIFO's name for a moment, others took the claim for a dead man's and stored it.
            let last = (!ours).then(|| place.spool.last(&node)).flatten();
            let last = last.filter(|report| report.received >= self.since);
            if let Some(Content::Adapters(facts)) = last.map(|report| report.content) {
                news.answers.push(Answer {
                    adapters: facts.adapters,
                    dropped: facts.dropped,
                    before: self.columns.get(&node).cloned(),
                    how: How::Report,
                    node: node.clone(),
                });
                settled.push(node);
                continue;
            }
            let how = match (ours, claim) {
                (true, Some(claim)) if claim.done => How::Row,
                _ if changed => How::Row,
                _ if moved_on => How::Unchanged,
                _ => continue,
            };
            news.answers.push(Answer {
                adapters: columns
                    .get(&node)
                    .map(|text| column::parse(text))
                    .unwrap_or_default(),
                dropped: Vec::new(),
                before: self.columns.get(&node).cloned(),
                how,
                node: node.clone(),
            });
            settled.push(node);
        }
        self.give_up(&settled)
    }

    /// Verdicts that somebody else has seen: without our FIFO's name for a moment we were a dead man.
    fn watch_loads(&mut self, news: &mut News) -> Result<(), Error> {
        let place = &self.place;
        let claims = claim::list(&place.tables)?;
        let mut judged = Vec::new();
        for node in &self.waiting {
            let thief = claims.get(node).filter(|claim| claim.holder != place.me);
            theft(&mut self.lost, thief, news);
            let last = place.spool.last_load(node);
            let since = self.again.get(node).copied().unwrap_or(0);
            let last = last.filter(|report| {
                report.nonce.as_deref() == Some(&self.nonce) && report.received > since
            });
            if let Some(Content::Load(told @ Told::Verdict(_))) = last.map(|report| report.content)
            {
                judged.push((node.clone(), told));
            }
        }
        for (node, told) in judged {
            self.waiting.remove(&node);
            self.judged.insert(node.clone());
            news.told.push((node, told));
        }
        Ok(())
    }
}

/// Says once of a claim that somebody else has taken it.
fn theft(lost: &mut BTreeSet<String>, thief: Option<&Claim>, news: &mut News) {
    if let Some(thief) = thief
        && lost.insert(thief.node.clone())
    {
        news.troubles.push(format!(
            "{}: its claim was taken by {}",
            thief.node,
            thief.holder_text()
        ));
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

/// 128 bits from the kernel, in hex.
fn nonce() -> Result<String, Error> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::Host(format!("/dev/urandom: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
