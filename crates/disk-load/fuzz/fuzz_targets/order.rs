//! The order of a run: any bytes are one or none; what is one is written the same.
#![no_main]

use disk_image::order::Order;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(order) = Order::parse(bytes) {
        let written = order.to_bytes().unwrap();
        assert_eq!(Order::parse(&written).unwrap(), order);
    }
});
