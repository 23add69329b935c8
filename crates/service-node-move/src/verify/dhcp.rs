//! DHCP: a DISCOVER as a relay sends it, an OFFER as it comes back (RFC 2131, 2132, 3011).

use std::net::Ipv4Addr;

use super::wire::bytes;

/// Where the options begin, behind this mark.
const OPTIONS: usize = 236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Servers of the old days drop anything shorter.
const SHORTEST: usize = 300;

const PAD: u8 = 0;
const MESSAGE: u8 = 53;
const PARAMETERS: u8 = 55;
const VENDOR: u8 = 60;
const BOOT_FILE: u8 = 67;
const ARCHITECTURE: u8 = 93;
const SUBNET: u8 = 118;
const END: u8 = 255;

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Of the question.
    pub(crate) id: u32,
    pub(crate) mac: [u8; 6],
    /// The address for the node.
    pub(crate) address: Ipv4Addr,
    /// What the node is to boot.
    pub(crate) boot_file: Option<String>,
}

/// A question for one MAC, which stands in `chaddr` only. It asks as network boot code of a PC does, since servers
/// name a boot file to nobody else. `relay`: where the answer goes; `subnet`: in whose network an address is wanted,
/// if not in the relay's.
pub(crate) fn discover(
    id: u32,
    mac: [u8; 6],
    relay: Ipv4Addr,
    subnet: Option<Ipv4Addr>,
) -> Vec<u8> {
    let mut packet = vec![0; OPTIONS];
    // A request, Ethernet, one hop.
    packet[..4].copy_from_slice(&[1, 1, 6, 1]);
    packet[4..8].copy_from_slice(&id.to_be_bytes());
    packet[24..28].copy_from_slice(&relay.octets());
    packet[28..34].copy_from_slice(&mac);
    packet.extend(MAGIC);
    packet.extend([MESSAGE, 1, 1]);
    packet.extend([PARAMETERS, 5, 1, 3, 54, 66, BOOT_FILE]);
    packet.extend([ARCHITECTURE, 2, 0, 0]);
    let vendor = b"PXEClient:Arch:00000:UNDI:002001";
    packet.extend([VENDOR, vendor.len() as u8]);
    packet.extend(vendor);
    if let Some(subnet) = subnet {
        packet.extend([SUBNET, 4]);
        packet.extend(subnet.octets());
    }
    packet.push(END);
    packet.resize(packet.len().max(SHORTEST), PAD);
    packet
}

/// Reads an OFFER; none for anything else.
pub(crate) fn offer(packet: &[u8]) -> Option<Offer> {
    if packet.first() != Some(&2) || bytes(packet, OPTIONS) != Some(MAGIC) {
        return None;
    }
    let options = packet.get(OPTIONS + MAGIC.len()..)?;
    if option(options, MESSAGE)? != [2] {
        return None;
    }
    let field: [u8; 128] = bytes(packet, 108)?;
    let named = option(options, BOOT_FILE).unwrap_or(&field);
    Some(Offer {
        id: u32::from_be_bytes(bytes(packet, 4)?),
        mac: bytes(packet, 28)?,
        address: Ipv4Addr::from(bytes::<4>(packet, 16)?),
        boot_file: text(named),
    })
}

/// The value of an option: the first of that number.
fn option(options: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = options;
    loop {
        let (&number, after) = rest.split_first()?;
        match number {
            PAD => rest = after,
            END => return None,
            _ => {
                let (&length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(usize::from(length))?;
                if number == wanted {
                    return Some(value);
                }
                rest = after;
            }
        }
    }
}

/// Printable ASCII up to the first NUL; nothing else names a file.
fn text(field: &[u8]) -> Option<String> {
    let name = field.split(|byte| *byte == 0).next()?;
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

    fn answer(options: &[u8]) -> Vec<u8> {
        let mut packet = discover(7, MAC, Ipv4Addr::new(10, 0, 0, 1), None);
        packet[0] = 2;
        packet[16..20].copy_from_slice(&[10, 0, 0, 21]);
        packet[108..118].copy_from_slice(b"pxelinux.0");
        packet.truncate(OPTIONS + MAGIC.len());
        packet.extend(options);
        packet
    }

    #[test]
    fn offers_are_read() {
        let offered = offer(&answer(&[PAD, MESSAGE, 1, 2, END]));
        let wanted = Offer {
            id: 7,
            mac: MAC,
            address: Ipv4Addr::new(10, 0, 0, 21),
            boot_file: Some("pxelinux.0".into()),
        };
        assert_eq!(offered, Some(wanted.clone()));
        let by_option = offer(&answer(&[MESSAGE, 1, 2, BOOT_FILE, 2, b'a', 0, END]));
        let boot_file = Some("a".into());
        assert_eq!(
            by_option,
            Some(Offer {
                boot_file,
                ..wanted
            })
        );
    }

    #[test]
    fn what_is_no_offer_is_none() {
        // An ACK, no message type, an option longer than the packet, a question.
        for options in [&[MESSAGE, 1, 5, END][..], &[END], &[12, 200, 1]] {
            assert_eq!(offer(&answer(options)), None, "{options:?}");
        }
        assert_eq!(offer(&discover(7, MAC, Ipv4Addr::LOCALHOST, None)), None);
    }

    #[test]
    fn the_mac_is_nowhere_but_in_its_field() {
        let packet = discover(
            7,
            MAC,
            Ipv4Addr::LOCALHOST,
            Some(Ipv4Addr::new(10, 9, 0, 1)),
        );
        let places: Vec<usize> = packet
            .windows(6)
            .enumerate()
            .filter(|(_, w)| *w == MAC)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places, [28]);
        assert_eq!(
            option(&packet[OPTIONS + 4..], SUBNET),
            Some(&[10, 9, 0, 1][..])
        );
        assert_eq!(option(&packet[OPTIONS + 4..], MESSAGE), Some(&[1][..]));
        assert_eq!(option(&packet[OPTIONS + 4..], 61), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(mut packet in proptest::collection::vec(any::<u8>(), 0..400), good in any::<bool>()) {
            if good && packet.len() > OPTIONS + 4 {
                packet[0] = 2;
                packet[OPTIONS..OPTIONS + 4].copy_from_slice(&MAGIC);
            }
            if let Some(offer) = offer(&packet) {
                prop_assert!(offer.boot_file.is_none_or(|file| file.len() <= 255 && file.bytes().all(|c| c.is_ascii_graphic())));
            }
        }
    }
}
