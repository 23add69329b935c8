//! Frames of an unchanged Perl poster: 8 bytes of ASCII length, padded with blanks, then as many
//! bytes of XML (spec getadapter section 5). The original's reader kept its buffers between frames and
//! so broke at the second one; this one takes any number, in any pieces.

/// The longest frame taken: the limit of a request.
pub(crate) const LONGEST: usize = 1 << 20;

/// Bytes of the header.
const HEADER: usize = 8;

/// What came out of the FIFO.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// Length 0: look at the spool now.
    Bell,
    /// A message of a Perl poster.
    Message(Vec<u8>),
    /// So many bytes made no sense and were dropped, to begin anew with the next write.
    Garbage(usize),
}

/// Puts frames together from pieces.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes bytes and returns the frames that are complete. At a bad header everything held is
    /// dropped: between writers that tear each other's messages there is no way to find the next one,
    /// and the bells and the spool do not depend on it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(header) = self.buffer.get(at..at + HEADER) {
            let Some(length) = length(header) else {
                frames.push(Frame::Garbage(self.buffer.len() - at));
                at = self.buffer.len();
                break;
            };
            let Some(body) = self.buffer.get(at + HEADER..at + HEADER + length) else {
                break;
            };
            frames.push(if length == 0 {
                Frame::Bell
            } else {
                Frame::Message(body.to_vec())
            });
            at += HEADER + length;
        }
        self.buffer.drain(..at);
        frames
    }

    /// True if a frame has begun and its rest has not come.
    pub fn unfinished(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Forgets a frame whose writer has stopped in the middle.
    pub fn abandon(&mut self) -> usize {
        let held = self.buffer.len();
        self.buffer.clear();
        held
    }
}

fn length(header: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(header).ok()?.trim_end_matches(' ');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|length| digits && *length <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_frames_in_one_session_are_two_messages() {
        let mut frames = Frames::default();
        assert_eq!(
            frames.feed(b"5       hello0       3       abc"),
            vec![
                Frame::Message(b"hello".to_vec()),
                Frame::Bell,
                Frame::Message(b"abc".to_vec())
            ]
        );
        assert!(!frames.unfinished());
    }

    #[test]
    fn a_bad_header_drops_what_is_held_and_the_next_write_is_read() {
        let mut frames = Frames::default();
        assert_eq!(frames.feed(b"99999999x"), vec![Frame::Garbage(9)]);
        assert_eq!(frames.feed(b"not a header"), vec![Frame::Garbage(12)]);
        assert_eq!(frames.feed(b"+2      ab"), vec![Frame::Garbage(10)]);
        assert_eq!(
            frames.feed(b"2       ab"),
            vec![Frame::Message(b"ab".to_vec())]
        );
    }

    proptest! {
        #[test]
        fn pieces_make_the_same_frames(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8), cut in 1usize..64) {
            let mut wire = Vec::new();
            for body in &bodies {
                wire.extend_from_slice(format!("{:<8}", body.len()).as_bytes());
                wire.extend_from_slice(body);
            }
            let mut frames = Frames::default();
            let got: Vec<Frame> = wire.chunks(cut).flat_map(|piece| frames.feed(piece)).collect();
            let wanted: Vec<Frame> = bodies.into_iter().map(|body| if body.is_empty() { Frame::Bell } else { Frame::Message(body) }).collect();
            prop_assert_eq!(got, wanted);
        }

        #[test]
        fn no_bytes_make_it_panic_or_hold_more_than_a_frame(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
            let mut frames = Frames::default();
            for piece in pieces {
                frames.feed(&piece);
                prop_assert!(frames.buffer.len() <= LONGEST + HEADER);
            }
        }
    }
}
