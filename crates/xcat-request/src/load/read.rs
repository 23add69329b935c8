//! A request off the wire.

use super::fields::{IMAGES, is_disk_name, is_identity, is_image_name, is_reason, is_status};
use super::{Disk, Element, Error, Loaded, SetUp, Told, Verdict, is_nonce, shown};

/// Reads a request's nonce and what it says. Elements and attributes count alike, blanks around a
/// value do not count, and elements that are not known are left alone. `root` is a request whose
/// `<command>` is [`super::COMMAND`].
///
/// # Errors
/// Refused whole: without a nonce, and with any value that does not fit its field. An agent of ours
/// sends none such ([`super::to_request`]).
pub fn from_request(root: &Element) -> Result<(String, Told), Error> {
    let nonce = trimmed(root, "nonce").unwrap_or_default();
    if !is_nonce(nonce) {
        return Err(Error::Nonce);
    }
    let told = match trimmed(root, "action").unwrap_or_default() {
        "setup" => Told::SetUp(SetUp {
            disks: set_up(root)?,
        }),
        "verdict" => Told::Verdict(verdict(root)?),
        other => return Err(Error::Action(shown(other))),
    };
    Ok((nonce.to_string(), told))
}

fn set_up(root: &Element) -> Result<Vec<Disk>, Error> {
    let disks = few(root, "disk", |element| {
        Ok(Disk {
            image: text(element, "image", is_image_name)?,
            name: text(element, "name", is_disk_name)?,
            serial: identity(element, "serial")?,
            wwn: identity(element, "wwn")?,
            size: number(element, "size")?,
        })
    })?;
    if disks.is_empty() {
        return Err(wrong("disk", "none"));
    }
    Ok(disks)
}

fn verdict(root: &Element) -> Result<Verdict, Error> {
    let status = number(root, "status")?;
    let status = u8::try_from(status)
        .ok()
        .filter(|status| is_status(*status))
        .ok_or_else(|| wrong("status", "no such status"))?;
    let reason = trimmed(root, "reason").unwrap_or_default();
    if !is_reason(reason) {
        return Err(wrong("reason", "too long, or more than a line"));
    }
    let images = few(root, "loaded", |element| {
        Ok(Loaded {
            image: text(element, "image", is_image_name)?,
            written: number(element, "written")?,
            seconds: number(element, "seconds")?,
        })
    })?;
    Ok(Verdict {
        status,
        reason: reason.to_string(),
        images,
    })
}

fn few<T>(
    root: &Element,
    name: &str,
    read: impl Fn(&Element) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let found: Vec<T> = root
        .all(name)
        .take(IMAGES + 1)
        .map(read)
        .collect::<Result<_, _>>()?;
    if found.len() > IMAGES {
        return Err(Error::TooMany);
    }
    Ok(found)
}

fn trimmed<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.text_of(name).map(str::trim)
}

fn text(element: &Element, field: &'static str, fits: fn(&str) -> bool) -> Result<String, Error> {
    let text = trimmed(element, field).ok_or_else(|| wrong(field, "missing"))?;
    if !fits(text) {
        return Err(wrong(field, &format!("{}: not one", shown(text))));
    }
    Ok(text.to_string())
}

/// A disk without a serial number has none, or an empty one.
fn identity(element: &Element, field: &'static str) -> Result<Option<String>, Error> {
    match trimmed(element, field) {
        None | Some("") => Ok(None),
        Some(_) => text(element, field, is_identity).map(Some),
    }
}

fn number(element: &Element, field: &'static str) -> Result<u64, Error> {
    let text = trimmed(element, field).ok_or_else(|| wrong(field, "missing"))?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| wrong(field, &format!("{}: no number", shown(text))))
}

fn wrong(field: &'static str, what: &str) -> Error {
    Error::Field {
        field,
        what: what.into(),
    }
}
