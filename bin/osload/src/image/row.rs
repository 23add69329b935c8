//! An image's rows in the tables `osimage` and `linuximage`: so xCAT's commands list it as well.

use std::path::Path;

use xcat_tables::{Error, Tables};

/// What `osimage.provmethod` says of our images. xCAT's nodeset knows no such method and refuses them:
/// it could not load them.
const METHOD: &str = "osload";

/// An image of xCAT's own has the name.
#[derive(Debug, thiserror::Error)]
#[error("{name}: is an osimage with provmethod {method}: choose another name")]
struct Taken {
    name: String,
    method: String,
}

/// Looks whether the name is free in the tables, or ours.
pub(crate) fn may_have(tables: &Tables, name: &str) -> anyhow::Result<()> {
    tables.transaction(&["osimage", "linuximage"], |work| {
        let rows = work.matching("osimage", &[("imagename", name)])?;
        match rows
            .first()
            .map(|row| row.get("provmethod").unwrap_or_default())
        {
            None | Some(METHOD) => Ok(()),
            Some(method) => Err(Taken {
                name: name.to_string(),
                method: method.to_string(),
            }
            .into()),
        }
    })
}

/// Writes the image's rows; what else a site has put into them stays.
pub(crate) fn write(tables: &Tables, name: &str, place: &Path) -> anyhow::Result<()> {
    may_have(tables, name)?;
    let place = place.to_string_lossy();
    tables.transaction(&["osimage", "linuximage"], |work| -> Result<(), Error> {
        let key = [("imagename", name)];
        // lsdef shows the second row only with a type.
        let values = [("provmethod", Some(METHOD)), ("imagetype", Some("linux"))];
        work.put("osimage", &key, &values)?;
        work.put("linuximage", &key, &[("rootimgdir", Some(&*place))])
    })?;
    Ok(())
}

/// Removes the image's rows, if they are ours.
pub(crate) fn remove(tables: &Tables, name: &str) -> Result<(), Error> {
    tables.transaction(&["osimage", "linuximage"], |work| {
        let ours = [("imagename", name), ("provmethod", METHOD)];
        if work.delete("osimage", &ours)? > 0 {
            work.delete("linuximage", &[("imagename", name)])?;
        }
        Ok(())
    })
}
