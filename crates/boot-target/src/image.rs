//! Which kernel and initial file system of genesis a node gets.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Files of one architecture, below the served directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// `xcat/genesis.kernel.ARCH`
    pub kernel: String,
    /// `xcat/genesis.fs.ARCH.lzma` or `.gz`
    pub initrd: String,
}

/// The image for `arch` in `tftp`. Of two file systems the one that changed last counts, and of two
/// of one age the lzma one (xcat-core: `destiny` and the installers choose so). The text says what
/// is missing.
pub(crate) fn find(tftp: &Path, arch: &str) -> Result<Image, String> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    if arch.is_empty() || arch.len() > 32 || !arch.bytes().all(plain) {
        return Err("nodetype.arch is not the name of an architecture".to_string());
    }
    let kernel = format!("xcat/genesis.kernel.{arch}");
    if changed(&tftp.join(&kernel)).is_none() {
        return Err(missing(tftp, &kernel));
    }
    let gz = format!("xcat/genesis.fs.{arch}.gz");
    let lzma = format!("xcat/genesis.fs.{arch}.lzma");
    let initrd = match (changed(&tftp.join(&lzma)), changed(&tftp.join(&gz))) {
        (Some(lzma_time), Some(gz_time)) if gz_time > lzma_time => gz,
        (Some(_), _) => lzma,
        (None, Some(_)) => gz,
        (None, None) => return Err(missing(tftp, &gz)),
    };
    Ok(Image { kernel, initrd })
}

fn missing(tftp: &Path, file: &str) -> String {
    format!(
        "no genesis image: {} is not there (xCAT's mknb makes it)",
        tftp.join(file).display()
    )
}

/// Time of the last change of a regular file, if there is one.
fn changed(path: &Path) -> Option<(i64, i64)> {
    let data = std::fs::metadata(path).ok()?;
    data.is_file().then(|| (data.ctime(), data.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("xcat")).unwrap();
        for file in files {
            std::fs::write(dir.path().join("xcat").join(file), "x").unwrap();
        }
        dir
    }

    #[test]
    fn a_missing_half_is_named() {
        let none = tree(&[]);
        assert!(
            find(none.path(), "x86_64")
                .unwrap_err()
                .contains("genesis.kernel.x86_64")
        );
        let half = tree(&["genesis.kernel.x86_64"]);
        assert!(
            find(half.path(), "x86_64")
                .unwrap_err()
                .contains("genesis.fs.x86_64.gz")
        );
    }

    #[test]
    fn either_compression_serves() {
        let gz = tree(&["genesis.kernel.ppc64le", "genesis.fs.ppc64le.gz"]);
        assert_eq!(
            find(gz.path(), "ppc64le").unwrap().initrd,
            "xcat/genesis.fs.ppc64le.gz"
        );
        let lzma = tree(&["genesis.kernel.x86_64", "genesis.fs.x86_64.lzma"]);
        assert_eq!(
            find(lzma.path(), "x86_64").unwrap().initrd,
            "xcat/genesis.fs.x86_64.lzma"
        );
    }

    #[test]
    fn of_one_age_lzma_wins() {
        let both = tree(&["genesis.kernel.x86_64", "genesis.fs.x86_64.gz"]);
        let xcat = both.path().join("xcat");
        // A second name of one file: the same change time by construction.
        std::fs::hard_link(
            xcat.join("genesis.fs.x86_64.gz"),
            xcat.join("genesis.fs.x86_64.lzma"),
        )
        .unwrap();
        assert_eq!(
            find(both.path(), "x86_64").unwrap().initrd,
            "xcat/genesis.fs.x86_64.lzma"
        );
    }

    #[test]
    fn an_architecture_is_no_path() {
        let dir = tree(&["genesis.kernel.x86_64", "genesis.fs.x86_64.gz"]);
        for bad in ["", "../x86_64", "x86_64\n", "x86 64", "${a}"] {
            assert!(find(dir.path(), bad).is_err(), "{bad:?}");
        }
    }
}
