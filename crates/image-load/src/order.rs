//! The order of a run on disk: written before any node can ask for it, gone with the run.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use disk_image::order::Order;
use disk_image::{Digest, Store};

use crate::orders;

/// Writes the order of `nonce`, on disk when it returns; its digest. While the store is held no image
/// can go that the order names; one that went before is an error.
pub(crate) fn write(store: &Store, order: &Order) -> Result<Digest, String> {
    let held = store.hold().map_err(|error| error.to_string())?;
    for image in &order.images {
        store
            .manifest(image.manifest)
            .and_then(|_| store.frames_file(image.manifest))
            .map_err(|error| format!("{}: {error}", image.name))?;
    }
    let bytes = order.to_bytes().map_err(|error| error.to_string())?;
    let path = path(&order.nonce);
    put(&path, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    drop(held);
    Ok(Digest::of(&bytes))
}

/// Takes an order away, and with it images that nothing refers to any more.
pub(crate) fn remove(store: &Store, nonce: &str) -> Result<(), String> {
    let path = path(nonce);
    match std::fs::remove_file(&path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            return Err(format!("{}: {why}", path.display()));
        }
        _ => {}
    }
    store.sweep().map(drop).map_err(|error| error.to_string())
}

/// Takes away what dead runs left: orders of no claim.
pub(crate) fn sweep(claimed: &BTreeSet<&str>) {
    for entry in std::fs::read_dir(orders()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // One that was being written is of a dead run as well.
        let whole = name.strip_suffix(".new").unwrap_or(&name);
        let nonce = whole.strip_suffix(".json");
        if nonce.is_some_and(|nonce| !claimed.contains(nonce)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn path(nonce: &str) -> PathBuf {
    orders().join(format!("{nonce}.json"))
}

fn put(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}
