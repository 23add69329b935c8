//! The text list of PCI names: `vvvv  Vendor`, below it `<tab>dddd  Device`, below that
//! `<tab><tab>vvvv dddd  Subsystem`; `#` starts a comment, `C ` the classes at the end.

/// Bytes of a list that are read; today's has 1.4 MB.
pub(super) const LIMIT: usize = 16 << 20;

/// A device's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    /// Who made the chip.
    pub vendor: u16,
    /// Which chip it is.
    pub device: u16,
    /// Who made the card, and which card it is.
    pub subsystem: Option<(u16, u16)>,
}

/// What the list says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// The vendor's name.
    pub vendor: Option<String>,
    /// The device's name, with the card's in parentheses where the list has it: as in udev's
    /// database, which is made from the same list.
    pub model: Option<String>,
}

/// A list, in memory.
#[derive(Debug)]
pub struct PciIds(Vec<u8>);

impl PciIds {
    /// Takes the text as it is; lines that are none of the list are passed over when it is read.
    pub fn new(bytes: Vec<u8>) -> PciIds {
        PciIds(bytes)
    }

    /// Looks a device up. Reads the list from the start: the number of different devices in a
    /// machine is small.
    pub fn look_up(&self, id: &Id) -> Found {
        let mut found = Found::default();
        let mut in_device = false;
        for line in self.0.split(|byte| *byte == b'\n') {
            let depth = line.iter().take_while(|byte| **byte == b'\t').count();
            let line = &line[depth..];
            match depth {
                0 if is_remark(line) => {}
                0 if found.vendor.is_some() => break,
                0 => found.vendor = entry(line, &[id.vendor]),
                1 if found.vendor.is_some() && found.model.is_some() => in_device = false,
                1 if found.vendor.is_some() => {
                    found.model = entry(line, &[id.device]);
                    in_device = found.model.is_some();
                }
                2 if in_device => {
                    let card = id
                        .subsystem
                        .and_then(|(vendor, device)| entry(line, &[vendor, device]));
                    if let Some((card, model)) = card.zip(found.model.as_mut()) {
                        *model = format!("{model} ({card})");
                        in_device = false;
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// The name on a line, if the line starts with these numbers.
fn entry(line: &[u8], numbers: &[u16]) -> Option<String> {
    let mut rest = line;
    for (count, number) in numbers.iter().enumerate() {
        if count > 0 {
            rest = rest.strip_prefix(b" ")?;
        }
        let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
        let right = digits.bytes().all(|b| b.is_ascii_hexdigit())
            && u16::from_str_radix(digits, 16).is_ok_and(|digits| digits == *number);
        rest = rest.get(4..).filter(|_| right)?;
    }
    let name = rest.strip_prefix(b"  ")?;
    // A name longer than any field is cut here, so that it is not copied whole.
    let name = String::from_utf8_lossy(&name[..name.len().min(1024)])
        .trim()
        .to_string();
    Some(name).filter(|name| !name.is_empty())
}

fn is_remark(line: &[u8]) -> bool {
    line.is_empty() || line.starts_with(b"#")
}

#[cfg(test)]
mod tests;
