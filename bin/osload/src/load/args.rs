//! What was typed to load disks.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use image_load::{Choice, DiskChoice, MaxFail, Options, Zero};

/// More nodes than this are asked about: each loses what is on a disk.
const MAX_NODES: usize = 256;
/// The largest number of seconds that an option takes.
const LONGEST: u64 = 7 * 86_400;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Load {
    /// The nodes; `-` reads their names from standard input
    #[arg(value_name = "NODERANGE")]
    pub(crate) noderange: Option<String>,
    /// Load these images, by name, in this sequence
    #[arg(short = 'i', value_name = "IMAGE,...", value_delimiter = ',', conflicts_with_all = ["digests", "current"])]
    pub(crate) images: Vec<String>,
    /// Load these images, by the SHA-256 of their manifests
    #[arg(
        short = 'm',
        value_name = "DIGEST,...",
        value_delimiter = ',',
        conflicts_with = "current"
    )]
    pub(crate) digests: Vec<String>,
    /// Load the image that nodetype.provmethod of the nodes names
    #[arg(short = 'c')]
    pub(crate) current: bool,
    /// Look for -i's names as PROJECT.IMAGE first
    #[arg(short = 'p', value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// The nodes of this group or noderange
    #[arg(short = 'e', value_name = "GROUP", conflicts_with = "noderange")]
    pub(crate) group: Option<String>,
    /// List the images: what `osload image list` does
    #[arg(short = 'l', conflicts_with_all = ["noderange", "group", "images", "digests", "current"])]
    pub(crate) list: bool,
    /// Start, and do not wait: the system's log hears how it ends
    #[arg(short = 's')]
    pub(crate) start: bool,
    /// Wait until the new system is up on the nodes
    #[arg(short = 'w', conflicts_with = "start")]
    pub(crate) wait: bool,
    /// The same, so many seconds for each node
    #[arg(long, value_name = "S", conflicts_with = "start", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) wait_time: Option<u64>,
    /// Switch no power: the caller boots the nodes into genesis, and from their disks afterwards
    #[arg(short = 'r', conflicts_with_all = ["wait", "wait_time", "configure"])]
    pub(crate) no_reboot: bool,
    /// The disk's other bytes: 0 stay, 1 behind the image become zeros, 2 the whole disk does first
    #[arg(short = 'z', value_name = "STYLE", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) zero: u8,
    /// Run the nodes' configuration when the new system is up (waits for that)
    #[arg(short = 'R', conflicts_with = "start")]
    pub(crate) configure: bool,
    /// Forget what was on the disk: what is done anyway, images are of whole disks
    #[arg(short = 'P')]
    pub(crate) prepare: bool,
    /// Load it even if it is loaded: what is done anyway
    #[arg(short = 'F')]
    pub(crate) force: bool,
    /// setup=S and stall=S: seconds until an agent is heard of, and between two frames
    #[arg(short = 'o', value_name = "KEY=VALUE,...", value_delimiter = ',')]
    pub(crate) custom: Vec<String>,
    /// The disk: serial:X or wwn:X, for one of several images IMAGE=serial:X
    #[arg(long = "disk", value_name = "[IMAGE=]KIND:X")]
    pub(crate) disks: Vec<String>,
    /// A disk with this signature of another user may be overwritten (its name by blkid)
    #[arg(long, value_name = "SIGNATURE", value_delimiter = ',')]
    pub(crate) overwrite: Vec<String>,
    /// Say what is done with each node
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// The same
    #[arg(short = 'd')]
    pub(crate) debug: bool,
    /// The same, for a level above 0
    #[arg(short = 'D', value_name = "LEVEL", default_value_t = 0)]
    pub(crate) level: u32,
    /// Work on so many nodes at a time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) fanout: u32,
    /// Begin no more nodes once more than so many have failed, or so many of a hundred
    #[arg(long, value_name = "N|N%")]
    pub(crate) max_fail: Option<MaxFail>,
    /// Give each node so many seconds to write and read back, in place of what its images' sizes give
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    pub(crate) timeout: Option<u64>,
    /// Refuse a noderange with a part that means something else by accident, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// Ask (on a terminal) or refuse if there are more nodes
    #[arg(long, value_name = "N", default_value_t = MAX_NODES)]
    pub(crate) max_nodes: usize,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write `node,status` to this descriptor as nodes are settled
    #[arg(long, value_name = "N", conflicts_with = "start")]
    pub(crate) status_fd: Option<RawFd>,
    /// Write the failed nodes to this file, for `^FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) failed_to: Option<PathBuf>,
    /// Lines of the pipe in REBOOTPIPENO say why, and what is done; nothing else says so
    #[arg(long, hide = true)]
    pub(crate) status_more: bool,
    /// This is what -s has started
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,
}

impl Load {
    /// The nodes, as typed.
    pub(crate) fn range(&self) -> Option<&str> {
        self.noderange.as_deref().or(self.group.as_deref())
    }

    /// True if something was typed that only loading takes.
    pub(crate) fn is_given(&self) -> bool {
        self.range().is_some()
            || !self.images.is_empty()
            || !self.digests.is_empty()
            || self.current
            || self.list
    }

