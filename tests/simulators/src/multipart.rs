//! A multipart body as it streams by: parameters first, then the image.

use serde_json::Value;

use crate::tar_scan::TarScan;

/// The parts of an update, the image last.
#[derive(Debug)]
pub(crate) struct Multipart {
    boundary: Vec<u8>,
    /// Before the image: all of it; in the image: what may belong to the boundary.
    held: Vec<u8>,
    in_image: bool,
    pub(crate) parameters: Option<Value>,
    pub(crate) image: TarScan,
}

/// Longest text before the image.
const LONGEST: usize = 64 << 10;

impl Multipart {
    /// `None`: not this kind of body.
    pub(crate) fn new(content_type: &str) -> Option<Multipart> {
        let rest = content_type.strip_prefix("multipart/form-data")?;
        let (_, boundary) = rest.split_once("boundary=")?;
        let boundary = boundary.split(';').next()?.trim().trim_matches('"');
        Some(Multipart {
            boundary: format!("\r\n--{boundary}").into_bytes(),
            held: b"\r\n".to_vec(),
            in_image: false,
            parameters: None,
            image: TarScan::default(),
        })
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        if !self.in_image {
            self.parts();
        }
        let keep = self.boundary.len() + 8;
        if self.in_image && self.held.len() > keep {
            let ready = self.held.len() - keep;
            self.image.feed(&self.held[..ready]);
            self.held.drain(..ready);
        }
    }

    /// At the end of the body: true if the image was there and ended where it should.
    pub(crate) fn finish(&mut self) -> bool {
        match find(&self.held, &self.boundary) {
            Some(end) if self.in_image => {
                self.image.feed(&self.held[..end]);
                true
            }
            _ => false,
        }
    }

    /// Takes whole parts until the image's begins.
    fn parts(&mut self) {
        while let Some(start) = find(&self.held, &self.boundary) {
            let Some(head) = find(&self.held[start..], b"\r\n\r\n") else {
                break;
            };
            let names = String::from_utf8_lossy(&self.held[start..start + head]).into_owned();
            let body = start + head + 4;
            if names.contains("name=\"UpdateFile\"") {
                self.held.drain(..body);
                self.in_image = true;
                return;
            }
            let Some(length) = find(&self.held[body..], &self.boundary) else {
                break;
            };
            if names.contains("name=\"UpdateParameters\"") {
                self.parameters = serde_json::from_slice(&self.held[body..body + length]).ok();
            }
            self.held.drain(..body + length);
        }
        if self.held.len() > LONGEST {
            self.held.clear();
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
