//! A host and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// xcatd's port where none is named (site.xcatdport's default).
pub const XCATD_PORT: u16 = 3001;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that names no host, or no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATarget {
    /// Not a name and not an address.
    #[error("not a host name or address")]
    Host,
    /// Not 1 to 65535.
    #[error("not a port number")]
    Port,
}

impl Target {
    /// Checks the host's characters; brackets around an IPv6 address are taken off.
    ///
    /// # Errors
    /// [`NotATarget`]
    pub fn new(host: &str, port: u16) -> Result<Target, NotATarget> {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let known = match bare {
            Some(v6) => is_v6(v6),
            None => is_name(host) || host.parse::<IpAddr>().is_ok() || is_v6(host),
        };
        if !known {
            return Err(NotATarget::Host);
        }
        if port == 0 {
            return Err(NotATarget::Port);
        }
        Ok(Target {
            host: bare.unwrap_or(host).to_string(),
            port,
        })
    }
}

impl FromStr for Target {
    type Err = NotATarget;

    /// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address, as the newer genesis reads
    /// `xcatd=`. The older one cuts at the first colon, so that IPv6 needs the newer one.
    fn from_str(text: &str) -> Result<Target, NotATarget> {
        if is_v6(text) {
            return Target::new(text, XCATD_PORT);
        }
        match text.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => Target::new(host, port(digits)?),
            _ => Target::new(text, XCATD_PORT),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A port as digits, without the sign that Rust's parser would take.
pub(crate) fn port(digits: &str) -> Result<u16, NotATarget> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotATarget::Port);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(NotATarget::Port),
        Ok(port) => Ok(port),
    }
}

fn is_name(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !host.is_empty()
        && host.len() <= 253
        && !host.starts_with(['-', '.'])
        && host.bytes().all(plain)
}

/// An address with or without the interface that a link-local one needs.
fn is_v6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    let zoned = is_name(zone) && zone.len() <= 15;
    zoned && address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{NotATarget, Target};
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        text.parse::<Target>().unwrap().to_string()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(shown("mn"), "mn:3001");
        assert_eq!(shown("10.0.0.1:4001"), "10.0.0.1:4001");
        assert_eq!(shown("[fd00::1]:4001"), "[fd00::1]:4001");
        assert_eq!(shown("[fd00::1]"), "[fd00::1]:3001");
        assert_eq!(shown("fd00::1"), "[fd00::1]:3001");
        assert_eq!(shown("[fe80::1%eth0]:3001"), "[fe80::1%eth0]:3001");
        assert_eq!(
            shown("mn.cluster.example:65535"),
            "mn.cluster.example:65535"
        );
    }

    #[test]
    fn what_is_no_host_or_port_is_said() {
        for text in [
            "", ":3001", "a b", "a/b", "-x", "[mn]:1", "a:b:1", "[::1", "é",
        ] {
            assert_eq!(text.parse::<Target>(), Err(NotATarget::Host), "{text}");
        }
        for text in [
            "mn:", "mn:0", "mn:65536", "mn:+1", "mn:x", "[::1]:", "[::1]:0",
        ] {
            assert_eq!(text.parse::<Target>(), Err(NotATarget::Port), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_is_shown_and_read_again(text in "[a-z0-9:.%\\[\\]-]{0,40}") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }
    }
}
