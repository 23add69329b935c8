//! A firmware archive: a POSIX tar with a member `MANIFEST`.
//!
//! The whole archive is walked before its first byte is sent anywhere: a download that broke off, a
//! file of the wrong kind and a manifest that could be read in two ways are refused here. Members are
//! skipped, never unpacked, and nothing but the manifest is kept in memory, whatever sizes the
//! headers claim.

use std::io::{self, Read, Seek, SeekFrom};

use crate::manifest::{self, Manifest};

/// Members of one archive; real ones have about ten.
const MEMBERS: usize = 4096;
/// Bytes of the manifest; real ones have a few hundred.
const MANIFEST_LIMIT: u64 = 64 << 10;
const BLOCK: usize = 512;

/// Why a file is no firmware archive.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The system's words.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Empty.
    #[error("is empty")]
    Empty,
    /// Not a tar at all, or broken in the middle.
    #[error("is no tar archive, or a damaged one (at byte {0})")]
    NotTar(u64),
    /// gzip and the like: some BMCs unpack them, but nobody could check them here.
    #[error("is compressed; unpack it first")]
    Compressed,
    /// It ends before its end mark.
    #[error("is truncated: {0}")]
    Truncated(&'static str),
    /// Bombs and disk images.
    #[error("has more than {MEMBERS} members")]
    TooMany,
    /// Manifest missing, twice, or no plain file.
    #[error("{0}")]
    Manifest(String),
}

/// Walks an archive and reads its manifest.
///
/// # Errors
/// [`Wrong`], for anything that is not a whole archive with one good manifest.
pub fn read<R: Read + Seek>(archive: &mut R) -> Result<Manifest, Wrong> {
    let length = archive.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Err(Wrong::Empty);
    }
    let mut at = 0_u64;
    let mut found = None;
    for _ in 0..MEMBERS {
        archive.seek(SeekFrom::Start(at))?;
        let Some(header) = block(archive)? else {
            return Err(Wrong::Truncated("it has no end mark"));
        };
        if header == [0; BLOCK] {
            return found
                .ok_or_else(|| Wrong::Manifest("has no MANIFEST: is no firmware archive".into()));
        }
        if at == 0
            && (header.starts_with(&[0x1f, 0x8b])
                || header.starts_with(b"BZh")
                || header.starts_with(&[0xfd, b'7', b'z']))
        {
            return Err(Wrong::Compressed);
        }
        let member = Member::parse(&header).ok_or(Wrong::NotTar(at))?;
        let start = at + BLOCK as u64;
        let end = start.checked_add(member.size).ok_or(Wrong::NotTar(at))?;
        if end > length {
            return Err(Wrong::Truncated("a member is longer than the file"));
        }
        if member.name == b"MANIFEST" || member.name == b"./MANIFEST" {
            if found.is_some() {
                return Err(Wrong::Manifest("has two members MANIFEST".into()));
            }
            found = Some(read_manifest(archive, &member)?);
        }
        let padded = end.checked_next_multiple_of(BLOCK as u64);
        at = padded.ok_or(Wrong::NotTar(at))?;
    }
    Err(Wrong::TooMany)
}

/// What a header says.
struct Member<'a> {
    name: &'a [u8],
    size: u64,
    plain: bool,
}

