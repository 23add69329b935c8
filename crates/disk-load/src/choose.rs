//! Which disk gets which image (design section 9).

use std::fmt::Write;

use disk_image::order::DiskChoice;

use crate::survey::{Disk, Reserve, Unusable, same_wwn};

/// An image that wants a disk.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    /// Its name, for messages.
    pub image: &'a str,
    /// The size of its disk in bytes.
    pub size: u64,
    /// Which disk, if the order names one.
    pub disk: Option<&'a DiskChoice>,
}

/// Why an image gets no disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no disk that may be taken unasked.
    #[error("{image}: no disk may be taken for it: {there}")]
    None {
        /// The image.
        image: String,
        /// The disks that there are, and what each is.
        there: String,
    },
    /// Which of them is not clear.
    #[error("{image}: several disks may be meant, the order has to name one: {there}")]
    Several {
        /// The image.
        image: String,
        /// The candidates.
        there: String,
    },
    /// The order names a disk that is not here.
    #[error("{image}: no disk with {wanted}: {there}")]
    NotHere {
        /// The image.
        image: String,
        /// What it was named by.
        wanted: String,
        /// The disks that there are.
        there: String,
    },
    /// By a name that may be another disk's at the next boot.
    #[error(
        "{image}: {disk}: {why}: taken only if the order names it by serial number or World Wide Name"
    )]
    Reserved {
        /// The image.
        image: String,
        /// The disk.
        disk: String,
        /// What it is.
        why: Reserve,
    },
    /// It cannot be written.
    #[error("{image}: {disk}: {why}")]
    Unusable {
        /// The image.
        image: String,
        /// The disk.
        disk: String,
        /// Why not.
        why: Unusable,
    },
    /// The image does not fit.
    #[error("{image}: {disk}: is too small: {size} bytes, the image has {needed}")]
    TooSmall {
        /// The image.
        image: String,
        /// The disk.
        disk: String,
        /// Its bytes.
        size: u64,
        /// The image's.
        needed: u64,
    },
    /// Another image has it.
    #[error("{image}: {disk}: is for {other} as well")]
    Twice {
        /// The image.
        image: String,
        /// The disk.
        disk: String,
        /// The other image.
        other: String,
    },
}

/// A disk for each image, in their sequence. A named disk must be there, whatever else there is; without
/// a name, exactly one disk must be left that may be taken unasked.
///
/// # Errors
/// [`Refused`], of the first image that gets none.
pub fn choose<'d>(disks: &'d [Disk], wants: &[Want<'_>]) -> Result<Vec<&'d Disk>, Refused> {
    let mut chosen: Vec<Option<&Disk>> = vec![None; wants.len()];
    // Those with a name first: what they take is not left for the one without.
    for named in [true, false] {
        for (number, want) in wants.iter().enumerate() {
            if want.disk.is_some() != named {
                continue;
            }
            let disk = match want.disk {
                Some(choice) => find(disks, want, choice)?,
                None => only(disks, want, &chosen)?,
            };
            fits(want, &disk.name, disk.size)?;
            let other = chosen.iter().position(|other| {
                let other = other.map(|other| &other.name);
                other == Some(&disk.name)
            });
            if let Some(other) = other {
                return Err(Refused::Twice {
                    image: want.image.to_string(),
                    disk: disk.name.clone(),
                    other: wants[other].image.to_string(),
                });
            }
            chosen[number] = Some(disk);
        }
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// Checks the size alone.
///
/// # Errors
/// [`Refused::TooSmall`].
pub fn fits(want: &Want<'_>, disk: &str, size: u64) -> Result<(), Refused> {
    if size >= want.size {
        return Ok(());
    }
    Err(Refused::TooSmall {
        image: want.image.to_string(),
        disk: disk.to_string(),
        size,
        needed: want.size,
    })
}

fn find<'d>(disks: &'d [Disk], want: &Want<'_>, choice: &DiskChoice) -> Result<&'d Disk, Refused> {
    let image = want.image.to_string();
    let is = |disk: &&Disk| match choice {
        DiskChoice::Serial(serial) => disk.serial.as_deref() == Some(serial.trim()),
        DiskChoice::Wwn(wwn) => disk.wwn.as_deref().is_some_and(|own| same_wwn(own, wwn)),
        DiskChoice::Name(name) => disk.name == *name,
    };
    let found: Vec<&Disk> = disks.iter().filter(is).collect();
    // Of several paths to one disk, the first that can be written.
    let usable = found.iter().find(|disk| disk.unusable_because.is_none());
    let Some(disk) = usable.or(found.first()) else {
        let wanted = match choice {
            DiskChoice::Serial(serial) => format!("serial number {serial}"),
            DiskChoice::Wwn(wwn) => format!("World Wide Name {wwn}"),
            DiskChoice::Name(name) => format!("name {name}"),
        };
        let there = listed(disks.iter());
        return Err(Refused::NotHere {
            image,
            wanted,
            there,
        });
    };
    // Two disks with one serial number, as some controllers give them to all their volumes.
    let paths = found.len() > 1 && !matches!(choice, DiskChoice::Wwn(_));
    if paths
        && found
            .iter()
            .any(|other| other.wwn != disk.wwn || other.wwn.is_none())
    {
        let there = listed(found.into_iter());
        return Err(Refused::Several { image, there });
    }
    let disk = *disk;
    if let Some(why) = &disk.unusable_because {
        return Err(Refused::Unusable {
            image,
            disk: disk.name.clone(),
            why: why.clone(),
        });
    }
    if let (Some(why), DiskChoice::Name(_)) = (disk.unsafe_because, choice) {
        return Err(Refused::Reserved {
            image,
            disk: disk.name.clone(),
            why,
        });
    }
    Ok(disk)
}

fn only<'d>(
    disks: &'d [Disk],
    want: &Want<'_>,
    taken: &[Option<&Disk>],
) -> Result<&'d Disk, Refused> {
    let candidate = |disk: &&Disk| {
        let free = !taken.iter().flatten().any(|taken| taken.name == disk.name);
        free && disk.unusable_because.is_none() && disk.unsafe_because.is_none()
    };
    let image = want.image.to_string();
    let candidates: Vec<&Disk> = disks.iter().filter(candidate).collect();
    match candidates[..] {
        [disk] => Ok(disk),
        [] => {
            let real = |disk: &&Disk| disk.unusable_because != Some(Unusable::Virtual);
            let there = listed(disks.iter().filter(real));
            Err(Refused::None { image, there })
        }
        _ => {
            let there = listed(candidates.into_iter());
            Err(Refused::Several { image, there })
        }
    }
}

/// The disks in one line; the first of them if there are many.
fn listed<'d>(disks: impl Iterator<Item = &'d Disk>) -> String {
    const SHOWN: usize = 12;
    let mut text = String::new();
    let disks: Vec<&Disk> = disks.collect();
    for (number, disk) in disks.iter().take(SHOWN).enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{disk}");
    }
    match disks.len() {
        0 => "there is none".to_string(),
        count if count > SHOWN => format!("{text} and {} more", count - SHOWN),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
