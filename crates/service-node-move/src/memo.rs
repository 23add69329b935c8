//! Each name is looked up once, however many nodes have it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::World;
use crate::interfaces::Interface;

/// A world whose names are remembered for the time of one plan.
pub(crate) struct Memo<'a> {
    world: &'a dyn World,
    addresses: RefCell<BTreeMap<String, Vec<IpAddr>>>,
}

impl<'a> Memo<'a> {
    pub(crate) fn new(world: &'a dyn World) -> Memo<'a> {
        Memo {
            world,
            addresses: RefCell::default(),
        }
    }
}

impl World for Memo<'_> {
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Some(known) = self.addresses.borrow().get(host) {
            return known.clone();
        }
        let found = self.world.addresses(host);
        self.addresses
            .borrow_mut()
            .insert(host.to_string(), found.clone());
        found
    }

    fn own(&self) -> Vec<Interface> {
        self.world.own()
    }

    fn interfaces(&self, service_node: &str) -> Result<Vec<Interface>, String> {
        self.world.interfaces(service_node)
    }

    fn missing(&self, host: &str, directories: &[&str]) -> Result<Vec<String>, String> {
        self.world.missing(host, directories)
    }

    fn answering(&self, hosts: &BTreeMap<String, IpAddr>) -> Vec<String> {
        self.world.answering(hosts)
    }

    fn command(&self, name: &str) -> Option<PathBuf> {
        self.world.command(name)
    }
}
