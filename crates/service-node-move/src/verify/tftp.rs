//! TFTP: is a file there? Asked for, and given up at the first answer (RFC 1350, 2349).

use std::net::Ipv4Addr;

use super::wire::{bytes, exchange};

const PORT: u16 = 69;

/// The first answer to a read request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// It is there; its size, if the server says it.
    There(Option<u64>),
    /// It is not; what the server says.
    Refused(String),
}

/// True if the server would send the file: what is known of its size. The transfer is ended at once.
///
/// # Errors
/// What the server says, or that it says nothing.
pub(crate) fn has(server: Ipv4Addr, file: &str) -> Result<String, String> {
    let (answer, socket, from) = exchange(server, PORT, &request(file), answer)?;
    match answer {
        Answer::Refused(why) => Err(format!("{file}: {why}")),
        Answer::There(size) => {
            // 0: not defined; the server need not repeat itself.
            let _ = socket.send_to(b"\0\x05\0\0only looked\0", from);
            Ok(match size {
                Some(size) => format!("{file} by TFTP, {size} bytes"),
                None => format!("{file} by TFTP"),
            })
        }
    }
}

fn request(file: &str) -> Vec<u8> {
    let mut packet = vec![0, 1];
    for word in [file, "octet", "tsize", "0"] {
        packet.extend(word.bytes().filter(|byte| *byte != 0));
        packet.push(0);
    }
    packet
}

fn answer(packet: &[u8]) -> Option<Answer> {
    match u16::from_be_bytes(bytes(packet, 0)?) {
        3 if bytes(packet, 2) == Some([0, 1]) => Some(Answer::There(None)),
        5 => {
            let text = packet.get(4..)?.split(|byte| *byte == 0).next()?;
            let text = String::from_utf8_lossy(text.get(..200).unwrap_or(text));
            Some(Answer::Refused(program::escape(&text).into_owned()))
        }
        6 => {
            let words: Vec<&[u8]> = packet.get(2..)?.split(|byte| *byte == 0).collect();
            let size = words
                .chunks(2)
                .find(|pair| pair[0].eq_ignore_ascii_case(b"tsize"));
            let size = size.and_then(|pair| std::str::from_utf8(pair.get(1)?).ok()?.parse().ok());
            Some(Answer::There(size))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read() {
        for (packet, wanted) in [
            (&b"\0\x03\0\x01abc"[..], Some(Answer::There(None))),
            (b"\0\x06tsize\x001234\0", Some(Answer::There(Some(1234)))),
            (
                b"\0\x06blksize\x00512\0TSIZE\x005\0",
                Some(Answer::There(Some(5))),
            ),
            (b"\0\x06tsize\0x\0", Some(Answer::There(None))),
            (
                b"\0\x05\0\x01File not found\0",
                Some(Answer::Refused("File not found".into())),
            ),
            (b"\0\x03\0\x02abc", None),
            (b"\0\x04\0\x01", None),
            (b"\0", None),
        ] {
            assert_eq!(answer(packet), wanted, "{packet:?}");
        }
        assert_eq!(request("a/b"), b"\0\x01a/b\0octet\0tsize\x000\0");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(kind in 0_u8..8, packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            let whole: Vec<u8> = [0, kind].into_iter().chain(packet).collect();
            if let Some(Answer::Refused(why)) = answer(&whole) {
                prop_assert!(!why.chars().any(char::is_control));
            }
        }
    }
}