    /// True if more is to be said.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose || self.debug || self.level > 0
    }

    /// The images and their disks; `exists` says whether an image has that name. None: the nodes' own.
    /// `Err`: what is wrong with an option.
    pub(crate) fn choices(&self, exists: impl Fn(&str) -> bool) -> Result<Vec<Choice>, String> {
        let mut choices: Vec<Choice> = Vec::new();
        for name in &self.images {
            let of_project = self.project.as_ref().map(|p| format!("{p}.{name}"));
            let name = of_project
                .filter(|name| exists(name))
                .unwrap_or(name.clone());
            choices.push(choice(name, false));
        }
        choices.extend(self.digests.iter().map(|name| choice(name.clone(), true)));
        if choices.is_empty() && !self.current {
            return Err("-i, -m or -c: one of them says what to load".into());
        }
        for text in &self.disks {
            self.put_disk(text, &mut choices)
                .map_err(|why| format!("--disk: {text}: {why}"))?;
        }
        Ok(choices)
    }

    fn put_disk(&self, text: &str, choices: &mut [Choice]) -> Result<(), String> {
        // A serial number may hold anything, an image's name no colon.
        let named = text
            .split_once('=')
            .filter(|(image, _)| !image.contains(':'));
        let (image, disk) = match named {
            Some((image, disk)) => (Some(image), disk),
            None => (None, text),
        };
        let disk = match disk.split_once(':') {
            Some(("serial", number)) if !number.is_empty() => DiskChoice::Serial(number.into()),
            Some(("wwn", number)) if !number.is_empty() => DiskChoice::Wwn(number.into()),
            _ => return Err("is neither serial:X nor wwn:X".into()),
        };
        let one = match (image, choices) {
            (None, [one]) => one,
            (None, _) => return Err("which image is it for? IMAGE=KIND:X says so".into()),
            (Some(image), choices) => {
                let of_project = self.project.as_ref().map(|p| format!("{p}.{image}"));
                choices
                    .iter_mut()
                    .find(|one| one.name == image || Some(&one.name) == of_project.as_ref())
                    .ok_or("that image is not to be loaded")?
            }
        };
        match one.disk.replace(disk) {
            None => Ok(()),
            Some(_) => Err("the image has a disk already".into()),
        }
    }

    /// How it is done. `Err`: what is wrong with an option.
    pub(crate) fn options(&self, mut options: Options) -> Result<Options, String> {
        options.zero = Zero::try_from(self.zero)?;
        options.overwrite = self.overwrite.clone();
        options.power = !self.no_reboot;
        let waits = self.wait || self.configure;
        options.wait = self
            .wait_time
            .map(Duration::from_secs)
            .or(waits.then_some(image_load::WAIT));
        options.configure = self.configure;
        options.fanout = self.fanout as usize;
        options.max_fail = self.max_fail;
        options.timeout = self.timeout.map(Duration::from_secs);
        options.notes = self.is_verbose();
        for text in &self.custom {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| format!("-o: {text}: is not KEY=VALUE"))?;
            let value = value
                .parse()
                .ok()
                .filter(|seconds| (1..=LONGEST).contains(seconds))
                .map(Duration::from_secs)
                .ok_or_else(|| format!("-o: {text}: is no number of seconds"));
            match key {
                "setup" => options.set_up = value?,
                "stall" => options.stall = value?,
                _ => return Err(format!("-o: {key}: no such option (setup, stall)")),
            }
        }
        Ok(options)
    }
}

fn choice(name: String, by_digest: bool) -> Choice {
    Choice {
        name,
        by_digest,
        disk: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(images: &[&str], disks: &[&str]) -> Load {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Load {
            images: texts(images),
            disks: texts(disks),
            ..Load::default()
        }
    }

    #[test]
    fn disks_go_with_their_images() {
        let one = load(&["a"], &["serial:S=1:2"]);
        let choices = one.choices(|_| true).unwrap();
        assert_eq!(choices[0].disk, Some(DiskChoice::Serial("S=1:2".into())));
        let two = load(&["a", "b"], &["b=wwn:0x5"]);
        let choices = two.choices(|_| true).unwrap();
        assert_eq!(choices[1].disk, Some(DiskChoice::Wwn("0x5".into())));
        for (images, disks) in [
            (&["a", "b"][..], &["serial:1"][..]),
            (&["a"], &["c=serial:1"]),
            (&["a"], &["serial:1", "a=wwn:2"]),
            (&["a"], &["sda"]),
            (&["a"], &["serial:"]),
            (&[], &[]),
        ] {
            assert!(load(images, disks).choices(|_| true).is_err(), "{disks:?}");
        }
    }

    #[test]
    fn a_projects_image_comes_before_everybodys() {
        let mut load = load(&["a"], &["a=serial:1"]);
        load.project = Some("lab".into());
        assert_eq!(
            load.choices(|name| name == "lab.a").unwrap()[0].name,
            "lab.a"
        );
        assert_eq!(load.choices(|_| false).unwrap()[0].name, "a");
    }

    #[test]
    fn unknown_custom_options_are_refused() {
        let usual = || Options::new(PathBuf::new(), PathBuf::new());
        let with = |text: &str| {
            let custom = text.split(',').map(String::from).collect();
            Load {
                custom,
                fanout: 1,
                ..Load::default()
            }
            .options(usual())
        };
        assert_eq!(
            with("setup=5,stall=6").unwrap().stall,
            Duration::from_secs(6)
        );
        for wrong in ["swapinfo=1", "setup", "setup=", "setup=0", "stall=x", "=1"] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }
}
