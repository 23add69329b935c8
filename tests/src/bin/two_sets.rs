//! A caller of the library: starts a reboot of each set of nodes (`n1,n2`), all before it waits for any,
//! and waits for the last first. Writes `SET: NODE,NUMBER` to standard output, why to standard error.

use std::error::Error;

use node_reboot::{Caller, Handle, Limits, Options, Request, start, wait};
use xcat_tables::{Location, Tables};

fn main() -> Result<(), Box<dyn Error>> {
    let tables = Tables::open(&Location::find()?)?;
    let mut limits = Limits::default();
    limits.set("power=20")?;
    let options = Options {
        at_once: true,
        batch: 0,
        limits,
        ..Options::default()
    };
    let begin = |set: String| {
        let request = Request {
            nodes: set.split(',').map(String::from).collect(),
            options: options.clone(),
            caller: Caller::here(),
        };
        start(&tables, &request)
    };
    let handles: Vec<Handle> = std::env::args()
        .skip(1)
        .map(begin)
        .collect::<Result<_, _>>()?;
    for (i, handle) in handles.into_iter().enumerate().rev() {
        for (node, result) in wait(handle).nodes {
            println!("{}: {node},{}", i + 1, result.status.0);
            eprintln!("{node}: {}", result.why);
        }
    }
    Ok(())
}
