//! Archives for tests.

use std::io::Write;

/// A tar of plain members, with both end blocks.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        bytes.extend(member(name, content, b'0'));
    }
    bytes.extend([0; 1024]);
    bytes
}

/// A firmware archive of about `size` bytes.
pub fn firmware(version: &str, purpose: &str, size: usize) -> Vec<u8> {
    let manifest = format!(
        "version={version}\npurpose=xyz.openbmc_project.Software.Version.VersionPurpose.{purpose}\nMachineName=simulated\n"
    );
    // Not constant, so that nothing can compress or guess it.
    let image: Vec<u8> = (0..size)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    archive(&[("MANIFEST", manifest.as_bytes()), ("image-bmc", &image)])
}

/// One header with its data, padded.
pub(crate) fn member(name: &str, content: &[u8], kind: u8) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    let mut fields = |range: std::ops::Range<usize>, text: String| {
        // Writing to a slice that is long enough cannot fail.
        let _ = (&mut header[range]).write_all(text.as_bytes());
    };
    fields(100..108, "0000644\0".into());
    fields(124..136, format!("{:011o}\0", content.len()));
    fields(148..156, " ".repeat(8));
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
