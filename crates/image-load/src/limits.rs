//! How long a node may take (the original's figures, `libosload`).

use std::time::Duration;

use disk_image::order::Zero;

/// For each 100 MiB of what is transferred of an image.
const PER_100_MIB: u64 = 65;
/// For each image beside that.
const PER_IMAGE: u64 = 600;
/// For each GB of a disk that is overwritten with zeros.
const PER_GB: u64 = 60;
/// A disk of which nothing is known.
const UNKNOWN_GB: u64 = 20;

/// One image, as the limit needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Bytes that are transferred.
    pub(crate) stored: u64,
    /// Bytes of the disk that it is an image of.
    pub(crate) disk: u64,
}

/// From a node's set-up to its verdict. Where free space is zeroed the original's rule for that takes the
/// place of the other, which was shorter for large disks; the longer of both is given here.
pub(crate) fn limit(images: &[Size], zero: Zero, known_disk: Option<u64>) -> Duration {
    let written = images.iter().map(|image| {
        let hundreds = image.stored.div_ceil(100 << 20);
        hundreds
            .saturating_mul(PER_100_MIB)
            .saturating_add(PER_IMAGE)
    });
    let written = written.fold(0, u64::saturating_add);
    if zero == Zero::Nothing {
        return Duration::from_secs(written);
    }
    let gb = |bytes: u64| bytes.div_ceil(1_000_000_000);
    let images: u64 = images.iter().map(|image| gb(image.disk)).sum();
    let disk = known_disk.map_or(UNKNOWN_GB, gb).max(images);
    Duration::from_secs(written.max(disk.saturating_mul(PER_GB)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_figures() {
        let mib = |stored: u64| Size {
            stored: stored << 20,
            disk: 10_000_000_000,
        };
        let seconds = |images: &[Size], zero, disk| limit(images, zero, disk).as_secs();
        assert_eq!(seconds(&[mib(1)], Zero::Nothing, None), 665);
        assert_eq!(seconds(&[mib(1000)], Zero::Nothing, None), 1250);
        assert_eq!(seconds(&[mib(100), mib(200)], Zero::Nothing, None), 1395);
        assert_eq!(seconds(&[mib(100)], Zero::All, None), 1200);
        assert_eq!(
            seconds(&[mib(100)], Zero::Rest, Some(500_000_000_000)),
            30_000
        );
        assert_eq!(seconds(&[mib(4000)], Zero::Rest, Some(1)), 3200);
        let huge = Size {
            stored: u64::MAX,
            disk: u64::MAX,
        };
        assert!(seconds(&[huge, huge], Zero::All, Some(u64::MAX)) > 1 << 40);
    }
}
