//! The `networks` table: which network an address is in.

use std::net::Ipv4Addr;

use crate::Row;

/// `networks.gateway` says that the node's master is its gateway.
const MASTER_IS_GATEWAY: &str = "<xcatmaster>";

/// A row of `networks` that speaks of IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// First address.
    pub net: Ipv4Addr,
    /// Bits of the mask.
    pub prefix: u32,
    /// How its hosts reach the others.
    pub gateway: Gateway,
}

/// What `networks.gateway` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// Nothing of use.
    None,
    /// This host.
    At(Ipv4Addr),
    /// The node's own master.
    Master,
}

impl Network {
    /// Reads a row; none if it does not describe an IPv4 network. Masks are dotted, `/16` or `0xffff0000`, or
    /// stand behind the net (`10.1.0.0/16`), as xCAT takes them (spec snmove section 3, step 4).
    pub fn of(row: &Row) -> Option<Network> {
        let net = row.get("net")?.trim();
        let (net, behind) = match net.split_once('/') {
            Some((net, bits)) => (net, Some(bits)),
            None => (net, None),
        };
        let net: Ipv4Addr = net.parse().ok()?;
        let prefix = match (behind, row.get("mask").map(str::trim)) {
            (Some(bits), _) => bits.parse().ok()?,
            (None, Some(mask)) => prefix_of(mask)?,
            (None, None) => return None,
        };
        (prefix <= 32).then_some(Network {
            net,
            prefix,
            gateway: match row.get("gateway").map(str::trim) {
                Some(MASTER_IS_GATEWAY) => Gateway::Master,
                text => text
                    .and_then(|text| text.parse().ok())
                    .map_or(Gateway::None, Gateway::At),
            },
        })
    }

    /// True if the address is inside.
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let mask = u32::from(self.mask());
        u32::from(address) & mask == u32::from(self.net) & mask
    }

    /// Its mask, dotted.
    pub fn mask(&self) -> Ipv4Addr {
        u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0).into()
    }
}

/// The narrowest network that holds the address. The original takes whichever row comes last.
pub fn narrowest(networks: &[Network], address: Ipv4Addr) -> Option<&Network> {
    let holding = networks.iter().filter(|network| network.holds(address));
    holding.max_by_key(|network| network.prefix)
}

fn prefix_of(mask: &str) -> Option<u32> {
    if let Some(bits) = mask.strip_prefix('/') {
        return bits.parse().ok();
    }
    let bits = match mask.strip_prefix("0x").or_else(|| mask.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => u32::from(mask.parse::<Ipv4Addr>().ok()?),
    };
    (bits.leading_ones() == bits.count_ones()).then_some(bits.leading_ones())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn network(net: &str, mask: Option<&str>) -> Option<Network> {
        let cells = [("net", Some(net)), ("mask", mask), ("gateway", None)];
        Network::of(&Row::from_iter(cells.map(|(column, value)| {
            (column.to_string(), value.map(str::to_string))
        })))
    }

    #[test]
    fn every_form_of_a_mask_is_read() {
        for (net, mask) in [
            ("10.1.0.0", Some("255.255.0.0")),
            ("10.1.0.0", Some("/16")),
            ("10.1.0.0", Some("0xffff0000")),
            ("10.1.0.0/16", None),
        ] {
            let found = network(net, mask).unwrap();
            assert_eq!(found.mask().to_string(), "255.255.0.0", "{net} {mask:?}");
        }
        for (net, mask) in [
            ("fd00::", Some("/64")),
            ("10.1.0.0", Some("255.0.255.0")),
            ("10.1.0.0", Some("/33")),
            ("10.1.0.0", None),
        ] {
            assert_eq!(network(net, mask), None, "{net} {mask:?}");
        }
    }

    #[test]
    fn the_narrowest_wins_in_either_order() {
        let wide = network("10.1.0.0", Some("/16")).unwrap();
        let narrow = network("10.1.1.0", Some("/24")).unwrap();
        let all = network("0.0.0.0", Some("/0")).unwrap();
        let inside = Ipv4Addr::new(10, 1, 1, 7);
        for networks in [
            [wide.clone(), narrow.clone(), all.clone()],
            [narrow.clone(), all.clone(), wide.clone()],
        ] {
            assert_eq!(narrowest(&networks, inside), Some(&narrow));
            assert_eq!(
                narrowest(&networks, Ipv4Addr::new(10, 1, 2, 7)),
                Some(&wide)
            );
            assert_eq!(
                narrowest(&networks, Ipv4Addr::new(192, 0, 2, 1)),
                Some(&all)
            );
        }
        assert_eq!(narrowest(&[wide], Ipv4Addr::new(10, 2, 0, 1)), None);
    }
}
