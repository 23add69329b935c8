//! Which images the orders of running loads refer to.

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::order::{LONGEST, Order};

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
            let order = Order::parse(&bytes);
            let order = order.map_err(|error| Error::store(&path, error.to_string()))?;
            wanted.extend(order.images.iter().map(|image| image.manifest));
        }
    }
    Ok(wanted)
}
