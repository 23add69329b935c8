//! What only the driver knows, by the SIOCETHTOOL ioctl: the permanent address, the firmware's
//! version, the speed. The only unsafe code of this crate.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Commands of `linux/ethtool.h`.
const GET_DRIVER: u32 = 0x03;
const GET_PERMANENT_ADDRESS: u32 = 0x20;
const GET_LINK_SETTINGS: u32 = 0x4c;

/// Bytes of `struct ethtool_drvinfo`, and where in it the texts of 32 bytes are.
const DRIVER_SIZE: usize = 196;
const DRIVER_NAME: usize = 4;
const DRIVER_FIRMWARE: usize = 68;
const TEXT_SIZE: usize = 32;

/// Bytes of an address at most (MAX_ADDR_LEN).
const ADDRESS_SIZE: usize = 32;

/// `struct ethtool_link_settings` without its masks, the byte in it that tells how many words each
/// of the three masks has, and the most that the byte can say.
const SETTINGS_SIZE: usize = 48;
const SETTINGS_WORDS: usize = 15;
const WORDS_LIMIT: usize = 127;

/// The largest of all that is asked for, in words: the kernel writes whole structures.
const BUFFER_WORDS: usize = SETTINGS_SIZE / 4 + 3 * WORDS_LIMIT;

/// A socket to ask by.
pub(crate) struct Ethtool(OwnedFd);

/// What a driver says of itself.
pub(crate) struct Driver {
    pub(crate) name: String,
    pub(crate) firmware: Option<String>,
}

impl Ethtool {
    /// `None` where no socket can be had; then nothing is asked.
    pub(crate) fn open() -> Option<Ethtool> {
        let kind = (
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
        );
        socket(kind.0, kind.1, kind.2, None).ok().map(Ethtool)
    }

    /// The driver and its firmware's version.
    pub(crate) fn driver(&self, interface: &str) -> Option<Driver> {
        let answer = self.ask(interface, &[GET_DRIVER])?;
        let text = |at: usize| text(answer.get(at..at + TEXT_SIZE)?);
        debug_assert!(answer.len() >= DRIVER_SIZE);
        let firmware = text(DRIVER_FIRMWARE).filter(|text| text != "N/A");
        Some(Driver {
            name: text(DRIVER_NAME)?,
            firmware,
        })
    }

    /// The address that the hardware was made with, as sysfs would write it; none if the driver
    /// knows none, or only zeros.
    pub(crate) fn permanent_address(&self, interface: &str) -> Option<String> {
        let size = u32::try_from(ADDRESS_SIZE).ok()?;
        let answer = self.ask(interface, &[GET_PERMANENT_ADDRESS, size])?;
        let length = usize::try_from(word(&answer, 4)?)
            .ok()
            .filter(|length| *length <= ADDRESS_SIZE)?;
        let address = answer.get(8..8 + length)?;
        let written: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
        address
            .iter()
            .any(|byte| *byte != 0)
            .then(|| written.join(":"))
    }

    /// The speed in megabits a second, if it is known.
    pub(crate) fn speed(&self, interface: &str) -> Option<u32> {
        // The first question only asks how long the masks are; the answer is negative.
        let answer = self.ask(interface, &[GET_LINK_SETTINGS])?;
        let words = answer.get(SETTINGS_WORDS)?.wrapping_neg();
        if words == 0 || usize::from(words) > WORDS_LIMIT {
            return None;
        }
        let mut request = [0; SETTINGS_WORDS / 4 + 1];
        request[0] = GET_LINK_SETTINGS;
        let mut last = [0; 4];
        last[SETTINGS_WORDS % 4] = words;
        request[SETTINGS_WORDS / 4] = u32::from_ne_bytes(last);
        let speed = word(&self.ask(interface, &request)?, 4)?;
        // SPEED_UNKNOWN is -1.
        Some(speed).filter(|speed| *speed != 0 && *speed != u32::MAX)
    }

    /// Sends a command that begins with the words of `request`; answers with what the kernel left in
    /// the buffer.
    fn ask(&self, interface: &str, request: &[u32]) -> Option<Vec<u8>> {
        let mut buffer = [0_u32; BUFFER_WORDS];
        buffer.get_mut(..request.len())?.copy_from_slice(request);
        let mut name = [0; libc::IFNAMSIZ];
        // The last byte stays zero.
        for (to, from) in name[..libc::IFNAMSIZ - 1].iter_mut().zip(interface.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let mut ifreq = libc::ifreq {
            ifr_name: name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_data: buffer.as_mut_ptr().cast(),
            },
        };
        // SAFETY: `ifreq` and the buffer that it points to live until the call is over, and nothing
        // else refers to the buffer meanwhile. The kernel writes at most the structure of the
        // command: the three that are used have 196 bytes, 8 plus the 32 bytes of address that the
        // request allows, and 48 plus three masks of at most 127 words; the buffer holds the last.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCETHTOOL as _, &mut ifreq) };
        (result == 0).then(|| buffer.iter().flat_map(|word| word.to_ne_bytes()).collect())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A text that ends in a zero byte or with its field.
fn text(field: &[u8]) -> Option<String> {
    let text = field.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text).trim().to_string();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Ethtool;

    #[test]
    fn answers_agree_with_sysfs() {
        let ethtool = Ethtool::open().unwrap();
        for entry in std::fs::read_dir("/sys/class/net").unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let file = |file: &str| std::fs::read_to_string(entry.path().join(file)).ok();
            // -1 for unknown does not parse; some drivers have no file at all.
            let speed: Option<u32> = file("speed").and_then(|text| text.trim().parse().ok());
            if speed.is_some() {
                assert_eq!(ethtool.speed(&name), speed, "{name}");
            }
            let driver = std::fs::read_link(entry.path().join("device/driver")).ok();
            if let (Some(path), Some(driver)) = (driver, ethtool.driver(&name)) {
                assert_eq!(path.file_name().unwrap().to_str().unwrap(), driver.name);
            }
            let permanent = ethtool.permanent_address(&name);
            if let (Some(address), Some(permanent)) = (file("address"), permanent) {
                assert_eq!(permanent.len(), address.trim().len(), "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_interface_has_no_answers() {
        let ethtool = Ethtool::open().unwrap();
        for name in ["", "none-such", "a-name-longer-than-any-interface-bears"] {
            assert!(ethtool.driver(name).is_none());
            assert_eq!(ethtool.permanent_address(name), None);
            assert_eq!(ethtool.speed(name), None);
        }
    }
}
