//! A caller of both libraries, as Emulab's os_setup was: starts to load each set of nodes that is given as
//! `IMAGE=n1,n2` and to reboot each that is given as `n3,n4`, all before it waits for any, and waits for
//! the last first. Writes `SET: NODE,NUMBER` to standard output, why to standard error.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use image_load::{Caller, Choice, Handle, wait};
use xcat_tables::{Location, Tables};

fn main() -> Result<(), Box<dyn Error>> {
    let tables = Tables::open(&Location::find()?)?;
    let sibling = |name: &str| -> Result<PathBuf, Box<dyn Error>> {
        Ok(std::env::current_exe()?.with_file_name(name))
    };
    let mut options = image_load::Options::new(sibling("callbackd")?, sibling("osload")?);
    options.set_up = Duration::from_secs(20);
    let names = |set: &str| set.split(',').map(String::from).collect::<Vec<_>>();
    let begin = |set: String| -> Result<Handle, Box<dyn Error>> {
        let Some((image, nodes)) = set.split_once('=') else {
            let request = node_reboot::Request {
                nodes: names(&set),
                options: node_reboot::Options {
                    at_once: true,
                    batch: 0,
                    ..node_reboot::Options::default()
                },
                caller: Caller::here(),
            };
            return Ok(node_reboot::start(&tables, &request)?);
        };
        let request = image_load::Request {
            nodes: names(nodes),
            images: vec![Choice {
                name: image.into(),
                by_digest: false,
                disk: None,
            }],
            options: options.clone(),
            caller: Caller::here(),
        };
        Ok(image_load::start(&tables, &request)?)
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
