//! One command for a set of nodes: xCAT's, or one that a site wrote.

use std::path::Path;
use std::time::Duration;

use fork_worker::command::{self, Finished, Spec};

use crate::answers::Answers;
use crate::error::Error;

/// Longest list of nodes in one argument, in bytes: Linux takes arguments of up to 128 KiB each.
const LIST: usize = 100_000;
/// Output kept of one call; 10,000 nodes say far less.
const OUTPUT: usize = 8 * 1024 * 1024;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with status 0.
    Good,
    /// By itself, with another status: some nodes may still be done.
    Status(i32),
    /// It was ended, or broke: the text says how. What it did not say is unknown.
    Broken(String),
}

impl Ending {
    /// Judges what is left of a command that had `limit`.
    pub fn of(finished: &Finished, limit: Duration) -> Ending {
        use std::os::unix::process::ExitStatusExt;
        if finished.timed_out {
            return Ending::Broken(format!("did not end within {} s", limit.as_secs()));
        }
        if finished.truncated {
            return Ending::Broken("said more than anybody reads".to_string());
        }
        match (finished.status.code(), finished.status.signal()) {
            (Some(0), _) => Ending::Good,
            (Some(status), _) => Ending::Status(status),
            (None, Some(signal)) => Ending::Broken(format!("was ended by signal {signal}")),
            (None, None) => Ending::Broken("did not end by itself".to_string()),
        }
    }
}

/// Runs `PROGRAM NODES ARGS...`, the nodes as a list with commas; once, unless the list is longer than
/// an argument may be. `limit` is for each call. The nodes' names must be plain ([`crate::is_plain`]).
///
/// # Errors
/// [`Error::File`] if the program cannot be run at all.
pub fn run(
    program: &Path,
    nodes: &[String],
    args: &[&str],
    limit: Duration,
) -> Result<Answers, Error> {
    let mut all = Answers {
        good: true,
        ..Answers::default()
    };
    for part in parts(nodes) {
        let list = part.join(",");
        let mut spec = Spec::new(program).arg(&list).args(args).deadline(limit);
        spec.output_limit = OUTPUT;
        let finished = command::run(&spec).map_err(Error::at(program))?;
        let ending = Ending::of(&finished, limit);
        let good = ending == Ending::Good;
        let mut answers = Answers::of(&finished.stdout, &finished.stderr, part, good);
        if let Ending::Broken(why) = ending {
            answers.general_first(&why);
        }
        all.join(answers);
    }
    Ok(all)
}

/// Parts of `nodes` whose lists fit into one argument each.
fn parts(nodes: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = nodes;
    std::iter::from_fn(move || {
        let mut length = 0;
        let fitting = rest
            .iter()
            .take_while(|node| {
                length += node.len() + 1;
                length <= LIST
            })
            .count();
        // A single name is never too long, but a part must never be empty either.
        let (part, after) = rest.split_at_checked(fitting.max(1))?;
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_in_one_part_and_no_part_is_too_long() {
        for count in [0_usize, 1, 2, 30_000] {
            let nodes: Vec<String> = (0..count).map(|n| format!("node-{n:05}")).collect();
            let all: Vec<&[String]> = parts(&nodes).collect();
            assert!(
                all.iter()
                    .all(|part| !part.is_empty() && part.join(",").len() <= LIST)
            );
            assert_eq!(all.concat(), nodes);
            assert_eq!(
                all.len(),
                (count * 11).div_ceil(LIST).max(usize::from(count > 0))
            );
        }
    }
}
