//! What was typed after `image`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Subcommand;
use disk_image::{Format, LEVELS};

/// Most children at a time.
const MOST_JOBS: u16 = 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an image of a file, and let the name mean it
    Add {
        /// The image's name: letters, digits and . _ -
        #[arg(value_name = "NAME")]
        name: String,
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What the file is: raw, qcow2, vdi, vhdx, vmdk or vpc; never guessed
        #[arg(long, value_name = "FORMAT")]
        format: Format,
        /// Length of a frame in MiB, 1, 2 or 4; else by the disk's size
        #[arg(long, value_name = "N", value_parser = frame_size)]
        frame_size: Option<u32>,
        /// zstd's level, 1 to 9
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(levels()))]
        level: i32,
        #[command(flatten)]
        jobs: Jobs,
    },
    /// Print each image's name, sizes, source and digest
    List,
    /// Print all that is known of an image
    Show {
        /// The image's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Read images whole, and compare every frame and the disk with their digests
    Verify {
        /// The images' names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        jobs: Jobs,
    },
    /// Remove images; one that is being loaded stays until then, without its name
    Rm {
        /// The images' names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Jobs {
    /// Work in N processes at a time; else one for each processor
    #[arg(long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_JOBS)))]
    jobs: Option<u16>,
}

impl Jobs {
    pub(crate) fn count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(processors, usize::from)
    }
}

fn levels() -> RangeInclusive<i64> {
    i64::from(*LEVELS.start())..=i64::from(*LEVELS.end())
}

fn frame_size(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1 << 20),
        "2" => Ok(2 << 20),
        "4" => Ok(4 << 20),
        _ => Err("is not 1, 2 or 4".to_string()),
    }
}
