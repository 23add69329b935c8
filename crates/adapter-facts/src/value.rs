//! Values that fit their field. Each type is a text (or number) that was checked when it was made,
//! also when it was deserialized.
//!
//! Common to all texts: nothing that a terminal would obey, no U+FFFD (it stands for bytes that were
//! no UTF-8), and nothing that xCAT evaluates as Perl when it reads a table (design section 3):
//! no `|`, no `+=`, no text between two slashes.

use std::borrow::Cow;

mod form;

/// Why a text is not a value of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than the field takes; the limit in bytes.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Characters or a shape that the field does not have.
    #[error("not {0}")]
    Form(&'static str),
    /// A number out of the field's range; the largest one.
    #[error("more than {0}")]
    TooLarge(u32),
}

/// A newtype over `String` that only `new` makes. `$empty` says whether an empty text is a value:
/// xCAT tells an empty element from a missing one (`mac=` in the column, vector nic-s-07).
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, empty: $empty:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Bytes that such a value has at most.
            pub const LIMIT: usize = $limit;

            /// Checks a text.
            pub fn new(text: &str) -> Result<$name, Refused> {
                let fits: fn(&str) -> bool = $fits;
                if text.len() > $limit {
                    Err(Refused::TooLong($limit))
                } else if text.is_empty() && $empty || !text.is_empty() && safe(text) && fits(text) {
                    Ok($name(text.to_string()))
                } else {
                    Err(Refused::Form($what))
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refused;
            fn try_from(text: String) -> Result<$name, Refused> {
                $name::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A newtype over `u32` with a largest value.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $largest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        pub struct $name(u32);

        impl $name {
            /// Checks a number.
            pub fn new(number: u32) -> Result<$name, Refused> {
                if number > $largest {
                    return Err(Refused::TooLarge($largest));
                }
                Ok($name(number))
            }

            /// Checks a text of decimal digits.
            pub fn parse(text: &str) -> Result<$name, Refused> {
                if text.is_empty() || text.len() > 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Refused::Form("a number"));
                }
                text.parse().map_err(|_| Refused::TooLarge($largest)).and_then($name::new)
            }

            /// The number.
            pub fn get(self) -> u32 {
                self.0
            }
        }

        impl TryFrom<u32> for $name {
            type Error = Refused;
            fn try_from(number: u32) -> Result<$name, Refused> {
                $name::new(number)
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> u32 {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

text! {
    /// A network interface's name: what the kernel allows (1 to 15 bytes, no `/`, `:` or blank, not
    /// `.` or `..`) in ASCII, without the column's separators and without characters that a shell or
    /// Perl would act on.
    Interface, "a name of a network interface", 15, empty: false, form::interface
}
text! {
    /// Names that an interface could have (udev's `ID_NET_NAME*`), joined by `/`.
    Candidates, "names of network interfaces", 512, empty: true,
    |text| text.split('/').all(form::candidate)
}
text! {
    /// Where a device sits: its path below `/sys/devices` without the net part
    /// (`/pci0000:00/0000:00:03.0/virtio2`, `/virtual`), or a PCI address (`0c:00.1`,
    /// `0001:01:00.0`) for a device without an interface.
    Location, "a device's location", 256, empty: true, form::location
}
text! {
    /// A hardware address as sysfs writes it: 1 to 32 bytes in hex, joined by `:` (6 for Ethernet,
    /// 20 for InfiniBand).
    Mac, "a hardware address", 95, empty: true, form::mac
}
text! {
    /// A vendor's or model's name, as the hardware database has it.
    Label, "printable text", 256, empty: true, form::label
}
text! {
    /// The operational state in `ip link`'s words: UP, DOWN, UNKNOWN, LOWERLAYERDOWN, ...
    LinkState, "a link state", 16, empty: true, |text| text.bytes().all(|b| b.is_ascii_uppercase())
}
text! {
    /// A kernel driver's name.
    Driver, "a driver's name", 64, empty: false, form::driver
}
text! {
    /// A firmware version, as the driver words it.
    Firmware, "printable text", 64, empty: false, form::label
}
text! {
    /// An InfiniBand GUID as sysfs writes it: `0002:c903:001a:2b3c`.
    Guid, "a GUID", 19, empty: false, |text| form::groups(text, 4, 4)
}
text! {
    /// Vendor and device number of a PCI device: `15b3:1011`.
    PciId, "a PCI id", 9, empty: false, |text| form::groups(text, 2, 4)
}
number! {
    /// The link's speed, in megabits a second.
    Speed, 100_000_000
}
number! {
    /// The largest packet, in bytes.
    Mtu, 16_777_216
}
number! {
    /// The NUMA node that the device is attached to.
    NumaNode, 65_535
}

impl Candidates {
    /// Those of `names` that fit, once each, in bytewise order; `None` if none does or all together
    /// are too long.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Candidates> {
        let names: std::collections::BTreeSet<&str> = names
            .into_iter()
            .filter(|name| Candidates::new(name).is_ok_and(|one| one.names().eq([*name])))
            .collect();
        let joined = names.into_iter().collect::<Vec<_>>().join("/");
        Candidates::new(&joined).ok().filter(|_| !joined.is_empty())
    }

    /// The names, one by one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }
}

impl Location {
    /// True for what has no hardware below it: bridges, bonds, tunnels.
    pub fn is_virtual(&self) -> bool {
        self.0 == "/virtual"
    }
}

fn safe(text: &str) -> bool {
    let shown_as_it_is = matches!(program::escape(text), Cow::Borrowed(_));
    let between_slashes = text.len() > 1 && text.starts_with('/') && text.ends_with('/');
    let evaluated = between_slashes || text.contains('|') || text.contains("+=");
    shown_as_it_is && !evaluated && !text.contains('\u{fffd}')
}

#[cfg(test)]
mod tests;
