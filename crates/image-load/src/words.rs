//! A status in words.

use node_reboot::Status;
use xcat_request::load::status;

/// What a node's number means where disks are loaded; the other numbers are nodereboot's.
pub fn words(of: Status) -> String {
    let text = match u8::try_from(of.0) {
        Ok(status::LOADED) => "loaded",
        Ok(status::IMAGE) => "image check failed",
        Ok(status::WRITE) => "writing failed",
        Ok(status::VERIFY) => "what was read back is not the image",
        _ => return of.to_string(),
    };
    text.into()
}
