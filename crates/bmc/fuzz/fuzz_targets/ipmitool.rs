//! What ipmitool printed: a state that is fit for a message, or a reason.

#![no_main]

use bmc::shapes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|output: &[u8]| {
    if let Ok(state) = shapes::ipmi_power(output) {
        assert!(!state.to_string().contains(|c: char| c.is_control()));
    }
});
