#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// One key and value of a pattern; they count in the order given.
type Entry<'a> = (&'a str, &'a str, &'a str);

/// A trie as the database's compiler builds it: chains of single children become prefixes.
#[derive(Default)]
struct Trie {
    prefix: String,
    children: BTreeMap<u8, Trie>,
    values: Vec<(usize, String, String)>,
}

impl Trie {
    fn of(entries: &[Entry<'_>]) -> Trie {
        let mut root = Trie::default();
        for (line, (pattern, key, value)) in entries.iter().enumerate() {
            let mut node = &mut root;
            for byte in pattern.bytes() {
                node = node.children.entry(byte).or_default();
            }
            node.values.push((line, key.to_string(), value.to_string()));
        }
        root.compress();
        root
    }

    fn compress(&mut self) {
        while self.children.len() == 1 && self.values.is_empty() {
            let (byte, child) = self.children.pop_first().unwrap();
            self.prefix.push(char::from(byte));
            self.prefix.push_str(&child.prefix);
            self.children = child.children;
            self.values = child.values;
        }
        self.children.values_mut().for_each(Trie::compress);
    }

    /// Writes children first; answers with the node's offset.
    fn write(&self, out: &mut Vec<u8>) -> u64 {
        let children: Vec<(u8, u64)> = self
            .children
            .iter()
            .map(|(byte, child)| (*byte, child.write(out)))
            .collect();
        let prefix = if self.prefix.is_empty() {
            0
        } else {
            string(out, &self.prefix)
        };
        let texts: Vec<[u64; 4]> = self
            .values
            .iter()
            .map(|(line, key, value)| {
                // Line in the low half, priority 1 above it.
                [
                    string(out, key),
                    string(out, value),
                    0,
                    *line as u64 | 1 << 32,
                ]
            })
            .collect();
        let at = out.len() as u64;
        let counts = [children.len() as u64, texts.len() as u64];
        for number in [prefix, counts[0], counts[1]] {
            out.extend(number.to_le_bytes());
        }
        for (byte, offset) in children {
            out.extend(u64::from(byte).to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        for number in texts.iter().flatten() {
            out.extend(number.to_le_bytes());
        }
        at
    }
}

fn string(out: &mut Vec<u8>, text: &str) -> u64 {
    let at = out.len() as u64;
    out.extend(text.bytes());
    out.push(0);
    at
}

fn database(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = vec![0; 80];
    let root = Trie::of(entries).write(&mut out);
    out[..8].copy_from_slice(SIGNATURE);
    for (at, number) in [(24, 80), (32, 24), (40, 16), (48, 32), (56, root)] {
        out[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
    }
    out
}

fn look_up(bytes: &[u8], modalias: &str) -> Vec<(String, String)> {
    Hwdb::open(bytes)
        .unwrap()
        .look_up(modalias)
        .into_iter()
        .collect()
}

const ENTRIES: [Entry<'static>; 7] = [
    ("pci:v00008086*", " VENDOR", "Intel"),
    ("pci:v00008086d000010FB*", " MODEL", "82599ES"),
    (
        "pci:v00008086d000010FBsv00001028*",
        " MODEL",
        "82599ES (Dell)",
    ),
    ("pci:v00008086d000010FC*", " MODEL", "another"),
    ("pci:v0000[!a-f]*d000010F?*", " CLASS", "by pattern"),
    ("usb:v1234p*", "HIDDEN", "no blank before the key"),
    ("exact", " KEY", "value"),
];

#[test]
fn later_lines_count_more() {
    let bytes = database(&ENTRIES);
    let found = look_up(&bytes, "pci:v00008086d000010FBsv00001028sd1");
    let expected = [
        ("CLASS", "by pattern"),
        ("MODEL", "82599ES (Dell)"),
        ("VENDOR", "Intel"),
    ];
    assert_eq!(
        found,
        expected.map(|(key, value)| (key.to_string(), value.to_string()))
    );
    let found = look_up(&bytes, "pci:v00008086d000010FBsv00001029sd1");
    assert_eq!(found[1].1, "82599ES");
}

#[test]
fn what_no_pattern_matches_has_no_properties() {
    let bytes = database(&ENTRIES);
    for modalias in [
        "pci:v00008087",
        "exac",
        "exactly",
        "usb:v1234p1",
        "",
        "pci:",
    ] {
        assert_eq!(look_up(&bytes, modalias), [], "{modalias}");
    }
    assert_eq!(
        look_up(&bytes, "exact"),
        [("KEY".to_string(), "value".to_string())]
    );
}

#[test]
fn other_files_are_refused() {
    assert_eq!(Hwdb::open(&b"KSLPHHRH"[..]).unwrap_err(), Error::Signature);
    assert_eq!(Hwdb::open(&[0; 80][..]).unwrap_err(), Error::Signature);
    let mut bytes = database(&ENTRIES);
    bytes[40] = 200;
    assert_eq!(Hwdb::open(&bytes[..]).unwrap_err(), Error::Sizes);
}

#[test]
fn a_trie_that_bites_its_tail_ends() {
    // A node whose only child, `*`, is itself.
    let mut bytes = database(&[("*a", " KEY", "value"), ("*b", " KEY", "value")]);
    let root = usize::try_from(number(&bytes, 56)).unwrap();
    bytes[root + 8] = 1;
    bytes.resize(root + 24, 0);
    bytes.extend(u64::from(b'*').to_le_bytes());
    bytes.extend((root as u64).to_le_bytes());
    assert_eq!(look_up(&bytes, "pci:v00008086"), []);
}

proptest! {
    #[test]
    fn broken_bytes_are_survived(changes in proptest::collection::vec((0usize..2000, any::<u8>()), 1..12), cut in 0usize..2000) {
        let mut bytes = database(&ENTRIES);
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 10));
        if let Ok(hwdb) = Hwdb::open(&bytes[..]) {
            let found = hwdb.look_up("pci:v00008086d000010FBsv00001028sd1");
            prop_assert!(found.len() <= 4096);
        }
    }
}
