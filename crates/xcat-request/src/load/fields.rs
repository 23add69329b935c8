//! The fields' limits: the same on the wire and in a spool file.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Disk, Loaded, status};

/// Images in one order.
pub const IMAGES: usize = 16;

/// Bytes of a reason.
pub const REASON_LIMIT: usize = 1000;

/// Bytes of an image's name.
pub const IMAGE_LIMIT: usize = 64;

/// Bytes of a disk's name.
const DISK_LIMIT: usize = 64;

/// Bytes of a serial number or World Wide Name.
pub(super) const IDENTITY_LIMIT: usize = 128;

/// True for `[A-Za-z0-9][A-Za-z0-9._-]*` of at most [`IMAGE_LIMIT`] bytes: names become file names.
pub fn is_image_name(text: &str) -> bool {
    (1..=IMAGE_LIMIT).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// As the kernel makes them: `sda`, `nvme0n1`, `cciss!c0d0`, `dm-3`.
pub(super) fn is_disk_name(text: &str) -> bool {
    (1..=DISK_LIMIT).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'!' | b':'))
}

/// Firmware writes what it likes there, but a number that can be asked for is printable.
pub(super) fn is_identity(text: &str) -> bool {
    (1..=IDENTITY_LIMIT).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.trim() == text
}

pub(super) fn is_status(number: u8) -> bool {
    number <= status::LARGEST
}

pub(super) fn is_reason(text: &str) -> bool {
    text.len() <= REASON_LIMIT && !text.contains(char::is_control)
}

pub(super) fn image<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_image_name, "no image's name")
}

pub(super) fn disk<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_disk_name, "no disk's name")
}

pub(super) fn identity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(from)? {
        Some(text) if !is_identity(&text) => Err(D::Error::custom("no serial number")),
        other => Ok(other),
    }
}

pub(super) fn status<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    match u8::deserialize(from)? {
        number if is_status(number) => Ok(number),
        _ => Err(D::Error::custom("no status")),
    }
}

pub(super) fn reason<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_reason, "no reason")
}

pub(super) fn disks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Disk>, D::Error> {
    let disks = few::<Disk, D>(from)?;
    if disks.is_empty() {
        return Err(D::Error::custom("no disk"));
    }
    Ok(disks)
}

pub(super) fn images<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Loaded>, D::Error> {
    few(from)
}

fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::<T>::deserialize(from)?;
    if list.len() > IMAGES {
        return Err(D::Error::custom("too many images"));
    }
    Ok(list)
}

fn text<'de, D: Deserializer<'de>>(
    from: D,
    fits: fn(&str) -> bool,
    otherwise: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if !fits(&text) {
        return Err(D::Error::custom(otherwise));
    }
    Ok(text)
}
