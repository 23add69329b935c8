//! From a file to an image in the store: packed by several children at once, joined, named.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use fork_worker::{Crew, Job, Limits, Report, What};

use crate::chunk::{Chunk, digest};
use crate::commit::Committed;
use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::frame::{Frame, LARGEST_FRAME, SMALLEST_FRAME};
use crate::manifest::{MOST_FRAMES, Manifest, Partitions, SECTOR, Source};
use crate::name::check_name;
use crate::qemu;
use crate::source::{Format, Opened};
use crate::store::Store;
use crate::work::{self, Key, Work};

/// Levels of zstd's at which a child keeps within 64 MiB.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=9;
/// Shortest part of a disk that is worth a child, in bytes.
const SHORTEST_PART: u64 = 64 << 20;
/// Most parts of a disk.
const MOST_PARTS: u64 = 256;

/// What is to be added, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image's name.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What the file is declared to be.
    pub format: Format,
    /// Length of a window: 1, 2 or 4 MiB, in bytes. None: by the disk's size, so that its manifest stays
    /// small.
    pub frame_size: Option<u32>,
    /// zstd's level, of [`LEVELS`].
    pub level: i32,
    /// Children at a time.
    pub jobs: usize,
}

/// One child's work.
#[derive(Debug, Clone)]
enum Task {
    Part(Chunk),
    /// SHA-256 of the disk, or of the source if that is another file.
    Digest(&'static str),
}

impl Store {
    /// Adds an image: when this returns, it is on disk and `name` means it. `progress` hears how many
    /// bytes of how many are packed.
    ///
    /// Whatever dies on the way, the name means what it meant before or the new image; a killed add of
    /// the same file is gone on with. The calling process must have no threads.
    ///
    /// # Errors
    /// [`Error`]; then the name means what it meant before.
    pub fn add(
        &self,
        request: &Request,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Committed, Error> {
        check_name(&request.name)?;
        let source = Opened::open(&request.file, request.format)?;
        self.make()?;
        let adding = self.directory().join("adding");
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(path).map_err(|why| Error::system(path, why))?;
        let key = Key {
            boot_id: boot_id.trim(),
            source: &source.identity,
            format: request.format,
            frame_size: request.frame_size,
            level: request.level,
        };
        let work = Work::open(&adding, &key)?;
        let work = work.ok_or_else(|| Error::source(&source.path, "is being added already"))?;
        work::sweep(&adding, Some(work.path()))?;
        let added = self.add_in(request, &source, &work, progress);
        // Also after an error: a disk that is full must not stay full.
        let removed = work.remove();
        let added = added?;
        removed?;
        Ok(added)
    }

    fn add_in(
        &self,
        request: &Request,
        source: &Opened,
        work: &Work,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Committed, Error> {
        let disk = disk(source, request.format, work)?;
        let about = disk
            .metadata()
            .map_err(|why| Error::source(&source.path, why.to_string()))?;
        let size = about.len();
        let wrong = |why: String| Err(Error::source(&source.path, why));
        if !size.is_multiple_of(SECTOR) {
            let why = format!("is no disk: its {size} bytes are not a multiple of {SECTOR}");
            return wrong(why);
        }
        let frame_size = request.frame_size.unwrap_or_else(|| suitable(size));
        if size.div_ceil(u64::from(frame_size)) > MOST_FRAMES {
            return wrong(format!(
                "needs more than {MOST_FRAMES} frames; larger ones are fewer"
            ));
        }
        let chunks = chunks(size, frame_size);
        let crew = Packing {
            request,
            source,
            disk: &disk,
            size,
            frame_size,
            work,
        };
        crew.run(&chunks, progress)?;
        let frames = join(&chunks, work)?;
        let disk_digest = crew.digest("disk")?;
        let manifest = Manifest::new(
            size,
            frame_size,
            disk_digest,
            Source {
                format: request.format.to_string(),
                size: source.identity.size,
                digest: match request.format {
                    Format::Raw => disk_digest,
                    _ => crew.digest("source")?,
                },
            },
            Partitions::read(&disk).map_err(|why| Error::source(&source.path, why.to_string()))?,
            frames,
        )?;
        source.unchanged()?;
        self.commit(&request.name, work.path(), &manifest)
    }
}

/// What the children share.
struct Packing<'a> {
    request: &'a Request,
    source: &'a Opened,
    disk: &'a File,
    size: u64,
    frame_size: u32,
    work: &'a Work,
}

impl Packing<'_> {
    /// Lets children do what a killed add before this one has not done.
    fn run(&self, chunks: &[Chunk], progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
        let mut crew = Crew::new(Limits::fanout(self.request.jobs));
        // The digest first: nothing can share that work.
        let digests: &[&str] = match self.request.format {
            Format::Raw => &["disk"],
            _ => &["disk", "source"],
        };
        for which in digests {
            if files::read(&self.work.file(which), 64)?.is_none() {
                crew.start(Task::Digest(which), self.job(Task::Digest(which))?);
            }
        }
        let mut done = 0;
        for chunk in chunks {
            match chunk.frames(self.work.path())? {
                Some(_) => done += chunk.end - chunk.begin,
                None => {
                    let task = Task::Part(chunk.clone());
                    crew.start(task.clone(), self.job(task)?);
                }
            }
        }
        progress(done, self.size);
        while !crew.is_idle() {
            let ready = crew
                .wait(&[], None)
                .map_err(|why| Error::system(&self.source.path, why))?;
            for event in ready.events {
                let What::Ended(ended) = event.what else {
                    continue;
                };
                if let Err(failure) = ended {
                    return Err(Error::Worker {
                        subject: self.source.path.display().to_string(),
                        why: failure.to_string(),
                    });
                }
                if let Task::Part(chunk) = event.key {
                    done += chunk.end - chunk.begin;
                    progress(done, self.size);
                }
            }
        }
        Ok(())
    }

