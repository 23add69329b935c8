//! qemu-img: what knows every format. Told the format and an absolute path; what it says of the file
//! is looked at before it converts anything.

use std::io;
use std::path::Path;
use std::time::Duration;

use fork_worker::command::{Spec, run};
use serde_json::Value;

use crate::error::Error;
use crate::manifest::SECTOR;
use crate::source::{Format, Opened};

/// The longest that converting a disk may take.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a raw file of the disk in `source`.
pub(crate) fn convert(source: &Opened, format: Format, raw: &Path) -> Result<(), Error> {
    let said = qemu_img(
        source,
        Spec::new("qemu-img")
            .args(["info", "--output=json", "-f", format.name()])
            .arg(&source.path),
    )?;
    check(&said, source)?;
    let convert = Spec::new("qemu-img")
        .args(["convert", "-f", format.name(), "-O", "raw"])
        .arg(&source.path)
        .arg(raw)
        .deadline(LONGEST);
    qemu_img(source, convert)?;
    // Between the look and the end nobody has put another file in its place.
    source.unchanged()
}

fn qemu_img(source: &Opened, spec: Spec) -> Result<Vec<u8>, Error> {
    let finished = run(&spec.env("LC_ALL", "C")).map_err(|error| Error::Worker {
        subject: "qemu-img".to_string(),
        why: match error.kind() {
            io::ErrorKind::NotFound => "is not installed; only raw goes without it".to_string(),
            _ => error.to_string(),
        },
    })?;
    if finished.timed_out {
        return Err(Error::source(&source.path, "takes longer than a day"));
    }
    if finished.status.success() && !finished.truncated {
        return Ok(finished.stdout);
    }
    let said = String::from_utf8_lossy(&finished.stderr);
    let first = said.lines().next().unwrap_or_default();
    let why = match first {
        "" => format!("qemu-img ended with {}", finished.status),
        text => text.to_string(),
    };
    Err(Error::source(&source.path, why))
}

/// Refuses a file that names another one, and a size that no disk has.
fn check(said: &[u8], source: &Opened) -> Result<(), Error> {
    let wrong = |why: String| Error::source(&source.path, why);
    let info: Value = serde_json::from_slice(said)
        .map_err(|error| wrong(format!("qemu-img's answer is no JSON: {error}")))?;
    if let Some(other) = other_file(&info, &source.path.to_string_lossy()) {
        return Err(wrong(format!("leads to another file: {other}")));
    }
    match info.get("virtual-size").and_then(Value::as_u64) {
        Some(size) if size > 0 && size.is_multiple_of(SECTOR) => Ok(()),
        size => Err(wrong(format!(
            "its disk has a size of {}, not a multiple of {SECTOR}",
            size.map_or("none".to_string(), |size| size.to_string())
        ))),
    }
}

/// Looks for any file name but the file's own, wherever in the answer it is.
fn other_file(info: &Value, own: &str) -> Option<String> {
    match info {
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            let names = key.ends_with("filename") || key == "data-file";
            match value {
                Value::String(name) if names && name != own => Some(name.clone()),
                Value::Object(_) | Value::Array(_) => other_file(value, own),
                _ => None,
            }
        }),
        Value::Array(items) => items.iter().find_map(|item| other_file(item, own)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::other_file;
    use serde_json::json;

    #[test]
    fn any_other_name_is_found() {
        let own = "/images/a.vmdk";
        let good = json!({"filename": own, "format": "vmdk", "children": [{"name": "file", "info": {"filename": own}}],
            "format-specific": {"data": {"extents": [{"filename": own}]}}});
        assert_eq!(other_file(&good, own), None);
        for other in [
            json!({"filename": own, "backing-filename": "b", "full-backing-filename": "/images/b"}),
            json!({"filename": own, "format-specific": {"data": {"data-file": "x"}}}),
            json!({"filename": own, "format-specific": {"data": {"extents": [{"filename": own}, {"filename": "/etc/shadow"}]}}}),
        ] {
            assert!(other_file(&other, own).is_some(), "{other}");
        }
    }
}
