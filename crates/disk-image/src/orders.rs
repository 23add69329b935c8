//! Which images the orders of running loads refer to.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::Error;
use crate::files;

/// Longest order, in bytes.
const LONGEST: usize = 1 << 20;

/// The part of an order that counts here.
#[derive(Deserialize)]
struct Order {
    images: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    manifest: Digest,
}

/// The images of all orders (`*.json`) in a directory; none if it is not there.
///
/// # Errors
/// If one cannot be read: then nothing is known to be unused.
pub(crate) fn wanted(directory: &Path) -> Result<BTreeSet<Digest>, Error> {
    let mut wanted = BTreeSet::new();
    for name in files::names(directory)? {
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        let path = directory.join(name);
        // One that has just ended is gone.
        if let Some(bytes) = files::read(&path, LONGEST)? {
            let order: Order = serde_json::from_slice(&bytes)
                .map_err(|error| Error::store(&path, format!("is no order: {error}")))?;
            wanted.extend(order.images.iter().map(|image| image.manifest));
        }
    }
    Ok(wanted)
}
