//! A cluster whose nodes have simulated BMCs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use simulators::{BmcState, Bmcs, Config};

use crate::{Cluster, Finished};

/// Password of every BMC: looked for where it must not be.
pub const PASSWORD: &str = "s3cret-of-the-bmcs";

/// Nodes `n1`.. with a BMC each, in the order of the simulation.
#[derive(Debug)]
pub struct Fleet {
    /// Tables and directories.
    pub cluster: Cluster,
    /// BMC `i` is node `n{i+1}`'s.
    pub bmcs: Bmcs,
}

impl Fleet {
    /// Starts the BMCs and makes the tables.
    pub fn new(mut config: Config) -> Fleet {
        config.password = PASSWORD.to_string();
        for group in &mut config.groups {
            group.machine_name = "simulated".to_string();
        }
        let bmcs = Bmcs::start(config);
        let cluster = Cluster::new(bmcs.len());
        let nodes = || (0..bmcs.len()).map(|i| (i, format!("n{}", i + 1)));
        cluster.restore(
            "nodehm",
            "#node,mgt",
            nodes().map(|(_, node)| vec![node, "openbmc".into()]),
        );
        let row = |(i, node): (usize, String)| {
            vec![
                node,
                bmcs.address(i).to_string(),
                "root".into(),
                PASSWORD.into(),
            ]
        };
        cluster.restore("openbmc", "#node,bmc,username,password", nodes().map(row));
        Fleet { cluster, bmcs }
    }

    /// Writes archives for BMC and host with these versions into a directory of their own.
    pub fn archives(&self, bmc: &str, host: &str, size: usize) -> PathBuf {
        let dir = self.cluster.path(&format!("firmware-{bmc}"));
        std::fs::create_dir_all(&dir).expect("firmware");
        for (name, version, purpose) in [("bmc", bmc, "BMC"), ("host", host, "Host")] {
            let archive = firmware_update::testing::firmware(version, purpose, size);
            std::fs::write(dir.join(format!("{name}.tar")), archive).expect("archive");
        }
        dir
    }

    /// Runs rflash to its end.
    pub fn rflash(&self, args: &[&str]) -> Finished {
        self.cluster.run("rflash", args)
    }

    /// How node `n{i+1}`'s BMC is.
    pub fn state(&self, i: usize) -> BmcState {
        self.bmcs.state(i)
    }
}

/// The version that runs, of `BMC` or `Host`.
pub fn runs(state: &BmcState, purpose: &str) -> Option<String> {
    let mut images = state.images.iter();
    images
        .find(|image| image.purpose == purpose && image.functional)
        .map(|image| image.version.clone())
}

/// The verdicts in the output of `rflash --json`, by node: done, and why.
pub fn verdicts(finished: &Finished) -> BTreeMap<String, (bool, String)> {
    let lines = finished
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter_map(|value| {
            let status = value["status"].as_str()?;
            Some((
                value["node"].as_str()?.to_string(),
                (status == "done", value["why"].as_str()?.to_string()),
            ))
        })
        .collect()
}
