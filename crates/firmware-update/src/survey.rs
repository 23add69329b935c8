//! One step for each node, and nothing remembered: `-l`, `-c`, `--delete`.

use std::rc::Rc;

use fork_worker::{Crew, Failure, Job, Limits, Report, What};

use crate::engine::{Error, Stop, Worker};
use crate::plan::Options;
use crate::step::{Kind, Order, Outcome, Step, Trouble};

/// Does `step` with every node; each answer is told as it comes. A signal ends it: nodes that have
/// not answered are told as stopped.
///
/// # Errors
/// [`Error::Wait`].
pub fn survey(
    nodes: &[String],
    step: &Step,
    options: &Options,
    worker: &Worker,
    stop: &dyn Stop,
    say: &mut dyn FnMut(&str, Result<Outcome, Trouble>),
) -> Result<(), Error> {
    let mut crew = Crew::new(Limits::fanout(options.fanout));
    for node in nodes {
        let order = Order {
            node: node.clone(),
            step: step.clone(),
        };
        crew.start(node.clone(), job(order, Rc::clone(worker), options));
    }
    while !crew.is_idle() {
        let ready = crew.wait(&[stop.as_fd()], None).map_err(Error::Wait)?;
        let mut events = ready.events;
        if !ready.readable.is_empty() && stop.take() {
            events.extend(crew.terminate());
        }
        for event in events {
            if let What::Ended(result) = event.what {
                say(&event.key, answer(result));
            }
        }
    }
    Ok(())
}

/// The child of one step. Its report is bounded: a list of images has some kilobytes.
pub(crate) fn job(order: Order, worker: Worker, options: &Options) -> Job {
    let limits = &options.limits;
    let deadline = match order.step {
        Step::Upload { .. } => limits.upload + limits.accept + limits.connect,
        // Each request has its own limit; this bounds a BMC that answers each in the last moment.
        _ => limits.connect + limits.request * 4,
    };
    let job = Job::new(move |report: &mut Report| {
        // A hang-up, or an interrupt typed at the terminal, is the parent's matter.
        let _ = nix::unistd::setsid();
        match worker(&order, report) {
            Ok(outcome) => serde_json::to_string(&outcome).map_err(|error| error.to_string()),
            Err(trouble) => Err(serde_json::to_string(&trouble).unwrap_or_default()),
        }
    });
    job.deadline(deadline).line_limit(4 << 20)
}

/// A child's end as an answer of its BMC.
pub(crate) fn answer(result: Result<String, Failure>) -> Result<Outcome, Trouble> {
    match result {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| Trouble::new(Kind::Refused, format!("internal error: {error}"))),
        Err(Failure::Said(text)) => {
            Err(serde_json::from_str(&text).unwrap_or_else(|_| Trouble::new(Kind::Refused, text)))
        }
        Err(failure @ Failure::Deadline) => Err(Trouble::new(Kind::Silent, failure.to_string())),
        Err(failure) => Err(Trouble::new(Kind::Refused, failure.to_string())),
    }
}
