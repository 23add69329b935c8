//! Without xCAT: BMCs are told by ourselves, each in a child; one that will not fails its node only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::Ipv4Addr;

use simulators::{Bmcs, Config, Fault, Flavour};
use support::{World, failures, names, target};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

fn main() {
    support::isolated("controllers", one_shot);
}

fn one_shot(world: &World) {
    let mut config = Config::of(Flavour::Bmcweb2026, 3, Ipv4Addr::new(127, 42, 0, 1));
    config.groups[0].port = 8443;
    let bmcs = Bmcs::start(config);
    bmcs.fault(1, Fault::LoginRefused);
    world.tftp();
    world.nodes(&NODES);
    for (i, node) in NODES.iter().enumerate() {
        world.put("nodehm", node, &[("mgt", "openbmc")]);
        if i < 3 {
            let bmc = bmcs.address(i).to_string();
            let values = [
                ("bmc", bmc.as_str()),
                ("username", "root"),
                ("password", "0penBmc"),
            ];
            world.put("openbmc", node, &values);
        }
    }
    // The third is armed by a site's command, which tells BMCs itself.
    let hooked = boot_target::arm(&world.tables, &names(&["n3"]), &target(), true).unwrap();
    assert_eq!(failures(hooked).len(), 0);
    let armed = boot_target::arm(&world.tables, &names(&["n1", "n2", "n4"]), &target(), false);
    let failed = failures(armed.unwrap());
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["n2", "n4"]);
    assert!(failed["n2"].contains("login refused"), "{failed:?}");
    assert!(
        failed["n4"].contains("openbmc.bmc: is not set"),
        "{failed:?}"
    );
    let once = [0, 1, 2].map(|i| bmcs.state(i).boot_once);
    assert_eq!(once, [Some("Pxe".to_string()), None, None]);
    assert!(world.path("var/lib/xcat-nodetools/pins/n1.pin").is_file());
}
