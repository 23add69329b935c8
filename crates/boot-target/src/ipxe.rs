//! The boot script of one node, for xNBA and iPXE.
//!
//! xCAT's loader asks for the file named by its node; the second line is a comment that `nodeset
//! stat` shows as the node's state (xcat-core, plug-in `xnba`).

/// Everything that differs between two scripts.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// `chain.currstate`.
    pub state: &'a str,
    /// The kernel's file below the served directory.
    pub kernel: &'a str,
    /// The initial file system's.
    pub initrd: &'a str,
    /// The kernel line without what the loader adds.
    pub line: &'a str,
    /// `:PORT` of the web server, empty for 80.
    pub port: &'a str,
}

/// The line by which a script is known to be ours.
const MARK: &str = "#written by xcat-nodetools";

/// The two loaders that a node may come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// The file is called like the node.
    Bios,
    /// The file has `.uefi` behind the node's name.
    Uefi,
}

impl Script<'_> {
    /// The text. UEFI kernels find the initial file system by its name on their line; a BIOS loader
    /// hands it over itself.
    pub(crate) fn text(&self, firmware: Firmware) -> String {
        let Script {
            state,
            kernel,
            initrd,
            line,
            port,
        } = self;
        let named = match firmware {
            Firmware::Bios => "",
            Firmware::Uefi => " initrd=initrd",
        };
        format!(
            "#!gpxe\n#{state}\n{MARK}\n\
             imgfetch -n kernel http://${{next-server}}{port}/tftpboot/{kernel}\n\
             imgload kernel\n\
             imgargs kernel {line} BOOTIF=01-${{netX/mac:hexhyp}}{named}\n\
             imgfetch -n initrd http://${{next-server}}{port}/tftpboot/{initrd}\n\
             imgexec kernel\n"
        )
    }
}

/// The script that leaves the loader, so that the firmware goes on to the node's own disk.
pub(crate) fn local_boot() -> &'static str {
    "#!gpxe\n#boot\nexit\n"
}

/// True if we wrote it (and so may replace it).
pub(crate) fn is_ours(text: &str) -> bool {
    text.lines().take(5).any(|line| line == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script<'static> {
        Script {
            state: "runcmd=getadapter",
            kernel: "xcat/genesis.kernel.x86_64",
            initrd: "xcat/genesis.fs.x86_64.gz",
            line: "quiet xcatd=${next-server}:3001 destiny=runcmd=getadapter",
            port: ":8080",
        }
    }

    #[test]
    fn a_bios_script_in_full() {
        assert_eq!(
            script().text(Firmware::Bios),
            "#!gpxe\n\
             #runcmd=getadapter\n\
             #written by xcat-nodetools\n\
             imgfetch -n kernel http://${next-server}:8080/tftpboot/xcat/genesis.kernel.x86_64\n\
             imgload kernel\n\
             imgargs kernel quiet xcatd=${next-server}:3001 destiny=runcmd=getadapter BOOTIF=01-${netX/mac:hexhyp}\n\
             imgfetch -n initrd http://${next-server}:8080/tftpboot/xcat/genesis.fs.x86_64.gz\n\
             imgexec kernel\n"
        );
    }

    #[test]
    fn a_uefi_kernel_is_told_its_initial_file_system() {
        assert!(
            script()
                .text(Firmware::Uefi)
                .contains(":hexhyp} initrd=initrd\n")
        );
    }

    #[test]
    fn ours_is_known_from_theirs() {
        assert!(is_ours(&script().text(Firmware::Bios)));
        assert!(!is_ours(local_boot()));
        assert!(!is_ours("#!gpxe\n#runcmd=getadapter\nimgfetch x\n"));
    }
}