    fn job(&self, task: Task) -> Result<Job, Error> {
        let file = match task {
            Task::Digest("source") => &self.source.file,
            _ => self.disk,
        };
        let file = file
            .try_clone()
            .map_err(|why| Error::system(&self.source.path, why))?;
        let (size, work) = (self.size, self.work.path().to_owned());
        let (frame_size, level) = (self.frame_size, self.request.level);
        let (descriptor, source_size) = (file.as_raw_fd(), self.source.identity.size);
        let body = move |_: &mut Report| -> Result<String, String> {
            match task {
                Task::Part(chunk) => chunk
                    .pack(&file, &work, frame_size, level)
                    .map_err(|error| error.to_string())?,
                Task::Digest(which) => {
                    let size = if which == "source" { source_size } else { size };
                    let found = digest(&file, size).map_err(|error| error.to_string())?;
                    put(&work, which, &found).map_err(|error| error.to_string())?;
                }
            }
            Ok(String::new())
        };
        // While one child lives, nobody else takes the directory over.
        Ok(Job::new(body).keep(descriptor).keep(self.work.descriptor()))
    }

    fn digest(&self, which: &str) -> Result<Digest, Error> {
        let path = self.work.file(which);
        let bytes = files::read(&path, 64)?.unwrap_or_default();
        String::from_utf8_lossy(&bytes).parse()
    }
}

/// Leaves a digest for whoever goes on.
fn put(work: &Path, which: &str, digest: &Digest) -> Result<(), Error> {
    let new = work.join(format!("{which}.new"));
    std::fs::write(&new, digest.to_string()).map_err(|why| Error::system(&new, why))?;
    files::rename(&new, &work.join(which))
}

/// The raw disk: the source itself, or what qemu-img makes of it.
fn disk(source: &Opened, format: Format, work: &Work) -> Result<File, Error> {
    if format == Format::Raw {
        let clone = source.file.try_clone();
        return clone.map_err(|why| Error::system(&source.path, why));
    }
    let path = work.file("raw");
    if let Some(disk) = files::open(&path)? {
        return Ok(disk);
    }
    // A killed one's qemu-img may live for another moment: it has a file of its own.
    for name in files::names(work.path())? {
        if name.starts_with("raw.") {
            files::remove(&work.file(&name))?;
        }
    }
    let new = work.file(&format!("raw.{}", std::process::id()));
    qemu::convert(source, format, &new)?;
    files::rename(&new, &path)?;
    let missing = || Error::system(&path, io::ErrorKind::NotFound);
    files::open(&path)?.ok_or_else(missing)
}

/// The length of a window that keeps the manifest of a full disk within some 10 MiB; only those of very
/// large ones are longer.
fn suitable(size: u64) -> u32 {
    match size >> 30 {
        0..64 => SMALLEST_FRAME,
        64..128 => 2 * SMALLEST_FRAME,
        _ => LARGEST_FRAME,
    }
}

/// Parts of whole windows.
fn chunks(size: u64, frame_size: u32) -> Vec<Chunk> {
    let window = u64::from(frame_size);
    let length = SHORTEST_PART
        .max(size.div_ceil(MOST_PARTS))
        .next_multiple_of(window);
    let parts = 0..size.div_ceil(length);
    let part = |number| Chunk {
        number,
        begin: number * length,
        end: size.min((number + 1) * length),
    };
    parts.map(part).collect()
}

/// Puts the parts one behind the other into `frames`, and waits until it is on disk. Returns the frames
/// with their places there.
fn join(chunks: &[Chunk], work: &Work) -> Result<Vec<Frame>, Error> {
    let path = work.file("frames");
    let failed = |why: io::Error| Error::system(&path, why);
    let mut object = files::create(&path, 0o600).map_err(failed)?;
    let (mut frames, mut at) = (Vec::new(), 0);
    for chunk in chunks {
        let part = work.file(&chunk.part());
        let list = chunk.frames(work.path())?;
        let list = list.ok_or_else(|| Error::store(&part, "has no list of its frames"))?;
        let mut from = File::open(&part).map_err(|why| Error::system(&part, why))?;
        let begin = at;
        for mut frame in list {
            frame.at = at;
            at = frame.range().end;
            frames.push(frame);
        }
        // By the kernel alone: copy_file_range.
        let copied = io::copy(&mut from, &mut object).map_err(failed)?;
        if copied != at - begin {
            return Err(Error::store(&part, "is not as long as its frames"));
        }
    }
    object.sync_all().map_err(failed)?;
    Ok(frames)
}
