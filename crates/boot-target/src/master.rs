//! Which host a node calls its master.

use std::collections::BTreeMap;

use xcat_tables::Tables;

use crate::error::Error;
use crate::target::is_host;

/// What the tables say of one node's master.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Master {
    /// `noderes.xcatmaster`
    pub xcatmaster: Option<String>,
    /// `noderes.servicenode` names several: any of them may answer, and none is known beforehand.
    pub pool: bool,
    /// `site.master`
    pub site: Option<String>,
}

impl Master {
    /// The master's name or address: `xcatmaster` if set, else `answered`, the server that answered
    /// the node's DHCP request (or what a boot loader puts in its place), else `site.master`.
    /// A node of a pool with a blank `xcatmaster` has whichever service node answers, so for it
    /// nothing assumes `site.master` (snmove's rule; it broke kickstart and grub2 once).
    pub fn address<'a>(&'a self, answered: Option<&'a str>) -> Option<&'a str> {
        let site = if self.pool {
            None
        } else {
            self.site.as_deref()
        };
        self.xcatmaster.as_deref().or(answered).or(site)
    }
}

/// The masters of `nodes`, by set.
///
/// # Errors
/// [`Error::Tables`] if they cannot be read.
pub fn masters(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, Master>, Error> {
    let named = tables.attribute("noderes", "xcatmaster", nodes)?;
    let service = tables.attribute("noderes", "servicenode", nodes)?;
    let site = tables.site("master")?.filter(|site| is_host(site));
    let one = |node: &String| Master {
        xcatmaster: named.get(node).map(|name| name.trim().to_string()),
        pool: service.get(node).is_some_and(|list| is_pool(list)),
        site: site.clone(),
    };
    Ok(nodes.iter().map(|node| (node.clone(), one(node))).collect())
}

fn is_pool(list: &str) -> bool {
    list.split(',')
        .filter(|name| !name.trim().is_empty())
        .count()
        > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(xcatmaster: Option<&str>, pool: bool) -> Master {
        Master {
            xcatmaster: xcatmaster.map(str::to_string),
            pool,
            site: Some("mn".to_string()),
        }
    }

    #[test]
    fn the_nodes_own_comes_first() {
        assert_eq!(master(Some("sn1"), true).address(Some("dhcp")), Some("sn1"));
        assert_eq!(master(Some("sn1"), false).address(None), Some("sn1"));
    }

    #[test]
    fn then_who_answered_then_the_site() {
        assert_eq!(master(None, false).address(Some("dhcp")), Some("dhcp"));
        assert_eq!(master(None, false).address(None), Some("mn"));
    }

    #[test]
    fn a_pool_is_never_the_sites_master() {
        assert_eq!(master(None, true).address(None), None);
        assert_eq!(master(None, true).address(Some("dhcp")), Some("dhcp"));
    }

    #[test]
    fn a_pool_has_more_than_one_name() {
        assert!(is_pool("sn1,sn2"));
        assert!(!is_pool("sn1"));
        assert!(!is_pool("sn1, "));
        assert!(!is_pool(""));
    }
}
