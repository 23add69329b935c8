//! Addresses of a host, as `ip addr` prints them.

use std::net::Ipv4Addr;

/// Most lines that are read: a host with more interfaces is none.
const LINES: usize = 100_000;

/// An address that an interface has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// The address.
    pub address: Ipv4Addr,
    /// It came after another one of its network: an alias, often one that wanders between hosts.
    pub is_alias: bool,
}

/// The IPv4 addresses in what `ip addr` printed, in its order; `xdsh` may have put `HOST: ` in front of each
/// line. Lines of any other form are passed over. A single address of its own (`/32`) is an alias, too.
pub fn interfaces(text: &str) -> Vec<Interface> {
    text.lines().take(LINES).filter_map(interface).collect()
}

fn interface(line: &str) -> Option<Interface> {
    let mut words = line.split_ascii_whitespace();
    // `sn2:     inet 10.1.0.12/16 ...` or `    inet 10.1.0.12/16 ...`
    words
        .find(|word| *word == "inet" || !word.ends_with(':'))
        .filter(|word| *word == "inet")?;
    let (address, prefix) = words.next()?.split_once('/')?;
    Some(Interface {
        address: address.parse().ok()?,
        is_alias: prefix == "32" || words.any(|word| word == "secondary"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_and_without_the_hosts_name() {
        let text = "sn2: 1: lo: <LOOPBACK,UP> mtu 65536\n\
            sn2:     inet 127.0.0.1/8 scope host lo\n\
            sn2:     inet6 ::1/128 scope host\n\
            \u{20}   inet 10.1.0.12/16 brd 10.1.255.255 scope global eth1\n\
            \u{20}   inet 10.1.0.112/16 scope global secondary eth1\n\
            \u{20}   inet 10.1.0.113/32 scope global eth1\n\
            sn2: inet: no/such\n\
            inet\n";
        let found: Vec<(String, bool)> = interfaces(text)
            .iter()
            .map(|each| (each.address.to_string(), each.is_alias))
            .collect();
        let wanted = [
            ("127.0.0.1", false),
            ("10.1.0.12", false),
            ("10.1.0.112", true),
            ("10.1.0.113", true),
        ];
        assert_eq!(
            found,
            wanted.map(|(address, alias)| (address.to_string(), alias))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(inet |sn2: |[0-9./ \n\\PC]){0,80}") {
            for each in interfaces(&text) {
                prop_assert!(text.contains(&each.address.to_string()));
            }
        }
    }
}
