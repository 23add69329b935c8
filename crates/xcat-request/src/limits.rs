//! How much a peer may send.

/// Bounds on one request or answer. Whatever exceeds one of them is refused whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the wire.
    pub bytes: usize,
    /// Elements inside each other, the root counted.
    pub depth: usize,
    /// Elements and attributes in all.
    pub elements: usize,
    /// Bytes of text in one element, decoded.
    pub text: usize,
}

impl Default for Limits {
    /// 1 MiB, 16 deep, 20,000 elements, 64 KiB of text each. A device costs at most 370 bytes and
    /// 8 elements (spec section 5), so that this is room for some 2,500 devices.
    fn default() -> Limits {
        Limits {
            bytes: 1 << 20,
            depth: 16,
            elements: 20_000,
            text: 64 << 10,
        }
    }
}
