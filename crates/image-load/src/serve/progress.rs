//! How far the nodes of a run are: a file for each run and image, renamed into place at most once a
//! second, that `osload` reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk_image::Digest;
use single_server::PrivateDir;

use super::{Error, orders, short};

/// How far a node is; of several images, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames that are on its disk.
    pub have: u64,
    /// Frames of the image.
    pub total: u64,
    /// Bytes that it took of the server; the others came from peers.
    pub bytes: u64,
    /// It needs nothing more of any server.
    pub done: bool,
    /// How often it has said how far it is: while this changes, it lives.
    pub words: u64,
}

/// How far the nodes of a run are, by the image servers of this host.
///
/// # Errors
/// The directory cannot be read.
pub fn progress(nonce: &str) -> Result<BTreeMap<String, Progress>, Error> {
    let mut nodes: BTreeMap<String, Progress> = BTreeMap::new();
    let directory = directory()?;
    for name in directory.names()? {
        if name
            .split_once('.')
            .is_none_or(|(run, image)| run != nonce || image.len() != 16)
        {
            continue;
        }
        for (node, one) in read(&directory.path().join(name)) {
            let sum = nodes.entry(node).or_insert(Progress {
                done: true,
                ..Progress::default()
            });
            sum.have += one.have;
            sum.total += one.total;
            sum.bytes += one.bytes;
            sum.done &= one.done;
            sum.words += one.words;
        }
    }
    Ok(nodes)
}

pub(super) fn directory() -> Result<PrivateDir, Error> {
    let above = program::paths::state_dir();
    PrivateDir::open(&above)?;
    PrivateDir::open(&above.join("osload"))?;
    Ok(PrivateDir::open(&above.join("osload/progress"))?)
}

/// Takes away what is of no run any more.
pub(super) fn sweep(directory: &PrivateDir) -> Result<(), Error> {
    for name in directory.names()? {
        let run = name.split('.').next().unwrap_or_default();
        if !orders().join(format!("{run}.json")).exists() {
            let gone = directory.remove(&name);
            gone.map_err(|why| directory.error(&name, why))?;
        }
    }
    Ok(())
}

/// The file of a run and an image.
pub(super) fn file(directory: &PrivateDir, nonce: &str, image: &Digest) -> PathBuf {
    directory.path().join(format!("{nonce}.{}", short(image)))
}

/// Lines `node,frames,of,bytes,done,words`.
pub(super) fn write(file: &Path, nodes: &BTreeMap<String, Progress>) -> io::Result<()> {
    let lines = nodes.iter().map(|(node, one)| {
        let done = u8::from(one.done);
        let Progress {
            have,
            total,
            bytes,
            words,
            ..
        } = one;
        format!("{node},{have},{total},{bytes},{done},{words}\n")
    });
    // Dot first: no reader takes it for a run's.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.new"));
    fs::write(&new, lines.collect::<String>())?;
    fs::rename(new, file)
}

/// What the file says; lines that say nothing are left out.
pub(super) fn read(file: &Path) -> BTreeMap<String, Progress> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<(String, Progress)> {
    let mut words = line.split(',');
    let node = words.next().filter(|node| !node.is_empty())?.to_string();
    let mut number = || words.next()?.parse::<u64>().ok();
    let progress = Progress {
        have: number()?,
        total: number()?,
        bytes: number()?,
        done: number()? == 1,
        words: number()?,
    };
    Some((node, progress))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ab.0123456789abcdef");
        assert!(read(&file).is_empty());
        let one = |have, done| Progress {
            have,
            total: 9,
            bytes: 7,
            done,
            words: 5,
        };
        let nodes = BTreeMap::from([
            ("n1".to_string(), one(1, false)),
            ("n2.x".to_string(), one(9, true)),
        ]);
        write(&file, &nodes).unwrap();
        assert_eq!(read(&file), nodes);
        std::fs::write(&file, "n1,1,2\n,1,2,3,0,1\nn2,x,1,1,1,1\nn3,1,1,1,1\n").unwrap();
        assert!(read(&file).is_empty());
    }
}
