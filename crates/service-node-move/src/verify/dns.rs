//! DNS: does a server know a name? One question for an address (RFC 1035).

use std::net::Ipv4Addr;

use super::wire::{bytes, exchange};

const PORT: u16 = 53;
const ID: [u8; 2] = [0x53, 0x4e];

/// True if the server has an address for the name.
///
/// # Errors
/// What it says instead.
pub(crate) fn knows(server: Ipv4Addr, name: &str) -> Result<String, String> {
    let question = question(name).ok_or_else(|| format!("{name}: is no name for DNS"))?;
    let (answer, _, _) = exchange(server, PORT, &question, answer)?;
    match answer {
        (0, addresses) if addresses > 0 => Ok(format!("it knows {name}")),
        (0 | 3, _) => Err(format!("it does not know {name}")),
        (5, _) => Err("it refuses to answer this host".to_string()),
        (code, _) => Err(format!("it failed (code {code})")),
    }
}

fn question(name: &str) -> Option<Vec<u8>> {
    let mut packet = Vec::from(ID);
    // A standard query, recursion wanted, one question.
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length))?;
        packet.push(length);
        packet.extend(label.bytes());
    }
    // The root; an address; of the Internet.
    packet.extend([0, 0, 1, 0, 1]);
    Some(packet)
}

/// The code of an answer to our question, and how many records it has.
fn answer(packet: &[u8]) -> Option<(u8, u16)> {
    let flags: [u8; 2] = bytes(packet, 2)?;
    let is_ours = bytes(packet, 0) == Some(ID) && flags[0] & 0x80 != 0;
    is_ours.then_some((flags[1] & 0x0f, u16::from_be_bytes(bytes(packet, 6)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn questions_and_answers() {
        let packet = question("n1.cluster").unwrap_or_default();
        assert_eq!(&packet[12..], b"\x02n1\x07cluster\0\0\x01\0\x01");
        assert_eq!(answer(&packet), None);
        assert_eq!(question("a..b"), None);
        assert_eq!(question(&"a".repeat(64)), None);
        assert_eq!(answer(b"SN\x81\x83\0\x01\0\0"), Some((3, 0)));
        assert_eq!(answer(b"SN\x81\x80\0\x01\0\x02"), Some((0, 2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(packet in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some((code, _)) = answer(&packet) {
                prop_assert!(code < 16);
            }
        }
    }
}