impl<'a> Member<'a> {
    fn parse(header: &'a [u8; BLOCK]) -> Option<Member<'a>> {
        // The checksum counts its own field as blanks. Some old writers summed signed bytes.
        let expected = octal(&header[148..156])?;
        let (before, rest) = header.split_at(148);
        let bytes = || before.iter().chain(&rest[8..]);
        let unsigned = bytes().map(|byte| u64::from(*byte)).sum::<u64>() + 8 * 32;
        let signed = bytes()
            .map(|byte| i64::from(byte.cast_signed()))
            .sum::<i64>()
            + 8 * 32;
        if unsigned != expected && i64::try_from(expected).ok() != Some(signed) {
            return None;
        }
        let kind = header[156];
        let size = match kind {
            // Links, devices, directories and FIFOs have no data, whatever their size field says.
            b'1'..=b'6' => 0,
            _ => octal(&header[124..136])?,
        };
        let name = &header[..100];
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(100);
        let prefixed = header[257..262] == *b"ustar" && header[345] != 0;
        Some(Member {
            // With a prefix it lies in a directory, and is not the manifest.
            name: if prefixed { b"" } else { &name[..end] },
            size,
            plain: matches!(kind, 0 | b'0' | b'7'),
        })
    }
}

/// A number field: octal digits between blanks, ended by blank or NUL.
fn octal(field: &[u8]) -> Option<u64> {
    let text = field.split(|byte| *byte == 0).next()?;
    let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}

fn read_manifest(archive: &mut impl Read, member: &Member<'_>) -> Result<Manifest, Wrong> {
    if !member.plain {
        return Err(Wrong::Manifest("its MANIFEST is no plain file".into()));
    }
    if member.size > MANIFEST_LIMIT {
        return Err(Wrong::Manifest(format!(
            "its MANIFEST has {} bytes, more than {MANIFEST_LIMIT}",
            member.size
        )));
    }
    let mut bytes = Vec::new();
    archive.take(member.size).read_to_end(&mut bytes)?;
    manifest::parse(&bytes).map_err(Wrong::Manifest)
}

/// The next block, or none at the end; what is left of a block is padded with NULs nowhere else.
fn block(reader: &mut impl Read) -> io::Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    match reader.read_exact(&mut block) {
        Ok(()) => Ok(Some(block)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use proptest::prelude::*;

    use super::{Wrong, read};
    use crate::testing::{archive, member};

    fn judge(bytes: Vec<u8>) -> Result<String, String> {
        read(&mut Cursor::new(bytes))
            .map(|manifest| manifest.version)
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn the_manifest_is_found_wherever_it_stands() {
        let manifest = "version=v1\npurpose=x.VersionPurpose.BMC\n";
        for name in ["MANIFEST", "./MANIFEST"] {
            let bytes = archive(&[
                ("image-kernel", b"version=wrong\n"),
                (name, manifest.as_bytes()),
            ]);
            assert_eq!(judge(bytes), Ok("v1".into()));
        }
    }

    #[test]
    fn wrong_files_are_refused_by_kind() {
        let good = archive(&[
            ("MANIFEST", b"version=v1\npurpose=x.BMC\n"),
            ("image", &[7; 2000]),
        ]);
        assert!(judge(good.clone()).is_ok());
        for (bytes, why) in [
            (Vec::new(), "is empty"),
            (vec![b'x'; 5000], "is no tar archive"),
            ([&[0x1f, 0x8b][..], &[0; 600]].concat(), "is compressed"),
            (good[..good.len() - 1024].to_vec(), "it has no end mark"),
            (good[..1700].to_vec(), "a member is longer"),
            (good[..300].to_vec(), "it has no end mark"),
            (archive(&[("image", b"x")]), "has no MANIFEST"),
            (
                archive(&[("dir/MANIFEST", b"version=v\npurpose=p\n")]),
                "has no MANIFEST",
            ),
            (
                archive(&[
                    ("MANIFEST", b"version=v\npurpose=p\n"),
                    ("MANIFEST", b"version=w\npurpose=p\n"),
                ]),
                "two members",
            ),
            (archive(&[("MANIFEST", &[b'a'; 70_000])]), "more than"),
        ] {
            let said = judge(bytes).unwrap_err();
            assert!(said.contains(why), "{said}: {why}");
        }
        let mut link = member("MANIFEST", b"", b'2');
        link.extend([0; 1024]);
        assert!(judge(link).unwrap_err().contains("no plain file"));
        let mut many = Vec::new();
        (0..5000).for_each(|_| many.extend(member("x", b"", b'0')));
        assert!(matches!(read(&mut Cursor::new(many)), Err(Wrong::TooMany)));
    }

    #[test]
    fn every_truncation_and_no_size_gets_through() {
        let good = archive(&[
            ("a", &[1; 600]),
            ("MANIFEST", b"version=v1\npurpose=x.BMC\n"),
            ("b", &[2; 600]),
        ]);
        // Of two end blocks one may be missing, as GNU tar tolerates it.
        for length in 0..good.len() - 1024 + 511 {
            assert!(judge(good[..length].to_vec()).is_err(), "{length}");
        }
        let mut huge = member("x", b"", b'0');
        huge[124..136].copy_from_slice(b"77777777777\0");
        assert!(judge(huge).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(judge(bytes).is_err());
        }

        #[test]
        fn a_flipped_header_byte_is_noticed(at in 0_usize..512, flip in 1_u8..255) {
            let mut bytes = archive(&[("MANIFEST", b"version=v1\npurpose=x.BMC\n")]);
            bytes[at] ^= flip;
            // Flips in the checksum field may cancel out in its padding only.
            if let Ok(version) = judge(bytes) {
                prop_assert_eq!(version, "v1");
                prop_assert!((148..156).contains(&at));
            }
        }
    }
}
