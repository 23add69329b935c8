//! The compiled hardware database of udev (`hwdb.bin`), read in place.
//!
//! The file is a trie of the patterns that modaliases are matched against. Header, nodes, children
//! and values have sizes that the header tells; all numbers are little-endian; strings end in a zero
//! byte. Format and order of properties are those of systemd's `sd-hwdb`. Offsets are believed only
//! within the file, and a search touches a bounded number of nodes, whatever the file says.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

mod glob;
mod search;

/// `KSLPHHRH`, the first bytes of the file.
const SIGNATURE: &[u8; 8] = b"KSLPHHRH";

/// Bytes of a record at most: today's have 16 to 32, newer versions may add some.
const RECORD_LIMIT: u64 = 64;

/// Bytes of a string at most, as in udev itself.
const STRING_LIMIT: usize = 2048;

/// Where the bytes come from.
pub trait Bytes {
    /// Reads what there is from `offset` on, up to the buffer's size.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Bytes for std::fs::File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl Bytes for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..))
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl<B: Bytes + ?Sized> Bytes for &B {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

/// Why a file is no database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin as one.
    #[error("not a compiled hardware database")]
    Signature,
    /// Its records have sizes that none can have.
    #[error("records of impossible size")]
    Sizes,
}

/// An open database.
#[derive(Debug)]
pub struct Hwdb<B> {
    bytes: B,
    node_size: u64,
    child_size: u64,
    value_size: u64,
    root: u64,
}

impl<B: Bytes> Hwdb<B> {
    /// Reads the header.
    pub fn open(bytes: B) -> Result<Hwdb<B>, Error> {
        let mut header = [0; 80];
        read_exact(&bytes, 0, &mut header).ok_or(Error::Signature)?;
        if header[..8] != *SIGNATURE {
            return Err(Error::Signature);
        }
        // Tool version, file size and header size stand before.
        let [node_size, child_size, value_size, root] =
            [32, 40, 48, 56].map(|at| number(&header, at));
        let sizes = [(node_size, 24), (child_size, 16), (value_size, 16)];
        if sizes
            .iter()
            .any(|(size, least)| size < least || *size > RECORD_LIMIT)
        {
            return Err(Error::Sizes);
        }
        Ok(Hwdb {
            bytes,
            node_size,
            child_size,
            value_size,
            root,
        })
    }

    /// The properties of all patterns that match a modalias. Empty if none does; what is broken in
    /// the file ends the search with what was found so far.
    pub fn look_up(&self, modalias: &str) -> BTreeMap<String, String> {
        search::search(self, modalias.as_bytes())
    }

    fn node(&self, offset: u64) -> Option<Node> {
        let mut record = [0; 24];
        read_exact(&self.bytes, offset, &mut record)?;
        Some(Node {
            offset,
            prefix: number(&record, 0),
            children: record[8],
            values: number(&record, 16),
        })
    }

    /// A node's children, each by its byte.
    fn children(&self, node: &Node) -> Option<Vec<(u8, u64)>> {
        let size = usize::try_from(self.child_size).ok()?;
        let mut records = vec![0; usize::from(node.children) * size];
        read_exact(
            &self.bytes,
            node.offset.checked_add(self.node_size)?,
            &mut records,
        )?;
        Some(
            records
                .chunks_exact(size)
                .map(|record| (record[0], number(record, 8)))
                .collect(),
        )
    }

    /// A node's value number `index`.
    fn value(&self, node: &Node, index: u64) -> Option<Value> {
        let values = u64::from(node.children)
            .checked_mul(self.child_size)?
            .checked_add(self.node_size)?;
        let offset = node
            .offset
            .checked_add(values)?
            .checked_add(index.checked_mul(self.value_size)?)?;
        let mut record = [0; 32];
        let size = usize::try_from(self.value_size).ok()?.min(record.len());
        read_exact(&self.bytes, offset, &mut record[..size])?;
        // In the middle format the line took all of the last eight bytes; its high half, now the
        // file's priority, was zero there.
        let line = u32::from_le_bytes([record[24], record[25], record[26], record[27]]);
        let priority = u16::from_le_bytes([record[28], record[29]]);
        let file = if priority == 0 {
            number(&record, 16)
        } else {
            u64::from(priority)
        };
        Some(Value {
            key: number(&record, 0),
            value: number(&record, 8),
            rank: (file, line),
        })
    }

    /// The string at an offset, without its zero.
    fn string(&self, offset: u64) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        let mut piece = [0; 128];
        while string.len() < STRING_LIMIT {
            let at = offset.checked_add(u64::try_from(string.len()).ok()?)?;
            let count = self
                .bytes
                .read_at(at, &mut piece)
                .ok()
                .filter(|count| *count > 0)?;
            match piece[..count].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    string.extend_from_slice(&piece[..end]);
                    return Some(string);
                }
                None => string.extend_from_slice(&piece[..count]),
            }
        }
        None
    }
}

/// A node of the trie.
struct Node {
    offset: u64,
    /// Offset of the text that stands before the children; 0 for none.
    prefix: u64,
    children: u8,
    values: u64,
}

/// A property: offsets of its texts, and how much it counts against another of the same key.
struct Value {
    key: u64,
    value: u64,
    rank: (u64, u32),
}

fn read_exact(bytes: &impl Bytes, mut offset: u64, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        let count = bytes
            .read_at(offset, buffer)
            .ok()
            .filter(|count| *count > 0)?;
        buffer = buffer.get_mut(count..)?;
        offset = offset.checked_add(u64::try_from(count).ok()?)?;
    }
    Some(())
}

/// The number at `at`, 0 beyond the end.
fn number(record: &[u8], at: usize) -> u64 {
    let bytes = record
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
