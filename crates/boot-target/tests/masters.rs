//! Which master a node has, by the tables.
#![allow(clippy::unwrap_used)]

mod support;

use boot_target::masters;
use support::{isolated, names};

#[test]
fn a_pool_with_a_blank_xcatmaster_never_has_the_sites() {
    isolated(
        "a_pool_with_a_blank_xcatmaster_never_has_the_sites",
        |world| {
            world.put("site", "master", &[("value", "10.0.0.1")]);
            world.put("noderes", "pool", &[("servicenode", "sn1,sn2")]);
            world.put(
                "noderes",
                "set",
                &[("servicenode", "sn1,sn2"), ("xcatmaster", "sn1-ib")],
            );
            world.put("noderes", "one", &[("servicenode", "sn1")]);
            let nodes = names(&["pool", "set", "one", "flat"]);
            let masters = masters(&world.tables, &nodes).unwrap();
            assert_eq!(masters["pool"].address(None), None);
            assert_eq!(masters["pool"].address(Some("10.9.9.9")), Some("10.9.9.9"));
            assert_eq!(masters["set"].address(Some("10.9.9.9")), Some("sn1-ib"));
            assert_eq!(masters["one"].address(None), Some("10.0.0.1"));
            assert_eq!(masters["flat"].address(None), Some("10.0.0.1"));
        },
    );
}
