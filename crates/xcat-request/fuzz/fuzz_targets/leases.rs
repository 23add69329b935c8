//! Lease files: any text gives few addresses, none of them one that is no host's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xcat_request::leases;

fuzz_target!(|text: &str| {
    for found in [leases::dhclient(text), leases::networkmanager(text)] {
        assert!(found.len() <= 8);
        for address in found {
            assert!(!address.is_unspecified() && !address.is_loopback());
            assert!(text.contains(&address.to_string()));
        }
    }
});
