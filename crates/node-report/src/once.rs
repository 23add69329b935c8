//! One request on standard input: inetd, a TLS front, a Perl plugin. The peer is named by whoever runs
//! us; the rest is as over the wire, with the tables in the same process.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use crate::Error;
use crate::addresses::Addresses;
use crate::apply::Place;
use crate::claim;
use crate::conversation::{Ended, hold};
use crate::destiny::{self, Question};
use crate::exchange::{Ask, Reply};
use crate::inbox;
use crate::record::Report;

/// Who speaks on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A user of this host: a new request is accepted too.
    Local,
    /// A node, by its address.
    Peer(IpAddr),
}

/// Runs a new request (`getadapter NODERANGE ARGUMENTS...`) and returns its lines.
pub type NewRequest<'a> = &'a mut dyn FnMut(&str, &[String]) -> io::Result<Vec<String>>;

/// Serves the stream to its end. The answer goes out only after the report is safe. Returns what was
/// wrong with the conversation, if anything.
pub fn once(
    place: &Place,
    speaker: Speaker,
    stream: &mut (impl Read + Write),
    new: NewRequest<'_>,
) -> Result<Option<String>, Error> {
    let node = match speaker {
        Speaker::Local => None,
        Speaker::Peer(peer) => Addresses::read(&place.tables)?.node(peer).map(String::from),
    };
    if let (Speaker::Peer(peer), None) = (speaker, &node) {
        return Ok(Some(format!(
            "{peer}: is of no node (hosts, nics, resolver)"
        )));
    }
    let ended = hold(stream, &mut |ask| {
        Ok(match (ask, &node) {
            (
                Ask::New {
                    noderange,
                    arguments,
                },
                None,
            ) => Reply::Lines(new(noderange, arguments)?),
            (Ask::New { .. }, Some(_)) => Reply::Refused("Permission denied for request".into()),
            (_, None) => Reply::Refused("the peer's address is not known".into()),
            (Ask::Report { nonce, facts }, Some(node)) => {
                let report = Report::now(node, named(speaker), nonce.clone(), facts.clone());
                stored(place, &report)
            }
            (Ask::Load { nonce, told }, Some(node)) => {
                let alive = |pid| inbox::alive(&place.run, pid);
                let admitted = claim::list(&place.tables)
                    .map(|claims| claim::admit(claims.get(node), &place.me, alive, nonce, told));
                match admitted {
                    Err(error) => Reply::Busy(error.to_string()),
                    Ok(Err(why)) => Reply::Refused(why),
                    Ok(Ok(())) => {
                        let report =
                            Report::now(node, named(speaker), Some(nonce.clone()), told.clone());
                        stored(place, &report)
                    }
                }
            }
            (Ask::Destiny { next }, Some(node)) => {
                let question = Question {
                    node: node.clone(),
                    next: *next,
                };
                match destiny::answer(&place.tables, &[question]) {
                    Ok(mut answers) => Reply::Destiny {
                        node: node.clone(),
                        destiny: answers.remove(node).unwrap_or_default(),
                    },
                    Err(error) => Reply::Busy(error.to_string()),
                }
            }
        })
    });
    // Whatever waits, not only this report: somebody may have died before it could be applied.
    if inbox::ring(&place.run)? == 0
        && let Some(error) = place.apply().failed
    {
        return Err(error);
    }
    Ok(match ended {
        Ended::Well(_) => None,
        Ended::Badly(why) => Some(why),
    })
}

fn named(speaker: Speaker) -> Option<String> {
    match speaker {
        Speaker::Peer(peer) => Some(peer.to_string()),
        Speaker::Local => None,
    }
}

fn stored(place: &Place, report: &Report) -> Reply {
    match place.spool.store(std::slice::from_ref(report)).pop() {
        Some(Err(error)) => Reply::Busy(error.to_string()),
        _ => Reply::Stored,
    }
}
