//! One small job for each of many, each in a child of its own.

use std::collections::BTreeMap;

use fork_worker::{Crew, Job, Limits, What};

/// Runs the jobs and gathers what each came to, escaped.
pub(crate) fn gather(
    jobs: impl IntoIterator<Item = (String, Job)>,
) -> BTreeMap<String, Result<String, String>> {
    let mut crew = Crew::new(Limits::default());
    for (key, job) in jobs {
        crew.start(key, job);
    }
    let mut came = BTreeMap::new();
    while !crew.is_idle() {
        let Ok(ready) = crew.wait(&[], None) else {
            break;
        };
        for event in ready.events {
            if let What::Ended(ended) = event.what {
                let escape = |text: String| program::escape(&text).into_owned();
                let ended = ended.map_err(|why| why.to_string());
                came.insert(event.key, ended.map(escape).map_err(escape));
            }
        }
    }
    came
}
